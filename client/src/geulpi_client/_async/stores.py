"""What the shared tier of the cache keeps its values in: Redis, or the memory of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, runtime_checkable

import redis
from redis.exceptions import RedisClusterException

from geulpi_client._constants import (
    CACHE_TIMEOUT_S,
    COUNTS_PREFIX,
    LOCK_PREFIX,
    LOG_ENTRIES,
    LOG_KEPT_S,
    LOG_KEY,
    RESULT_PREFIX,
    TAG_PREFIX,
)
from geulpi_client._keys import model_of
from geulpi_client._redis import (
    CacheAddress,
    Command,
    close_async,
    connect_async,
    mget_async,
    pipelined_async,
)
from geulpi_client._writes import Drop, Writes, drop_of, literally

STORE_ERRORS: Final = (redis.RedisError, RedisClusterException, OSError)
"""What a store may raise that costs a call no more than its hits."""

_AT_A_TIME = 1000


class AsyncStore(Protocol):
    """Values by key, shared between processes; every method may raise `STORE_ERRORS`."""

    url: str

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Return one value or `None` per key."""

    async def write(self, writes: Writes) -> None:
        """Keep values, and add to the counters that all processes share."""

    async def claim(self, keys: Sequence[str], for_ms: int) -> list[str]:
        """Return the keys that this caller, and for so long no other, is to compute anew."""

    async def drop(self, drop: Drop) -> int:
        """Forget the values of a model or tag, and tell the other processes; return how many."""

    async def drops(self, since: str | None) -> tuple[str, list[Drop]]:
        """Return what was dropped since the place in the log that is given, and its end."""

    async def aclose(self) -> None:
        """Let go of the connections."""


@runtime_checkable
class AsyncCache(Protocol):
    """What stands in for the address of a cache: the memory of `geulpi_client.testing`."""

    def open_async_store(self) -> AsyncStore:
        """Return a way to it."""


class AsyncRedisStore:
    """Redis or Valkey: one server, a primary behind Sentinels, or a cluster."""

    def __init__(self, address: CacheAddress, timeout_s: float) -> None:
        self.url = address.url
        self._address = address
        self._timeout_s = timeout_s
        self._client: Any = None

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Return one value or `None` per key."""
        values = await mget_async(self._connected(), keys)
        if not _are_values(values, len(keys)):
            raise redis.InvalidResponse("MGET is answered with something else")
        return values

    async def write(self, writes: Writes) -> None:
        """Keep values, and add to the counters that all processes share."""
        commands: list[Command] = [
            ("SET", key, value.raw, "PX", value.keep_ms) for key, value in writes.values.items()
        ]
        for tag, keys in writes.tags.items():
            commands.append(("SADD", TAG_PREFIX + tag, *keys))
            commands.append(("PEXPIRE", TAG_PREFIX + tag, writes.tags_keep_ms))
        for (model, field), number in writes.counts.items():
            commands.append(("HINCRBY", COUNTS_PREFIX + model, field, number))
        await pipelined_async(self._connected(), commands)

    async def claim(self, keys: Sequence[str], for_ms: int) -> list[str]:
        """Return the keys that this caller, and for so long no other, is to compute anew."""
        commands = [("SET", LOCK_PREFIX + key, "", "NX", "PX", for_ms) for key in keys]
        won = await pipelined_async(self._connected(), commands)
        return [key for key, answer in zip(keys, won, strict=True) if answer]

    async def drop(self, drop: Drop) -> int:
        """Forget the values of a model or tag, and tell the other processes; return how many."""
        # Told first, in case the rest fails, and again: who read the first may since have found
        # here what was not gone yet.
        await self._tell(drop)
        dropped = await self._dropped(drop)
        await self._tell(drop)
        return dropped

    async def _tell(self, drop: Drop) -> None:
        client = self._connected()
        await client.xadd(LOG_KEY, {drop.kind: drop.name}, maxlen=LOG_ENTRIES, approximate=True)
        await client.expire(LOG_KEY, LOG_KEPT_S)

    async def _dropped(self, drop: Drop) -> int:
        client = self._connected()
        if drop.kind == "tag":
            keys = [*await client.smembers(TAG_PREFIX + drop.name)]
            dropped = await self._unlink(keys)
            if keys:
                await client.srem(TAG_PREFIX + drop.name, *keys)  # not those that came meanwhile
            return dropped
        dropped = 0
        some: list[bytes] = []
        pattern = f"{RESULT_PREFIX}{literally(drop.name) + ':' if drop.name else ''}*"
        async for key in client.scan_iter(match=pattern, count=_AT_A_TIME):
            if drop.name in {"", model_of(key.decode(errors="replace"))}:
                some.append(key)
            if len(some) >= _AT_A_TIME:
                dropped += await self._unlink(some)
                some = []
        return dropped + await self._unlink(some)

    async def drops(self, since: str | None) -> tuple[str, list[Drop]]:
        """Return the end of the log, and what was dropped since the place that is given."""
        client = self._connected()
        try:
            if since is None:
                last = await client.xrevrange(LOG_KEY, count=1)
                return (last[0][0].decode() if last else "0-0"), []
            entries = await client.xrange(LOG_KEY, min=f"({since}")
            drops = [drop_of(fields) for _, fields in entries]
            return (entries[-1][0].decode() if entries else since), [d for d in drops if d]
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise redis.InvalidResponse("XRANGE is answered with something else") from error

    async def aclose(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await close_async(client)

    async def _unlink(self, keys: Sequence[bytes]) -> int:
        return sum(await pipelined_async(self._connected(), [("UNLINK", key) for key in keys]))

    def _connected(self) -> Any:
        if self._client is None:
            self._client = connect_async(self._address, self._timeout_s)
        return self._client


def _are_values(answer: object, count: int) -> bool:
    """Return whether these are values of so many keys: any program may listen at an address."""
    return (
        isinstance(answer, list)
        and len(answer) == count
        and all(value is None or isinstance(value, bytes) for value in answer)
    )


def open_async_store(cache: object, address: CacheAddress | None) -> AsyncStore | None:
    """Return the store at an address, or that of what stands in for one; nothing is connected."""
    if address is not None:
        return AsyncRedisStore(address, CACHE_TIMEOUT_S)
    return cache.open_async_store() if isinstance(cache, AsyncCache) else None

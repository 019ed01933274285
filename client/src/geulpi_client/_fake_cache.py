"""A cache for tests in place of Redis: what clients share, in the memory of one process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from geulpi_client._keys import model_of
from geulpi_client._writes import Drop, Writes

URL = "memory"


class MemoryCache:
    """Stands in for a Redis URL: `ModelClient(fake, cache=MemoryCache())`.

    Clients that are given the same one share it, asyncio and threads alike, as they share Redis:
    rows, counters, what is dropped. Nothing limits it but the times to live.

    Attributes:
        keys: of the rows that are kept.
        counts: hits and misses by model, as all clients counted them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[bytes, float]] = {}
        self._claims: dict[str, float] = {}
        self._tags: dict[str, set[str]] = {}
        self._log: list[Drop] = []

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that are kept."""
        with self._lock:
            return [key for key, (_, until_s) in self._rows.items() if until_s > self._clock()]

    def clear(self) -> None:
        """Forget the rows, as a Redis that was flushed."""
        with self._lock:
            self._rows.clear()
            self._tags.clear()

    def open_store(self) -> MemoryStore:
        """Return a client's way to it."""
        return MemoryStore(self)

    def open_async_store(self) -> AsyncMemoryStore:
        """Return an asyncio client's way to it."""
        return AsyncMemoryStore(self)

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        now_s = self._clock()
        with self._lock:
            rows = [self._rows.get(key) for key in keys]
        return [row[0] if row is not None and row[1] > now_s else None for row in rows]

    def _write(self, writes: Writes) -> None:
        now_s = self._clock()
        with self._lock:
            for key, kept in writes.values.items():
                self._rows[key] = (kept.raw, now_s + kept.keep_ms / 1000)
            for tag, keys in writes.tags.items():
                self._tags.setdefault(tag, set()).update(keys)
            self.counts.update(writes.counts)

    def _claim(self, keys: Sequence[str], for_ms: int) -> list[str]:
        now_s = self._clock()
        with self._lock:
            mine = [key for key in keys if self._claims.get(key, now_s) <= now_s]
            self._claims.update(dict.fromkeys(mine, now_s + for_ms / 1000))
        return mine

    def _drop(self, drop: Drop) -> int:
        with self._lock:
            self._log.append(drop)
            if drop.kind == "tag":
                dropped = [key for key in self._tags.pop(drop.name, ()) if key in self._rows]
            else:
                dropped = [key for key in self._rows if drop.name in {"", model_of(key)}]
            for key in dropped:
                del self._rows[key]
            return len(dropped)

    def _drops(self, since: str | None) -> tuple[str, list[Drop]]:
        with self._lock:
            end = len(self._log)
            return str(end), [] if since is None else self._log[int(since) : end]


class MemoryStore:
    """A client's way to a `MemoryCache`."""

    url = URL

    def __init__(self, cache: MemoryCache) -> None:
        self.get = cache._get  # noqa: SLF001 -- its other half
        self.write = cache._write  # noqa: SLF001
        self.claim = cache._claim  # noqa: SLF001
        self.drop = cache._drop  # noqa: SLF001
        self.drops = cache._drops  # noqa: SLF001

    def close(self) -> None:
        """Do nothing: the cache outlives its clients."""


class AsyncMemoryStore:
    """An asyncio client's way to a `MemoryCache`."""

    url = URL

    def __init__(self, cache: MemoryCache) -> None:
        self._store = MemoryStore(cache)

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Return one value or `None` per key."""
        return self._store.get(keys)

    async def write(self, writes: Writes) -> None:
        """Keep values, and add to the counters."""
        self._store.write(writes)

    async def claim(self, keys: Sequence[str], for_ms: int) -> list[str]:
        """Return the keys that this caller, and for so long no other, is to compute anew."""
        return self._store.claim(keys, for_ms)

    async def drop(self, drop: Drop) -> int:
        """Forget the values of a model or tag; return how many."""
        return self._store.drop(drop)

    async def drops(self, since: str | None) -> tuple[str, list[Drop]]:
        """Return the end of the log, and what was dropped since the place that is given."""
        return self._store.drops(since)

    async def aclose(self) -> None:
        """Do nothing: the cache outlives its clients."""

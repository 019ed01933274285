"""The cache of rows: the memory of this process over a store that processes share.

A row is looked for in the memory, then in the store, and kept in both; each is optional. The store
may be slow or away: it has a small time of its own, and a breaker leaves it alone after failures.
Writing is done beside the calls.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

from redis.exceptions import MaxConnectionsError

from geulpi_client._async.stores import STORE_ERRORS, AsyncStore
from geulpi_client._breaker import Breaker
from geulpi_client._codec import decode_row, encode_row
from geulpi_client._constants import (
    CACHE_PAUSE_S,
    CACHE_TIMEOUT_S,
    COUNTS_FLUSH_S,
    FRUITLESS_EVERY,
    FRUITLESS_LOOKUPS,
    LOG_READ_S,
    MAX_CACHED_ROW_BYTES,
    QUICK_MS,
    WRITE_DELAY_S,
)
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import CacheUnavailable
from geulpi_client._freshness import KeptRow, must_refresh, usable
from geulpi_client._log import INFO, WARNING, event
from geulpi_client._memory import MemoryTier, NewEntry
from geulpi_client._rows import Found, Row
from geulpi_client._statistics import Recorder
from geulpi_client._twins_async import Background, Lookups, sleep
from geulpi_client._values import pack, unpack
from geulpi_client._writes import Drop, Kept, WriteBuffer

_DRAIN_S = 1.0


class AsyncTiers:
    """Both tiers of a client.

    `stale_s` is for how long an expired row is still given out while it is computed anew, `beta`
    how early, before it expires, that begins; 0 is never.
    """

    def __init__(
        self,
        *,
        memory: MemoryTier[KeptRow] | None,
        store: AsyncStore | None,
        background: Background,
        recorder: Recorder,
        longest_ttl_s: float,
        stale_s: float,
        beta: float,
    ) -> None:
        self.memory = memory
        self.enabled = memory is not None or store is not None
        self.drops = 0
        self._dropping = threading.Lock()
        self._store = store
        self._background = background
        self._recorder = recorder
        self._stale_ms = 1000 * stale_s
        self._beta = beta
        self._lookups = None if store is None else Lookups(store.get)
        self._breaker = Breaker(failures=2, open_s=CACHE_PAUSE_S, longest_open_s=CACHE_PAUSE_S)
        self._buffer = WriteBuffer(round(1000 * (longest_ttl_s + stale_s)))
        self._fruitless: dict[str, int] = {}
        self._cost_ms: dict[str, float] = {}
        self._skipped = 0
        self._flushing = False
        self._flush_at_s = time.monotonic() + COUNTS_FLUSH_S
        self._read_at_s = 0.0
        self._log_end: str | None = None

    async def find(
        self, contract: Contract, keys: Sequence[str], tags: Collection[str], deadline: Deadline
    ) -> Found:
        """Return what is known of these rows, asked by a call with these tags."""
        if self.memory is not None and self._store is not None:
            await self._read_log()
        found = Found(drops=self.drops)
        now_ms = 1000 * time.time()
        if self.memory is not None:
            found.asked = True
            for key, entry in self.memory.get_many(keys).items():
                self._take(found, key, entry.value, now_ms)
            found.from_memory = set(found.rows)
        if self._store is not None and len(found.rows) < len(keys) and self._is_due(contract.model):
            wanted = [key for key in dict.fromkeys(keys) if key not in found.rows]
            if wanted:
                await self._find_shared(found, contract, wanted, tags, deadline)
        return found

    def just_kept(self, contract: Contract, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows that were kept since they were looked for, without asking the store."""
        rows: dict[str, Row] = {}
        now_ms = 1000 * time.time()
        for key in keys:
            if self.memory is not None:
                kept = self.memory.get_if(key, lambda kept: usable(kept, now_ms, 0))
            else:
                raw = self._buffer.waiting(key)
                kept = None if raw is None else _kept_row(contract, key, raw)
                kept = kept if kept and usable(kept, now_ms, 0) else None
            if kept is not None:
                rows[key] = kept.row
        return rows

    async def newer(self, contract: Contract, keys: Sequence[str], tags: Collection[str]) -> Found:
        """Return the rows that somebody computed anew: those that are young."""
        found = Found(drops=self.drops)
        if self.memory is not None:
            now_ms = 1000 * time.time()
            for key, entry in self.memory.get_many(keys).items():
                self._take(found, key, entry.value, now_ms)
        wanted = [key for key in keys if key not in found.young]
        if self._store is not None and wanted:
            await self._find_shared(found, contract, wanted, tags, None)
        for key in {*found.rows} - found.young:
            del found.rows[key]
        return found

    def keep(
        self,
        contract: Contract,
        rows: Mapping[str, Row],
        *,
        ttl_s: float,
        cost_ms: float,
        tags: Collection[str],
        drops: int,
    ) -> None:
        """Keep fresh rows by key, unless something was dropped since their call began."""
        self._cost_ms[contract.model] = cost_ms
        now_ms, ttl_ms = round(1000 * time.time()), round(1000 * ttl_s)
        kept = {key: KeptRow(row, now_ms, ttl_ms, cost_ms) for key, row in rows.items()}
        keep_ms = max(1, round(ttl_ms + self._stale_ms))
        values = {}
        for key, row in rows.items() if self._store is not None else ():
            payload = encode_row(contract.layout, row)
            if len(payload) <= MAX_CACHED_ROW_BYTES:
                raw = pack(payload, now_ms, ttl_ms, cost_ms, key=key)
                values[key] = Kept(raw, keep_ms)
        with self._dropping:
            if drops != self.drops:
                return
            self._keep_here(contract, kept, ttl_ms + self._stale_ms, tags)
            if values and not self._buffer.put(values, tags):
                self._recorder.cache_failed("redis")
        if values:
            self._flush_soon()

    def count(self, model: str, *, hits: int, misses: int) -> None:
        """Add to the counters that all processes share."""
        if self._store is not None:
            self._buffer.count(model, hits=hits, misses=misses)
            if time.monotonic() >= self._flush_at_s:
                self._flush_soon()

    async def claim(self, keys: Sequence[str], for_s: float) -> list[str]:
        """Return the keys that no other process computes anew now, and this one may."""
        claimed = [*keys]
        if self._store is not None and self._breaker.allow():
            with self._failing_open():
                claimed = await self._store.claim(keys, max(1, round(1000 * for_s)))
        return claimed

    async def drop(self, drop: Drop) -> int:
        """Forget the rows of a model or a tag, in every process; return how many there were.

        Raises:
            CacheUnavailable: the store could not be told; this process has forgotten them.
        """
        dropped = self._drop_here(drop)
        if self._store is None:
            return dropped
        waiting = self._buffer.drop(drop)
        writing = self._buffer.writing
        while writing is not None and self._buffer.writing is writing:
            await sleep(0.001)
        try:
            return waiting + await self._store.drop(drop)
        except STORE_ERRORS as error:
            raise CacheUnavailable(self._store.url, str(error)) from error
        finally:
            self._drop_here(drop)  # what was found in the store until it was gone

    async def aclose(self) -> None:
        """Write what waits, and let go of the connections."""
        if self._store is not None:
            await self._flush()
            await self._background.aclose(_DRAIN_S)
            await self._store.aclose()

    async def _find_shared(
        self,
        found: Found,
        contract: Contract,
        keys: Sequence[str],
        tags: Collection[str],
        deadline: Deadline | None,
    ) -> None:
        values = await self._ask(keys, deadline)
        if values is None:
            return
        now_ms = 1000 * time.time()
        found.asked = True
        self._fruitless[contract.model] = self._fruitless.get(contract.model, 0) + 1
        here = {}
        for key, raw in zip(keys, values, strict=True):
            kept = None if raw is None else _kept_row(contract, key, raw)
            if kept is None:
                continue
            self._take(found, key, kept, now_ms)
            if key in found.rows:
                self._fruitless[contract.model] = 0
                here[key] = kept
        if here and self.memory is not None:
            with self._dropping:
                for key, kept in here.items() if found.drops == self.drops else ():
                    left_ms = min(kept.ttl_ms, kept.created_ms + kept.ttl_ms - now_ms)
                    self._keep_here(contract, {key: kept}, left_ms + self._stale_ms, tags)

    def _is_due(self, model: str) -> bool:
        """Return whether the store is to be asked: after many fruitless look-ups not each time."""
        fruitless = self._fruitless.get(model, 0)
        if fruitless < FRUITLESS_LOOKUPS or self._cost_ms.get(model, math.inf) > QUICK_MS:
            return True
        self._skipped += 1
        return self._skipped % FRUITLESS_EVERY == 0

    async def _ask(
        self, keys: Sequence[str], deadline: Deadline | None
    ) -> Sequence[bytes | None] | None:
        """Return one value or `None` per key, `None` for all if the store can't be asked."""
        waiting = {key: self._buffer.waiting(key) for key in keys}
        wanted = [key for key, raw in waiting.items() if raw is None]
        values: Sequence[bytes | None] | None = None
        if not wanted:
            values = ()
        elif self._lookups is not None and self._breaker.allow():
            with self._failing_open():
                values = await self._lookups.get(wanted, _within_s(deadline))
        if values is None:
            return None
        return [*(waiting | dict(zip(wanted, values, strict=True))).values()]

    async def _flush(self) -> None:
        while True:
            await sleep(WRITE_DELAY_S)
            self._flushing = False  # whoever wants something written from here on begins anew
            writes = self._buffer.take()
            if writes is None:
                return
            self._flush_at_s = time.monotonic() + COUNTS_FLUSH_S
            try:
                if self._store is not None and self._breaker.allow():
                    with self._failing_open():
                        await self._store.write(writes)
            finally:
                self._buffer.written()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            if not self._background.run(self._flush):
                self._flushing = False

    def looks_into_log(self) -> bool:
        """Return whether it is time to look what other processes dropped."""
        return (
            self._store is not None
            and self.memory is not None
            and time.monotonic() >= self._read_at_s
        )

    async def _read_log(self) -> None:
        """Forget what other processes dropped; one caller looks, every half second."""
        now_s = time.monotonic()
        if now_s < self._read_at_s or self._store is None or not self._breaker.allow():
            return
        self._read_at_s = now_s + LOG_READ_S
        with self._failing_open():
            before = self._log_end
            self._log_end, drops = await self._store.drops(before)
            if before is None and self.memory is not None:
                self.memory.clear()  # what was dropped before the first look is not known
            for drop in drops:
                self._drop_here(drop)

    def _failing_open(self) -> _FailingOpen:
        return _FailingOpen(self._breaker, self._recorder, self._store.url if self._store else "")

    def _take(self, found: Found, key: str, kept: KeptRow, now_ms: float) -> None:
        if usable(kept, now_ms, self._stale_ms):
            found.rows[key] = kept.row
            # Rows are computed anew in the last third of their life, not before.
            if now_ms - kept.created_ms < kept.ttl_ms / 2:
                found.young.add(key)
            if must_refresh(kept, now_ms, self._beta, random.random):
                found.ageing.append(key)

    def _keep_here(
        self,
        contract: Contract,
        kept: Mapping[str, KeptRow],
        keep_ms: float,
        tags: Collection[str],
    ) -> None:
        if self.memory is not None:
            new = {
                key: NewEntry(row, row.size, keep_ms / 1000, contract.model, tags)
                for key, row in kept.items()
            }
            self.memory.put_many(new)

    def _drop_here(self, drop: Drop) -> int:
        with self._dropping:
            self.drops += 1
            if self.memory is None:
                return 0
            if drop.kind == "tag":
                return self.memory.drop_tag(drop.name)
            return self.memory.drop_model(drop.name) if drop.name else self.memory.clear()


def _kept_row(contract: Contract, key: str, raw: bytes) -> KeptRow | None:
    """Return the row that a value of the store holds, `None` if it is none of this key."""
    value = unpack(raw, key=key)
    row = value and decode_row(contract.outputs, contract.layout, value.payload)
    if not row or value is None:
        return None
    return KeptRow(row, value.created_ms, value.ttl_ms, value.cost_ms)


def _within_s(deadline: Deadline | None) -> float | None:
    """Return what a look-up may cost a call that has less time than the store's own time-outs."""
    left_s = math.inf if deadline is None else deadline.remaining_s()
    return None if left_s > 4 * CACHE_TIMEOUT_S else left_s / 2


class _FailingOpen:
    """Asks the store within a `with` block, and goes on after it if that failed."""

    __slots__ = ("_breaker", "_recorder", "_since_s", "_url")

    def __init__(self, breaker: Breaker, recorder: Recorder, url: str) -> None:
        self._breaker = breaker
        self._recorder = recorder
        self._url = url

    def __enter__(self) -> None:
        self._since_s = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        took_s = time.monotonic() - self._since_s
        before = self._breaker.state
        if error is None:
            self._breaker.succeeded()
            if before != "closed":
                event(INFO, "cache is back", cache=self._url)
            return False
        if not isinstance(error, STORE_ERRORS):
            self._breaker.abandoned(took_s)
            return False
        if isinstance(error, MaxConnectionsError):
            self._breaker.abandoned(took_s)  # there are more callers than connections, no more
            return True
        self._breaker.failed(took_s)
        self._recorder.cache_failed("redis")
        if before == "closed" != self._breaker.state:
            event(WARNING, "cache fails, going on without it", cache=self._url, error=repr(error))
        return True

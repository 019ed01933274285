"""What a client did so far: calls, rows, hits, errors, latencies, requests on the wire.

Calls only count; whoever wants the figures, such as a Prometheus server, takes a snapshot.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final, Literal, TypeAlias

import numpy as np

from geulpi_client._breaker import State
from geulpi_client._memory import MemoryStats

LATENCY_BOUNDS_S: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
BATCH_BOUNDS_ROWS: Final = tuple(float(2**exponent) for exponent in range(11))

Tier: TypeAlias = Literal["redis"]
"""A part of the cache that can fail; the one in memory can't."""

_KEPT_LATENCIES = 1024


@dataclass(frozen=True)
class Histogram:
    """How values were distributed: `counts[i]` of the `count` values were at most `bounds[i]`."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    sum: float


@dataclass(frozen=True)
class ModelStats:
    """Figures of one model, or of all.

    `hits` and `misses` are rows that the cache was asked for, `errors` are calls by the name of
    their error, latencies in milliseconds are those of the last 1024 calls that were answered.

    `memory_hits` and `redis_hits` are the parts of `hits` by who knew the row. `local_answers` are
    calls that a model in this process answered. `retries` are requests that were sent again.
    `batches` are the requests on the wire by their rows, and `batched_calls` the calls that they
    were for. `latencies` are the seconds of all calls that were answered.
    """

    calls: int
    rows: int
    hits: int
    misses: int
    hit_rate: float
    errors: Mapping[str, int]
    latency_mean_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    memory_hits: int
    redis_hits: int
    local_answers: int
    retries: int
    batched_calls: int
    batches: Histogram
    latencies: Histogram


@dataclass(frozen=True)
class EndpointStats:
    """One server as it looks now; `failures` are all so far, `latency_s` favours the newest."""

    url: str
    state: State
    in_flight: int
    failures: int
    latency_s: float


@dataclass(frozen=True)
class Stats:
    """Figures of a client since it was made.

    `cache_errors` counts failed cache operations. `in_flight` are the requests that the servers
    have now, `waiting` those that wait for room. `memory` is `None` without a cache in memory.
    """

    models: Mapping[str, ModelStats]
    total: ModelStats
    cache_errors: int
    in_flight: int = 0
    waiting: int = 0
    endpoints: tuple[EndpointStats, ...] = ()
    memory: MemoryStats | None = None


@dataclass(slots=True)
class _Record:
    calls: int = 0
    rows: int = 0
    misses: int = 0
    memory_hits: int = 0
    redis_hits: int = 0
    local_answers: int = 0
    retries: int = 0
    batched_calls: int = 0
    batch_rows: int = 0
    latency_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    # How many values fell between two bounds; the last number is of those above all bounds.
    batches: list[int] = field(default_factory=lambda: [0] * (len(BATCH_BOUNDS_ROWS) + 1))
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    last_latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_LATENCIES))

    def copy(self) -> _Record:
        return replace(
            self,
            errors=self.errors.copy(),
            batches=self.batches.copy(),
            latencies=self.latencies.copy(),
            last_latencies_s=self.last_latencies_s.copy(),
        )


class Recorder:
    """Counts what calls did; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._cache_errors: Counter[Tier] = Counter()

    def answered(
        self,
        model: str,
        *,
        rows: int,
        memory_hits: int,
        redis_hits: int,
        local: bool,
        misses: int,
        took_s: float,
    ) -> None:
        """Count a call that was answered; `local` is whether a model in this process did."""
        bucket = bisect_left(LATENCY_BOUNDS_S, took_s)
        with self._lock:
            record = self._records.get(model) or self._new(model)
            record.calls += 1
            record.rows += rows
            record.misses += misses
            record.memory_hits += memory_hits
            record.redis_hits += redis_hits
            record.local_answers += local
            record.latency_s += took_s
            record.latencies[bucket] += 1
            record.last_latencies_s.append(took_s)

    def failed(self, model: str, error: Exception) -> None:
        """Count a call that raised."""
        with self._lock:
            record = self._records.get(model) or self._new(model)
            record.calls += 1
            record.errors[type(error).__name__] += 1

    def batch(self, model: str, calls: int, rows: int) -> None:
        """Count a request on the wire, for so many calls with so many rows together."""
        bucket = bisect_left(BATCH_BOUNDS_ROWS, rows)
        with self._lock:
            record = self._records.get(model) or self._new(model)
            record.batched_calls += calls
            record.batch_rows += rows
            record.batches[bucket] += 1

    def retried(self, model: str) -> None:
        """Count a request that is sent again."""
        with self._lock:
            record = self._records.get(model) or self._new(model)
            record.retries += 1

    def cache_failed(self, tier: Tier) -> None:
        """Count a cache operation that failed."""
        with self._lock:
            self._cache_errors[tier] += 1

    def stats(
        self,
        *,
        in_flight: int = 0,
        waiting: int = 0,
        endpoints: Sequence[EndpointStats] = (),
        memory: MemoryStats | None = None,
        cache_errors: int = 0,
    ) -> Stats:
        """Return the figures so far.

        `cache_errors` are failures that the cache counted itself, beside those told to
        `cache_failed`.
        """
        with self._lock:
            # Percentiles take longer than a call may be held up, so they are computed of a copy.
            records = {name: record.copy() for name, record in self._records.items()}
            cache_errors += self._cache_errors.total()
        return Stats(
            models={name: _figures([record]) for name, record in records.items()},
            total=_figures(records.values()),
            cache_errors=cache_errors,
            in_flight=in_flight,
            waiting=waiting,
            endpoints=tuple(endpoints),
            memory=memory,
        )

    def _new(self, model: str) -> _Record:
        return self._records.setdefault(model, _Record())


def _figures(records: Iterable[_Record]) -> ModelStats:
    records = list(records)
    memory_hits = sum(record.memory_hits for record in records)
    redis_hits = sum(record.redis_hits for record in records)
    hits = memory_hits + redis_hits
    misses = sum(record.misses for record in records)
    latencies_ms = [1000 * took_s for record in records for took_s in record.last_latencies_s]
    p50, p99 = np.percentile(latencies_ms, [50, 99]).tolist() if latencies_ms else (0.0, 0.0)
    return ModelStats(
        calls=sum(record.calls for record in records),
        rows=sum(record.rows for record in records),
        hits=hits,
        misses=misses,
        hit_rate=hits / (hits + misses) if hits + misses else 0.0,
        errors=dict(sum((record.errors for record in records), Counter[str]())),
        latency_mean_ms=float(np.mean(latencies_ms)) if latencies_ms else 0.0,
        latency_p50_ms=p50,
        latency_p99_ms=p99,
        memory_hits=memory_hits,
        redis_hits=redis_hits,
        local_answers=sum(record.local_answers for record in records),
        retries=sum(record.retries for record in records),
        batched_calls=sum(record.batched_calls for record in records),
        batches=_histogram(
            BATCH_BOUNDS_ROWS,
            [record.batches for record in records],
            sum(record.batch_rows for record in records),
        ),
        latencies=_histogram(
            LATENCY_BOUNDS_S,
            [record.latencies for record in records],
            sum(record.latency_s for record in records),
        ),
    )


def _histogram(
    bounds: tuple[float, ...], buckets: Sequence[Sequence[int]], total: float
) -> Histogram:
    columns = zip(*buckets, strict=True) if buckets else [(0,)] * (len(bounds) + 1)
    *counts, count = accumulate(sum(column) for column in columns)
    return Histogram(bounds, tuple(counts), count, total)

"""What a client did so far: calls, rows, hits, errors, latencies."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from geulpi_client._inference import InferResult

_KEPT_LATENCIES = 1024


@dataclass(frozen=True)
class ModelStats:
    """Figures of one model, or of all.

    `hits` and `misses` are rows that the cache was asked for, `errors` are calls by the name of
    their error, latencies are those of the last 1024 calls that were answered.
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


@dataclass(frozen=True)
class Stats:
    """Figures of a client since it was made; `cache_errors` counts failed cache operations."""

    models: Mapping[str, ModelStats]
    total: ModelStats
    cache_errors: int


@dataclass
class _Record:
    calls: int = 0
    rows: int = 0
    hits: int = 0
    misses: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_LATENCIES))


class Recorder:
    """Counts what calls did; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def answered(self, model: str, result: InferResult, *, took_s: float) -> None:
        """Count a call that was answered."""
        hits = int(result.cached.sum())
        with self._lock:
            record = self._records.setdefault(model, _Record())
            record.calls += 1
            record.rows += result.cached.size
            record.hits += hits
            record.misses += result.looked_up - hits
            record.latencies_s.append(took_s)

    def failed(self, model: str, error: Exception) -> None:
        """Count a call that raised."""
        with self._lock:
            record = self._records.setdefault(model, _Record())
            record.calls += 1
            record.errors[type(error).__name__] += 1

    def stats(self, cache_errors: int) -> Stats:
        """Return the figures so far."""
        with self._lock:
            models = {name: _figures([record]) for name, record in self._records.items()}
            return Stats(models, _figures(self._records.values()), cache_errors)


def _figures(records: Iterable[_Record]) -> ModelStats:
    records = list(records)
    hits = sum(record.hits for record in records)
    misses = sum(record.misses for record in records)
    latencies_ms = [1000 * took_s for record in records for took_s in record.latencies_s]
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
    )

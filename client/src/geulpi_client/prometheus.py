"""A client's figures for Prometheus (the extra `prometheus`).

    from geulpi_client.prometheus import register

    client = AsyncGeulpiClient(...)
    register(client)

Nothing is done per call: the figures are those of `client.stats()` in the moment of a scrape. In
the multi-process mode of prometheus_client, collectors such as this one don't take part: let each
worker process serve its own figures, or label them by worker.
"""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from geulpi_client._errors import InvalidSetting
from geulpi_client._extras import needs
from geulpi_client._statistics import Histogram, ModelStats, Stats

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

__all__ = ["register", "unregister"]

_STATES: Final = ("closed", "open", "half_open")
_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_OWN_LABELS: Final = frozenset({"model", "tier", "error", "endpoint", "state", "le"})


class HasStats(Protocol):
    """Any client of this package."""

    def stats(self) -> Stats:
        """Return its figures so far."""


@dataclass(frozen=True)
class _Family:
    """What the samples of one name have in common."""

    kind: str
    help: str
    unit: str = ""


# A counter's name has no _total here: prometheus_client writes it where the format wants it.
_FAMILIES: Final = {
    "calls": _Family("counter", "Calls that ended, well or with an error."),
    "rows": _Family("counter", "Rows of the calls that were answered."),
    "cache_hits": _Family("counter", "Rows that a tier of the cache knew."),
    "cache_misses": _Family("counter", "Rows that the cache was asked for and did not know."),
    "cache_errors": _Family("counter", "Operations of the cache that failed."),
    "local_answers": _Family("counter", "Calls that a model in this process answered."),
    "errors": _Family("counter", "Calls that raised, by the class of the error."),
    "retries": _Family("counter", "Requests that were sent again."),
    "call_duration_seconds": _Family(
        "histogram", "How long the calls that were answered took.", "seconds"
    ),
    "batch_rows": _Family("histogram", "Rows of each request on the wire."),
    "batched_calls": _Family("counter", "Calls that the requests on the wire were for."),
    "requests_in_flight": _Family("gauge", "Requests that the servers have now."),
    "calls_waiting": _Family("gauge", "Requests that wait for others to end."),
    "breaker_state": _Family("gauge", "1 for the state that an endpoint's breaker is in, else 0."),
    "endpoint_requests_in_flight": _Family("gauge", "Requests that an endpoint has now."),
    "endpoint_failures": _Family("counter", "Requests that failed at an endpoint."),
    "endpoint_latency_seconds": _Family(
        "gauge", "Average latency of an endpoint; the newest requests weigh most.", "seconds"
    ),
    "memory_bytes": _Family("gauge", "What the cache in memory takes.", "bytes"),
    "memory_entries": _Family("gauge", "Rows that the cache in memory holds."),
    "memory_evictions": _Family("counter", "Rows that the cache in memory let go to make room."),
}


def register(
    client: HasStats,
    registry: CollectorRegistry | None = None,
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Show a client's figures in a registry, for as long as the client exists.

    The client is not kept alive; `unregister` takes it out earlier.

    Args:
        client: any client of this package.
        registry: prometheus_client's `REGISTRY` for `None`.
        labels: of each of its samples. The clients of a registry must differ in them.

    Raises:
        InvalidSetting: labels that can't be, or that another client has.
        MissingExtra: prometheus_client is not installed.
    """
    _collector(registry).add(client, _checked(labels))


def unregister(client: HasStats, registry: CollectorRegistry | None = None) -> None:
    """Show a client's figures in a registry no more.

    Raises:
        MissingExtra: prometheus_client is not installed.
    """
    _collector(registry).remove(client)


class _Collector:
    """All clients of a registry: a name may be told about only once in it."""

    def __init__(self) -> None:
        self._metric: Any = needs("prometheus_client.metrics_core", "prometheus").Metric
        self._lock = threading.Lock()
        self._clients: list[tuple[weakref.ref[HasStats], dict[str, str]]] = []

    def add(self, client: HasStats, labels: dict[str, str]) -> None:
        if any(taken == labels for _, taken in self._alive()):
            gc.collect()  # a client that nobody has any more may wait for it
        with self._lock:
            alive = [(ref, taken) for ref, taken in self._clients if ref() is not None]
            if any(taken == labels for _, taken in alive):
                raise InvalidSetting(
                    "labels", labels, "some that no other client in this registry has"
                )
            self._clients = [*alive, (weakref.ref(client), labels)]

    def remove(self, client: HasStats) -> None:
        with self._lock:
            self._clients = [pair for pair in self._clients if pair[0]() is not client]

    def describe(self) -> Iterable[Metric]:
        """Return what `collect` does, without samples."""
        return self._families().values()

    def collect(self) -> Iterable[Metric]:
        """Return the figures of all clients."""
        families = self._families()
        for client, labels in self._alive():
            _Samples(families, labels).add_stats(client.stats())
        return families.values()

    def _alive(self) -> list[tuple[HasStats, dict[str, str]]]:
        clients = [(ref(), labels) for ref, labels in self._clients]
        return [(client, labels) for client, labels in clients if client is not None]

    def _families(self) -> dict[str, Metric]:
        return {
            name: self._metric(f"geulpi_client_{name}", family.help, family.kind, family.unit)
            for name, family in _FAMILIES.items()
        }


@dataclass(frozen=True)
class _Samples:
    """Writes the figures of one client into the families."""

    families: Mapping[str, Metric]
    labels: Mapping[str, str]

    def add_stats(self, stats: Stats) -> None:
        for model, figures in stats.models.items():
            self._add_model(model, figures)
        self._add("cache_errors", stats.cache_errors)
        self._add("requests_in_flight", stats.in_flight)
        self._add("calls_waiting", stats.waiting)
        for endpoint in stats.endpoints:
            url = endpoint.url
            for state in _STATES:
                self._add("breaker_state", state == endpoint.state, endpoint=url, state=state)
            self._add("endpoint_requests_in_flight", endpoint.in_flight, endpoint=url)
            self._add("endpoint_failures", endpoint.failures, endpoint=url)
            self._add("endpoint_latency_seconds", endpoint.latency_s, endpoint=url)
        if stats.memory is not None:
            self._add("memory_bytes", stats.memory.bytes)
            self._add("memory_entries", stats.memory.entries)
            self._add("memory_evictions", stats.memory.evictions)

    def _add_model(self, model: str, figures: ModelStats) -> None:
        self._add("calls", figures.calls, model=model)
        self._add("rows", figures.rows, model=model)
        self._add("cache_hits", figures.memory_hits, model=model, tier="memory")
        self._add("cache_hits", figures.redis_hits, model=model, tier="redis")
        self._add("cache_misses", figures.misses, model=model)
        self._add("local_answers", figures.local_answers, model=model)
        self._add("retries", figures.retries, model=model)
        self._add("batched_calls", figures.batched_calls, model=model)
        for error, count in figures.errors.items():
            self._add("errors", count, model=model, error=error)
        self._add_histogram("call_duration_seconds", figures.latencies, model=model)
        self._add_histogram("batch_rows", figures.batches, model=model)

    def _add(self, name: str, value: float, **labels: str) -> None:
        suffix = "_total" if _FAMILIES[name].kind == "counter" else ""
        self._sample(name, suffix, value, labels)

    def _add_histogram(self, name: str, histogram: Histogram, **labels: str) -> None:
        for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
            self._sample(name, "_bucket", count, {**labels, "le": str(bound)})
        self._sample(name, "_bucket", histogram.count, {**labels, "le": "+Inf"})
        self._sample(name, "_count", histogram.count, labels)
        self._sample(name, "_sum", histogram.sum, labels)

    def _sample(self, name: str, suffix: str, value: float, labels: Mapping[str, str]) -> None:
        family = self.families[name]
        family.add_sample(family.name + suffix, {**self.labels, **labels}, float(value))


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, _Collector] = weakref.WeakKeyDictionary()
_collectors_lock = threading.Lock()


def _collector(registry: CollectorRegistry | None) -> _Collector:
    """Return the collector of a registry, the same each time."""
    if registry is None:
        registry = cast("CollectorRegistry", needs("prometheus_client", "prometheus").REGISTRY)
    with _collectors_lock:
        found = _collectors.get(registry)
        if found is None:
            found = _Collector()
            registry.register(cast("Any", found))
            _collectors[registry] = found
        return found


def _checked(labels: Mapping[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name) or name in _OWN_LABELS:
            raise InvalidSetting(
                "labels", name, "names of letters, digits and _ that are not used already"
            )
        if not isinstance(value, str):
            raise InvalidSetting(f"labels['{name}']", value, "text")
    return dict(labels)

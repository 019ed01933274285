"""A client's figures as Prometheus scrapes them."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable

import prometheus_client
import pytest
from geulpi_client import InvalidSetting
from geulpi_client._errors import MissingExtra
from geulpi_client._memory import MemoryStats
from geulpi_client._statistics import EndpointStats, Recorder, Stats
from geulpi_client.prometheus import register, unregister
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text


class Client:
    """Anything with figures."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.snapshots = 0

    def stats(self) -> Stats:
        self.snapshots += 1
        return self.recorder.stats(
            in_flight=2,
            waiting=1,
            endpoints=[
                EndpointStats("a:8001", "closed", in_flight=2, failures=0, latency_s=0.003),
                EndpointStats("b:8001", "open", in_flight=0, failures=5, latency_s=0.0),
            ],
            memory=MemoryStats(entries=7, bytes=4096, hits=0, misses=0, evictions=3),
            cache_errors=1,
        )

    def call(self, model: str = "m", took_s: float = 0.004) -> None:
        self.recorder.answered(
            model, rows=5, memory_hits=2, redis_hits=1, local=False, misses=2, took_s=took_s
        )
        self.recorder.batch(model, calls=1, rows=2)


@pytest.fixture
def client() -> Client:
    made = Client()
    made.call()
    made.recorder.failed("m", ValueError())
    made.recorder.retried("m")
    return made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


Read = Callable[[CollectorRegistry], list[Metric]]


def as_text(registry: CollectorRegistry) -> list[Metric]:
    return list(read_text(generate_latest(registry).decode()))


def as_openmetrics(registry: CollectorRegistry) -> list[Metric]:
    return list(read_openmetrics(openmetrics(registry).decode()))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"geulpi_client_{name}", labels)


EXPECTED = {
    ("calls_total", "m"): 2,
    ("rows_total", "m"): 5,
    ("cache_misses_total", "m"): 2,
    ("local_answers_total", "m"): 0,
    ("retries_total", "m"): 1,
    ("batched_calls_total", "m"): 1,
    ("call_duration_seconds_count", "m"): 1,
    ("call_duration_seconds_sum", "m"): 0.004,
    ("batch_rows_count", "m"): 1,
    ("batch_rows_sum", "m"): 2,
    ("cache_errors_total", ""): 1,
    ("requests_in_flight", ""): 2,
    ("calls_waiting", ""): 1,
    ("memory_bytes", ""): 4096,
    ("memory_entries", ""): 7,
    ("memory_evictions_total", ""): 3,
}


@pytest.mark.parametrize("read", [as_text, as_openmetrics])
def test_every_figure_is_shown_in_both_formats(client, registry, read: Read) -> None:
    """The parsers are strict about types, units and the buckets of histograms."""
    register(client, registry)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read(registry)
        for sample in family.samples
    }
    expected = {
        (f"geulpi_client_{name}", (("model", model),) if model else ()): float(number)
        for (name, model), number in EXPECTED.items()
    }
    assert samples.items() >= expected.items()
    left = {name for name, _ in samples} - {name for name, _ in expected}
    assert left == {
        "geulpi_client_cache_hits_total",
        "geulpi_client_errors_total",
        "geulpi_client_call_duration_seconds_bucket",
        "geulpi_client_batch_rows_bucket",
        "geulpi_client_breaker_state",
        "geulpi_client_endpoint_requests_in_flight",
        "geulpi_client_endpoint_failures_total",
        "geulpi_client_endpoint_latency_seconds",
    }


def test_figures_have_labels_for_what_they_are_of(client, registry) -> None:
    """The tier, the error, the endpoint, the state."""
    register(client, registry)
    assert value(registry, "cache_hits_total", model="m", tier="memory") == 2
    assert value(registry, "cache_hits_total", model="m", tier="redis") == 1
    assert value(registry, "errors_total", model="m", error="ValueError") == 1
    for endpoint, now in (("a:8001", "closed"), ("b:8001", "open")):
        for state in ("closed", "open", "half_open"):
            shown = value(registry, "breaker_state", endpoint=endpoint, state=state)
            assert shown == (state == now)
    assert value(registry, "endpoint_requests_in_flight", endpoint="a:8001") == 2
    assert value(registry, "endpoint_failures_total", endpoint="b:8001") == 5
    assert value(registry, "endpoint_latency_seconds", endpoint="a:8001") == 0.003


def test_histograms_are_cumulative_to_infinity(client, registry) -> None:
    """A latency beyond all bounds is in the last bucket."""
    client.call(took_s=100.0)
    register(client, registry)

    def bucket(le: str) -> float | None:
        return value(registry, "call_duration_seconds_bucket", model="m", le=le)

    assert (bucket("0.0025"), bucket("0.005"), bucket("60.0"), bucket("+Inf")) == (0, 1, 1, 2)
    assert value(registry, "batch_rows_bucket", model="m", le="1.0") == 0
    assert value(registry, "batch_rows_bucket", model="m", le="2.0") == 2


@pytest.mark.parametrize("read", [as_text, as_openmetrics])
def test_names_keep_to_the_conventions(client, registry, read: Read) -> None:
    """Each family once, with a help text; counters end with _total, units are base units."""
    register(client, registry)
    register(Client(), registry, labels={"client": "other"})
    families = read(registry)
    names = [family.name.removesuffix("_total") for family in families]
    assert len(names) == len(set(names)) > 15
    for family in families:
        assert family.name.startswith("geulpi_client_")
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge", "histogram"}
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        if family.unit:
            assert family.unit in {"seconds", "bytes"}
            assert family.name.endswith(family.unit)


def test_a_scrape_shows_the_moment_and_calls_cost_nothing(client, registry) -> None:
    """Only scrapes take snapshots, each one; registering takes none."""
    register(client, registry)
    assert client.snapshots == 0
    client.call()
    assert client.snapshots == 0
    assert value(registry, "calls_total", model="m") == 3
    client.call()
    generate_latest(registry)
    assert value(registry, "calls_total", model="m") == 4
    assert client.snapshots == 3


def test_labels_tell_clients_apart(client, registry) -> None:
    """Samples of both stand beside each other."""
    other = Client()
    other.call()
    register(client, registry, labels={"client": "web"})
    register(other, registry, labels={"client": "batch"})
    assert value(registry, "calls_total", client="web", model="m") == 2
    assert value(registry, "calls_total", client="batch", model="m") == 1
    assert len(as_openmetrics(registry)) == len(as_text(registry))


@pytest.mark.parametrize("labels", [{}, {"client": "web"}])
def test_two_clients_with_the_same_labels_are_refused(client, registry, labels) -> None:
    """Their samples would be the same; the first one stays."""
    register(client, registry, labels=labels)
    other = Client()
    with pytest.raises(InvalidSetting, match=r"labels is .*; expected some that no other client"):
        register(other, registry, labels=labels)
    with pytest.raises(InvalidSetting):
        register(client, registry, labels=labels)
    assert value(registry, "calls_total", model="m", **labels) == 2
    register(other, CollectorRegistry(), labels=labels)


@pytest.mark.parametrize(
    "labels",
    [
        {"model": "x"},
        {"le": "1"},
        {"__name__": "x"},
        {"my-label": "x"},
        {"": "x"},
        {1: "x"},
        {"n": 1},
        {"n": None},
    ],
)
def test_labels_that_cannot_be_are_refused(client, registry, labels) -> None:
    """At once, not at the first scrape."""
    with pytest.raises(InvalidSetting, match="labels"):
        register(client, registry, labels=labels)
    assert "calls_total{" not in generate_latest(registry).decode()


@pytest.mark.parametrize("read", [as_text, as_openmetrics])
def test_any_text_can_be_a_label(registry, read: Read) -> None:
    """Quotes, new lines and letters of all scripts come back as they were."""
    model = 'a "b"\n\\c ñ 한'
    client = Client()
    client.call(model)
    register(client, registry, labels={"client": model})
    (calls,) = (
        family
        for family in read(registry)
        if family.name.startswith("geulpi_client_calls") and family.type == "counter"
    )
    assert [sample.labels for sample in calls.samples] == [{"client": model, "model": model}]


def test_a_client_that_is_gone_disappears(registry) -> None:
    """The registry does not keep it alive, and its labels are free again."""
    client = Client()
    client.call()
    register(client, registry)
    gone = weakref.ref(client)
    del client
    assert gone() is None
    assert value(registry, "calls_total", model="m") is None
    register(client := Client(), registry)
    client.call()
    assert value(registry, "calls_total", model="m") == 1


def test_a_client_that_waits_for_the_garbage_collector_is_gone_too(registry) -> None:
    """Whether the next one can be registered does not depend on when it runs."""
    gc.disable()
    try:
        first = Client()
        first.itself = first
        register(first, registry)
        del first
        second = Client()
        second.call()
        register(second, registry)
    finally:
        gc.enable()
    assert value(registry, "calls_total", model="m") == 1


def test_a_client_can_be_taken_out(client, registry) -> None:
    """Such as one that was closed; taking out what is not there does nothing."""
    other = Client()
    register(client, registry)
    unregister(other, registry)
    assert value(registry, "calls_total", model="m") == 2
    unregister(client, registry)
    unregister(client, registry)
    assert value(registry, "calls_total", model="m") is None
    register(other, registry)


def test_the_registry_is_prometheus_clients_own_unless_told(client) -> None:
    """As with every metric."""
    try:
        register(client)
        shown = generate_latest(prometheus_client.REGISTRY).decode()
        assert 'geulpi_client_calls_total{model="m"} 2.0' in shown
    finally:
        unregister(client)


def test_one_metric_can_be_asked_for(client, registry) -> None:
    """As the query `?name[]=` of a scrape does."""
    register(client, registry)
    only = registry.restricted_registry(["geulpi_client_calls_total"])
    text = generate_latest(only).decode()
    assert "geulpi_client_calls_total{" in text
    assert "geulpi_client_rows_total" not in text


def test_without_the_extra_the_remedy_is_told(client, monkeypatch) -> None:
    """Importing the module costs nothing; registering needs the package."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"pip install 'geulpi-client\[prometheus\]'"):
        register(client)

"""What a client did is counted, and the counts fit together."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import pytest
from geulpi_client import ModelNotFound, Target
from geulpi_client._memory import MemoryStats
from geulpi_client._statistics import (
    BATCH_BOUNDS_ROWS,
    LATENCY_BOUNDS_S,
    EndpointStats,
    Histogram,
    Recorder,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def answer(
    recorder: Recorder,
    model: str = "m",
    *,
    rows: int = 1,
    memory_hits: int = 0,
    redis_hits: int = 0,
    local: bool = False,
    misses: int = 0,
    took_s: float = 0.001,
) -> None:
    recorder.answered(
        model,
        rows=rows,
        memory_hits=memory_hits,
        redis_hits=redis_hits,
        local=local,
        misses=misses,
        took_s=took_s,
    )


def values_of(histogram: Histogram) -> dict[float, int]:
    """How many values fell into each bucket that has any, by its upper bound."""
    counts = [*histogram.counts, histogram.count]
    alone = [count - before for count, before in zip(counts, [0, *counts[:-1]], strict=True)]
    bounds = [*histogram.bounds, float("inf")]
    return {bound: count for bound, count in zip(bounds, alone, strict=True) if count}


def test_a_new_client_did_nothing(recorder) -> None:
    """And nothing is divided by zero."""
    stats = recorder.stats()
    assert stats.models == {}
    assert (stats.total.calls, stats.total.hit_rate, stats.total.latency_p99_ms) == (0, 0.0, 0.0)
    assert stats.total.latencies.counts == (0,) * len(LATENCY_BOUNDS_S)
    assert stats.total.latencies.count == stats.total.batches.count == 0
    assert (stats.cache_errors, stats.in_flight, stats.endpoints, stats.memory) == (0, 0, (), None)


def test_answers_are_counted_by_who_knew_the_rows(recorder) -> None:
    """Hits of both tiers together are the hits."""
    answer(recorder, rows=10, memory_hits=3, redis_hits=2, misses=5)
    answer(recorder, rows=4, local=True)
    stats = recorder.stats().models["m"]
    assert (stats.calls, stats.rows, stats.local_answers) == (2, 14, 1)
    assert (stats.memory_hits, stats.redis_hits, stats.hits, stats.misses) == (3, 2, 5, 5)
    assert stats.hit_rate == 0.5


def test_errors_are_counted_by_their_class(recorder) -> None:
    """They are calls, but have no latency."""
    recorder.failed("m", ValueError("a secret"))
    recorder.failed("m", ModelNotFound(Target("h:1", "m")))
    recorder.failed("m", ValueError())
    stats = recorder.stats().models["m"]
    assert stats.errors == {"ValueError": 2, "ModelNotFound": 1}
    assert (stats.calls, stats.latencies.count, stats.latency_mean_ms) == (3, 0, 0.0)


@pytest.mark.parametrize(
    ("took_s", "bound"),
    [
        (0.0, 0.00005),
        (0.00005, 0.00005),
        (0.0000501, 0.0001),
        (0.3, 0.5),
        (60.0, 60.0),
        (60.1, float("inf")),
    ],
)
def test_a_latency_falls_into_the_bucket_whose_bound_it_does_not_exceed(
    recorder, took_s, bound
) -> None:
    """A bound itself is within, as Prometheus' `le` says."""
    answer(recorder, took_s=took_s)
    stats = recorder.stats().models["m"]
    assert values_of(stats.latencies) == {bound: 1}
    assert stats.latencies.sum == took_s


def test_requests_on_the_wire_are_counted_by_their_rows(recorder) -> None:
    """With the calls that they were for, whatever came of them."""
    recorder.batch("m", calls=1, rows=1)
    recorder.batch("m", calls=5, rows=6)
    recorder.batch("m", calls=1, rows=5000)
    recorder.retried("m")
    stats = recorder.stats().models["m"]
    assert values_of(stats.batches) == {1.0: 1, 8.0: 1, float("inf"): 1}
    assert (stats.batches.sum, stats.batches.count) == (5007, 3)
    assert (stats.batched_calls, stats.retries, stats.calls) == (7, 1, 0)


@given(st.lists(st.floats(0, 200), max_size=40), st.lists(st.integers(0, 3000), max_size=40))
def test_histograms_are_what_counting_by_hand_gives(latencies_s, batches) -> None:
    """Cumulative, with all values in the last count."""
    recorder = Recorder()
    for took_s in latencies_s:
        answer(recorder, took_s=took_s)
    for rows in batches:
        recorder.batch("m", calls=1, rows=rows)
    total = recorder.stats().total
    for histogram, bounds, values in (
        (total.latencies, LATENCY_BOUNDS_S, latencies_s),
        (total.batches, BATCH_BOUNDS_ROWS, batches),
    ):
        assert histogram.bounds == bounds
        assert histogram.counts == tuple(sum(v <= bound for v in values) for bound in bounds)
        assert histogram.count == len(values)
        assert histogram.sum == pytest.approx(sum(values))


def test_bounds_rise() -> None:
    """From 50 µs to a minute, and by powers of two to 1024 rows."""
    assert list(LATENCY_BOUNDS_S) == sorted(set(LATENCY_BOUNDS_S))
    assert (LATENCY_BOUNDS_S[0], LATENCY_BOUNDS_S[-1]) == (50e-6, 60)
    assert BATCH_BOUNDS_ROWS == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def test_percentiles_are_of_the_last_1024_calls_and_the_histogram_of_all(recorder) -> None:
    """What was slow long ago is not slow now."""
    for _ in range(100):
        answer(recorder, took_s=9.0)
    for _ in range(1024):
        answer(recorder, took_s=0.002)
    stats = recorder.stats().models["m"]
    assert stats.latency_p99_ms == stats.latency_p50_ms == stats.latency_mean_ms == 2.0
    assert values_of(stats.latencies) == {0.0025: 1024, 10.0: 100}


def test_the_total_is_of_all_models(recorder) -> None:
    """And of one model the same as its own figures."""
    answer(recorder, "a", rows=2, redis_hits=1, misses=1, took_s=0.001)
    recorder.batch("a", calls=1, rows=1)
    assert recorder.stats().total == recorder.stats().models["a"]
    answer(recorder, "b", rows=3, memory_hits=3, took_s=0.003)
    recorder.failed("b", ValueError())
    recorder.batch("b", calls=2, rows=2)
    recorder.retried("b")
    total = recorder.stats().total
    assert (total.calls, total.rows, total.hits, total.misses, total.hit_rate) == (3, 5, 4, 1, 0.8)
    assert total.errors == {"ValueError": 1}
    assert (total.latency_mean_ms, total.latency_p50_ms) == (2.0, 2.0)
    assert (total.latencies.count, total.latencies.sum) == (2, 0.004)
    assert (total.batches.count, total.batches.sum, total.batched_calls) == (2, 3, 3)
    assert total.retries == 1


def test_a_snapshot_holds_the_state_of_the_moment(recorder) -> None:
    """What the client's other parts tell comes with it."""
    memory = MemoryStats(entries=1, bytes=400, hits=0, misses=0, evictions=2)
    endpoint = EndpointStats("h:8001", "half_open", in_flight=1, failures=7, latency_s=0.004)
    recorder.cache_failed("redis")
    stats = recorder.stats(
        in_flight=3, waiting=4, endpoints=[endpoint], memory=memory, cache_errors=2
    )
    assert (stats.in_flight, stats.waiting) == (3, 4)
    assert stats.endpoints == (endpoint,)
    assert stats.memory is memory
    assert stats.cache_errors == 3
    assert recorder.stats().cache_errors == 1


def test_a_snapshot_does_not_change(recorder) -> None:
    """Neither by later calls nor by its reader; it can be sent to another process."""
    answer(recorder)
    stats = recorder.stats()
    before = pickle.dumps(stats)
    answer(recorder, "other")
    recorder.failed("m", ValueError())
    recorder.batch("m", calls=1, rows=1)
    assert pickle.dumps(stats) == before
    assert pickle.loads(before) == stats
    with pytest.raises(FrozenInstanceError):
        stats.total.calls = 0


def test_no_call_of_many_threads_is_lost(recorder) -> None:
    """While others look at the figures, in which a call is counted wholly or not at all."""

    def work(number: int) -> None:
        for _ in range(300):
            answer(recorder, f"m{number % 2}", rows=2, redis_hits=1, misses=1)
            recorder.batch("m0", calls=1, rows=1)
            if number == 0:
                stats = recorder.stats().total
                assert stats.rows == 2 * stats.hits == 2 * stats.misses
                assert stats.latencies.count == stats.calls

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stats = recorder.stats()
    assert stats.total.calls == stats.total.latencies.count == stats.total.batches.count == 2400
    assert (stats.models["m0"].rows, stats.total.rows) == (2400, 4800)

"""Requests go where they are answered soonest, and not where they are not answered."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from clocks import Clock
from geulpi_client import InvalidSetting
from geulpi_client._endpoints import AllDown, Endpoint, Endpoints
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def clock() -> Clock:
    return Clock()


def servers(clock: Clock, count: int = 3) -> Endpoints:
    return Endpoints([f"{name}:1" for name in "abcdef"[:count]], clock, random.Random(7).random)


def call(endpoint: Endpoint, *, ok: bool | None = True, took_s: float = 0.01) -> None:
    endpoint.started()
    endpoint.finished(ok, took_s)


def bring_down(endpoint: Endpoint) -> None:
    for _ in range(5):
        call(endpoint, ok=False)


def chosen(endpoints: Endpoints, times: int = 200) -> Counter[str]:
    """Where requests go that are answered before the next one comes, each as fast as the others."""
    return Counter(endpoints.choose().url for _ in range(times))


def test_there_must_be_an_address() -> None:
    """None is a misuse, told at once."""
    with pytest.raises(InvalidSetting, match=r"url is .*at least one server"):
        Endpoints([])


def test_an_address_given_twice_is_one_server(clock: Clock) -> None:
    """It has one breaker, and no double share."""
    assert [e.url for e in Endpoints(["a:1", "b:1", "a:1"], clock).all] == ["a:1", "b:1"]


def test_a_single_server_is_always_chosen(clock: Clock) -> None:
    """Also when it is to be avoided: there is no other."""
    endpoints = servers(clock, 1)
    assert endpoints.choose() is endpoints.choose(avoid=["a:1"]) is endpoints.all[0]


def test_a_single_server_that_is_down_is_said_to_be(clock: Clock) -> None:
    """With the time until the next attempt; then one caller makes it."""
    endpoints = servers(clock, 1)
    bring_down(endpoints.all[0])
    with pytest.raises(AllDown, match=r"it is tried again within \d") as caught:
        endpoints.choose()
    assert 0.125 <= caught.value.retry_in_s <= 0.25
    clock.now_s += caught.value.retry_in_s
    probed = endpoints.choose()
    with pytest.raises(AllDown):
        endpoints.choose()
    call(probed)
    assert endpoints.choose() is probed


def test_requests_in_flight_are_spread(clock: Clock) -> None:
    """Equal servers get equally many, give or take what two choices leave (log log n)."""
    endpoints = servers(clock)
    for _ in range(300):
        endpoints.choose().started()
    counts = [endpoint.in_flight for endpoint in endpoints.all]
    assert sum(counts) == 300
    assert max(counts) - min(counts) <= 5


def test_a_slow_server_gets_less(clock: Clock) -> None:
    """As much less as it is slower: in flight times latency is equal."""
    endpoints = servers(clock, 2)
    call(endpoints.all[0], took_s=0.01)
    call(endpoints.all[1], took_s=0.03)
    for _ in range(400):
        endpoints.choose().started()
    assert endpoints.all[0].in_flight == pytest.approx(300, abs=3)


def test_a_hanging_server_is_left_for_the_others(clock: Clock) -> None:
    """Its requests stay in flight while theirs end, whatever its latency was."""
    endpoints = servers(clock, 2)
    hanging, other = endpoints.all
    for _ in range(100):
        found = endpoints.choose()
        found.started()
        if found is other:
            found.finished(True, 0.001)
    assert hanging.in_flight <= 2


def test_a_server_that_was_slow_is_tried_again_later(clock: Clock) -> None:
    """Its latency is forgotten while it is not asked."""
    endpoints = servers(clock, 2)
    slow, fast = endpoints.all
    call(slow, took_s=0.5)
    call(fast, took_s=0.01)
    assert chosen(endpoints) == {fast.url: 200}
    for _ in range(60):
        clock.now_s += 1.0
        call(fast, took_s=0.01)
    assert chosen(endpoints) == {slow.url: 200}


def test_a_server_that_nobody_asked_yet_gets_its_share(clock: Clock) -> None:
    """Nothing is known of it, so it is as good as the fastest, but not all is sent to it."""
    endpoints = servers(clock, 2)
    call(endpoints.all[0], took_s=0.0005)
    for _ in range(100):
        endpoints.choose().started()
    assert [endpoint.in_flight for endpoint in endpoints.all] == pytest.approx([50, 50], abs=1)


def test_what_failed_does_not_look_fast(clock: Clock) -> None:
    """A refused connection takes no time; only answers count as latency."""
    endpoint = servers(clock).all[0]
    call(endpoint, took_s=0.2)
    call(endpoint, ok=False, took_s=0.0)
    call(endpoint, ok=None, took_s=0.0)
    assert endpoint.latency_s == pytest.approx(0.2)
    assert (endpoint.failures, endpoint.in_flight) == (1, 0)


def test_the_latency_follows_what_is_measured(clock: Clock) -> None:
    """In a burst by a tenth at a time; after a long pause at once."""
    endpoint = servers(clock).all[0]
    for took_s in (0.1, 0.2):
        call(endpoint, took_s=took_s)
    assert endpoint.latency_s == pytest.approx(0.11)
    clock.now_s += 1000.0
    call(endpoint, took_s=0.5)
    assert endpoint.latency_s == pytest.approx(0.5)


def test_the_server_of_the_last_attempt_is_avoided(clock: Clock) -> None:
    """A retry goes elsewhere, as long as there is one that is up."""
    endpoints = servers(clock)
    assert "a:1" not in {endpoints.choose(avoid={"a:1"}).url for _ in range(50)}
    assert {endpoints.choose(avoid={"a:1", "b:1"}).url for _ in range(50)} == {"c:1"}
    bring_down(endpoints.all[1])
    bring_down(endpoints.all[2])
    assert {endpoints.choose(avoid={"a:1"}).url for _ in range(50)} == {"a:1"}


def test_a_server_that_is_down_gets_one_probe_and_then_its_share(clock: Clock) -> None:
    """The others carry on; nobody but the probe meets the one that is down."""
    endpoints = servers(clock)
    down = endpoints.all[0]
    bring_down(down)
    assert down.url not in chosen(endpoints)
    clock.now_s += 1.0
    assert chosen(endpoints)[down.url] == 1  # the probe, which has not ended
    down.started()
    down.finished(True, 0.0005)
    assert chosen(endpoints)[down.url] > 1


def test_a_server_that_is_down_is_not_compared_with(clock: Clock) -> None:
    """The choice is between two that are up: next to one that hangs, every other looks good."""
    endpoints = servers(clock)
    hanging, fast, slow = endpoints.all
    for _ in range(1000):
        hanging.started()
    bring_down(hanging)
    call(fast, took_s=0.01)
    call(slow, took_s=0.02)
    assert chosen(endpoints) == {fast.url: 200}


def test_a_cancelled_probe_is_followed_by_another(clock: Clock) -> None:
    """Nothing is known yet."""
    endpoints = servers(clock, 1)
    bring_down(endpoints.all[0])
    clock.now_s += 1.0
    call(endpoints.choose(), ok=None, took_s=0.0)
    endpoints.choose()


def test_time_outs_of_before_do_not_count_as_the_probes(clock: Clock) -> None:
    """A server that hung for many callers is back as soon as it answers one."""
    endpoints = servers(clock, 1)
    endpoint = endpoints.all[0]
    bring_down(endpoint)
    clock.now_s += 1.0
    probe = endpoints.choose()
    call(endpoint, ok=False, took_s=5.0)
    assert endpoint.breaker.state == "half_open"
    call(probe, took_s=0.0)
    assert endpoint.breaker.state == "closed"


def test_when_all_are_down_the_soonest_is_told(clock: Clock) -> None:
    """The caller may wait that long."""
    endpoints = servers(clock, 2)
    bring_down(endpoints.all[0])
    clock.now_s += 0.1
    bring_down(endpoints.all[1])
    with pytest.raises(AllDown) as caught:
        endpoints.choose()
    assert caught.value.retry_in_s == min(e.breaker.wait_s() for e in endpoints.all)
    assert caught.value.retry_in_s < endpoints.all[1].breaker.wait_s()


def test_a_probe_that_another_thread_got_first_is_no_choice(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and asking, somebody else asked."""
    endpoints = servers(clock)
    first, second, third = endpoints.all
    bring_down(second)
    clock.now_s += 1.0
    assert second.breaker.allow()
    monkeypatch.setattr(type(second.breaker), "wait_s", lambda _: 0.0)  # as it was just before
    assert {endpoints.choose(avoid={first.url}).url for _ in range(50)} == {third.url}
    for endpoint in (first, third):
        bring_down(endpoint)
    with pytest.raises(AllDown):
        endpoints.choose(avoid={first.url})


def test_threads_share_the_counts(clock: Clock) -> None:
    """Whatever is started is finished once."""
    endpoints = servers(clock)
    threads = 4
    start = threading.Barrier(threads)

    def ask(_: int) -> None:
        start.wait()
        for i in range(500):
            found = endpoints.choose()
            found.started()
            found.finished(True if i % 7 else None, 0.001)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, range(threads)))
    assert [endpoint.in_flight for endpoint in endpoints.all] == [0, 0, 0]


ends = st.sampled_from([True, False, False, None])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans(), ends, st.integers(0, 99)), max_size=60),
    st.randoms(use_true_random=False),
)
def test_whatever_happens_nobody_is_sent_where_nobody_may_go(
    events: list[tuple[float, bool, bool | None, int]], chance: random.Random
) -> None:
    """An open breaker is never chosen, and all are said to be down exactly when all are."""
    clock = Clock()
    endpoints = Endpoints(["a:1", "b:1", "c:1"], clock, chance.random)
    under_way: list[tuple[Endpoint, float]] = []
    for pause_s, begins, ok, which in events:
        clock.now_s += pause_s
        if begins or not under_way:
            up = [e for e in endpoints.all if not e.breaker.wait_s()]
            if not up:
                with pytest.raises(AllDown):
                    endpoints.choose()
                continue
            found = endpoints.choose()
            assert found in up
            found.started()
            under_way.append((found, clock.now_s))
        else:
            endpoint, since_s = under_way.pop(which % len(under_way))
            endpoint.finished(ok, clock.now_s - since_s)
        counts = Counter(endpoint.url for endpoint, _ in under_way)
        assert all(e.in_flight == counts[e.url] for e in endpoints.all)

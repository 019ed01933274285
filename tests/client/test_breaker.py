"""An endpoint that fails is left alone for a while, and let back in by one probe."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from clocks import Clock
from geulpi_client._breaker import Breaker
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

LONGEST_S = 30.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """A breaker without luck: it opens for the whole time."""
    return Breaker(clock, random=lambda: 1.0)


def fail(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        assert breaker.allow()
        breaker.failed()


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    """Five, and nobody is let through."""
    fail(breaker, 4)
    assert (breaker.state, breaker.allow(), breaker.wait_s()) == ("closed", True, 0.0)
    breaker.failed()
    assert (breaker.state, breaker.allow(), breaker.wait_s()) == ("open", False, 1.0)


def test_a_success_between_them_starts_the_count_anew(breaker: Breaker) -> None:
    """Four failures, a success, four failures: closed."""
    fail(breaker, 4)
    breaker.succeeded()
    fail(breaker, 4)
    assert breaker.state == "closed"


def test_cancelled_calls_are_no_failures(breaker: Breaker) -> None:
    """However many; nor do they hide those that are."""
    fail(breaker, 4)
    for _ in range(10):
        breaker.abandoned()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"


def test_one_caller_probes_when_the_time_is_over(breaker: Breaker, clock: Clock) -> None:
    """The others are turned away until it is known how that went."""
    fail(breaker)
    clock.pass_s(0.999)
    assert (breaker.state, breaker.allow()) == ("open", False)
    clock.pass_s(0.001)
    assert (breaker.state, breaker.wait_s()) == ("half_open", 0.0)
    assert [breaker.allow() for _ in range(3)] == [True, False, False]
    assert (breaker.state, breaker.wait_s()) == ("half_open", LONGEST_S)


def test_the_probes_success_closes_it(breaker: Breaker, clock: Clock) -> None:
    """And all is as at first: five failures for the next second."""
    fail(breaker)
    clock.pass_s(1.0)
    assert breaker.allow()
    breaker.succeeded()
    assert (breaker.state, breaker.allow()) == ("closed", True)
    fail(breaker, 4)
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.wait_s() == 1.0


def test_each_failed_probe_doubles_the_time_up_to_the_longest(
    breaker: Breaker, clock: Clock
) -> None:
    """1, 2, 4, 8, 16, 30, 30 … seconds, for as long as it takes."""
    fail(breaker)
    waits_s = []
    for _ in range(2000):
        waits_s.append(breaker.wait_s())
        clock.pass_s(breaker.wait_s())
        fail(breaker, 1)
    assert waits_s[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert set(waits_s[7:]) == {30.0}


@pytest.mark.parametrize(("drawn", "wait_s"), [(0.0, 0.5), (0.5, 0.75), (0.999, 0.9995)])
def test_chance_spreads_the_probes_of_many_clients(
    clock: Clock, drawn: float, wait_s: float
) -> None:
    """Between half and all of the time."""
    breaker = Breaker(clock, random=lambda: drawn)
    fail(breaker)
    assert breaker.wait_s() == pytest.approx(wait_s)


def test_after_a_cancelled_probe_the_next_caller_probes(breaker: Breaker, clock: Clock) -> None:
    """Nothing was learned, so neither is the time doubled."""
    fail(breaker)
    clock.pass_s(1.0)
    assert breaker.allow()
    clock.pass_s(0.3)
    breaker.abandoned(took_s=0.3)
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.failed()
    assert breaker.wait_s() == 2.0


def test_calls_from_before_the_opening_tell_nothing_about_the_probe(
    breaker: Breaker, clock: Clock
) -> None:
    """Fifty time-outs of one outage neither prolong it nor let a second probe through."""
    fail(breaker)
    for _ in range(45):
        breaker.failed(took_s=0.1)
    assert breaker.wait_s() == 1.0
    clock.pass_s(1.0)
    assert breaker.allow()
    clock.pass_s(0.5)
    breaker.failed(took_s=3.0)
    breaker.abandoned(took_s=3.0)
    assert (breaker.state, breaker.allow()) == ("half_open", False)
    breaker.failed(took_s=0.5)  # the probe itself
    assert breaker.wait_s() == 2.0


def test_an_answer_to_a_call_from_before_closes_it(breaker: Breaker) -> None:
    """Whoever asked, the endpoint answers."""
    fail(breaker)
    breaker.succeeded()
    assert (breaker.state, breaker.allow()) == ("closed", True)


def test_a_probe_that_is_never_heard_of_does_not_block_for_ever(
    breaker: Breaker, clock: Clock
) -> None:
    """Such as one that a fork left behind in the other process."""
    fail(breaker)
    clock.pass_s(1.0)
    assert breaker.allow()
    clock.pass_s(LONGEST_S - 0.001)
    assert not breaker.allow()
    clock.pass_s(0.001)
    assert [breaker.allow(), breaker.allow()] == [True, False]


def test_of_many_threads_one_probes(breaker: Breaker, clock: Clock) -> None:
    """Those that ask in the same moment."""
    threads = 8
    start = threading.Barrier(threads)

    def ask(_: int) -> list[bool]:
        start.wait()
        return [breaker.allow() for _ in range(200)]

    fail(breaker)
    clock.pass_s(1.0)
    with ThreadPoolExecutor(threads) as pool:
        allowed = [yes for answers in pool.map(ask, range(threads)) for yes in answers]
    assert sum(allowed) == 1


class BreakerUnderCalls(RuleBasedStateMachine):
    """Calls begin, end in any order and way, and time passes: by steps that floats hold."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(self.clock, failures=3, random=lambda: 0.5)
        self.begun_s: list[float] = []
        self.opened_s = 0.0

    def end(self, which: int) -> float:
        return self.clock.now_s - self.begun_s.pop(which % len(self.begun_s))

    @rule(seconds=st.sampled_from([2**-6, 0.375, 1.0, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.pass_s(seconds)

    @rule()
    def begin(self) -> None:
        state, wait_s = self.breaker.state, self.breaker.wait_s()
        allowed = self.breaker.allow()
        assert allowed == (wait_s == 0)
        assert allowed or state != "closed"
        assert not allowed or state != "open"
        if allowed:
            self.begun_s.append(self.clock.now_s)

    @precondition(lambda self: self.begun_s)
    @rule(which=st.integers(0, 99))
    def succeed(self, which: int) -> None:
        self.end(which)
        self.breaker.succeeded()
        assert self.breaker.state == "closed"

    @precondition(lambda self: self.begun_s)
    @rule(which=st.integers(0, 99))
    def fail(self, which: int) -> None:
        before = self.breaker.state
        self.breaker.failed(self.end(which))
        if before != "open" and self.breaker.state == "open":
            self.opened_s = self.clock.now_s
            assert 0.75 <= self.breaker.wait_s() <= LONGEST_S

    @precondition(lambda self: self.begun_s)
    @rule(which=st.integers(0, 99))
    def abandon(self, which: int) -> None:
        self.breaker.abandoned(self.end(which))

    @invariant()
    def nobody_is_shut_out_for_longer_than_the_longest(self) -> None:
        assert self.breaker.wait_s() <= LONGEST_S

    @invariant()
    def there_is_one_probe(self) -> None:
        if self.breaker.state != "closed":
            lost_s = self.clock.now_s - LONGEST_S  # from then on, a probe is given up
            probes = [s for s in self.begun_s if s > self.opened_s and s > lost_s]
            assert len(probes) <= 1


TestBreakerUnderCalls = BreakerUnderCalls.TestCase
TestBreakerUnderCalls.settings = settings(max_examples=60, stateful_step_count=40)

"""So many requests are in flight, so many wait, first come, first served; no permit is lost."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from geulpi_client import _limits
from geulpi_client._deadline import Deadline
from geulpi_client._limits import AsyncLimiter, InFlight, NoPermit, ThreadLimiter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

PASSED = Deadline(5.0, 0.0)


def soon() -> Deadline:
    return Deadline.after(60.0)


class InFlightUnderCalls(RuleBasedStateMachine):
    """Callers take, wait, give up and give back, in any order."""

    LIMIT = 2
    WAITING = 3

    def __init__(self) -> None:
        super().__init__()
        self.line: InFlight[int] = InFlight(self.LIMIT, self.WAITING)
        self.names = 0
        self.holders: set[int] = set()
        self.waiters: list[int] = []

    @rule()
    def come(self) -> None:
        self.names += 1
        if self.line.take():
            assert not self.waiters  # nobody overtakes
            self.holders.add(self.names)
        elif len(self.waiters) == self.WAITING:
            with pytest.raises(NoPermit, match="2 requests of this client are in flight, and 3 w"):
                self.line.join(self.names)
        else:
            self.line.join(self.names)
            self.waiters.append(self.names)

    @precondition(lambda self: self.holders)
    @rule(which=st.integers(0, 9))
    def give_back(self, which: int) -> None:
        self.holders.remove(sorted(self.holders)[which % len(self.holders)])
        expected = self.waiters.pop(0) if self.waiters else None
        assert self.line.give_back() == expected
        if expected is not None:
            self.holders.add(expected)

    @precondition(lambda self: self.waiters)
    @rule(which=st.integers(0, 9))
    def give_up(self, which: int) -> None:
        waiter = self.waiters.pop(which % len(self.waiters))
        assert self.line.leave(waiter)

    @precondition(lambda self: self.holders)
    @rule(which=st.integers(0, 9))
    def give_up_too_late(self, which: int) -> None:
        assert not self.line.leave(sorted(self.holders)[which % len(self.holders)])

    @invariant()
    def the_counts_are_right(self) -> None:
        assert self.line.in_flight == len(self.holders) <= self.LIMIT
        assert self.line.waiting == len(self.waiters)
        assert not self.waiters or len(self.holders) == self.LIMIT


TestInFlightUnderCalls = InFlightUnderCalls.TestCase
TestInFlightUnderCalls.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize(
    ("waited", "said"),
    [
        (False, "50 requests of this client are in flight, and 1000 wait"),
        (True, "50 requests of this client are in flight, and none ended in time"),
    ],
)
def test_a_refusal_says_why(waited: bool, said: str) -> None:
    """As the sender passes it on."""
    error = NoPermit(50, 1000, waited=waited)
    assert (str(error), error.waited) == (said, waited)


# --- asyncio ---------------------------------------------------------------------------------


async def turns(count: int = 3) -> None:
    """Let all tasks go as far as they can."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_tasks_get_permits_in_the_order_in_which_they_came() -> None:
    """Each that is given back goes to the first in line, not to who comes then."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1, waiting=10)
        order: list[int] = []

        async def call(i: int) -> None:
            await limiter.acquire(soon())
            order.append(i)
            await asyncio.sleep(0)
            limiter.release()

        await asyncio.gather(*(call(i) for i in range(8)))
        assert order == [*range(8)]
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


def test_nobody_overtakes_a_task_that_was_handed_a_permit_and_has_not_woken() -> None:
    """Between the release and its next step the place is taken."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1)
        await limiter.acquire(soon())
        waiter = asyncio.create_task(limiter.acquire(soon()))
        await turns()
        limiter.release()
        late = asyncio.create_task(limiter.acquire(soon()))
        await turns()
        assert (waiter.done(), late.done()) == (True, False)
        limiter.release()
        await late

    asyncio.run(run())


def test_a_task_that_would_wait_behind_too_many_fails_at_once() -> None:
    """With what it is that is full."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1, waiting=2)
        await limiter.acquire(soon())
        waiters = [asyncio.create_task(limiter.acquire(soon())) for _ in range(2)]
        await turns()
        with pytest.raises(NoPermit, match=r"1 requests .* in flight, and 2 wait") as caught:
            await limiter.acquire(soon())
        assert not caught.value.waited
        for waiter in waiters:
            limiter.release()
            await waiter

    asyncio.run(run())


def test_a_task_waits_no_longer_than_its_deadline() -> None:
    """Then it fails, and its place in line is free."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1, waiting=1)
        await limiter.acquire(soon())
        for _ in range(3):
            with pytest.raises(NoPermit, match="none ended in time") as caught:
                await limiter.acquire(PASSED)
            assert caught.value.waited
        limiter.release()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


def test_a_task_that_got_its_permit_leaves_no_timer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long deadline would keep it for as long."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1)
        await limiter.acquire(soon())
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        call_later = loop.call_later

        def kept(*args: Any) -> asyncio.TimerHandle:
            timers.append(call_later(*args))
            return timers[-1]

        monkeypatch.setattr(loop, "call_later", kept)
        waiter = asyncio.create_task(limiter.acquire(soon()))
        await turns()
        limiter.release()
        await waiter
        assert [timer.cancelled() for timer in timers] == [True]

    asyncio.run(run())


def test_a_free_permit_is_given_whatever_the_deadline() -> None:
    """Whether there is time for the request is the sender's question."""

    async def run() -> None:
        await AsyncLimiter(limit=1).acquire(PASSED)

    asyncio.run(run())
    ThreadLimiter(limit=1).acquire(PASSED)


def test_a_permit_that_comes_as_the_deadline_passes_is_taken() -> None:
    """It is there, and the task is awake."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1)
        await limiter.acquire(soon())
        waiter = asyncio.create_task(limiter.acquire(soon()))
        await turns()
        (turn,) = limiter._line._line
        _limits._wake(turn)  # what the timer does
        limiter.release()
        await waiter
        limiter.release()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_a_permit_handed_to_a_cancelled_task_goes_on_to_the_next(cancelled_first: bool) -> None:
    """In the same turn of the loop, in either order."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=1)
        await limiter.acquire(soon())
        cancelled = asyncio.create_task(limiter.acquire(soon()))
        following = asyncio.create_task(limiter.acquire(soon()))
        await turns()
        if cancelled_first:
            cancelled.cancel()
        limiter.release()
        if not cancelled_first:
            cancelled.cancel()
        await turns()
        assert cancelled.cancelled()
        await following
        limiter.release()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


def test_a_thousand_tasks_cancelled_at_once_leave_nothing_behind() -> None:
    """Those that hold a permit, those that wait, and those that were just handed one."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=50, waiting=1000)

        async def call() -> None:
            await limiter.acquire(soon())
            try:
                await asyncio.Event().wait()
            finally:
                limiter.release()

        tasks = [asyncio.create_task(call()) for _ in range(1000)]
        await turns()
        assert (limiter.in_flight, limiter.waiting) == (50, 950)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


steps = st.lists(
    st.tuples(st.sampled_from(["come", "come late", "cancel", "end", "turn"]), st.integers(0, 99)),
    max_size=80,
)


@settings(max_examples=150)
@given(steps)
def test_no_permit_is_lost_or_doubled_however_tasks_are_cancelled(
    script: list[tuple[str, int]],
) -> None:
    """In any mixture of coming, ending, expiring and being cancelled, also within one turn."""

    async def run() -> None:
        limiter = AsyncLimiter(limit=2, waiting=5)
        inside: dict[asyncio.Task[None], asyncio.Event] = {}
        most = 0

        async def call(deadline: Deadline, over: asyncio.Event) -> None:
            nonlocal most
            await limiter.acquire(deadline)
            try:
                most = max(most, limiter.in_flight)
                await over.wait()
            finally:
                limiter.release()

        for what, which in script:
            if what == "turn":
                await asyncio.sleep(0)
            elif what.startswith("come"):
                over = asyncio.Event()
                task = asyncio.create_task(call(soon() if what == "come" else PASSED, over))
                inside[task] = over
            elif inside:
                task = [*inside][which % len(inside)]
                if what == "cancel":
                    task.cancel()
                else:
                    inside[task].set()
        for over in inside.values():
            over.set()
        results = await asyncio.gather(*inside, return_exceptions=True)
        assert all(r is None or isinstance(r, NoPermit | asyncio.CancelledError) for r in results)
        assert most <= 2
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    asyncio.run(run())


def test_tasks_of_a_loop_that_was_closed_take_their_permits_with_them() -> None:
    """They are collected without a word, and nobody is woken in a loop that is gone."""
    limiter = AsyncLimiter(limit=1)
    loop = asyncio.new_event_loop()

    async def call() -> None:
        await limiter.acquire(soon())
        try:
            await asyncio.Event().wait()
        finally:
            limiter.release()

    async def start() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(call()) for _ in range(3)]
        await turns()
        return tasks

    tasks = loop.run_until_complete(start())
    assert (limiter.in_flight, limiter.waiting) == (1, 2)
    loop.set_exception_handler(lambda *_: None)  # asyncio logs each task that it loses
    loop.close()
    del tasks
    for _ in range(4):  # the limiter holds each until the one before it is gone
        gc.collect()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


# --- threads ---------------------------------------------------------------------------------


def until(condition: Callable[[], bool]) -> None:
    """Return when other threads have come so far."""
    while not condition():
        time.sleep(0.0005)


def test_threads_get_permits_in_the_order_in_which_they_came() -> None:
    """Each that is given back goes to the first in line."""
    limiter = ThreadLimiter(limit=1)
    order: list[int] = []

    def call(i: int) -> None:
        limiter.acquire(soon())
        order.append(i)
        limiter.release()

    limiter.acquire(soon())
    threads = []
    for i in range(5):
        threads.append(threading.Thread(target=call, args=(i,)))
        threads[-1].start()
        until(lambda: limiter.waiting == len(threads))
    limiter.release()
    for thread in threads:
        thread.join()
    assert order == [*range(5)]
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_a_thread_that_would_wait_behind_too_many_fails_at_once() -> None:
    """With what it is that is full."""
    limiter = ThreadLimiter(limit=1, waiting=1)
    limiter.acquire(soon())
    waiter = threading.Thread(target=limiter.acquire, args=(soon(),))
    waiter.start()
    until(lambda: limiter.waiting == 1)
    with pytest.raises(NoPermit, match=r"1 requests .* in flight, and 1 wait") as caught:
        limiter.acquire(soon())
    assert not caught.value.waited
    limiter.release()
    waiter.join()
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


def test_a_thread_waits_no_longer_than_its_deadline() -> None:
    """Then it fails, and its place in line is free."""
    limiter = ThreadLimiter(limit=1, waiting=1)
    limiter.acquire(soon())
    for _ in range(3):
        with pytest.raises(NoPermit, match="none ended in time") as caught:
            limiter.acquire(PASSED)
        assert caught.value.waited
    limiter.release()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_permit_that_comes_as_a_thread_gives_up_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    """One that was interrupted gives it back; one whose deadline passed takes it."""
    limiter = ThreadLimiter(limit=1)

    class Turn(threading.Event):
        def wait(self, _timeout: float | None = None) -> bool:
            limiter.release()  # by the thread that holds it
            if interrupted:
                raise KeyboardInterrupt
            return False

    names = {**vars(threading), "Event": Turn}
    monkeypatch.setattr(_limits, "threading", SimpleNamespace(**names))
    limiter.acquire(soon())
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            limiter.acquire(soon())
    else:
        limiter.acquire(soon())
    assert (limiter.in_flight, limiter.waiting) == (0 if interrupted else 1, 0)


def test_an_interrupted_thread_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hands a permit to a thread that is gone."""

    class Turn(threading.Event):
        def wait(self, _timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    limiter = ThreadLimiter(limit=1)
    limiter.acquire(soon())
    names = {**vars(threading), "Event": Turn}
    monkeypatch.setattr(_limits, "threading", SimpleNamespace(**names))
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire(soon())
    limiter.release()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_many_threads_never_exceed_the_limit() -> None:
    """Also where some wait in vain; in the end all permits are back."""
    limiter = ThreadLimiter(limit=3, waiting=100)
    start = threading.Barrier(12)
    most = 0

    def call(seed: int) -> None:
        nonlocal most
        chance = random.Random(seed)
        start.wait()
        for _ in range(100):
            try:
                limiter.acquire(soon() if chance.random() < 0.7 else PASSED)
            except NoPermit:
                continue
            most = max(most, limiter.in_flight)
            time.sleep(0)
            limiter.release()

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 3
    assert (limiter.in_flight, limiter.waiting) == (0, 0)

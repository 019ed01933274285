"""Concurrent calls of one model become one request, and each caller gets what is its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import random
import signal
import struct
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest
from geulpi_client import (
    AccessDenied,
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    InferenceFailed,
    InputRefused,
    InvalidSetting,
    ModelUnavailable,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
    _coalescer_threads,
    _coalescing,
)
from geulpi_client._coalescer_async import AsyncCoalescer
from geulpi_client._coalescer_threads import ThreadCoalescer
from geulpi_client._coalescing import ASKED_AGAIN_AT_A_TIME, Batch, Line, Waiting, own_error
from geulpi_client._deadline import Deadline
from geulpi_client._messages import Answer
from geulpi_client._tensors import Tensor, split_rows
from hypothesis import given
from hypothesis import strategies as st

TARGET = Target("triton:8001", "m", "1")
LONG = 30.0
BAD = 13.0


def numbers(*firsts: float, width: int = 2) -> list[Tensor]:
    """Rows of X, FP32 [N, width], by their first numbers."""
    raw = b"".join(struct.pack(f"<{width}f", first, *[0.0] * (width - 1)) for first in firsts)
    return [Tensor("X", "FP32", (len(firsts), width), raw)]


def texts(*rows: str) -> list[Tensor]:
    """Rows of T, BYTES [N, 1]."""
    raw = b"".join(struct.pack("<I", len(row.encode())) + row.encode() for row in rows)
    return [Tensor("T", "BYTES", (len(rows), 1), raw)]


def echo(tensors: Sequence[Tensor], version: str = "1") -> Answer:
    """Answer every row of the first input with itself."""
    first = tensors[0]
    return Answer(version, (Tensor("Y", first.datatype, first.shape, first.raw),))


def firsts(tensor: Tensor) -> list[float]:
    """The first numbers of the rows."""
    return [struct.unpack_from("<f", row)[0] for row in split_rows(tensor)]


def soon() -> Deadline:
    return Deadline.after(LONG)


def passed() -> Deadline:
    return Deadline(5.0, 0.0)


# --- The line: who leaves when ---------------------------------------------------------------


def line_of(*calls: Sequence[Tensor], **settings) -> tuple[Line[Waiting], list[Waiting]]:
    line: Line[Waiting] = Line(**{"max_rows": 4, "delay_s": 0.0, "in_flight": 1, **settings})
    waiting = [Waiting(tensors, soon()) for tensors in calls]
    for call in waiting:
        line.add(call, 0.0)
    return line, waiting


def test_a_batch_holds_what_came_first_up_to_its_rows() -> None:
    """The call that does not fit any more is first in the next batch, nobody passes it."""
    line, calls = line_of(numbers(1), numbers(2, 3), numbers(4, 5), numbers(6))
    first = line.next_batch(0.0)
    assert first is not None
    assert first.members == calls[:2]
    assert first.rows == 3
    assert line.next_batch(0.0) is None  # the only slot is taken
    line.finished(first)
    second = line.next_batch(0.0)
    assert second is not None
    assert second.members == calls[2:]


def test_only_calls_of_one_kind_are_joined() -> None:
    """Other names, datatypes or row shapes are another batch; the oldest call leaves first."""
    named = [Tensor("Z", "FP32", (1, 2), bytes(8))]
    typed = [Tensor("X", "INT32", (1, 2), bytes(8))]
    line, calls = line_of(
        numbers(1), texts("a"), numbers(2, width=3), named, typed, numbers(3), texts("b"),
        in_flight=9,
    )  # fmt: skip
    batches = []
    while (batch := line.next_batch(0.0)) is not None:
        batches.append([calls.index(member) for member in batch.members])
    assert batches == [[0, 5], [1, 6], [2], [3], [4]]


def test_a_call_larger_than_a_batch_goes_alone_and_whole() -> None:
    """Splitting it is the task of the layer above."""
    line, calls = line_of(numbers(1), numbers(*range(9)), numbers(2), in_flight=9)
    sizes = []
    while (batch := line.next_batch(0.0)) is not None:
        sizes.append((batch.members[0], batch.rows))
    assert sizes == [(calls[0], 1), (calls[1], 9), (calls[2], 1)]


@pytest.mark.parametrize(
    "tensors",
    [
        [Tensor("X", "FP32", (1, 2), bytes(12))],
        [Tensor("T", "BYTES", (2, 1), b"\1\0\0\0a")],
        [Tensor("X", "BF16", (1, 2), bytes(4))],
        [*numbers(1), *texts("a", "b")],
        [Tensor("X", "FP32", (), bytes(4))],
        [Tensor("X", "FP32", (0, 2), b"")],
        [],
    ],
    ids=["size", "elements", "datatype", "rows", "scalar", "empty", "nothing"],
)
def test_what_has_no_rows_of_a_known_size_is_never_joined(tensors) -> None:
    """It would shift the rows of its neighbours."""
    line, _ = line_of(tensors, tensors, in_flight=9)
    batches = [line.next_batch(0.0), line.next_batch(0.0)]
    assert [len(batch.members) for batch in batches if batch] == [1, 1]


def test_a_delay_is_waited_for_only_while_the_server_is_busy() -> None:
    """The first leaves at once; the next wait for more until they fill a batch or time is up."""
    line, _ = line_of(numbers(1), delay_s=0.002, in_flight=3, max_rows=2)
    busy = line.next_batch(0.0)
    assert busy is not None
    line.add(Waiting(numbers(2), soon()), 1.0)
    assert line.next_batch(1.0) is None
    assert line.pause_s(1.0005) == pytest.approx(0.0015)
    line.add(Waiting(numbers(3), soon()), 1.0005)
    full = line.next_batch(1.0005)
    assert full is not None
    assert full.rows == 2
    line.add(Waiting(numbers(4), soon()), 2.0)
    assert line.next_batch(2.001) is None
    assert line.next_batch(2.003) is not None
    line.finished(busy)
    line.add(Waiting(numbers(5), soon()), 3.0)
    assert line.next_batch(3.0) is None
    line.finished(full)
    assert line.pause_s(3.0) > 0  # one is still under way


def test_an_idle_server_ends_the_delay() -> None:
    """With nothing under way there is nothing to wait for."""
    line, _ = line_of(numbers(1), delay_s=0.002, in_flight=2)
    busy = line.next_batch(0.0)
    assert busy is not None
    line.add(Waiting(numbers(2), soon()), 0.0)
    assert line.next_batch(0.0) is None
    line.finished(busy)
    assert line.pause_s(0.0) == 0.0
    assert line.next_batch(0.0) is not None


def test_a_call_that_gave_up_leaves_its_place() -> None:
    """A second time, or for a stranger, nothing happens."""
    line, calls = line_of(numbers(1), numbers(2), numbers(3))
    line.remove(calls[1])
    line.remove(calls[1])
    line.remove(Waiting(numbers(4), soon()))
    batch = line.next_batch(0.0)
    assert batch is not None
    assert batch.members == [calls[0], calls[2]]
    line.finished(batch)
    assert line.empty


def test_the_rows_of_a_batch_may_change_at_any_time() -> None:
    """A limit that is learned later holds for the calls that wait already."""
    limit = 4
    line, _ = line_of(*(numbers(i) for i in range(4)), max_rows=lambda: limit)
    limit = 2
    batch = line.next_batch(0.0)
    assert batch is not None
    assert batch.rows == 2


def test_a_batch_over_the_models_limit_is_asked_in_smaller_ones() -> None:
    """The refusal tells the limit; the calls go first again, joined, in their order."""
    line, calls = line_of(*(numbers(i) for i in range(4)), texts("a"), numbers(5), max_rows=4)
    batch = line.next_batch(0.0)
    assert batch is not None
    refusal = InputRefused(TARGET, "batch-size must be <= 2 for 'm'")
    assert line.asks_again(batch, batch.members, refusal)
    line.finished(batch)
    left = []
    while (batch := line.next_batch(0.0)) is not None:
        left.append([calls.index(member) for member in batch.members])
        line.finished(batch)
    assert left == [[0, 1], [2, 3], [4], [5]]


def test_members_of_a_refused_batch_do_not_hold_up_fresh_calls() -> None:
    """They are asked alone, a few at a time, beside the slots of the others."""
    line, calls = line_of(*(numbers(i) for i in range(20)), max_rows=20)
    refused = line.next_batch(0.0)
    assert refused is not None
    assert line.asks_again(refused, calls, InputRefused(TARGET, "a bad row"))
    line.finished(refused)
    fresh = Waiting(numbers(99), soon())
    line.add(fresh, 0.0)
    batches = []
    while (batch := line.next_batch(0.0)) is not None:
        batches.append(batch)
    assert [batch.members for batch in batches[:-1]] == [
        [call] for call in calls[:ASKED_AGAIN_AT_A_TIME]
    ]
    assert batches[-1].members == [fresh]
    assert not line.asks_again(batches[0], calls[:1], InputRefused(TARGET, "a bad row"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_rows": 0}, "max_rows is 0"),
        ({"delay_s": 0.0021}, "delay_s is 0.0021"),
        ({"delay_s": -1.0}, "delay_s is -1"),
        ({"delay_s": float("nan")}, "delay_s is nan"),
        ({"in_flight": 0}, "in_flight is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said) -> None:
    """A coalescer without slots would let every call wait for ever."""
    for kind in (AsyncCoalescer, ThreadCoalescer):
        with pytest.raises(InvalidSetting, match=said):
            kind(echo, target=TARGET, **{"max_rows": 8, **settings})


KINDS = [numbers, texts, lambda *values: numbers(*values, width=3)]


@given(st.data())
def test_every_call_leaves_once_in_the_order_of_its_kind(data) -> None:
    """Whatever comes, ends and gives up in whatever order."""
    limit, in_flight = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    line: Line[Waiting] = Line(max_rows=limit, delay_s=0.0, in_flight=in_flight)
    waiting: list[Waiting] = []
    sent: list[Waiting] = []
    under_way: list[Batch[Waiting]] = []
    total = 0
    for step in data.draw(st.lists(st.sampled_from("aaaaansfr"), max_size=60)):
        if step == "a":
            make = data.draw(st.sampled_from(KINDS))
            rows = [str(total)] if make is texts else [total] * data.draw(st.integers(1, 4))
            call = Waiting(make(*rows), soon())
            line.add(call, 0.0)
            waiting.append(call)
            total += 1
        elif step == "r" and waiting:
            call = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            line.remove(call)
            total -= 1
        elif step == "f" and under_way:
            line.finished(under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        elif (batch := line.next_batch(0.0)) is not None:
            under_way.append(batch)
            assert batch.members[0] is waiting[0]
            of_kind = [call for call in waiting if call.kind == waiting[0].kind]
            assert batch.members == of_kind[: len(batch.members)]
            assert batch.rows <= limit or len(batch.members) == 1
            waiting = [call for call in waiting if call not in batch.members]
            sent += batch.members
        else:
            assert not waiting or len(under_way) == in_flight
    assert len(sent) + len(waiting) == total
    assert line.clear() == waiting
    for batch in under_way:
        line.finished(batch)
        line.finished(batch)
    assert line.empty
    assert line.idle


# --- Joining and splitting -------------------------------------------------------------------


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=3), min_size=2, max_size=6))
def test_each_member_gets_its_own_rows_of_every_output(calls) -> None:
    """Numbers are cut by their size, texts by their elements."""
    counter = itertools.count()
    tensors = [texts(*call) + numbers(*(next(counter) for _ in call)) for call in calls]
    batch = Batch([Waiting(call, soon()) for call in tensors])
    joined = batch.tensors
    assert [tensor.shape[0] for tensor in joined] == [batch.rows] * 2
    answers = batch.split(Answer("7", tuple(joined)), TARGET)
    assert answers == [Answer("7", tuple(call)) for call in tensors]


@pytest.mark.parametrize(
    "output",
    [
        Tensor("Y", "FP32", (3, 1), bytes(12)),
        Tensor("Y", "FP32", (), bytes(4)),
        Tensor("Y", "FP32", (2, 1), bytes(12)),
        Tensor("Y", "BYTES", (2, 1), b"\1\0\0\0a"),
        Tensor("Y", "BF16", (2, 1), bytes(4)),
    ],
)
def test_an_answer_that_does_not_hold_the_rows_is_unexpected(output) -> None:
    """Nobody gets a row of which it is not sure whose it is."""
    batch = Batch([Waiting(numbers(1), soon()), Waiting(numbers(2), soon())])
    with pytest.raises(UnexpectedAnswer, match="'Y'"):
        batch.split(Answer("1", (output,)), TARGET)


def test_a_batch_has_the_latest_deadline_of_its_members() -> None:
    """The others give up by themselves."""
    deadlines = [Deadline(1.0, 10.0), Deadline(3.0, 30.0), Deadline(2.0, 20.0)]
    assert Batch([Waiting(numbers(1), deadline) for deadline in deadlines]).deadline.at_s == 30.0


def test_each_caller_has_an_exception_of_its_own() -> None:
    """With the cause and whatever else the first one carries, and the caller's own time-out."""
    cause = OSError("down")
    error = Unreachable(TARGET, "no route")
    error.__cause__ = cause
    error.request_id = "r1"  # type: ignore[attr-defined]
    own = own_error(error, Deadline.after(1.0))
    assert own is not error
    assert (type(own), str(own), own.__cause__) == (Unreachable, str(error), cause)
    assert own.request_id == "r1"  # type: ignore[attr-defined]
    slow = own_error(DeadlineExceeded(TARGET, 9.0), Deadline.after(2.0))
    assert "within 2 s" in str(slow)
    assert slow.args == (TARGET, 2.0)


def test_a_foreign_exception_is_told_to_everybody_too() -> None:
    """Even one that can't be copied, with the first one as its cause."""

    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    for error in (KeyError("k"), Odd("so", "odd")):
        own = own_error(error, soon())
        assert own is not error
        assert own.__cause__ is error
    assert str(own) == "Odd: so odd"


# --- asyncio ---------------------------------------------------------------------------------


class AsyncAsk:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.requests: list[Sequence[Tensor]] = []
        self.deadlines: list[Deadline] = []
        self.cancelled = 0
        self._begun = asyncio.Condition()
        self._answers: list[asyncio.Future[Answer]] = []

    async def __call__(self, tensors: Sequence[Tensor], deadline: Deadline) -> Answer:
        self.requests.append(tensors)
        self.deadlines.append(deadline)
        answer = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        async with self._begun:
            self._begun.notify_all()
        try:
            return await answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    @property
    def rows(self) -> list[int]:
        return [tensors[0].shape[0] for tensors in self.requests]

    @property
    def open(self) -> list[int]:
        return [i for i, answer in enumerate(self._answers) if not answer.done()]

    def answer(self, index: int, version: str = "1") -> None:
        self._answers[index].set_result(echo(self.requests[index], version))

    def answer_with(self, index: int, answer: Answer) -> None:
        self._answers[index].set_result(answer)

    def fail(self, index: int, error: BaseException) -> None:
        self._answers[index].set_exception(error)

    async def begun(self, count: int) -> None:
        """Wait until that many requests came."""
        async with self._begun:
            await self._begun.wait_for(lambda: len(self.requests) >= count)

    async def answer_all(self) -> None:
        while self.open:
            for index in self.open:
                self.answer(index)
            await turns()


async def turns(count: int = 6) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def coalescer(ask, **settings) -> AsyncCoalescer:
    return AsyncCoalescer(ask, target=TARGET, **{"max_rows": 64, "in_flight": 1, **settings})


def calls_of(joiner: AsyncCoalescer, *calls, deadline=None) -> list[asyncio.Task[Answer]]:
    return [
        asyncio.get_running_loop().create_task(joiner.infer(tensors, deadline or soon()))
        for tensors in calls
    ]


async def blocked(*calls, **settings):
    """A coalescer whose one slot is taken by a first call, and tasks that wait behind it."""
    ask = AsyncAsk()
    joiner = coalescer(ask, **settings)
    (first,) = calls_of(joiner, numbers(-1))
    await turns()
    waiting = calls_of(joiner, *calls)
    await turns()
    assert ask.rows == [1]
    return ask, joiner, first, waiting


def run(coroutine):
    """Run a test's coroutine in a loop whose unhandled errors fail the test."""
    problems = []

    async def watched():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: problems.append(context))
        result = await coroutine
        await turns(2)
        return result

    result = asyncio.run(watched())
    gc.collect()
    assert problems == []
    return result


def test_an_idle_coalescer_sends_at_once() -> None:
    """In the caller's own task, before the loop turns once."""

    async def main():
        tasks = []

        async def ask(tensors, _deadline):
            tasks.append(asyncio.current_task())
            return echo(tensors)

        joiner = coalescer(ask)
        assert await joiner.infer(numbers(1), soon()) == echo(numbers(1))
        assert await joiner.infer(numbers(2), soon()) == echo(numbers(2))
        assert tasks == [asyncio.current_task()] * 2

    run(main())


def test_calls_behind_a_request_leave_together() -> None:
    """As soon as its answer is there; each gets its own rows and the version of the answer."""

    async def main():
        ask, _, first, waiting = await blocked(numbers(1), numbers(2, 3), numbers(4))
        ask.answer(0)
        await turns()
        assert ask.rows == [1, 4]
        ask.answer(1, version="2")
        assert await first == echo(numbers(-1))
        answers = await asyncio.gather(*waiting)
        assert answers == [echo(x, "2") for x in (numbers(1), numbers(2, 3), numbers(4))]

    run(main())


def test_callers_that_an_answer_woke_leave_together_again() -> None:
    """The slot is free only after they had their turn, so not the first of them alone."""

    async def main():
        sizes = []

        async def ask(tensors, _deadline):
            sizes.append(tensors[0].shape[0])
            await asyncio.sleep(0)
            return echo(tensors)

        joiner = coalescer(ask)

        async def caller(i):
            for _ in range(10):
                assert await joiner.infer(numbers(i), soon()) == echo(numbers(i))

        await asyncio.gather(*(caller(i) for i in range(20)))
        assert sizes[:2] == [1, 19]
        assert max(sizes) >= 19
        assert sum(sizes) == 200
        assert len(sizes) <= 22

    run(main())


def test_free_slots_are_used() -> None:
    """Not more than there are, and a call does not wait while one is free."""

    async def main():
        ask = AsyncAsk()
        joiner = coalescer(ask, in_flight=2)
        for i in range(4):
            calls_of(joiner, numbers(i))
            await turns()
        assert ask.rows == [1, 1]
        ask.answer(1)
        await turns()
        assert ask.rows == [1, 1, 2]
        await ask.answer_all()

    run(main())


def test_a_batch_that_is_not_full_waits_for_its_delay() -> None:
    """And then leaves by itself."""

    async def main():
        ask = AsyncAsk()
        joiner = coalescer(ask, in_flight=2, delay_s=0.002)
        calls = calls_of(joiner, numbers(0), numbers(1), numbers(2))
        await ask.begun(2)
        assert ask.rows == [1, 2]
        await ask.answer_all()
        assert await asyncio.gather(*calls) == [echo(numbers(i)) for i in range(3)]

    run(main())


def test_a_bad_row_fails_only_its_caller() -> None:
    """The members of a refused batch are asked one by one, a few at a time."""

    async def main():
        for error in (InputRefused(TARGET, "a bad row"), InferenceFailed(TARGET, "NaN")):
            ask, joiner, _, waiting = await blocked(*(numbers(i) for i in range(20)))
            ask.answer(0)
            await turns()
            assert ask.rows == [1, 20]
            ask.fail(1, error)
            await turns()
            assert ask.rows[2:] == [1] * ASKED_AGAIN_AT_A_TIME
            while ask.open:
                for index in ask.open:
                    if firsts(ask.requests[index][0]) == [BAD]:
                        ask.fail(index, type(error)(TARGET, "really bad"))
                    else:
                        ask.answer(index)
                await turns()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            bad = results.pop(int(BAD))
            assert (type(bad), bad.said) == (type(error), "really bad")
            assert results == [echo(numbers(i)) for i in range(20) if i != BAD]
            assert joiner._line.empty

    run(main())


@pytest.mark.parametrize(
    "error",
    [
        Unreachable(TARGET, "down"),
        Overloaded(TARGET, "full"),
        ModelUnavailable(TARGET, "loading"),
        AccessDenied(TARGET, "who?"),
        DeadlineExceeded(TARGET, 99.0),
        ClientClosed(TARGET.url),
        KeyError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_server_is_everybodys(error) -> None:
    """Each has an exception object of its own, and nobody is asked again."""

    async def main():
        ask, joiner, _, waiting = await blocked(numbers(1), numbers(2), numbers(3))
        ask.answer(0)
        await turns()
        ask.fail(1, error)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [type(error)] * 3
        assert len({id(result) for result in [*results, error]}) == 4
        if isinstance(error, DeadlineExceeded):
            assert {result.timeout_s for result in results} == {LONG}
        assert ask.rows == [1, 3]
        assert joiner._line.empty

    run(main())


def test_an_answer_without_the_rows_fails_all() -> None:
    """Each with its own error."""

    async def main():
        ask, _, _, waiting = await blocked(numbers(1), numbers(2))
        ask.answer(0)
        await turns()
        ask.answer_with(1, echo(numbers(1)))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [UnexpectedAnswer] * 2
        assert results[0] is not results[1]

    run(main())


def test_a_call_that_waits_too_long_gives_up_its_place() -> None:
    """Its rows are not sent, its time-out is its own."""

    async def main():
        ask, joiner, _, waiting = await blocked(numbers(1), numbers(2))
        with pytest.raises(DeadlineExceeded, match="within 5 s"):
            await joiner.infer(numbers(3), passed())
        await ask.answer_all()
        assert ask.rows == [1, 2]
        assert len(await asyncio.gather(*waiting)) == 2

    run(main())


def test_a_member_that_is_late_does_not_end_the_batch() -> None:
    """It fails at once; the request has the latest deadline and answers the others."""

    async def main():
        ask, joiner, _, (patient,) = await blocked(numbers(1))
        (hasty,) = calls_of(joiner, numbers(2), deadline=Deadline.after(0.2))
        await turns()
        ask.answer(0)
        await turns()
        assert ask.rows == [1, 2]
        assert ask.deadlines[1].timeout_s == LONG
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            await hasty
        assert ask.open == [1]
        ask.answer(1)
        assert await patient == echo(numbers(1))

    run(main())


def test_a_request_that_all_gave_up_is_cancelled() -> None:
    """One that ignores its deadline, or whose callers were all cancelled, frees its slot."""

    async def main():
        ask, joiner, _, cancelled = await blocked(numbers(1), numbers(2))
        ask.answer(0)
        await turns()
        late = calls_of(joiner, numbers(3), numbers(4), deadline=Deadline.after(0.2))
        cancelled[0].cancel()
        await turns()
        assert ask.cancelled == 0
        cancelled[1].cancel()
        await turns()
        assert ask.cancelled == 1
        assert ask.rows == [1, 2, 2]
        results = await asyncio.gather(*late, return_exceptions=True)
        await turns()
        assert [type(result) for result in results] == [DeadlineExceeded] * 2
        assert ask.cancelled == 2
        assert joiner._line.empty

    run(main())


@pytest.mark.parametrize("sent_in_the_same_turn", [False, True])
def test_a_cancelled_call_is_not_sent(sent_in_the_same_turn) -> None:
    """Its neighbours are, even if it had no turn yet to leave the line."""

    async def main():
        ask, _, first, waiting = await blocked(numbers(1), numbers(2), numbers(3))
        if sent_in_the_same_turn:
            ask.answer(0)
            waiting[1].cancel()
        else:
            waiting[1].cancel()
            ask.answer(0)
        await turns()
        assert firsts(ask.requests[1][0]) == [1, 3]
        await ask.answer_all()
        assert waiting[1].cancelled()
        assert await asyncio.gather(first, waiting[0], waiting[2])

    run(main())


def test_cancelling_the_first_frees_its_slot() -> None:
    """The call that went past the line is cancelled itself; those behind it leave."""

    async def main():
        ask, _, first, waiting = await blocked(numbers(1), numbers(2))
        first.cancel()
        await turns()
        assert ask.cancelled == 1
        assert ask.rows == [1, 2]
        await ask.answer_all()
        assert len(await asyncio.gather(*waiting)) == 2

    run(main())


def test_a_cancelled_member_of_a_refused_batch_is_not_asked_again() -> None:
    """Whether it was cancelled before the refusal or after."""

    async def main():
        ask, joiner, _, waiting = await blocked(*(numbers(i) for i in range(20)))
        ask.answer(0)
        await turns()
        waiting[0].cancel()
        await turns()
        ask.fail(1, InputRefused(TARGET, "a bad row"))
        await turns()
        waiting[19].cancel()
        waiting[1].cancel()
        await ask.answer_all()
        asked = [firsts(tensors[0])[0] for tensors in ask.requests[2:]]
        assert sorted(asked) == list(range(1, 19))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[2:19] == [echo(numbers(i)) for i in range(2, 19)]
        assert ask.cancelled == 1
        assert joiner._line.empty

    run(main())


def test_a_thousand_calls_cancelled_at_once_leave_nothing_behind() -> None:
    """Waiting, sent or answered in the same turn; the next call is answered."""

    async def main():
        ask = AsyncAsk()
        joiner = coalescer(ask, in_flight=2)
        tasks = calls_of(joiner, *(numbers(i) for i in range(1000)))
        await turns()
        ask.answer(1)  # its callers are awake, but had no turn yet, when they are cancelled
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await turns()
        assert all(task.cancelled() for task in tasks)
        assert joiner._line.empty
        assert not joiner._tasks
        assert not ask.open
        (last,) = calls_of(joiner, numbers(7))
        await turns()
        await ask.answer_all()
        assert await last == echo(numbers(7))

    run(main())


def test_a_call_cancelled_as_its_batch_fails_is_silent() -> None:
    """Nobody looks at its error, and nothing is logged of that."""

    async def main():
        ask, joiner, _, waiting = await blocked(numbers(1), numbers(2))
        ask.answer(0)
        await turns()
        ask.fail(1, Unreachable(TARGET, "down"))
        await turns(1)
        for task in waiting:
            task.cancel()
        await turns()
        assert all(task.cancelled() for task in waiting)
        assert joiner._line.empty

    run(main())


@pytest.mark.parametrize("by", ["the loop", "the transport"])
def test_a_request_that_is_cancelled_by_somebody_else_fails_its_callers(by) -> None:
    """As gRPC does when its channel is closed; nobody waits for ever."""

    async def main():
        ask, joiner, _, waiting = await blocked(numbers(1), numbers(2))
        ask.answer(0)
        await turns()
        if by == "the loop":
            for task in joiner._tasks:
                task.cancel()
        else:
            ask.fail(1, asyncio.CancelledError())
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [InferenceFailed] * 2
        await turns()
        assert joiner._line.empty

    run(main())


def test_a_request_cancelled_before_it_began_frees_its_slot() -> None:
    """Its coroutine never runs, so the slot must not depend on it."""

    async def main():
        ask, joiner, _, waiting = await blocked(numbers(1), numbers(2))
        ask.answer(0)
        await turns(1)
        assert joiner._tasks
        for task in (*waiting, *joiner._tasks):
            task.cancel()
        await turns()
        assert ask.rows == [1]
        assert joiner._line.empty

    run(main())


def test_closing_answers_what_was_taken() -> None:
    """Under way or waiting, the refused one by one; what comes later is refused."""

    async def main():
        ask, joiner, first, waiting = await blocked(numbers(1), numbers(2))
        closing = asyncio.ensure_future(joiner.aclose())
        await turns()
        with pytest.raises(ClientClosed):
            await joiner.infer(numbers(3), soon())
        ask.answer(0)
        await turns()
        ask.fail(1, InputRefused(TARGET, "a bad row"))
        await turns()
        assert not closing.done()
        await ask.answer_all()
        assert closing.done()
        assert await first == echo(numbers(-1))
        assert await asyncio.gather(*waiting) == [echo(numbers(1)), echo(numbers(2))]
        await joiner.aclose()

    run(main())


def test_closing_ends_when_the_last_that_waits_gives_up() -> None:
    """Also if nobody is answered."""

    async def main():
        _, joiner, first, waiting = await blocked(numbers(1), numbers(2))
        closing = [asyncio.ensure_future(joiner.aclose()) for _ in range(2)]
        await turns()
        for task in (*waiting, first):
            task.cancel()
        await asyncio.gather(*closing)
        assert joiner._line.empty

    run(main())


def test_closing_without_draining_fails_what_waits_or_was_sent_together() -> None:
    """With an error of each one's own; another close that drains ends, too."""

    async def main():
        ask = AsyncAsk()
        joiner = coalescer(ask, in_flight=2)
        first, *sent = calls_of(joiner, *(numbers(i) for i in range(3)))
        await turns()
        waiting = calls_of(joiner, *(numbers(i) for i in range(100)))
        await turns()
        assert ask.rows == [1, 2]
        draining = asyncio.ensure_future(joiner.aclose())
        await turns()
        await joiner.aclose(drain=False)
        results = await asyncio.gather(*sent, *waiting, return_exceptions=True)
        assert {type(result) for result in results} == {ClientClosed}
        assert len({id(result) for result in results}) == 102
        assert ask.cancelled == 1
        assert not draining.done()  # it waits for the first call, which is its own caller's
        ask.answer(0)
        assert await first == echo(numbers(0))
        await draining

    run(main())


def test_a_second_event_loop_is_told_so() -> None:
    """Instead of a wait for ever, whether the first is closed or not."""

    async def ask(tensors, _deadline):
        return echo(tensors)

    joiner = coalescer(ask)
    asyncio.run(joiner.infer(numbers(1), soon()))
    with pytest.raises(RuntimeError, match="one client per event loop"):
        asyncio.run(joiner.infer(numbers(2), soon()))
    asyncio.run(joiner.aclose())


@pytest.mark.parametrize("first_answered", [False, True])
def test_calls_that_a_closed_loop_left_behind_do_not_hold_up_anything(first_answered) -> None:
    """Closing from another loop returns, and their coroutines are collected in silence."""

    async def begin():
        ask, joiner, first, waiting = await blocked(numbers(1))
        if first_answered:
            ask.answer(0)
        await turns()
        waiting += calls_of(joiner, numbers(2))
        await turns()
        return joiner, [first, *waiting]

    loop = asyncio.new_event_loop()
    joiner, tasks = loop.run_until_complete(begin())

    with pytest.raises(RuntimeError, match="one client per event loop"):
        asyncio.run(joiner.aclose())
    loop.close()
    asyncio.run(joiner.aclose())
    for task in (*tasks, *joiner._tasks):
        task._log_destroy_pending = False
    del tasks, joiner, task
    gc.collect()  # anything that is raised here is a warning, and so an error


def test_a_request_is_sent_in_the_context_of_its_first_caller() -> None:
    """So that its span belongs to a trace that is still going on, not to a past one."""
    trace = contextvars.ContextVar("trace", default="none")

    async def main():
        seen = []

        async def ask(tensors, _deadline):
            seen.append(trace.get())
            await turns(1)
            return echo(tensors)

        joiner = coalescer(ask)

        async def caller(name):
            trace.set(name)
            await joiner.infer(numbers(1), soon())

        await asyncio.gather(*(caller(name) for name in ("a", "b", "c")))
        assert seen == ["a", "b"]

    run(main())


def test_every_request_is_counted() -> None:
    """Those past the line, joined ones, and those that are asked again."""

    async def main():
        told = []
        ask, _, _, waiting = await blocked(
            numbers(1), numbers(2, 3), on_batch=lambda calls, rows: told.append((calls, rows))
        )
        ask.answer(0)
        await turns()
        ask.fail(1, InputRefused(TARGET, "a bad row"))
        await turns()
        await ask.answer_all()
        await asyncio.gather(*waiting)
        assert told == [(1, 1), (2, 3), (1, 1), (1, 2)]

    run(main())


def test_a_failed_batch_leaves_no_garbage() -> None:
    """Exceptions hold frames, which hold calls, which hold exceptions: such circles would grow."""

    async def main():
        errors = []

        def tensors_alive() -> int:
            return sum(type(thing) is Tensor for thing in gc.get_objects())

        async def ask(_tensors, _deadline):
            await turns(3)
            raise Unreachable(TARGET, "down")

        joiner = coalescer(ask)
        gc.collect()
        gc.disable()
        before = tensors_alive()
        try:
            for task in calls_of(joiner, *(numbers(i) for i in range(9))):
                try:
                    await task
                except Unreachable as error:
                    errors.append(weakref.ref(error))
                del task
            await turns()
            assert tensors_alive() == before
            assert [reference() for reference in errors] == [None] * 9
        finally:
            gc.enable()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_change_nothing() -> None:
    """A request that is answered before its task is known does not confuse the slots."""

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await torture(seed=3, calls=500)

    run(main())


class Unruly:
    """Callers of all kinds and sizes, some with bad rows, and a server with moods."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def limit(self) -> int:
        return self._chance.randrange(1, 40)

    def call(self, number: int) -> Sequence[Tensor]:
        """The rows of a caller, which no other has."""
        make = self._chance.choice(KINDS)
        rows = [number * 8 + 100 + i for i in range(self._chance.randrange(1, 5))]
        if make is texts:
            return texts(*map(str, rows))
        return make(*rows, *[BAD] * (self._chance.random() < 0.02))

    def serve(self, tensors: Sequence[Tensor]) -> Answer:
        if is_bad(tensors):
            raise InputRefused(TARGET, "a bad row")
        if self._chance.random() < 0.02:
            raise Unreachable(TARGET, "a hiccup")
        return echo(tensors)

    def sometimes(self, probability: float) -> bool:
        return self._chance.random() < probability

    def one_of(self, choices):
        return self._chance.choice(choices)


def is_bad(tensors: Sequence[Tensor]) -> bool:
    return tensors[0].name == "X" and BAD in firsts(tensors[0])


async def torture(seed: int, calls: int) -> None:
    """Let callers come, and some be cancelled; each must get its own."""
    unruly = Unruly(seed)

    async def ask(tensors, _deadline):
        await turns(unruly.one_of(range(4)))
        return unruly.serve(tensors)

    joiner = AsyncCoalescer(ask, target=TARGET, max_rows=unruly.limit, in_flight=3)

    async def caller(number):
        await turns(unruly.one_of(range(5)))
        tensors = unruly.call(number)
        try:
            answer = await joiner.infer(tensors, soon())
        except (InputRefused, Unreachable) as error:
            return "bad" if isinstance(error, InputRefused) and is_bad(tensors) else type(error)
        return "own" if answer == echo(tensors) else "wrong"

    tasks = [asyncio.ensure_future(caller(number)) for number in range(calls)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        for _ in range(10):
            unruly.one_of(tasks).cancel()
    results = Counter(await asyncio.gather(*tasks, return_exceptions=True))
    await joiner.aclose()
    assert joiner._line.empty
    assert not joiner._tasks
    kinds = Counter({"cancelled": 0})
    for result, count in results.items():
        kinds["cancelled" if isinstance(result, asyncio.CancelledError) else result] += count
    assert set(kinds) == {"own", "bad", Unreachable, "cancelled"}
    assert kinds["own"] > calls // 2


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_interleaved_calls_each_get_their_own(seed) -> None:
    """Whatever the sizes, kinds, refusals, failures and cancellations around them."""
    run(torture(seed, calls=3000))


# --- Threads ---------------------------------------------------------------------------------


class ThreadAsk:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.requests: list[Sequence[Tensor]] = []
        self.deadlines: list[Deadline] = []
        self._lock = threading.Lock()
        self._outcomes: list[Answer | BaseException | None] = []
        self._told: list[threading.Event] = []

    def __call__(self, tensors: Sequence[Tensor], deadline: Deadline) -> Answer:
        with self._lock:
            index = len(self.requests)
            self.requests.append(tensors)
            self.deadlines.append(deadline)
            self._outcomes.append(None)
            self._told.append(threading.Event())
        assert self._told[index].wait(LONG)
        outcome = self._outcomes[index]
        if isinstance(outcome, BaseException):
            raise outcome
        assert outcome is not None
        return outcome

    @property
    def rows(self) -> list[int]:
        return [tensors[0].shape[0] for tensors in self.requests]

    def tell(self, index: int, outcome: BaseException | None = None) -> None:
        eventually(lambda: len(self._told) > index)
        self._outcomes[index] = echo(self.requests[index]) if outcome is None else outcome
        self._told[index].set()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the test's time-out ends it if it never does."""
    while not holds():
        time.sleep(0.0005)


class Callers:
    """Threads that call, one at a time so that their order is known."""

    def __init__(self, **settings) -> None:
        self.ask = ThreadAsk()
        settings = {"max_rows": 64, "in_flight": 1, **settings}
        self.joiner = ThreadCoalescer(self.ask, target=TARGET, **settings)
        self._pool = ThreadPoolExecutor(40)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def begin(self, tensors, deadline: Deadline | None = None):
        before = (len(self.joiner._line._waiting), len(self.ask.requests))
        future = self._pool.submit(self.joiner.infer, tensors, deadline or soon())
        eventually(lambda: (len(self.joiner._line._waiting), len(self.ask.requests)) != before)
        return future

    def submit(self, function, *arguments):
        return self._pool.submit(function, *arguments)


def test_threads_behind_a_request_leave_together() -> None:
    """Each gets its own rows."""
    with Callers() as callers:
        futures = [callers.begin(x) for x in (numbers(0), numbers(1), numbers(2, 3))]
        callers.ask.tell(0)
        callers.ask.tell(1)
        assert [f.result() for f in futures] == [
            echo(numbers(0)), echo(numbers(1)), echo(numbers(2, 3)),
        ]  # fmt: skip
        assert callers.ask.rows == [1, 3]
        assert callers.joiner._line.empty


def test_an_idle_thread_asks_itself() -> None:
    """No other thread stands between."""
    asked_by = []

    def ask(tensors, _deadline):
        asked_by.append(threading.get_ident())
        return echo(tensors)

    joiner = ThreadCoalescer(ask, target=TARGET, max_rows=8)
    assert joiner.infer(numbers(1), soon()) == echo(numbers(1))
    assert asked_by == [threading.get_ident()]


def test_a_leader_whose_time_is_up_leads_all_the_same() -> None:
    """Nobody else has its slot; what it asks ends at once."""
    asked = []

    def ask(_tensors, deadline):
        asked.append(deadline)
        raise DeadlineExceeded(TARGET, deadline.timeout_s)

    joiner = ThreadCoalescer(ask, target=TARGET, max_rows=8)
    with pytest.raises(DeadlineExceeded, match="within 5 s"):
        joiner.infer(numbers(1), passed())
    assert len(asked) == 1
    assert joiner._line.empty


def test_a_failed_call_of_a_thread_leaves_no_garbage() -> None:
    """Its exception is freed with its last name, without the garbage collector."""

    def ask(_tensors, _deadline):
        raise Unreachable(TARGET, "down")

    joiner = ThreadCoalescer(ask, target=TARGET, max_rows=8)
    gc.collect()
    gc.disable()
    try:
        try:
            joiner.infer(numbers(1), soon())
        except Unreachable as error:
            freed = weakref.ref(error)
        assert freed() is None
    finally:
        gc.enable()


def test_the_leader_is_who_may_wait_longest() -> None:
    """So nobody is held in a request longer than its caller allowed."""
    with Callers() as callers:
        first = callers.begin(numbers(0))
        hasty = callers.begin(numbers(1), Deadline.after(0.2))
        patient = callers.begin(numbers(2), Deadline.after(2 * LONG))
        callers.ask.tell(0)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            hasty.result()
        callers.ask.tell(1)
        assert patient.result() == echo(numbers(2))
        assert first.result() == echo(numbers(0))
        assert callers.ask.rows == [1, 2]
        assert callers.ask.deadlines[1].timeout_s == 2 * LONG


def test_a_thread_that_waits_too_long_gives_up_its_place() -> None:
    """Its rows are not sent."""
    with Callers() as callers:
        first = callers.begin(numbers(0))
        with pytest.raises(DeadlineExceeded, match="within 5 s"):
            callers.joiner.infer(numbers(1), passed())
        assert callers.joiner._line.first is None
        callers.ask.tell(0)
        first.result()
        assert callers.ask.rows == [1]
        assert callers.joiner._line.empty


def test_a_bad_row_fails_only_its_thread() -> None:
    """The others are asked one by one, in their own threads."""
    with Callers() as callers:
        futures = [callers.begin(numbers(i)) for i in (0, 1, BAD, 3)]
        callers.ask.tell(0)
        callers.ask.tell(1, InputRefused(TARGET, "a bad row"))
        for index in (2, 3, 4):
            eventually(lambda: len(callers.ask.requests) == 5)
            bad = firsts(callers.ask.requests[index][0]) == [BAD]
            callers.ask.tell(index, InputRefused(TARGET, "really bad") if bad else None)
        with pytest.raises(InputRefused, match="really bad"):
            futures[2].result()
        assert [futures[i].result() for i in (0, 1, 3)] == [echo(numbers(i)) for i in (0, 1, 3)]
        assert callers.ask.rows == [1, 3, 1, 1, 1]


@pytest.mark.parametrize("error", [Unreachable(TARGET, "down"), DeadlineExceeded(TARGET, 1.0)])
def test_threads_share_an_error_of_the_server_but_no_exception(error) -> None:
    """A shared one would grow with every raise."""
    with Callers() as callers:
        futures = [callers.begin(numbers(i)) for i in range(4)]
        callers.ask.tell(0)
        callers.ask.tell(1, error)
        errors = [future.exception() for future in futures[1:]]
        assert [type(e) for e in errors] == [type(error)] * 3
        assert len({id(e) for e in [*errors, error]}) == 4
        assert callers.joiner._line.empty


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_leader_strands_nobody(interrupt) -> None:
    """Another member asks for those that are left."""
    with Callers() as callers:
        futures = [callers.begin(numbers(i)) for i in range(4)]

        def caught(future):
            try:
                return future.result()
            except interrupt:
                return "interrupted"

        callers.ask.tell(0)
        callers.ask.tell(1, interrupt())
        callers.ask.tell(2)
        results = [caught(future) for future in futures]
        assert results.count("interrupted") == 1
        assert [r for r in results if r != "interrupted"] == [
            echo(numbers(i)) for i, r in enumerate(results) if r != "interrupted"
        ]
        assert callers.ask.rows == [1, 3, 2]
        assert callers.joiner._line.empty


def test_an_interrupted_call_that_was_alone_frees_its_slot() -> None:
    """Those behind it leave."""
    with Callers() as callers:
        first, second = callers.begin(numbers(0)), callers.begin(numbers(1))
        callers.ask.tell(0, KeyboardInterrupt())
        callers.ask.tell(1)
        with pytest.raises(KeyboardInterrupt):
            first.result()
        assert second.result() == echo(numbers(1))


def test_ctrl_c_ends_the_sleep_of_a_follower() -> None:
    """A real signal in the main thread; its rows are not sent."""
    with Callers() as callers:
        first = callers.begin(numbers(0))
        main = threading.get_ident()

        def interrupt():
            eventually(lambda: len(callers.joiner._line._waiting) == 1)
            signal.pthread_kill(main, signal.SIGINT)

        interrupting = callers.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            callers.joiner.infer(numbers(1), soon())
        interrupting.result()
        assert callers.joiner._line.first is None
        callers.ask.tell(0)
        assert first.result() == echo(numbers(0))
        assert callers.ask.rows == [1]
        assert callers.joiner._line.empty


def test_a_leader_that_leaves_before_it_asked_names_another() -> None:
    """The interrupt came between its call to lead and its request."""
    with Callers() as callers:
        first = callers.begin(numbers(0))
        second = callers.begin(numbers(1))
        (other,) = callers.joiner._line._waiting
        gone = type(other)(numbers(2), Deadline.after(2 * LONG))
        with callers.joiner._lock:
            callers.joiner._line.add(gone, 0.0)
        callers.ask.tell(0)
        eventually(lambda: gone.leads is not None)
        with callers.joiner._lock:
            callers.joiner._leave(gone)
        callers.ask.tell(1)
        assert second.result() == echo(numbers(1))
        assert first.result() == echo(numbers(0))
        assert callers.joiner._line.empty


def test_an_interrupt_while_answers_are_handed_out_wakes_who_has_one(monkeypatch) -> None:
    """The follower has its answer already, but its bell did not ring."""

    def interrupted(caller, outcome):
        caller.outcome = outcome
        raise KeyboardInterrupt

    with Callers() as callers:
        first = callers.begin(numbers(0))
        follower = callers.begin(numbers(1))
        leader = callers.begin(numbers(2), Deadline.after(2 * LONG))
        callers.ask.tell(0)
        assert first.result() == echo(numbers(0))
        eventually(lambda: len(callers.ask.requests) == 2)
        monkeypatch.setattr(_coalescer_threads, "_settle", interrupted)
        callers.ask.tell(1)
        with pytest.raises(KeyboardInterrupt):
            leader.result()
        assert follower.result() == echo(numbers(1))
        assert callers.joiner._line.empty


@pytest.mark.parametrize("first_gives_up", [False, True])
def test_a_pause_for_more_calls_ends_by_itself(monkeypatch, first_gives_up) -> None:
    """Also if it begins when a slot becomes free, and the first in line gives up meanwhile."""
    monkeypatch.setattr(_coalescing, "MAX_DELAY_S", 1.0)
    with Callers(in_flight=2, delay_s=0.3) as callers:
        futures = [callers.begin(numbers(i)) for i in range(2)]
        eventually(lambda: len(callers.ask.requests) == 2)
        if first_gives_up:
            hasty = callers.begin(numbers(2), Deadline.after(0.2))
        futures.append(callers.begin(numbers(3)))
        callers.ask.tell(0)
        if first_gives_up:
            assert isinstance(hasty.exception(), DeadlineExceeded)
        callers.ask.tell(2)
        callers.ask.tell(1)
        assert [f.result() for f in futures] == [echo(numbers(i)) for i in (0, 1, 3)]
        assert callers.joiner._line.empty


def test_closing_waits_for_threads_under_way() -> None:
    """Those in line are answered, those that come later are refused."""
    with Callers() as callers:
        futures = [callers.begin(numbers(i)) for i in range(3)]
        closing = callers.submit(callers.joiner.close)
        eventually(lambda: callers.joiner._closed)
        with pytest.raises(ClientClosed):
            callers.joiner.infer(numbers(9), soon())
        callers.ask.tell(0)
        eventually(lambda: len(callers.ask.requests) == 2)
        assert not closing.done()
        callers.ask.tell(1)
        closing.result()
        assert [future.result() for future in futures] == [echo(numbers(i)) for i in range(3)]
        assert callers.joiner._line.empty


def test_closing_without_draining_fails_threads_that_wait() -> None:
    """Those under way get what their request gets; a refused batch is not asked again."""
    with Callers() as callers:
        first = callers.begin(numbers(0))
        sent = [callers.begin(numbers(i)) for i in range(1, 3)]
        callers.ask.tell(0)
        eventually(lambda: len(callers.ask.requests) == 2)
        waiting = [callers.begin(numbers(i)) for i in range(3, 6)]
        draining = callers.submit(callers.joiner.close)
        eventually(lambda: callers.joiner._closed)
        callers.joiner.close(drain=False)
        draining.result()
        errors = [future.exception() for future in waiting]
        assert [type(error) for error in errors] == [ClientClosed] * 3
        assert len({id(error) for error in errors}) == 3
        callers.ask.tell(1, InputRefused(TARGET, "a bad row"))
        assert [type(future.exception()) for future in sent] == [InputRefused] * 2
        assert first.result() == echo(numbers(0))
        assert callers.ask.rows == [1, 2]


@pytest.mark.parametrize("delay_s", [0.0, 0.002])
def test_threads_that_begin_at_once_each_get_their_own(delay_s) -> None:
    """Under refusals, failures and interrupts, through a barrier, with a delay and without."""
    unruly = Unruly(7)
    requests = []

    def ask(tensors, _deadline):
        time.sleep(0)
        if unruly.sometimes(0.02):
            raise KeyboardInterrupt
        return unruly.serve(tensors)

    joiner = ThreadCoalescer(
        ask,
        target=TARGET,
        max_rows=9,
        delay_s=delay_s,
        on_batch=lambda calls, rows: requests.append((calls, rows)),
    )
    barrier = threading.Barrier(24)

    def outcome(tensors):
        try:
            answer = joiner.infer(tensors, soon())
        except (InputRefused, Unreachable, KeyboardInterrupt) as error:
            return "bad" if isinstance(error, InputRefused) and is_bad(tensors) else type(error)
        return "own" if answer == echo(tensors) else "wrong"

    def caller(number):
        calls = Unruly(number)
        barrier.wait()
        return [outcome(calls.call(number * 100 + i)) for i in range(40)]

    with ThreadPoolExecutor(24) as pool:
        outcomes = Counter(itertools.chain(*pool.map(caller, range(24))))
    joiner.close()
    assert set(outcomes) == {"own", "bad", Unreachable, KeyboardInterrupt}
    assert outcomes["own"] > 24 * 40 // 2
    assert any(calls > 1 for calls, _ in requests)
    assert all(rows <= 9 for _, rows in requests)
    assert joiner._line.empty


def test_errors_of_threads_are_calls_that_failed() -> None:
    """What this module raises itself is of the package's tree."""
    with Callers() as callers:
        futures = [callers.begin(numbers(i)) for i in range(3)]
        callers.ask.tell(0)
        eventually(lambda: len(callers.ask.requests) == 2)
        callers.ask._outcomes[1] = echo(numbers(1))
        callers.ask._told[1].set()
        assert all(isinstance(future.exception(), CallFailed) for future in futures[1:])

"""Coalescing for asyncio: concurrent small calls of one model become one request."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from geulpi_client._coalescing import Batch, Line, Waiting, own_error, rows_of_call
from geulpi_client._deadline import Deadline
from geulpi_client._errors import ClientClosed, DeadlineExceeded, InferenceFailed, Target
from geulpi_client._home_async import Home
from geulpi_client._messages import Answer
from geulpi_client._tensors import Tensor

Ask = Callable[[Sequence[Tensor], Deadline], Awaitable[Answer]]


class _Caller(Waiting):
    __slots__ = ("answer", "context", "request")

    def __init__(
        self,
        tensors: Sequence[Tensor],
        deadline: Deadline,
        answer: asyncio.Future[Answer],
        *,
        checked: bool,
    ) -> None:
        super().__init__(tensors, deadline, checked=checked)
        self.answer = answer
        # A request belongs to several traces; it is sent in the context of its first caller.
        self.context = contextvars.copy_context()
        self.request: _Request | None = None


@dataclass(slots=True, eq=False)
class _Request:
    """A batch that was sent: how many callers still want the answer, and the task that asks."""

    wanted_by: int
    task: asyncio.Task[None] | None = field(default=None, init=False)

    def given_up(self) -> None:
        """Cancel it, and so the server's work, when nobody is left."""
        self.wanted_by -= 1
        if not self.wanted_by and self.task is not None:
            self.task.cancel()


class AsyncCoalescer:
    """Joins the concurrent calls of one model, within one event loop.

    `ask` sends one request and keeps to its deadline. `max_rows` is how many rows a request may
    have, or tells it anew each time. At most `in_flight` requests are under way at a time; further
    calls wait for the first to end and leave together. With a delay, 0 to 0.002 s, a batch that is
    not full waits that long for more calls, but never while the server has nothing to do.
    `on_batch` is told the calls and rows of every request. `checked` is whether the tensors are
    known to hold the rows that they claim; they are looked at if not.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        target: Target,
        max_rows: Callable[[], int] | int,
        delay_s: float = 0.0,
        in_flight: int = 2,
        on_batch: Callable[[int, int], None] | None = None,
        checked: bool = False,
    ) -> None:
        self._ask = ask
        self._target = target
        self._on_batch = on_batch
        self._checked = checked
        self._line: Line[_Caller] = Line(max_rows=max_rows, delay_s=delay_s, in_flight=in_flight)
        self._home: Home | None = None
        self._loop: asyncio.AbstractEventLoop
        self._alive: dict[_Caller, None] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = math.inf
        self._tasks: set[asyncio.Task[None]] = set()
        self._send_soon: asyncio.Handle | None = None
        self._send_later: asyncio.TimerHandle | None = None
        self._closed = False
        self._changed: asyncio.Future[None] | None = None

    async def infer(self, tensors: Sequence[Tensor], deadline: Deadline) -> Answer:
        """Return the answer to these rows, asked together with those of other callers.

        Raises:
            GeulpiError: what `ask` raised, `DeadlineExceeded` for this call's own deadline,
                `UnexpectedAnswer` for an answer that does not hold the rows that were asked.
            ClientClosed: the coalescer was closed.
            RuntimeError: it is used from a second event loop.
        """
        if self._home is None or not self._home.is_here():
            self._bind()
        if self._closed:
            raise ClientClosed(self._target.url)
        line = self._line
        if line.idle:
            # The caller's own task asks: neither a future nor another task stands between.
            line.take_slot()
            try:
                if self._on_batch is not None:
                    self._on_batch(1, rows_of_call(tensors))
                return await self._ask(tensors, deadline)
            finally:
                line.free_slot()
                if self._closed or not line.empty:
                    self._send()
        loop = self._loop
        caller = _Caller(tensors, deadline, loop.create_future(), checked=self._checked)
        line.add(caller, loop.time())
        self._alive[caller] = None
        if deadline.at_s < self._alarm_at_s:
            self._set_alarm(deadline.at_s)
        if line.has_room and self._send_soon is None:
            # Callers that a batch woke come back one after another within this turn of the loop;
            # at its end they leave together.
            self._send_soon = loop.call_soon(self._send)
        try:
            return await caller.answer
        finally:
            self._alive.pop(caller, None)
            if not caller.answer.done() or caller.answer.cancelled():
                self._give_up(caller)
            del caller  # it holds the exception, whose traceback holds this frame

    async def aclose(self, *, drain: bool = True) -> None:
        """Take no more calls, and return when none is under way.

        Those that were taken are still answered, each within its deadline. Without draining, those
        that wait or were sent together fail with `ClientClosed`.

        Raises:
            RuntimeError: calls are under way in another event loop.
        """
        self._closed = True
        if self._home is None:
            return
        if not self._home.is_here():
            if not self._home.is_gone() and not self._line.empty:
                raise RuntimeError(_OTHER_LOOP)
            return  # a closed loop has nobody left who waits
        if not drain:
            for caller in self._line.clear():
                self._fail(caller, ClientClosed(self._target.url))
            for task in self._tasks:
                task.cancel()
        while not self._line.empty if drain else self._tasks:
            self._changed = self._changed or self._loop.create_future()
            await asyncio.shield(self._changed)
        if self._alarm is not None:
            self._alarm.cancel()

    def _bind(self) -> None:
        if self._home is not None:
            raise RuntimeError(_OTHER_LOOP)
        self._home = Home()
        self._loop = asyncio.get_running_loop()

    def _set_alarm(self, at_s: float) -> None:
        """Look at the deadlines then: one alarm for all callers, not one for each."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at_s = at_s
        self._alarm = self._loop.call_later(max(0.0, at_s - time.monotonic()), self._look)

    def _look(self) -> None:
        """Expire the callers whose deadline has passed, and look again at the next one."""
        self._alarm, self._alarm_at_s = None, math.inf
        now_s = time.monotonic()
        for caller in [caller for caller in self._alive if caller.deadline.at_s <= now_s]:
            del self._alive[caller]
            self._expire(caller)
        if self._alive:
            self._set_alarm(min(caller.deadline.at_s for caller in self._alive))

    def _send(self) -> None:
        """Send what may leave, and see to what must wait a little."""
        loop = self._loop
        if loop.is_closed():
            return
        for handle in (self._send_soon, self._send_later):
            if handle is not None:
                handle.cancel()
        self._send_soon = self._send_later = None
        while (batch := self._line.next_batch(loop.time())) is not None:
            # A caller that was cancelled in this turn of the loop has not left the line yet.
            batch.members = [caller for caller in batch.members if not caller.answer.done()]
            if batch.members:
                self._start(batch, loop)
            else:
                self._line.finished(batch)
        pause_s = self._line.pause_s(loop.time())
        if pause_s:
            self._send_later = loop.call_later(pause_s, self._send)
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None

    def _start(self, batch: Batch[_Caller], loop: asyncio.AbstractEventLoop) -> None:
        request = _Request(len(batch.members))
        for caller in batch.members:
            caller.request = request
        request.task = task = loop.create_task(self._run(batch), context=batch.members[0].context)
        self._tasks.add(task)
        # Its callbacks run after the callers that it woke: those that call again at once are in
        # line before the slot is free, and leave together instead of the first one alone.
        task.add_done_callback(lambda task: self._finish(batch, request, task))

    async def _run(self, batch: Batch[_Caller]) -> None:
        try:
            if self._on_batch is not None:
                self._on_batch(len(batch.members), batch.rows)
            answers = batch.split(await self._ask(batch.tensors, batch.deadline), self._target)
        except Exception as error:  # noqa: BLE001 -- whatever it is, each caller gets it
            self._failed(batch, error)
            return
        for caller, answer in zip(batch.members, answers, strict=True):
            if not caller.answer.done():
                caller.answer.set_result(answer)

    def _failed(self, batch: Batch[_Caller], error: Exception) -> None:
        alive = [caller for caller in batch.members if not caller.answer.done()]
        if self._line.asks_again(batch, alive, error):
            for caller in alive:
                caller.request = None
        else:
            for caller in alive:
                self._fail(caller, own_error(error, caller.deadline))

    def _finish(self, batch: Batch[_Caller], request: _Request, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever has neither an answer nor a place in line belongs to a task that was cancelled:
        # by us because nobody is left, or when we were closed, or by somebody else.
        for caller in batch.members:
            if caller.request is request and not caller.answer.done():
                self._fail(caller, self._cancelled())
        self._line.finished(batch)
        self._send()

    def _cancelled(self) -> Exception:
        if self._closed:
            return ClientClosed(self._target.url)
        return InferenceFailed(self._target, "the request was cancelled")

    def _expire(self, caller: _Caller) -> None:
        if not caller.answer.done():
            self._fail(caller, DeadlineExceeded(self._target, caller.deadline.timeout_s))
            self._give_up(caller)

    def _fail(self, caller: _Caller, error: Exception) -> None:
        if not caller.answer.done():
            caller.answer.set_exception(error)

    def _give_up(self, caller: _Caller) -> None:
        """Leave the line, or the request that is under way."""
        if self._loop.is_closed():
            return  # the caller is collected with its loop; there is nobody to tell
        if caller.request is not None:
            caller.request.given_up()
        else:
            self._line.remove(caller)


_OTHER_LOOP = (
    "This client was first used in another event loop, to which its connections belong.\n"
    "Remedy: make one client per event loop, such as within the coroutine given to asyncio.run."
)

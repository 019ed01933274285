"""Coalescing for threads: concurrent small calls of one model become one request.

There is no thread of its own: the callers lead and follow. One of the members of each batch asks
for all of them, while the others sleep until their answer or their deadline comes; then it hands
the slot on to a member of the next batch. The leader is the member with the latest deadline, so
that nobody is held in a request longer than the caller allowed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from geulpi_client._coalescing import Batch, Line, Waiting, own_error, rows_of_call
from geulpi_client._deadline import Deadline
from geulpi_client._errors import ClientClosed, DeadlineExceeded, Target
from geulpi_client._messages import Answer
from geulpi_client._tensors import Tensor

Ask = Callable[[Sequence[Tensor], Deadline], Answer]


class _Caller(Waiting):
    """A call and its thread, which sleeps until the bell rings; the lock guards the rest.

    Whoever minds the pause sleeps no longer than it lasts, and then sends the batch.
    """

    __slots__ = ("bell", "leads", "minds_pause", "outcome")

    def __init__(
        self, tensors: Sequence[Tensor], deadline: Deadline, *, checked: bool = False
    ) -> None:
        super().__init__(tensors, deadline, checked=checked)
        self.bell = threading.Event()
        self.outcome: Answer | Exception | None = None
        self.leads: Batch[_Caller] | None = None
        self.minds_pause = False


class ThreadCoalescer:
    """Joins the concurrent calls of one model, from any threads.

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
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._closed = False
        self._dropping = False

    def infer(self, tensors: Sequence[Tensor], deadline: Deadline) -> Answer:
        """Return the answer to these rows, asked together with those of other callers.

        Raises:
            GeulpiError: what `ask` raised, `DeadlineExceeded` for this call's own deadline,
                `UnexpectedAnswer` for an answer that does not hold the rows that were asked.
            ClientClosed: the coalescer was closed.
        """
        if self._takes_slot():
            try:
                if self._on_batch is not None:
                    self._on_batch(1, rows_of_call(tensors))
                return self._ask(tensors, deadline)
            finally:
                with self._lock:
                    self._line.free_slot()
                    self._dispatch()
        caller = _Caller(tensors, deadline, checked=self._checked)
        try:
            self._join_line(caller)
            outcome = self._outcome(caller)
        except BaseException:
            # An interrupt, such as Ctrl-C: this caller goes, and whoever relies on it must not
            # wait in vain.
            with self._lock:
                self._leave(caller)
            raise
        if isinstance(outcome, Answer):
            return outcome
        try:
            raise outcome
        finally:
            del outcome, caller  # its traceback holds this frame

    def close(self, *, drain: bool = True) -> None:
        """Take no more calls, and return when none is under way.

        Those that were taken are still answered, each within its deadline. Without draining, those
        that wait fail with `ClientClosed`, and those under way are not waited for.
        """
        with self._lock:
            self._closed = True
            if not drain:
                self._dropping = True
                for caller in self._line.clear():
                    _settle(caller, ClientClosed(self._target.url))
            self._changed.notify_all()
            while not (self._dropping or self._line.empty):
                self._changed.wait()

    def _takes_slot(self) -> bool:
        """Return whether nobody else is there: then the call is a request, without more ado."""
        with self._lock:
            alone = self._line.idle and not self._closed
            if alone:
                self._line.take_slot()
            return alone

    def _join_line(self, caller: _Caller) -> None:
        with self._lock:
            if self._closed:
                raise ClientClosed(self._target.url)
            self._line.add(caller, time.monotonic())

    def _outcome(self, caller: _Caller) -> Answer | Exception:
        """Sleep, and lead when it is this caller's turn, until there is an outcome."""
        while True:
            with self._lock:
                if caller.outcome is None:
                    self._dispatch()
                    if caller.leads is None and caller.deadline.remaining_s() <= 0:
                        self._expire(caller)
                if caller.outcome is not None:
                    return caller.outcome
                batch = caller.leads
                nap_s = self._nap_s(caller)
                caller.bell.clear()
            if batch is not None:
                self._send(caller, batch)
            else:
                caller.bell.wait(nap_s)

    def _nap_s(self, caller: _Caller) -> float:
        """Return how long to sleep: the first in line wakes in time to end a pause for more."""
        first = self._line.first is caller
        pause_s = self._line.pause_s(time.monotonic()) if first else 0.0
        caller.minds_pause = pause_s > 0
        return min(pause_s or caller.deadline.remaining_s(), threading.TIMEOUT_MAX)

    def _send(self, caller: _Caller, batch: Batch[_Caller]) -> None:
        """Ask for a batch as its leader, and hand out what came; an interrupt is `_leave`'s."""
        try:
            if self._on_batch is not None:
                self._on_batch(len(batch.members), batch.rows)
            answers = batch.split(self._ask(batch.tensors, batch.deadline), self._target)
        except Exception as error:  # noqa: BLE001 -- whatever it is, each caller gets it
            with self._lock:
                self._failed(batch, error)
                self._finish(caller, batch)
        else:
            with self._lock:
                for member, answer in zip(batch.members, answers, strict=True):
                    _settle(member, answer)
                self._finish(caller, batch)

    # The methods below are called with the lock held.

    def _dispatch(self) -> None:
        """Name a leader for every batch that may leave now."""
        now_s = time.monotonic()
        while (batch := self._line.next_batch(now_s)) is not None:
            self._lead(batch)
        first = self._line.first
        if first is not None and not first.minds_pause and self._line.pause_s(now_s):
            first.bell.set()
        if self._closed:
            self._changed.notify_all()

    def _lead(self, batch: Batch[_Caller]) -> None:
        batch.members = [member for member in batch.members if member.outcome is None]
        if not batch.members:
            self._line.finished(batch)
            return
        leader = max(batch.members, key=lambda member: member.deadline.at_s)
        leader.leads = batch
        leader.bell.set()

    def _failed(self, batch: Batch[_Caller], error: Exception) -> None:
        alive = [member for member in batch.members if member.outcome is None]
        if self._dropping or not self._line.asks_again(batch, alive, error):
            for member in alive:
                _settle(member, own_error(error, member.deadline))

    def _finish(self, leader: _Caller, batch: Batch[_Caller]) -> None:
        self._line.finished(batch)
        leader.leads = None
        self._dispatch()

    def _expire(self, caller: _Caller) -> None:
        self._line.remove(caller)
        caller.outcome = DeadlineExceeded(self._target, caller.deadline.timeout_s)
        self._dispatch()

    def _leave(self, caller: _Caller) -> None:
        """Forget a caller; another member leads what it led."""
        self._line.remove(caller)
        caller.outcome = caller.outcome or _INTERRUPTED
        if caller.leads is not None:
            for member in caller.leads.members:
                member.bell.set()  # the interrupt may have come before theirs rang
            if not caller.leads.over:
                self._lead(caller.leads)
        self._dispatch()


_INTERRUPTED: Final = RuntimeError("its caller was interrupted")
"""The outcome of a call that nobody waits for; it is never raised."""


def _settle(caller: _Caller, outcome: Answer | Exception) -> None:
    if caller.outcome is None:
        caller.outcome = outcome
        caller.bell.set()

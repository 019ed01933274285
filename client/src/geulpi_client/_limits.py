"""How many requests are in flight at a time, and who waits for a place.

A client without a limit turns a slow server into an overloaded one, and its own memory into the
queue. Here a request needs a permit, a bounded number of callers wait for one, first come, first
served, and the others fail at once.

A permit that is given back goes from hand to hand: to the first who waits, who has it before it
wakes. So nobody overtakes, and a place is never free while somebody waits. Who gives up in the
moment of being handed a permit must hand it on, which `InFlight.leave` tells.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from geulpi_client._deadline import Deadline

MAX_IN_FLIGHT: Final = 50
MAX_WAITING: Final = 1000

W = TypeVar("W", bound=Hashable)


class NoPermit(Exception):
    """No place for a request: too many wait already, or the deadline passed while waiting.

    The sender tells the caller so as `Overloaded`.
    """

    def __init__(self, limit: int, waiting: int, *, waited: bool) -> None:
        super().__init__(limit, waiting, waited)
        self.waited = waited

    def __str__(self) -> str:
        """Write what the caller is told."""
        limit, waiting, waited = self.args
        if waited:
            return f"{limit} requests of this client are in flight, and none ended in time"
        return f"{limit} requests of this client are in flight, and {waiting} wait"


class InFlight(Generic[W]):
    """Counts permits and keeps the waiters in line, whatever they are; not safe between threads."""

    __slots__ = ("_limit", "_line", "_most_waiting", "in_flight")

    def __init__(self, limit: int = MAX_IN_FLIGHT, waiting: int = MAX_WAITING) -> None:
        self._limit = limit
        self._most_waiting = waiting
        self._line: OrderedDict[W, None] = OrderedDict()
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def take(self) -> bool:
        """Take a permit if there is one."""
        if self.in_flight >= self._limit:
            return False
        self.in_flight += 1
        return True

    def join(self, waiter: W) -> None:
        """Wait in line.

        Raises:
            NoPermit: the line is full.
        """
        if len(self._line) >= self._most_waiting:
            raise self.refusal(waited=False)
        self._line[waiter] = None

    def leave(self, waiter: W) -> bool:
        """Leave the line; `False` if the waiter holds a permit already, and must give it back."""
        if waiter in self._line:
            del self._line[waiter]
            return True
        return False

    def give_back(self) -> W | None:
        """Give a permit back; the waiter that is returned has it now, and is to be woken."""
        if self._line:
            return self._line.popitem(last=False)[0]
        self.in_flight -= 1
        return None

    def refusal(self, *, waited: bool) -> NoPermit:
        """Return why there is no permit."""
        return NoPermit(self._limit, len(self._line), waited=waited)


class ThreadLimiter:
    """The limit for threads. Each waiter sleeps on an event of its own: one wakes at a time."""

    def __init__(self, limit: int = MAX_IN_FLIGHT, waiting: int = MAX_WAITING) -> None:
        self._line: InFlight[threading.Event] = InFlight(limit, waiting)
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """How many permits are out."""
        return self._line.in_flight

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        return self._line.waiting

    def acquire(self, deadline: Deadline) -> None:
        """Return with a permit, which `release` gives back.

        Raises:
            NoPermit: too many wait, or the deadline passed.
        """
        with self._lock:
            if self._line.take():
                return
            turn = threading.Event()
            self._line.join(turn)
        try:
            turn.wait(min(deadline.remaining_s(), threading.TIMEOUT_MAX))
        except BaseException:  # an interrupt, such as Ctrl-C
            with self._lock:
                waited = self._line.leave(turn)
            if not waited:
                self.release()
            raise
        with self._lock:
            # A permit that came in the moment of giving up is as good as one that came in time.
            if self._line.leave(turn):
                raise self._line.refusal(waited=True)

    def release(self) -> None:
        """Give a permit back, to the first who waits."""
        with self._lock:
            turn = self._line.give_back()
        if turn is not None:
            turn.set()


class AsyncLimiter:
    """The limit for the tasks of one event loop."""

    def __init__(self, limit: int = MAX_IN_FLIGHT, waiting: int = MAX_WAITING) -> None:
        self._line: InFlight[asyncio.Future[None]] = InFlight(limit, waiting)

    @property
    def in_flight(self) -> int:
        """How many permits are out."""
        return self._line.in_flight

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        return self._line.waiting

    async def acquire(self, deadline: Deadline) -> None:
        """Return with a permit, which `release` gives back.

        Raises:
            NoPermit: too many wait, or the deadline passed.
        """
        if self._line.take():
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._line.join(turn)
        timer = loop.call_later(deadline.remaining_s(), _wake, turn)
        try:
            await turn
        except BaseException:
            # Also when the permit was handed over and the task was cancelled before it woke.
            if not self._line.leave(turn):
                self.release()
            raise
        finally:
            timer.cancel()
        # A permit that came in the moment of giving up is as good as one that came in time.
        if self._line.leave(turn):
            raise self._line.refusal(waited=True)

    def release(self) -> None:
        """Give a permit back, to the first who waits."""
        turn = self._line.give_back()
        if turn is not None:
            _wake(turn)


def _wake(turn: asyncio.Future[None]) -> None:
    # One that is done was cancelled, or expired, in this turn of the loop; its task wakes anyway
    # and sees whether it has a permit. In a loop that was closed nobody wakes.
    if not turn.done() and not turn.get_loop().is_closed():
        turn.set_result(None)

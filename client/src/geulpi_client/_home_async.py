"""The event loop that a client's connections belong to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from threading import get_ident
from typing import TypeAlias

Cancelled: TypeAlias = asyncio.CancelledError


class Home:
    """The running loop of whoever makes it."""

    __slots__ = ("_end", "_loop", "_thread")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def at_end(self, leave: Callable[[], Awaitable[None]]) -> None:
        """Call this before the loop is closed, when it lets its asynchronous generators end.

        `asyncio.run` does; of a loop that is just closed nobody hears.
        """
        self._end = _ending(leave)
        with contextlib.suppress(StopIteration):
            self._end.__anext__().send(None)

    def is_here(self) -> bool:
        """Return whether the caller runs in it."""
        # Up to Python 3.11, get_running_loop asks the kernel for the process each time.
        return get_ident() == self._thread and self._loop.is_running()

    def is_gone(self) -> bool:
        """Return whether it was closed: nothing in it can go on."""
        return self._loop.is_closed()


async def _ending(leave: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await leave()


def is_cancelled() -> bool:
    """Return whether the caller's own task was cancelled, and not just what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

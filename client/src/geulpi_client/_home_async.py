"""The event loop that a client's connections belong to."""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import TypeAlias

Cancelled: TypeAlias = asyncio.CancelledError


class Home:
    """The running loop of whoever makes it."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def is_here(self) -> bool:
        """Return whether the caller runs in it."""
        # Up to Python 3.11, get_running_loop asks the kernel for the process each time.
        return get_ident() == self._thread and self._loop.is_running()

    def is_gone(self) -> bool:
        """Return whether it was closed: nothing in it can go on."""
        return self._loop.is_closed()


def is_cancelled() -> bool:
    """Return whether the caller's own task was cancelled, and not just what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

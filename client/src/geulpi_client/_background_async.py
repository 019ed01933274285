"""Work beside the calls, for asyncio: writing to the cache, computing ageing answers anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

MOST_WAITING = 100


class Background:
    """Tasks of one event loop that nobody waits for; what is too much is not done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Begin some work soon, or return `False`: too much of it waits already."""
        if len(self._tasks) >= MOST_WAITING:
            return False
        task = asyncio.get_running_loop().create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def aclose(self, within_s: float) -> None:
        """Wait for what is under way, so many seconds at most, and end the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*late, return_exceptions=True)


async def _guarded(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001 -- a defect is told, the calls go on
        _log.exception("work beside the calls failed")

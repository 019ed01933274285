"""Who is inside, so that a client closes when the last call has ended; for asyncio."""

from __future__ import annotations

import asyncio


class Gate:
    """Counts the calls under way, within one event loop."""

    def __init__(self) -> None:
        self._inside = 0
        self._empty: asyncio.Future[None] | None = None

    @property
    def inside(self) -> int:
        """How many calls are under way."""
        return self._inside

    def enter(self, most: int) -> bool:
        """Count a call as under way, or return `False`: so many are already."""
        if self._inside >= most:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Count it as ended."""
        self._inside -= 1
        if not self._inside and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def wait_empty(self, within_s: float) -> None:
        """Return when nobody is inside, after so many seconds at the latest."""
        if self._inside:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._empty,), timeout=within_s)

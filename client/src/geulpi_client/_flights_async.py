"""Single flight for asyncio: what several callers want at once is asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

from geulpi_client._deadline import Deadline

T = TypeVar("T")


class Flights(Generic[T]):
    """What is being asked for, by key, within one event loop."""

    def __init__(self) -> None:
        self._flying: dict[str, asyncio.Future[T | None]] = {}

    def claim(self, keys: Iterable[str]) -> tuple[list[str], dict[str, asyncio.Future[T | None]]]:
        """Return the keys that the caller must now ask for, and then `land`, and the others."""
        mine, others = [], {}
        for key in keys:
            flight = self._flying.get(key)
            if flight is None:
                self._flying[key] = asyncio.get_running_loop().create_future()
                mine.append(key)
            else:
                others[key] = flight
        return mine, others

    def land(self, key: str, landed: T | None) -> None:
        """Tell those who wait what came; `None`: nothing, they ask by themselves."""
        flight = self._flying.pop(key, None)
        if flight is not None and not flight.done():
            flight.set_result(landed)

    async def wait(self, flight: asyncio.Future[T | None], deadline: Deadline) -> T | None:
        """Return what came, `None` if nothing did until the deadline."""
        await asyncio.wait((flight,), timeout=deadline.remaining_s())
        return flight.result() if flight.done() else None

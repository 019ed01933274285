"""Single flight for threads: what several callers want at once is asked for once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

from geulpi_client._deadline import Deadline

T = TypeVar("T")


class Flight(Generic[T]):
    """Something that is being asked for; only who waits needs a bell."""

    __slots__ = ("bell", "landed")

    def __init__(self) -> None:
        self.bell: threading.Event | None = None
        self.landed: T | None = None


class Flights(Generic[T]):
    """What is being asked for, by key; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Flight[T]] = {}

    def claim(self, keys: Iterable[str]) -> tuple[list[str], dict[str, Flight[T]]]:
        """Return the keys that the caller must now ask for, and then `land`, and the others."""
        mine, others = [], {}
        with self._lock:
            for key in keys:
                flight = self._flying.get(key)
                if flight is None:
                    self._flying[key] = Flight()
                    mine.append(key)
                else:
                    flight.bell = flight.bell or threading.Event()
                    others[key] = flight
        return mine, others

    def land(self, key: str, landed: T | None) -> None:
        """Tell those who wait what came; `None`: nothing, they ask by themselves."""
        with self._lock:
            flight = self._flying.pop(key, None)
            if flight is not None:
                flight.landed = landed
        if flight is not None and flight.bell is not None:
            flight.bell.set()

    def wait(self, flight: Flight[T], deadline: Deadline) -> T | None:
        """Return what came, `None` if nothing did until the deadline."""
        if flight.bell is not None:
            flight.bell.wait(min(deadline.remaining_s(), threading.TIMEOUT_MAX))
        return flight.landed

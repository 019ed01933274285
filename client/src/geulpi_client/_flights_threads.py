"""Single flight for threads: what several callers want at once is asked for once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Generic, TypeVar

from geulpi_client._deadline import Deadline

T = TypeVar("T")


class Flights(Generic[T]):
    """What is being asked for, by key; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Future[T | None]] = {}

    def claim(self, keys: Iterable[str]) -> tuple[list[str], dict[str, Future[T | None]]]:
        """Return the keys that the caller must now ask for, and then `land`, and the others."""
        mine, others = [], {}
        with self._lock:
            for key in keys:
                flight = self._flying.get(key)
                if flight is None:
                    self._flying[key] = Future()
                    mine.append(key)
                else:
                    others[key] = flight
        return mine, others

    def land(self, key: str, landed: T | None) -> None:
        """Tell those who wait what came; `None`: nothing, they ask by themselves."""
        with self._lock:
            flight = self._flying.pop(key, None)
        if flight is not None:
            flight.set_result(landed)

    def wait(self, flight: Future[T | None], deadline: Deadline) -> T | None:
        """Return what came, `None` if nothing did until the deadline."""
        try:
            return flight.result(min(deadline.remaining_s(), threading.TIMEOUT_MAX))
        except TimeoutError:
            return None

"""Who is inside, so that a client closes when the last call has ended; for threads."""

from __future__ import annotations

import threading


class Gate:
    """Counts the calls under way; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._empty: threading.Event | None = None
        self._inside = 0

    @property
    def inside(self) -> int:
        """How many calls are under way."""
        return self._inside

    def enter(self, most: int) -> bool:
        """Count a call as under way, or return `False`: so many are already."""
        with self._lock:
            if self._inside >= most:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """Count it as ended."""
        with self._lock:
            self._inside -= 1
            if not self._inside and self._empty is not None:
                self._empty.set()

    def wait_empty(self, within_s: float) -> None:
        """Return when nobody is inside, after so many seconds at the latest."""
        with self._lock:
            self._empty = threading.Event()
            if not self._inside:
                return
        self._empty.wait(within_s)

"""Who is inside, so that a client closes when the last call has ended; for threads."""

from __future__ import annotations

import threading


class Gate:
    """Counts the calls under way; safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0

    @property
    def inside(self) -> int:
        """How many calls are under way."""
        return self._inside

    def enter(self, most: int) -> bool:
        """Count a call as under way, or return `False`: so many are already."""
        with self._changed:
            if self._inside >= most:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """Count it as ended."""
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    def wait_empty(self, within_s: float) -> None:
        """Return when nobody is inside, after so many seconds at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, timeout=within_s)

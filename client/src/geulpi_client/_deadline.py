"""One monotonic deadline for all that a call does."""

from __future__ import annotations

import time
from typing import NamedTuple


class Deadline(NamedTuple):
    """A point in monotonic time and the time-out, in seconds, that the caller gave."""

    timeout_s: float
    at_s: float

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        """Return the deadline of a call that starts now."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    def remaining_s(self) -> float:
        """Return the seconds left, 0 when it has passed."""
        return max(0.0, self.at_s - time.monotonic())

    def remaining_us(self) -> int:
        """Return the microseconds left, at least 1."""
        return max(1, int(1e6 * (self.at_s - time.monotonic())))

    def at_most(self, seconds: float) -> Deadline:
        """Return an earlier deadline for a part of the call."""
        return Deadline(self.timeout_s, min(self.at_s, time.monotonic() + seconds))

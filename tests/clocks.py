"""Time that passes when a test says so."""

from __future__ import annotations


class Clock:
    """A clock for what takes one; it stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds

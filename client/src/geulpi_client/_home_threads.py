"""The twin of `_home_async`: any thread may use a client's connections."""

from __future__ import annotations

from collections.abc import Callable


class Cancelled(BaseException):
    """Never raised: threads can't be cancelled."""


class Home:
    """The process."""

    __slots__ = ()

    def at_end(self, leave: Callable[[], None]) -> None:
        """Do nothing: what a process has ends with it."""

    def is_here(self) -> bool:
        """Return whether the caller runs in it."""
        return True

    def is_gone(self) -> bool:
        """Return whether nothing in it can go on."""
        return False


def is_cancelled() -> bool:
    """Return whether the caller was cancelled."""
    return False

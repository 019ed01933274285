"""The twin of `_loop_async`: threads share a client's connections, so there is but one loop."""

from __future__ import annotations

from typing import Final, TypeAlias

Loop: TypeAlias = object

_THE_ONE: Final = object()


def current_loop() -> Loop:
    """Return the loop of the caller."""
    return _THE_ONE


def loop_is_closed(loop: Loop) -> bool:
    """Return whether nothing of that loop can go on."""
    return loop is not _THE_ONE

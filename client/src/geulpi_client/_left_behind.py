"""What a process must not use any more, and must not take down either."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What has connections, locks or threads that do not survive a fork."""

    def after_fork(self) -> None:
        """Begin anew, in the child."""


_all: weakref.WeakSet[Forked] = weakref.WeakSet()
_kept: list[object] = []


def watch(one: Forked) -> None:
    """Tell an object when this process was forked."""
    _all.add(one)


def leave(thing: object) -> None:
    """Keep what belongs to another process or event loop: taking it down could touch the peer's."""
    _kept.append(thing)


def _after_fork() -> None:
    for one in list(_all):
        one.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

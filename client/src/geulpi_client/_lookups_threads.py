"""Look-ups in Redis for threads: each has a connection of the pool, and goes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

Values: TypeAlias = Sequence[bytes | None]


class Lookups:
    """Passes look-ups on; `get` returns one value or `None` per key."""

    def __init__(self, get: Callable[[Sequence[str]], Values]) -> None:
        self.get = get

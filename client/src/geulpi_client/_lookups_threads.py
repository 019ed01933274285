"""Look-ups in Redis for threads: each has a connection of the pool, and goes alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

Values: TypeAlias = Sequence[bytes | None]

HURRIED_AT_A_TIME: Final = 8


class Lookups:
    """Passes look-ups on; `get` returns one value or `None` per key."""

    def __init__(self, get: Callable[[Sequence[str]], Values]) -> None:
        self._get = get
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def get(self, keys: Sequence[str], within_s: float | None) -> Values:
        """Return one value or `None` per key, within so many seconds if given.

        redis-py's own time-out is that of a connection. A caller who has less time leaves the
        look-up to another thread, and goes on without it when the time is over.

        Raises what the store raises, and `TimeoutError`.
        """
        if within_s is None:
            return self._get(keys)
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(
                    HURRIED_AT_A_TIME, thread_name_prefix="geulpi-client-lookup"
                )
        future = self._pool.submit(self._get, keys)
        try:
            return future.result(within_s)
        finally:
            future.cancel()

"""Work beside the calls, for threads: writing to the cache, computing ageing answers anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_log = logging.getLogger(__name__)

MOST_WAITING = 100


class Background:
    """Two threads, begun with the first work, that nobody waits for; too much is not done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: set[Future[None]] = set()

    def run(self, work: Callable[[], None]) -> bool:
        """Begin some work soon, or return `False`: too much of it waits already."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return False
            if self._pool is None:
                self._pool = ThreadPoolExecutor(2, thread_name_prefix="geulpi-client")
            try:
                future = self._pool.submit(_guarded, work)
            except RuntimeError:  # the interpreter is shutting down
                return False
            self._waiting.add(future)
        future.add_done_callback(self._done)
        return True

    def close(self, within_s: float) -> None:
        """Wait for what is under way, so many seconds at most, and drop the rest."""
        with self._lock:
            waiting = set(self._waiting)
        late = wait(waiting, timeout=within_s).not_done
        if self._pool is not None:
            self._pool.shutdown(wait=not late, cancel_futures=True)

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self._waiting.discard(future)


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001 -- a defect is told, the calls go on
        _log.exception("work beside the calls failed")

"""When an endpoint is left alone: a circuit breaker.

  closed ──failures in a row──▶ open ──its time is over──▶ half open ──the probe succeeds──▶ closed
                                 ▲                             │
                                 └───the probe fails: longer───┘

A call to a server that is away costs its whole time-out, and fifty of them are what keeps a server
that comes back from standing up. So after some failures in a row nobody is let through for a while,
then one caller is, and only its success lets the others through (Nygard, "Release It!", 2007).
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half_open"]

# 2 ** 30 times any opening is longer than the longest; the exponent need not grow further.
_MOST_DOUBLINGS = 30


class Breaker:
    """The breaker of one endpoint; safe to share between threads.

    `failures` in a row open it for `open_s`, and each probe that fails for twice as long as before,
    at most `longest_open_s`. It is really between half and all of that time, by chance, so that the
    clients of a server that was away don't all come back in one moment (Brooker, "Exponential
    Backoff and Jitter", AWS Architecture Blog, 2015).

    Everyone whom `allow` let through tells in the end how it went: `succeeded`, `failed` or
    `abandoned`. A probe that is not heard of for `longest_open_s`, such as that of a process before
    it was forked, is given up, and another caller probes.

    `clock` tells seconds and must never go backwards, which a monotonic clock does not.
    """

    __slots__ = (
        "_clock",
        "_failed",
        "_failures",
        "_lock",
        "_longest_open_s",
        "_open_s",
        "_opened_s",
        "_openings",
        "_probing",
        "_random",
        "_until_s",
    )

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        failures: int = 5,
        open_s: float = 1.0,
        longest_open_s: float = 30.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._open_s = open_s
        self._longest_open_s = longest_open_s
        self._random = random
        self._lock = threading.Lock()
        self._failed = 0  # in a row, until it opened
        self._openings = 0  # in a row, without a success between them
        self._opened_s = 0.0
        self._until_s = 0.0  # when the next caller may probe, while open
        self._probing = False

    @property
    def state(self) -> State:
        """Whether all callers pass ("closed"), none ("open"), or one as a probe ("half_open")."""
        with self._lock:
            if not self._openings:
                return "closed"
            return "half_open" if self._probing or self._clock() >= self._until_s else "open"

    def allow(self) -> bool:
        """Let the caller through or not; in the half-open state exactly one, as the probe."""
        # Unlocked: the one attribute is read at once, and a caller that passes in the moment of
        # opening is no worse than one that passed just before.
        if not self._openings:
            return True
        with self._lock:
            if not self._openings:
                return True
            now_s = self._clock()
            if now_s < self._until_s:
                return False
            self._probing = True
            self._until_s = now_s + self._longest_open_s
            return True

    def wait_s(self) -> float:
        """Return the seconds until `allow` says yes at the latest, 0 if it would now."""
        if not self._openings:
            return 0.0
        with self._lock:
            return max(0.0, self._until_s - self._clock()) if self._openings else 0.0

    def succeeded(self) -> None:
        """Close, and forget the failures: whoever it was, the endpoint answers."""
        if not self._failed and not self._openings:
            return
        with self._lock:
            self._failed = self._openings = 0
            self._probing = False

    def failed(self, took_s: float = 0.0) -> None:
        """Count a failure of a call that was let through so many seconds ago.

        One that began before the breaker opened is no news: it failed for what opened it, and must
        not count as a probe's failure.
        """
        with self._lock:
            if not self._openings:
                self._failed += 1
                if self._failed >= self._failures:
                    self._open()
            elif self._is_of_probe(took_s):
                self._open()

    def abandoned(self, took_s: float = 0.0) -> None:
        """Take note that a call ended without a result, such as a cancelled one.

        It was let through so many seconds ago. If it was the probe, the next caller is.
        """
        if not self._openings:
            return
        with self._lock:
            if self._openings and self._is_of_probe(took_s):
                self._probing = False
                self._until_s = self._clock()

    def _is_of_probe(self, took_s: float) -> bool:
        # None but the probe began since the opening.
        return self._probing and self._clock() - took_s > self._opened_s

    def _open(self) -> None:
        doublings = min(self._openings, _MOST_DOUBLINGS)
        open_s = min(self._longest_open_s, self._open_s * 2**doublings)
        self._openings += 1
        self._probing = False
        self._opened_s = self._clock()
        self._until_s = self._opened_s + open_s * (1 + self._random()) / 2

"""Which failed attempts are tried again, how soon, and how many at most.

Retries help against what is short and rare, and make everything else worse: three attempts of every
call are three times the load on a server that has too much of it. So the retries of a client have a
budget together, a tenth of its calls (Google, "Site Reliability Engineering", chapter 21, "Handling
Overload"; the bucket is that of gRPC's proposal A6), each call has few of them, and they are spread
out in time by full jitter (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random as _random
import threading
from collections.abc import Callable
from typing import Final

from geulpi_client._deadline import Deadline
from geulpi_client._errors import Overloaded, Unreachable

MAX_ATTEMPTS: Final = 4
BACKOFF_BASE_S: Final = 0.02
BACKOFF_CAP_S: Final = 1.0

# Tokens are counted in thousandths: ten times 0.1 is less than 1 in floating point.
_ONE = 1000


class RetryBudget:
    """The retries that a client may still make; safe to share between threads.

    Each call puts in `ratio`, each retry takes out 1. It holds `reserve` at first and never more,
    so that an outage after a long good time is not met by all the retries that were not needed.
    """

    __slots__ = ("_deposit", "_lock", "_most", "_tokens")

    def __init__(self, ratio: float = 0.1, reserve: int = 10) -> None:
        self._deposit = round(ratio * _ONE)
        self._most = reserve * _ONE
        self._tokens = self._most
        self._lock = threading.Lock()

    @property
    def retries(self) -> int:
        """How many retries could be made now."""
        return self._tokens // _ONE

    def deposit(self) -> None:
        """Put in the share of a call, at its first attempt."""
        with self._lock:
            self._tokens = min(self._most, self._tokens + self._deposit)

    def withdraw(self) -> bool:
        """Take out a retry if there is one."""
        with self._lock:
            if self._tokens < _ONE:
                return False
            self._tokens -= _ONE
            return True


def backoff_s(
    attempt: int,
    *,
    base_s: float = BACKOFF_BASE_S,
    cap_s: float = BACKOFF_CAP_S,
    random: Callable[[], float] = _random.random,
) -> float:
    """Return the seconds to wait after the attempt of this number, the first is 1.

    Anything from 0 to `base_s`, doubled with each attempt after the first, at most `cap_s`.
    """
    return random() * min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))


def should_retry(
    error: BaseException,
    attempt: int,
    deadline: Deadline,
    budget: RetryBudget,
    *,
    random: Callable[[], float] = _random.random,
) -> float | None:
    """Return the seconds to wait before the next attempt, or `None` if there is to be none.

    `error` is how the attempt of this number, the first is 1, ended. Another one follows only an
    `Unreachable` or `Overloaded`, must begin before the deadline, be one of at most 4, and fit into
    the budget, from which it is taken.
    """
    if not isinstance(error, Unreachable | Overloaded) or attempt >= MAX_ATTEMPTS:
        return None
    delay_s = backoff_s(attempt, random=random)
    if delay_s >= deadline.remaining_s() or not budget.withdraw():
        return None
    return delay_s

"""How a kept answer ages; pure functions of seconds.

`now_s` and `created_s` are of the wall clock, which processes on several machines share and which
can be wrong: an answer from the future is a new one. How long it is kept at all, its keeper decides
by a clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

_PART_BYTES: Final = 41  # a bytes object without its content, and the place in its tuple
_ROW_BYTES: Final = 240  # the tuples and numbers


# A draw reaches so many times its mean once in 10¹³ times.
_NEVER_EARLIER: Final = 30


class KeptRow(NamedTuple):
    """A row as it is kept: its bytes, when it was made, how long it is fresh, what it cost."""

    row: tuple[bytes, ...]
    created_ms: int
    ttl_ms: int
    cost_ms: float

    @property
    def size(self) -> int:
        """About the bytes that it takes."""
        return sum(map(len, self.row)) + _PART_BYTES * len(self.row) + _ROW_BYTES


def refresh_early(
    now_s: float,
    created_s: float,
    ttl_s: float,
    cost_s: float,
    *,
    beta: float,
    random: Callable[[], float],
) -> bool:
    """Return whether this caller should compute the answer anew, before or when it expires.

    Each caller draws by itself, the likelier to do so the nearer the end is and the longer the
    computing takes, so that about one of many does it in time and the others never meet an expired
    answer: XFetch of Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede
    Prevention", VLDB 2015. `beta` above 1 is earlier, below 1 later, 0 never before the end.
    """
    left_s = min(ttl_s, created_s + ttl_s - now_s)
    # random() may be 0, of which there is no logarithm, but is never 1.
    return -math.log(1 - random()) * cost_s * beta >= left_s


def usable(kept: KeptRow, now_ms: float, stale_ms: float) -> bool:
    """Return whether a row has not expired, or not longer ago than `stale_ms`."""
    return now_ms - kept.created_ms < kept.ttl_ms + stale_ms


def must_refresh(kept: KeptRow, now_ms: float, beta: float, random: Callable[[], float]) -> bool:
    """Return whether this caller should compute a row anew beside its call: see `refresh_early`.

    A row that is quick to compute is treated as if that took a hundredth of its life: nobody needs
    it anew so early, but otherwise only rows that are asked for every few milliseconds would be.
    """
    age_ms = max(0.0, now_ms - kept.created_ms)
    cost_ms = max(kept.cost_ms, kept.ttl_ms / 100)
    if age_ms < kept.ttl_ms - _NEVER_EARLIER * cost_ms * beta:
        return False
    return refresh_early(
        now_ms / 1000,
        kept.created_ms / 1000,
        kept.ttl_ms / 1000,
        cost_ms / 1000,
        beta=beta,
        random=random,
    )

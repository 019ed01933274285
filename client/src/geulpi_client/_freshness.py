"""How a kept answer ages; pure functions of seconds.

`now_s` and `created_s` are of the wall clock, which processes on several machines share and which
can be wrong: an answer from the future is a new one. How long it is kept at all, its keeper decides
by a clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable


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


def stale_but_usable(now_s: float, created_s: float, ttl_s: float, stale_s: float) -> bool:
    """Return whether an answer has expired, but not longer ago than `stale_s`."""
    return 0 <= now_s - created_s - ttl_s < stale_s

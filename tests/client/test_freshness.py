"""How a kept answer ages."""

from __future__ import annotations

import math

import pytest
from geulpi_client._freshness import KeptRow, must_refresh, refresh_early, usable
from hypothesis import given
from hypothesis import strategies as st

CREATED_S = 1_790_000_000.0
seconds = st.floats(0, 1e6)
draws = st.floats(0, 1, exclude_max=True)


def refresh_at(
    age_s: float, drawn: float, *, ttl_s: float = 300.0, cost_s: float = 0.05, beta: float = 1.0
) -> bool:
    now_s = CREATED_S + age_s
    return refresh_early(now_s, CREATED_S, ttl_s, cost_s, beta=beta, random=lambda: drawn)


@given(draws, seconds, st.floats(0, 100))
def test_what_has_expired_is_computed_anew(drawn: float, cost_s: float, beta: float) -> None:
    """By everyone, whatever was drawn."""
    assert refresh_at(300.0, drawn, cost_s=cost_s, beta=beta)
    assert refresh_at(1e9, drawn, cost_s=cost_s, beta=beta)


@pytest.mark.parametrize(("left_s", "share"), [(0.15, 0.0498), (0.05, 0.3679), (0.01, 0.8187)])
def test_the_share_of_early_callers_grows_towards_the_end(left_s: float, share: float) -> None:
    """It is exp(−left / cost): the figures of the paper."""
    drawn = [i / 10_000 for i in range(10_000)]
    early = sum(refresh_at(300.0 - left_s, one) for one in drawn)
    assert early / len(drawn) == pytest.approx(share, abs=2e-4)


def test_long_before_the_end_nobody_is_early() -> None:
    """Of a thousand costs before it, the chance is exp(−1000)."""
    assert not refresh_at(250.0, math.nextafter(1.0, 0.0))


@given(draws, st.floats(0, 300), st.floats(0, 300), st.floats(0, 100), st.floats(0, 3))
def test_whoever_is_early_would_be_later_too(
    drawn: float, age_s: float, more_s: float, cost_s: float, beta: float
) -> None:
    """With the same draw; also for a higher cost and a higher beta."""
    if refresh_at(age_s, drawn, cost_s=cost_s, beta=beta):
        assert refresh_at(age_s + more_s, drawn, cost_s=cost_s, beta=beta)
        assert refresh_at(age_s, drawn, cost_s=cost_s + more_s, beta=beta)
        assert refresh_at(age_s, drawn, cost_s=cost_s, beta=beta + more_s)


@given(draws, st.floats(0, 299))
def test_without_beta_or_cost_nobody_is_early(drawn: float, age_s: float) -> None:
    """What costs nothing may as well be computed at its end."""
    assert not refresh_at(age_s, drawn, cost_s=1e6, beta=0.0)
    assert not refresh_at(age_s, drawn, cost_s=0.0, beta=1e6)


def kept(ttl_s: float = 300.0, cost_ms: float = 50.0) -> KeptRow:
    return KeptRow((b"abcd",), round(1000 * CREATED_S), round(1000 * ttl_s), cost_ms)


@pytest.mark.parametrize(
    ("age_s", "stale_s", "expected"),
    [
        (0, 0, True),
        (299.9, 0, True),
        (300.1, 0, False),
        (300.1, 1, True),
        (301.1, 1, False),
        (-50, 0, True),  # made by a machine whose clock is ahead
        (-1e9, 0, True),
        (1e9, 10, False),
    ],
)
def test_a_row_is_usable_until_it_expires_and_a_while_longer(
    age_s: float, stale_s: float, expected: bool
) -> None:
    """A clock that jumped makes it a new row or an old one, nothing else."""
    assert usable(kept(), 1000 * (CREATED_S + age_s), 1000 * stale_s) is expected


def test_rows_are_computed_anew_near_their_end_only() -> None:
    """Not in the first two thirds of their life, whatever is drawn; surely when it is over."""
    for age_s, drawn, expected in (
        (0, 1 - 1e-12, False),
        (200, 1 - 1e-12, False),
        (299, 0.5, True),
        (299, 0.1, False),
        (301, 0.0, True),
    ):
        now_ms = 1000 * (CREATED_S + age_s)
        assert must_refresh(kept(), now_ms, 1.0, lambda drawn=drawn: drawn) is expected


def test_without_early_refresh_a_row_lives_to_its_end() -> None:
    """0 is the option switched off; only what is given out stale is then computed anew."""
    for age_s, expected in ((299.99, False), (300.01, True)):
        now_ms = 1000 * (CREATED_S + age_s)
        assert must_refresh(kept(), now_ms, 0.0, lambda: 1 - 1e-12) is expected


def test_a_costly_row_is_computed_anew_earlier() -> None:
    """One that takes 20 s has begun 20 s before its end in half of the draws."""
    now_ms = 1000 * (CREATED_S + 287)
    assert must_refresh(kept(cost_ms=20_000), now_ms, 1.0, lambda: 0.5)
    assert not must_refresh(kept(cost_ms=1), now_ms, 1.0, lambda: 0.5)


def test_the_size_of_a_row_counts_its_parts() -> None:
    """The memory tier is bounded by it."""
    assert KeptRow((b"a" * 1000, b""), 0, 0, 0.0).size > 1000 + 2 * 33

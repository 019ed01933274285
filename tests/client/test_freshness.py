"""How a kept answer ages."""

from __future__ import annotations

import math

import pytest
from geulpi_client._freshness import refresh_early, stale_but_usable
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


def test_an_answer_from_the_future_is_a_new_one() -> None:
    """The clocks of two machines differ, or one was set back."""
    assert not refresh_at(-3600.0, 0.99)
    # It gets no more than its time to live: at 300 s to go, 100 s of cost make e⁻³ of the callers.
    assert refresh_at(-3600.0, 1 - math.exp(-3.01), cost_s=100.0)
    assert not stale_but_usable(CREATED_S - 3600.0, CREATED_S, 300.0, 60.0)


@pytest.mark.parametrize(
    ("age_s", "usable"),
    [(0.0, False), (299.0, False), (300.0, True), (359.0, True), (360.0, False), (1e9, False)],
)
def test_a_stale_answer_is_usable_for_a_while(age_s: float, usable: bool) -> None:
    """From the end of its time to live, for `stale_s`."""
    assert stale_but_usable(CREATED_S + age_s, CREATED_S, 300.0, 60.0) is usable


@given(st.floats(-1e6, 1e6))
def test_without_stale_time_nothing_stale_is_usable(age_s: float) -> None:
    """0 seconds is the option switched off."""
    assert not stale_but_usable(CREATED_S + age_s, CREATED_S, 300.0, 0.0)

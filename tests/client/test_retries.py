"""What is tried again, how soon, and how often by all calls together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from geulpi_client import (
    AccessDenied,
    ClientClosed,
    DeadlineExceeded,
    InferenceFailed,
    InputRefused,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._deadline import Deadline
from geulpi_client._retries import RetryBudget, backoff_s, should_retry
from hypothesis import given
from hypothesis import strategies as st

TARGET = Target("triton:8001", "m", "1")
UNREACHABLE = Unreachable(TARGET, "connection refused")


def soon() -> Deadline:
    return Deadline.after(60.0)


@pytest.mark.parametrize("error", [UNREACHABLE, Overloaded(TARGET, "the queue is full")])
def test_what_another_attempt_can_mend_is_tried_again(error: Exception) -> None:
    """The model was not reached, or was too busy."""
    budget = RetryBudget()
    assert should_retry(error, 1, soon(), budget, random=lambda: 0.5) == pytest.approx(0.01)
    assert budget.retries == 9


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied(TARGET, "no"),
        ClientClosed("triton:8001"),
        DeadlineExceeded(TARGET, 5.0),
        InferenceFailed(TARGET, "no"),
        InputRefused(TARGET, "no"),
        ModelNotFound(TARGET),
        ModelUnavailable(TARGET, "no"),
        UnexpectedAnswer(TARGET, "no"),
        ConnectionError("not ours"),
        KeyboardInterrupt(),
    ],
)
def test_everything_else_is_not(error: BaseException) -> None:
    """It would fail again, or the server has done the work; the budget stays as it is."""
    budget = RetryBudget()
    assert should_retry(error, 1, soon(), budget) is None
    assert budget.retries == 10


def test_four_attempts_are_the_most() -> None:
    """The first and three more."""
    budget = RetryBudget()
    delays = [should_retry(UNREACHABLE, n, soon(), budget, random=lambda: 1.0) for n in range(1, 6)]
    assert delays == [0.02, 0.04, 0.08, None, None]
    assert budget.retries == 7


@pytest.mark.parametrize("remaining_s", [-1.0, 0.0, 0.01])
def test_a_delay_that_does_not_fit_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, remaining_s: float
) -> None:
    """The error is told now, not after the deadline; nothing is taken from the budget."""
    monkeypatch.setattr("geulpi_client._deadline.time.monotonic", lambda: 100.0)
    budget = RetryBudget()
    deadline = Deadline(5.0, 100.0 + remaining_s)
    assert should_retry(UNREACHABLE, 1, deadline, budget, random=lambda: 0.9) is None
    assert budget.retries == 10
    fits = Deadline(5.0, 100.1)
    assert should_retry(UNREACHABLE, 1, fits, budget, random=lambda: 0.9) == pytest.approx(0.018)


def test_without_budget_nothing_is_tried_again() -> None:
    """However much time there is."""
    budget = RetryBudget(reserve=2)
    delays = [should_retry(UNREACHABLE, 1, soon(), budget) for _ in range(4)]
    assert [delay is not None for delay in delays] == [True, True, False, False]


def test_a_tenth_of_all_calls_may_be_tried_again() -> None:
    """In the long run, when each fails: not twice the load, 1.1 times."""
    budget = RetryBudget(reserve=10)
    retries = 0
    for _ in range(1000):
        budget.deposit()
        retries += budget.withdraw()
    # The reserve, a tenth, less the first deposit, which found the bucket full.
    assert retries == 10 + 100 - 1


def test_ten_tenths_are_a_whole() -> None:
    """Unlike in floating point."""
    budget = RetryBudget(ratio=0.1, reserve=1)
    assert budget.withdraw()
    for _ in range(9):
        budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()


def test_good_times_save_nothing_up() -> None:
    """After a million calls the reserve is what it was."""
    budget = RetryBudget(ratio=0.5, reserve=3)
    for _ in range(1000):
        budget.deposit()
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]


def test_threads_share_it() -> None:
    """Together they make no more retries than there are."""
    threads = 8
    budget = RetryBudget(ratio=0.1, reserve=100)
    start = threading.Barrier(threads)

    def spend(_: int) -> int:
        start.wait()
        return sum(budget.withdraw() for _ in range(100))

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(spend, range(threads))) == 100
    assert budget.retries == 0


@given(st.integers(1, 100_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_anything_up_to_the_doubled_base(attempt: int, drawn: float) -> None:
    """Full jitter, never above the cap, whatever the number of the attempt."""
    most_s = min(1.0, 0.02 * 2 ** min(attempt - 1, 10))
    assert backoff_s(attempt, random=lambda: drawn) == pytest.approx(drawn * most_s)

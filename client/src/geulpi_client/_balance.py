"""`balance_analyzer`: a week to how balanced it is; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from geulpi_client._answers import Answered
from geulpi_client._documents import About, calendar_inputs
from geulpi_client._event import Event, some_events
from geulpi_client._names import BALANCE_DIMENSIONS, MEASURES
from geulpi_client._question import Question

MODEL: Final = "balance_analyzer"


@dataclass(frozen=True)
class Balance:
    """How balanced a week is, against people like this one.

    Attributes:
        score: 0 to 100.
        sub_scores: 0 to 100, by `BALANCE_DIMENSIONS`.
        percentiles: the share (0 to 1) of people like this one who spend less time so, likewise.
        hours_per_day: likewise.
        measures: what was measured of the week, by `MEASURES`.
        cached: whether the answer came from the cache.
    """

    score: float
    sub_scores: dict[str, float]
    percentiles: dict[str, float]
    hours_per_day: dict[str, float]
    measures: dict[str, float]
    cached: bool


def balance_question(events: Sequence[Event], about: About) -> Question[Balance]:
    """Return the question how balanced the week of these events is.

    Raises:
        InvalidEvent, InvalidSetting: before anything is sent.
    """
    return Question(MODEL, calendar_inputs(some_events(events), about), read_balance)


def read_balance(answered: Answered) -> Balance:
    """Return the balance of an answer.

    Raises:
        UnexpectedAnswer: it is not what this client knows.
    """
    return Balance(
        score=answered.number("score"),
        sub_scores=answered.by_name("sub_scores", BALANCE_DIMENSIONS),
        percentiles=answered.by_name("percentiles", BALANCE_DIMENSIONS),
        hours_per_day=answered.by_name("hours_per_day", BALANCE_DIMENSIONS),
        measures=answered.by_name("measures", MEASURES),
        cached=answered.cached,
    )

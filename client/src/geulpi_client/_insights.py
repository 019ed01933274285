"""`week_insights`: patterns, balance and risk of one calendar in one request; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from geulpi_client._answers import Answered
from geulpi_client._balance import Balance, read_balance
from geulpi_client._burnout import BurnoutRisk, read_burnout
from geulpi_client._documents import About, calendar_inputs
from geulpi_client._event import Event, some_events
from geulpi_client._patterns import Pattern, read_patterns
from geulpi_client._question import Question

MODEL: Final = "week_insights"


@dataclass(frozen=True)
class WeekInsights:
    """The habits in a calendar, and balance and burnout risk of one of its weeks.

    `cached` says whether the answer came from the cache, as do the two of its parts.
    """

    patterns: tuple[Pattern, ...]
    balance: Balance
    burnout: BurnoutRisk
    cached: bool


def insights_question(events: Sequence[Event], about: About) -> Question[WeekInsights]:
    """Return the question about habits, balance and risk at once.

    Raises:
        InvalidEvent, InvalidSetting: before anything is sent.
    """
    return Question(MODEL, calendar_inputs(some_events(events), about), read_insights)


def read_insights(answered: Answered) -> WeekInsights:
    """Return the insights of an answer.

    Raises:
        UnexpectedAnswer: they are not what this client knows.
    """
    return WeekInsights(
        patterns=tuple(read_patterns(answered)),
        balance=read_balance(answered),
        burnout=read_burnout(answered),
        cached=answered.cached,
    )

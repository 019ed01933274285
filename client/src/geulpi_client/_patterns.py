"""`pattern_detector`: a history of events to the habits in it; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from geulpi_client._answers import (
    Answered,
    flag_in,
    list_in,
    moment_of,
    number_in,
    text_in,
    whole_in,
)
from geulpi_client._documents import About, calendar_inputs
from geulpi_client._errors import InvalidSetting
from geulpi_client._event import Event, checked_events
from geulpi_client._question import Question
from geulpi_client._zones import named_zone

MODEL: Final = "pattern_detector"
OUTPUT: Final = "patterns"


@dataclass(frozen=True)
class Pattern:
    """A habit: events that recur by a rule.

    Moments are datetimes in the habit's time zone, or dates where it is all-day.

    Attributes:
        title: its most usual spelling.
        rrule: the rule as RFC 5545 writes it, such as `FREQ=WEEKLY;BYDAY=TU`.
        dtstart: the first occurrence by the rule.
        time_zone: the zone whose wall clock the habit keeps, by name.
        all_day: whether its events belong to days instead of hours.
        duration: the median.
        start_spread: how far starts scatter around the usual one (a robust standard deviation).
        support: occurrences seen.
        expected: occurrences by the rule, from `dtstart` to the last one seen.
        exceptions: those expected, but not seen.
        extra: events of this title that the rule does not explain.
        confidence: 0 to 1.
        next: the three occurrences that are expected next.
        last_seen: the start of the last occurrence seen.
        category: the most frequent one of its events; `None` where no event has one.
    """

    title: str
    rrule: str
    dtstart: datetime | date
    time_zone: str
    all_day: bool
    duration: timedelta
    start_spread: timedelta
    support: int
    expected: int
    exceptions: tuple[datetime | date, ...]
    extra: int
    confidence: float
    next: tuple[datetime | date, ...]
    last_seen: datetime | date
    category: str | None


def patterns_question(events: Sequence[Event], about: About) -> Question[list[Pattern]]:
    """Return the question which habits recur in these events.

    Raises:
        InvalidEvent, InvalidSetting: before anything is sent.
    """
    return Question(MODEL, calendar_inputs(checked_events(events), about), read_patterns)


def read_patterns(answered: Answered) -> list[Pattern]:
    """Return the patterns of an answer, the most confident first.

    Raises:
        UnexpectedAnswer: they are not what this client knows.
    """
    with answered.document(OUTPUT) as rows:
        if not isinstance(rows, list):
            raise TypeError("it is no list")
        return [_pattern(row) for row in rows]


def _pattern(row: dict[str, Any]) -> Pattern:
    name, all_day, category = text_in(row, "time_zone"), flag_in(row, "all_day"), row["category"]
    moment = date.fromisoformat if all_day else _moments_in(name)
    return Pattern(
        title=text_in(row, "title"),
        rrule=text_in(row, "rrule"),
        dtstart=moment(row["dtstart"]),
        time_zone=name,
        all_day=all_day,
        duration=timedelta(minutes=number_in(row, "duration_minutes")),
        start_spread=timedelta(minutes=number_in(row, "start_spread_minutes")),
        support=whole_in(row, "support"),
        expected=whole_in(row, "expected"),
        exceptions=tuple(map(moment, list_in(row, "exceptions"))),
        extra=whole_in(row, "extra"),
        confidence=number_in(row, "confidence"),
        next=tuple(map(moment, list_in(row, "next"))),
        last_seen=moment(row["last_seen"]),
        category=None if category is None else text_in(row, "category"),
    )


def _moments_in(zone_name: str) -> Callable[[str], datetime]:
    try:
        zone = named_zone(zone_name).tzinfo
    except InvalidSetting as error:  # it is the server's, not the caller's
        raise ValueError(str(error)) from error
    return lambda text: moment_of(text, zone)

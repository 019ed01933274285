"""A calendar event, checked when it is made."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from json.encoder import encode_basestring
from typing import TypeAlias

from geulpi_client._checks import (
    checked_flag,
    checked_list,
    checked_text,
    one_of,
    utc_moment,
)
from geulpi_client._errors import InvalidEvent
from geulpi_client._names import CATEGORIES

_MIDNIGHT = time()
_DAY = timedelta(days=1)


EventTexts: TypeAlias = tuple[str, str, str, str]
"""An event as a document holds it: start and end, in UTC or as dates, empty where it has none; the
title as it was given; the fields that are said as JSON. A bare tuple of texts, which the garbage
collector leaves alone: with hundreds of thousands of other objects it would pause for 0.1 s."""


@dataclass(frozen=True)
class Event:
    """A calendar event.

    Args:
        title: as its owner wrote it, Korean or English, at most 1000 characters.
        start, end: with a time zone; features such as the hour are those of the start's own zone.
            Of an all-day event they are dates, or midnights with a time zone; the end is the day
            after the last one, as in iCalendar, and an event without one lasts a day.
        category: one of `CATEGORIES` where it is known; the server classifies the others.
        all_day: whether it belongs to days instead of hours.

    Raises:
        InvalidEvent: names the field, the value and what is expected.
    """

    title: str
    start: datetime | date | None = None
    end: datetime | date | None = None
    _: KW_ONLY
    category: str | None = None
    all_day: bool = False

    def __post_init__(self) -> None:
        """Refuse what no calendar holds."""
        checked_text(InvalidEvent, "title", self.title)
        if self.category is not None:
            one_of(InvalidEvent, "category", self.category, CATEGORIES)
        checked_flag(InvalidEvent, "all_day", self.all_day)
        start, end = self.bounds
        if start is None and (end is not None or self.all_day):
            why = "has an end" if end is not None else "is all-day"
            raise InvalidEvent("start", self.start, f"a start, because the event {why}")
        if start is not None and end is not None and end < start:
            raise InvalidEvent("end", str(self.end), f"the start ({self.start}) or later")

    @cached_property
    def bounds(self) -> tuple[date | None, date | None]:
        """Start and end so that they compare: in UTC, or as the dates of an all-day event."""
        if self.all_day:
            return _day("start", self.start), _day("end", self.end)
        return _moment("start", self.start), _moment("end", self.end)

    @cached_property
    def said(self) -> EventTexts:
        """The event as documents hold it; made once, for an event is asked about again and again.

        Raises:
            InvalidEvent: as `bounds`.
        """
        first, last = self.bounds
        start = "" if first is None else first.isoformat()
        end = "" if last is None else last.isoformat()
        # By hand, for there are hundreds in a question: keys sorted, nothing to escape but titles.
        json = f'"start":"{start}","title":{encode_basestring(self.normalized_title)}}}'
        if end:
            json = f'"end":"{end}",{json}'
        if self.category is not None:
            json = f'"category":"{self.category}",{json}'
        if self.all_day:
            json = f'"all_day":true,{json}'
        return start, end, self.title, f"{{{json}"

    @property
    def normalized_title(self) -> str:
        """The title as models read it: Unicode NFC, runs of white space as one blank."""
        return " ".join(unicodedata.normalize("NFC", self.title).split())

    @property
    def duration(self) -> timedelta | None:
        """How long it lasts, over clock changes too; `None` without an end, unless all-day."""
        start, end = self.bounds
        if start is None or end is None:
            return _DAY if self.all_day else None
        return end - start


def checked_events(events: Sequence[Event]) -> list[Event]:
    """Return the events as a list, which may be empty.

    Raises:
        InvalidEvent: it is no list of events.
    """
    listed = checked_list(
        InvalidEvent, "events", events, "a list of events, such as [Event(title='치과 예약')]"
    )
    for position, event in enumerate(listed):
        if not isinstance(event, Event):
            raise InvalidEvent(f"events[{position}]", event, "an Event, such as Event(title=…)")
    return listed


def some_events(events: Sequence[Event]) -> list[Event]:
    """Return the events as a list.

    Raises:
        InvalidEvent: it is no list of events, or an empty one.
    """
    listed = checked_events(events)
    if not listed:
        raise InvalidEvent("events", events, "at least one event")
    return listed


def _moment(field: str, moment: object) -> datetime | None:
    if isinstance(moment, date) and not isinstance(moment, datetime):
        raise InvalidEvent(field, str(moment), "a datetime with a time zone, or all_day=True")
    return None if moment is None else utc_moment(InvalidEvent, field, moment)


def _day(field: str, day: object) -> date | None:
    expected = "a date, or a midnight with a time zone, because the event is all-day"
    if isinstance(day, datetime):
        if day.utcoffset() is None or day.time() != _MIDNIGHT:
            raise InvalidEvent(field, str(day), expected)
        return day.date()
    if day is not None and not isinstance(day, date):
        raise InvalidEvent(field, day, expected)
    return day

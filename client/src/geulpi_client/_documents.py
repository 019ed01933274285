"""Calendars as the JSON documents that the models read; pure.

A document is canonical: keys sorted, no blanks, moments in UTC, events in the order of their
starts, and nothing that is not said. So equal calendars are equal rows, and share a cached answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeAlias

from geulpi_client._checks import utc_moment
from geulpi_client._constants import MAX_EVENTS
from geulpi_client._errors import InvalidEvent, InvalidSetting
from geulpi_client._event import Event
from geulpi_client._person import Person
from geulpi_client._zones import zone_for

Row: TypeAlias = dict[str, Any]

_FIRST_YEAR, _LAST_YEAR = 2, 9998  # a week or another zone beyond them has no date


@dataclass(frozen=True)
class About:
    """What is asked about a calendar: which week, as of when, of whom, in which time zone."""

    week: date | None = None
    as_of: datetime | None = None
    person: Person | None = None
    time_zone: str | None = None


def calendar_inputs(events: Sequence[Event], about: About) -> dict[str, list[str]]:
    """Return the inputs of a model that reads one calendar.

    Raises:
        InvalidEvent, InvalidSetting: as `calendar_document`.
    """
    return {"calendar": [calendar_document(events, about)]}


def calendar_document(events: Sequence[Event], about: About) -> str:
    """Return the document of a calendar.

    Raises:
        InvalidEvent: an event has no start, or there are more than `MAX_EVENTS`.
        InvalidSetting: week, as_of, person or time zone can't be.
    """
    ordered = in_order(events, "events")
    as_of = None if about.as_of is None else moment_text("as_of", about.as_of)
    moments = [*(event.start for event in ordered), about.as_of]
    said = {
        "time_zone": zone_for(about.time_zone, moments).name,
        "week": _week(about.week),
        "as_of": as_of,
        "person": _person(about.person),
    }
    texts = {name: canonical_json(value) for name, value in said.items() if value is not None}
    texts["events"] = f"[{','.join([event.said[-1] for event in ordered])}]"
    fields = [f'"{name}":{text}' for name, text in sorted(texts.items())]
    return f"{{{','.join(fields)}}}"


def in_order(events: Sequence[Event], field: str) -> list[Event]:
    """Return the events in the order of their starts.

    Raises:
        InvalidEvent: one has no start, or there are more than `MAX_EVENTS`.
    """
    if len(events) > MAX_EVENTS:
        raise InvalidEvent(field, f"{len(events)} events", f"at most {MAX_EVENTS}; ask in parts")
    for position, event in enumerate(events):
        _check_placed(event, field, position)
    return sorted(events, key=attrgetter("said"))


def moment_text(field: str, moment: object) -> str:
    """Return a moment of a question's setting as a document holds it.

    Raises:
        InvalidSetting: it is no datetime with a time zone.
    """
    return utc_moment(InvalidSetting, field, moment).isoformat()


def canonical_json(value: Any) -> str:
    """Return JSON with its keys sorted, no blanks, without the fields of a dict that are `None`."""
    if isinstance(value, dict):
        value = {name: one for name, one in value.items() if one is not None}
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_placed(event: Event, field: str, position: int) -> None:
    start, end = event.bounds
    if start is None:
        raise InvalidEvent(
            f"{field}[{position}].start", None, "a start; every event needs one here"
        )
    if start.year < _FIRST_YEAR or (end or start).year > _LAST_YEAR:
        years = f"a time within the years {_FIRST_YEAR} to {_LAST_YEAR}"
        raise InvalidEvent(f"{field}[{position}]", f"{event.start} to {event.end}", years)


def _week(week: date | None) -> str | None:
    if week is None:
        return None
    if not isinstance(week, date) or isinstance(week, datetime):
        raise InvalidSetting("week", week, "a date, that of the week's Monday")
    if week.weekday() != 0:
        monday = week - timedelta(days=week.weekday())
        raise InvalidSetting("week", str(week), f"a Monday, such as {monday}")
    return week.isoformat()


def _person(person: Person | None) -> Row | None:
    if person is None:
        return None
    if not isinstance(person, Person):
        raise InvalidSetting("person", person, "a Person, such as Person(age=34)")
    said = {"age": person.age, "employment": person.employment}
    return {name: value for name, value in said.items() if value is not None} or None

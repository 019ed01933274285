"""The calendar as a document: what a row of the tensor `calendar` holds, checked at the edge.

    {"time_zone": "Asia/Seoul",
     "events": [{"title": "Team sync", "start": "2026-03-02T10:00:00+09:00",
                 "end": "2026-03-02T10:30:00+09:00", "category": "meeting", "all_day": false}],
     "week": "2026-03-02",
     "as_of": "2026-03-09T00:00:00+09:00",
     "person": {"age": 34, "employment": "full_time"}}

Only `time_zone` and `events` are required, and of an event `title` and `start`. An all-day event's
`start` and `end` are dates, the end exclusive as in RFC 5545; without one it lasts a day. Another
event without an end lasts no time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from operator import itemgetter
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

__all__ = [
    "CATEGORIES",
    "EMPLOYMENTS",
    "MAX_EVENTS",
    "CalendarDocument",
    "CalendarEvent",
    "InvalidDocument",
    "Person",
    "known_fields",
    "parse_calendar",
    "parse_events",
    "parse_json",
    "parse_moment",
    "parse_zone",
]

CATEGORIES: Final = (
    "errand", "exercise", "family", "health", "meeting",
    "personal", "social", "study", "travel", "work",
)  # fmt: skip
EMPLOYMENTS: Final = ("full_time", "part_time", "unemployed", "not_in_labor_force")
MAX_EVENTS: Final = 50_000
MAX_TITLE_CHARACTERS: Final = 1000
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_DAY, _NOTHING = timedelta(days=1), timedelta()
_EVENT_FIELDS: Final = frozenset({"title", "start", "end", "category", "all_day"})
_ORDER: Final = itemgetter(0, 1, 2, 3)

Json: TypeAlias = Any


class InvalidDocument(ValueError):
    """A document that can't be used: which field, what it holds, what is expected in its place."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        text = repr(value)
        shown = text if len(text) <= 80 else text[:79] + "…"
        super().__init__(f"{field} is {shown}; expected {expected}")
        self.field = field


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """An event; `start` and `end` (not before it) are aware, in the calendar's time zone.

    An all-day event begins and ends at midnight. `category` is None where nobody gave one.
    """

    title: str
    start: datetime
    end: datetime
    category: str | None = None
    all_day: bool = False

    @property
    def minutes(self) -> float:
        """How long it lasts, over clock changes too, in minutes."""
        start, end = self.start, self.end
        lasted = end - start  # by the wall clock
        if shift := (end.utcoffset() or _NOTHING) - (start.utcoffset() or _NOTHING):
            lasted -= shift
        return lasted.total_seconds() / 60


@dataclass(frozen=True, slots=True)
class Person:
    """Whose calendar it is, as far as they say; None is unknown. `employment`: `EMPLOYMENTS`."""

    age: float | None = None
    employment: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarDocument:
    """A user's calendar; `events` are in the order of their starts.

    `week` is the Monday of the week that is asked about, None the last one that holds an event.
    `as_of` is the present of the question, None the end of the history.
    """

    time_zone: tzinfo
    zone_name: str
    events: tuple[CalendarEvent, ...]
    week: date | None = None
    as_of: datetime | None = None
    person: Person = Person()


def parse_calendar(raw: bytes | str) -> CalendarDocument:
    """Read a calendar document.

    Raises:
        InvalidDocument: names the field, such as `events[3].end`, its value and what is expected.
    """
    document = parse_json(raw, "calendar")
    known_fields(document, {"time_zone", "events", "week", "as_of", "person"}, "")
    zone_name = document.get("time_zone")
    zone = parse_zone(zone_name, "time_zone")
    as_of = document.get("as_of")
    return CalendarDocument(
        zone,
        str(zone_name),
        parse_events(document.get("events"), "events", zone),
        week=_week(document.get("week")),
        as_of=None if as_of is None else parse_moment(as_of, "as_of", zone),
        person=_person(document.get("person")),
    )


def parse_events(rows: Json, field: str, zone: tzinfo) -> tuple[CalendarEvent, ...]:
    """Return the events of a list, in the order of their starts.

    Raises:
        InvalidDocument: it is no list of events, or of more than `MAX_EVENTS`.
    """
    if not isinstance(rows, list):
        raise InvalidDocument(field, rows, "a list of events")
    if len(rows) > MAX_EVENTS:
        raise InvalidDocument(
            field, f"a list of {len(rows)}", f"at most {MAX_EVENTS} events; ask in parts"
        )
    keyed = [_event(row, f"{field}[{position}]", zone) for position, row in enumerate(rows)]
    return tuple(row[-1] for row in sorted(keyed, key=_ORDER))


def parse_json(raw: bytes | str, what: str) -> dict[str, Json]:
    """Return the object that a JSON text holds.

    Raises:
        InvalidDocument: it is no JSON, or no object.
    """
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        shown = raw[:40].decode(errors="replace") if isinstance(raw, bytes) else raw[:40]
        raise InvalidDocument(what, shown, f"a JSON object ({error})") from error
    if not isinstance(document, dict):
        raise InvalidDocument(what, document, "a JSON object")
    return document


def parse_zone(name: Json, field: str) -> tzinfo:
    """Return a time zone by its IANA name, or of a fixed offset such as `+09:00`.

    Raises:
        InvalidDocument: there is no such zone.
    """
    if isinstance(name, str) and (found := _OFFSET.fullmatch(name)):
        minutes = int(found[2]) * 60 + int(found[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=minutes if found[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (TypeError, ValueError, KeyError, OSError, AttributeError):
        raise InvalidDocument(
            field, name, "an IANA time zone such as 'Asia/Seoul', or an offset such as '+09:00'"
        ) from None


def parse_moment(text: Json, field: str, zone: tzinfo) -> datetime:
    """Return an ISO 8601 moment with an offset, in the given zone.

    Raises:
        InvalidDocument: it is none, or lies outside the years 2 to 9998.
    """
    expected = "an ISO 8601 time with an offset, such as '2026-03-02T10:00:00+09:00'"
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidDocument(field, text, expected) from None
    if moment.tzinfo is None:
        raise InvalidDocument(field, text, expected)
    if not 1 < moment.year < 9999:  # another zone, or a week on, may lie outside datetime's range
        raise InvalidDocument(field, text, "a time within the years 2 to 9998")
    return moment.astimezone(zone)


def _event(row: Json, field: str, zone: tzinfo) -> tuple[float, float, str, str, CalendarEvent]:
    """Return an event after what it is sorted by: when it starts and ends, title, category."""
    if not isinstance(row, dict):
        raise InvalidDocument(field, row, "an object with title and start")
    known_fields(row, _EVENT_FIELDS, f"{field}.")
    title, category = row.get("title"), row.get("category")
    all_day = row.get("all_day", False)
    if not isinstance(title, str) or len(title) > MAX_TITLE_CHARACTERS:
        expected = f"text of at most {MAX_TITLE_CHARACTERS} characters"
        raise InvalidDocument(f"{field}.title", title, expected)
    if category is not None and category not in CATEGORIES:
        raise InvalidDocument(f"{field}.category", category, f"one of {', '.join(CATEGORIES)}")
    if not isinstance(all_day, bool):
        raise InvalidDocument(f"{field}.all_day", all_day, "true or false")
    if all_day:
        first = _date(row.get("start"), f"{field}.start")
        last = first + _DAY if row.get("end") is None else _date(row["end"], f"{field}.end")
        start, end = (datetime.combine(day, time(), zone) for day in (first, last))
    else:
        start = parse_moment(row.get("start"), f"{field}.start", zone)
        end = start if row.get("end") is None else parse_moment(row["end"], f"{field}.end", zone)
    # Datetimes of one zone compare by wall clock, which runs twice through some hours.
    begun, ended = start.timestamp(), end.timestamp()
    if ended < begun:
        raise InvalidDocument(f"{field}.end", row["end"], f"the start ({row['start']}) or later")
    return begun, ended, title, category or "", CalendarEvent(title, start, end, category, all_day)


def _person(row: Json) -> Person:
    if row is None:
        return Person()
    if not isinstance(row, dict):
        raise InvalidDocument("person", row, "an object with age, employment")
    known_fields(row, {"age", "employment"}, "person.")
    age, employment = row.get("age"), row.get("employment")
    if age is not None and (
        isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= 130
    ):
        raise InvalidDocument("person.age", age, "years from 0 to 130")
    if employment is not None and employment not in EMPLOYMENTS:
        raise InvalidDocument("person.employment", employment, f"one of {', '.join(EMPLOYMENTS)}")
    return Person(None if age is None else float(age), employment)


def _week(text: Json) -> date | None:
    if text is None:
        return None
    day = _date(text, "week")
    if day.weekday() != 0:
        monday = day - timedelta(days=day.weekday())
        raise InvalidDocument("week", text, f"a Monday, such as '{monday}'")
    return day


def _date(text: Json, field: str) -> date:
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidDocument(field, text, "a date such as '2026-03-02'") from None
    if not 1 < day.year < 9999:
        raise InvalidDocument(field, text, "a date within the years 2 to 9998")
    return day


def known_fields(document: Mapping[str, Json], fields: AbstractSet[str], prefix: str) -> None:
    """Raise `InvalidDocument` for a field of a document that nobody would read."""
    for name in document:
        if name not in fields:
            raise InvalidDocument(f"{prefix}{name}", document[name], f"only {sorted(fields)}")

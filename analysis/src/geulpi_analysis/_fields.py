"""The values of a tasks file: each knows where it stands, and is read by what its field wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeAlias, TypeVar

from geulpi_client import WEEKDAYS, InvalidSetting, TimeRange

from geulpi_analysis._errors import InvalidTasks

T = TypeVar("T")
Span: TypeAlias = tuple[time, time]

_DURATION = re.compile(
    r"(?:(\d{1,4})\s*h(?:ours?)?)?\s*(?:(\d{1,5})\s*(?:m|min|minutes?)?)?", re.IGNORECASE
)
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_NOTHING: Final = ("", "null", "~")
_DAYS = re.compile(r"([A-Z]{2})(?:-([A-Z]{2}))?")


@dataclass(frozen=True)
class Field:
    """A value of the file, and where it stands."""

    file: str
    path: str
    value: Any

    def at(self, key: str | int, value: Any) -> Field:
        """A value within this one."""
        inner = f"[{key}]" if isinstance(key, int) else f".{key}" if self.path else key
        return Field(self.file, f"{self.path}{inner}", value)

    def refused(self, expected: str) -> InvalidTasks:
        """The error that this value can't be used."""
        return InvalidTasks(self.file, self.path or "the file", self.value, expected)

    def text(self) -> str:
        """The value as text."""
        if not isinstance(self.value, str):
            raise self.refused("text")
        return self.value.strip()

    def each(self, read: Callable[[Field], T]) -> list[T]:
        """The values of a list, each read; a single one is a list of one."""
        if isinstance(self.value, str) and self.value.strip():
            return [read(self)]
        if not isinstance(self.value, list):
            raise self.refused("a list")
        return [read(self.at(position, value)) for position, value in enumerate(self.value)]

    def fields(self, known: tuple[str, ...]) -> dict[str, Field]:
        """The fields of an object by name; those that are empty are not there."""
        if not isinstance(self.value, dict):
            raise self.refused(f"fields, of {', '.join(known)}")
        for key in self.value:
            if key not in known:
                raise self.at(str(key), self.value[key]).refused(
                    f"only the fields {', '.join(known)}"
                )
        return {
            key: self.at(key, value)
            for key, value in self.value.items()
            if not (isinstance(value, str) and value in _NOTHING)
        }


def days_of(field: Field, text: str) -> list[str]:
    """The days of `MO`, `MO-FR` or `TU,TH`."""
    days: list[str] = []
    for part in text.upper().replace(" ", "").split(","):
        found = _DAYS.fullmatch(part)
        names = [name for name in found.groups() if name] if found else []
        if not names or any(name not in WEEKDAYS for name in names):
            raise field.refused(f"days of {', '.join(WEEKDAYS)}, such as MO-FR or TU,TH")
        first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
        days += (
            WEEKDAYS[first : last + 1]
            if first <= last
            else (WEEKDAYS[first:] + WEEKDAYS[: last + 1])
        )
    return days


def range_of(field: Field) -> TimeRange:
    """`TU,TH 09:00-12:00`, `09:00-12:00`, or {days: [TU, TH], start: 09:00, end: 12:00}."""
    days: list[str] | None = None
    if isinstance(field.value, str):
        *named, hours = field.text().split(maxsplit=1)
        days = days_of(field, named[0]) if named else None
        start, end = span_of(Field(field.file, field.path, hours))
    else:
        rows = field.fields(("days", "start", "end"))
        if not {"start", "end"} <= rows.keys():
            raise field.refused("start and end, such as {start: 09:00, end: 12:00}")
        start, end = time_of(rows["start"]), time_of(rows["end"])
        if "days" in rows:
            days = [
                day for part in rows["days"].each(lambda f: days_of(f, f.text())) for day in part
            ]
    try:
        return TimeRange(start, end, days=days)
    except InvalidSetting as error:
        raise field.refused(error.args[2]) from error


def span_of(field: Field) -> Span:
    """`09:00-12:00`, or [09:00, 12:00]."""
    value = field.value
    halves = value.replace("–", "-").split("-") if isinstance(value, str) else value
    if not isinstance(halves, list) or len(halves) != 2:
        raise field.refused("hours, such as 09:00-12:00")
    start, end = (time_of(Field(field.file, field.path, half)) for half in halves)
    return start, end


def time_of(field: Field) -> time:
    """`09:00`; `24:00` is the end of the day."""
    found = _TIME.fullmatch(field.text())
    hour, minute = (int(found[1]), int(found[2])) if found else (99, 0)
    if (hour, minute) == (24, 0):
        return time()  # as an end, the end of the day
    if hour > 23 or minute > 59:
        raise field.refused("a time of the day, such as 09:00")
    return time(hour, minute)


def moment_of(field: Field, zone: tzinfo) -> datetime:
    """A date is its first moment; a time without an offset is one of the zone."""
    try:
        moment = datetime.fromisoformat(field.text())
    except ValueError as error:
        raise field.refused("a date or time, such as 2026-03-02 or 2026-03-02 09:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def deadline_of(field: Field | None, zone: tzinfo) -> datetime | None:
    """A date is meant to its end: what is due on Friday may be done on Friday."""
    if field is None:
        return None
    try:
        day = date.fromisoformat(field.text())
        return datetime.combine(day + timedelta(days=1), time(), zone)
    except (ValueError, OverflowError):
        return moment_of(field, zone)


def duration_of(field: Field) -> timedelta:
    """`1h30m`, `2h`, `45 min` or `90`, which is minutes."""
    found = _DURATION.fullmatch(field.text())
    if found is None or not any(found.groups()):
        raise field.refused("a duration, such as 1h30m, 45m or 90 (minutes)")
    return timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0))


def duration_at(rows: Mapping[str, Field], name: str, other: str, default: timedelta) -> timedelta:
    """The duration of a field that has two names, only one of which may be used."""
    if name in rows and other in rows:
        raise rows[other].refused(f"{name} or {other}, not both")
    field = rows.get(name) or rows.get(other)
    return default if field is None else duration_of(field)


def each_at(rows: Mapping[str, Field], name: str, read: Callable[[Field], T]) -> list[T]:
    """The values of a list that may be absent."""
    return rows[name].each(read) if name in rows else []


def number_at(rows: Mapping[str, Field], name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number within limits."""
    if name not in rows:
        return default
    text = rows[name].text()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else lowest - 1
    if not lowest <= number <= highest:
        raise rows[name].refused(f"a whole number from {lowest} to {highest}")
    return number


def seconds_of(field: Field | None) -> float:
    """The time limit of a search."""
    if field is None:
        return 2.0
    try:
        seconds = float(field.text())
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= 60:
        raise field.refused("0.01 to 60 seconds")
    return seconds


def flag_of(field: Field | None) -> bool:
    """`true` or `yes`, `false` or `no`."""
    if field is None:
        return False
    words = {"true": True, "yes": True, "false": False, "no": False}
    found = words.get(field.text().lower())
    if found is None:
        raise field.refused("true or false")
    return found

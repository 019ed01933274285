"""What is to be planned and around what, each checked when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, time, timedelta

from geulpi_client._checks import (
    checked_duration,
    checked_flag,
    checked_list,
    checked_names,
    checked_text,
    checked_whole,
    one_of,
    utc_moment,
)
from geulpi_client._errors import InvalidSetting, InvalidTask
from geulpi_client._names import CATEGORIES, WEEKDAYS

_MIDNIGHT = time()


@dataclass(frozen=True)
class TimeRange:
    """Hours of a day, by the wall clock of the calendar's time zone.

    Args:
        start, end: whole minutes without a time zone; an end of 0:00 is the end of the day.
        days: the days that are meant, of `WEEKDAYS`; `None` is every day.

    Raises:
        InvalidSetting: names the field, the value and what is expected.
    """

    start: time
    end: time
    _: KW_ONLY
    days: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what no day holds."""
        range_texts("TimeRange", self.start, self.end)
        if self.days is not None:
            field, expected = "TimeRange.days", "a list such as ['MO', 'TU'], or None for every day"
            days = checked_names(InvalidSetting, field, self.days, expected)
            if not days:
                raise InvalidSetting(field, days, expected)
            for day in days:
                one_of(InvalidSetting, field, day, WEEKDAYS)
            object.__setattr__(self, "days", days)


@dataclass(frozen=True)
class Busy:
    """A time that is taken.

    Args:
        start, end: with a time zone.
        attendee: whose time it is, by a name that tasks' `attendees` hold; `None` is the user's.

    Raises:
        InvalidSetting: names the field, the value and what is expected.
    """

    start: datetime
    end: datetime
    attendee: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no calendar holds."""
        start = utc_moment(InvalidSetting, "Busy.start", self.start)
        if utc_moment(InvalidSetting, "Busy.end", self.end) < start:
            raise InvalidSetting("Busy.end", str(self.end), f"the start ({self.start}) or later")
        if self.attendee is not None:
            checked_text(InvalidSetting, "Busy.attendee", self.attendee)


@dataclass(frozen=True)
class Task:
    """Something that wants time.

    Args:
        id: what answers and other tasks call it.
        duration: how long it takes, above 0.
        title: as its owner wrote it; tells which past events are alike.
        deadline: it must have ended by then; with a time zone.
        earliest: it can't begin before; with a time zone.
        priority: 1 to 5, 5 the most urgent.
        category: one of `CATEGORIES`; `None` is unknown.
        preferred, forbidden: hours that suit it, and hours that it must not touch.
        splittable: whether it may be done in parts, none shorter than `min_chunk`.
        depends_on: ids of the tasks that must have ended before it begins.
        attendees: who must be free too, by the names that busy times hold.

    Raises:
        InvalidTask: names the field, the value and what is expected.
    """

    id: str
    duration: timedelta
    _: KW_ONLY
    title: str = ""
    deadline: datetime | None = None
    earliest: datetime | None = None
    priority: int = 3
    category: str | None = None
    preferred: Sequence[TimeRange] = ()
    forbidden: Sequence[TimeRange] = ()
    splittable: bool = False
    min_chunk: timedelta = timedelta(minutes=30)
    depends_on: Sequence[str] = ()
    attendees: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what can't be planned; lists become tuples, so that a task can't change."""
        checked_text(InvalidTask, "id", self.id)
        if self.title != "":
            checked_text(InvalidTask, "title", self.title)
        for name in ("duration", "min_chunk"):
            if not checked_duration(InvalidTask, name, getattr(self, name)):
                raise InvalidTask(name, str(getattr(self, name)), "more than 0 minutes")
        for name in ("deadline", "earliest"):
            if getattr(self, name) is not None:
                utc_moment(InvalidTask, name, getattr(self, name))
        checked_whole(InvalidTask, "priority", self.priority, 1, 5)
        if self.category is not None:
            one_of(InvalidTask, "category", self.category, CATEGORIES)
        checked_flag(InvalidTask, "splittable", self.splittable)
        for name in ("preferred", "forbidden"):
            object.__setattr__(self, name, _checked_ranges(name, getattr(self, name)))
        for name, what in (("depends_on", "ids"), ("attendees", "names")):
            names = checked_names(InvalidTask, name, getattr(self, name), f"a list of {what}")
            object.__setattr__(self, name, names)


def range_texts(field: str, start: object, end: object) -> list[str]:
    """Return two times of a day as a document holds them, `["09:00", "24:00"]`.

    Raises:
        InvalidSetting: they are no times, or turned round.
    """
    start, end = _minute(f"{field}.start", start), _minute(f"{field}.end", end)
    if end != _MIDNIGHT and end <= start:
        raise InvalidSetting(
            f"{field}.end", str(end), f"a time after {start}; give hours over midnight as two"
        )
    return [f"{start:%H:%M}", "24:00" if end == _MIDNIGHT else f"{end:%H:%M}"]


def _minute(field: str, moment: object) -> time:
    if not isinstance(moment, time) or moment.tzinfo is not None:
        raise InvalidSetting(field, moment, "a time without a zone, such as time(9)")
    if moment.second or moment.microsecond:
        raise InvalidSetting(field, str(moment), "a time of whole minutes")
    return moment


def _checked_ranges(field: str, ranges: object) -> tuple[TimeRange, ...]:
    expected = "a list such as [TimeRange(time(9), time(12))]"
    listed = checked_list(InvalidTask, field, ranges, expected)
    if not all(isinstance(one, TimeRange) for one in listed):
        raise InvalidTask(field, ranges, expected)
    return tuple(listed)

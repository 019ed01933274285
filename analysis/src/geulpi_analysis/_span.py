"""Which part of a calendar is analysed, and as of when; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from geulpi_analysis._errors import InvalidOption, NoEvents, TooManyEvents
from geulpi_analysis._ics import Export, Reading
from geulpi_analysis._occurrences import Occurrence
from geulpi_analysis._rules import is_yearly

_YEAR: Final = timedelta(days=365)
_QUARTER: Final = timedelta(days=92)
_DAY: Final = timedelta(days=1)
_FEW_EVENTS: Final = 1000  # so many, and a calendar is analysed as a whole
_MANY_SINGLE: Final = 10  # so many single events, and they tell how old an export is
_YEARS: Final = (2, 9997)
_YEARS_BACK: Final = (1, 4, 16, 64)


@dataclass(frozen=True)
class Asked:
    """The days that a caller names; `None` is the default.

    Attributes:
        first, last: the days that the period begins and ends with.
        as_of: what is taken for now.
        week: the Monday of the week that balance and risk are about.
    """

    first: date | None = None
    last: date | None = None
    as_of: datetime | None = None
    week: date | None = None


@dataclass(frozen=True)
class Span:
    """What is analysed: the events of a period, as of a moment, and one week of it above all."""

    reading: Reading
    as_of: datetime
    week: date


def chosen_span(export: Export, asked: Asked, now: datetime) -> Span:
    """Choose the period, the moment and the week.

    The moment is now, in an export of old events the end of their last week. The period is the
    year before it, in a calendar of up to 1,000 events everything before it. The week is the last
    one that is over by then and holds an event with a time.

    Raises:
        InvalidOption: days that can't be.
        NoEvents: nothing happens in the period.
        TooManyEvents: more happens than the models take.
    """
    _check(asked)
    zone = export.zone
    end = None if asked.last is None else midnight(asked.last + _DAY, zone)
    as_of = asked.as_of or end or _age(export, now)
    end = end or as_of
    if asked.week is not None:
        end = max(end, midnight(asked.week + timedelta(days=7), zone))
    if asked.first is not None:
        reading = export.between(midnight(asked.first, zone), end)
    else:
        reading = _year_or_all(export, end, asked.week)
    if not reading.occurrences:
        period = f"from {reading.start:%Y-%m-%d} to {end - timedelta(microseconds=1):%Y-%m-%d}"
        raise NoEvents(export.source, period)
    return Span(reading, as_of.astimezone(zone), asked.week or _last_week(reading, zone))


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins."""
    return datetime.combine(day, time(), zone)


def monday_of(day: date) -> date:
    """Return the day that a week begins with."""
    return day - timedelta(days=day.weekday())


def _check(asked: Asked) -> None:
    for name, day in (
        ("--from", asked.first), ("--to", asked.last), ("--as-of", asked.as_of),
        ("--week", asked.week),
    ):  # fmt: skip
        if day is not None and not _YEARS[0] <= day.year <= _YEARS[1]:
            raise InvalidOption(name, str(day), "a day within the years 2 to 9997")
    if asked.week is not None and asked.week.weekday() != 0:
        raise InvalidOption("--week", str(asked.week), f"a Monday, such as {monday_of(asked.week)}")
    if asked.first is not None:
        last = asked.last or (asked.as_of.date() if asked.as_of else None)
        if last is not None and last < asked.first:
            raise InvalidOption("--from", str(asked.first), f"a day not after {last}")


def _age(export: Export, now: datetime) -> datetime:
    """Now, or the end of the last week of an export whose events are long over."""
    single = [
        series.lead.start
        for series in export.series
        if not series.lead.repeats and not series.lead.cancelled
    ]
    starts = sorted(_moment(start, export.zone) for start in single)
    if len(starts) >= _MANY_SINGLE:
        if starts[-1] >= now - _QUARTER:
            return now
        return _week_end(starts[-1], export.zone)
    nearby = export.between(now - _QUARTER, now + _QUARTER).occurrences
    if near := [one for one in nearby if not one.yearly]:
        return now if near[0].starts <= now else _week_end(near[-1].starts, export.zone)
    for years in _YEARS_BACK:  # the last event is all that is wanted: no more than needed is read
        past = export.between(now - years * _YEAR, now).occurrences
        if usual := [one for one in past if not one.yearly]:
            return _week_end(usual[-1].starts, export.zone)
    return now


def _year_or_all(export: Export, end: datetime, week: date | None) -> Reading:
    start = midnight((end - _YEAR).astimezone(export.zone).date(), export.zone)
    if week is not None:
        start = min(start, midnight(week, export.zone))
    year = export.between(start, end)
    # Birthdays begin decades before the calendar does.
    firsts = [
        _moment(series.lead.start, export.zone)
        for series in export.series
        if not any(map(is_yearly, series.lead.rules))
    ]
    if not firsts:
        return year
    first = midnight(min(firsts).astimezone(export.zone).date(), export.zone)
    if len(year.occurrences) > _FEW_EVENTS and first < start:
        return year
    try:
        everything = export.between(first, end) if first < end else year
    except TooManyEvents:
        return year
    few = len(everything.occurrences) <= _FEW_EVENTS
    return everything if everything.occurrences and (few or first >= start) else year


def _last_week(reading: Reading, zone: tzinfo) -> date:
    over = monday_of(reading.end.astimezone(zone).date())
    timed = [one for one in reading.occurrences if not one.event.all_day]
    weeks = {_monday(one, zone) for one in timed or reading.occurrences}
    return max((week for week in weeks if week < over), default=max(weeks))


def _monday(one: Occurrence, zone: tzinfo) -> date:
    return monday_of(one.starts.astimezone(zone).date())


def _moment(start: date, zone: tzinfo) -> datetime:
    return start.astimezone(UTC) if isinstance(start, datetime) else midnight(start, zone)


def _week_end(moment: datetime, zone: tzinfo) -> datetime:
    day = monday_of(moment.astimezone(zone).date()) + timedelta(days=7)
    return midnight(day, zone)

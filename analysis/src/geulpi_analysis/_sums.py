"""What the events of a calendar add up to: hours by category, by hour of the week, over time; pure.

Hours are those of events with a start and an end that are shorter than a day: a longer one, such as
a trip, is a state, and its nights are not its activity. Overlapping events count each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from geulpi_client import CATEGORIES, Event

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MOST_WEEKS: Final = 60


@dataclass(frozen=True)
class CategoryTime:
    """What a category takes: its events, their hours, its share (0 to 1) of all hours."""

    category: str
    events: int
    hours: float
    share: float


@dataclass(frozen=True)
class Stretch:
    """A week, or a month, and the hours of each category in it, in the order of `CATEGORIES`."""

    first: date
    hours: tuple[float, ...]

    @property
    def total(self) -> float:
        """The hours of all categories."""
        return sum(self.hours)


def by_category(events: Sequence[Event]) -> tuple[CategoryTime, ...]:
    """Return what each category that occurs takes, the most hours first."""
    hours, counts = dict.fromkeys(CATEGORIES, 0.0), dict.fromkeys(CATEGORIES, 0)
    for event in events:
        if event.category is not None:
            counts[event.category] += 1
            hours[event.category] += hours_of(event)
    total = sum(hours.values())
    times = [
        CategoryTime(name, counts[name], hours[name], hours[name] / total if total else 0.0)
        for name in CATEGORIES
        if counts[name]
    ]
    return tuple(sorted(times, key=lambda one: (-one.hours, -one.events)))


def by_hour_of_week(events: Iterable[Event], weeks: float) -> tuple[tuple[float, ...], ...]:
    """Return the hours a week that are taken in each hour, 7 days from Monday × 24.

    Args:
        events: their times count in the zone that they are in.
        weeks: how many weeks the events are of, above 0.
    """
    cells = [[0.0] * 24 for _ in range(7)]
    for event in events:
        for start, part in _hourly_parts(event):
            cells[start.weekday()][start.hour] += part / weeks
    return tuple(map(tuple, cells))


def over_time(events: Sequence[Event], start: datetime, end: datetime) -> tuple[Stretch, ...]:
    """Return the hours of each category by week, by month where that were over 60 weeks.

    An event counts where it begins; stretches without events are there, too.
    """
    zone = start.tzinfo
    last = (end - timedelta(microseconds=1)).astimezone(zone).date()
    first = start.date()
    monthly = (last - first).days > 7 * _MOST_WEEKS
    stretches: dict[date, list[float]] = {
        day: [0.0] * len(CATEGORIES) for day in _firsts(first, last, monthly=monthly)
    }
    for event in events:
        if isinstance(event.start, datetime) and event.category is not None:
            hours = stretches.get(_first_of(event.start.date(), monthly=monthly))
            if hours is not None:
                hours[CATEGORIES.index(event.category)] += hours_of(event)
    return tuple(Stretch(day, tuple(hours)) for day, hours in stretches.items())


def hours_of(event: Event) -> float:
    """Return the hours that an event takes; 0 for one of days, or without an end."""
    duration = event.duration
    if event.all_day or duration is None or duration >= _DAY:
        return 0.0
    return duration / _HOUR


def _hourly_parts(event: Event) -> Iterator[tuple[datetime, float]]:
    """The moments where an event enters an hour of the clock, and how much of it it takes."""
    start, end = event.start, event.end
    if not hours_of(event) or not isinstance(start, datetime) or not isinstance(end, datetime):
        return
    zone: tzinfo | None = start.tzinfo
    now, over = start.astimezone(UTC), end.astimezone(UTC)
    while now < over:
        local = now.astimezone(zone)
        to_next = _HOUR - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        then = min(now + to_next, over)
        yield local, (then - now) / _HOUR
        now = then


def _first_of(day: date, *, monthly: bool) -> date:
    return day.replace(day=1) if monthly else day - timedelta(days=day.weekday())


def _firsts(first: date, last: date, *, monthly: bool) -> Iterator[date]:
    day = _first_of(first, monthly=monthly)
    while day <= last:
        yield day
        day = _first_of(day + timedelta(days=31 if monthly else 7), monthly=monthly)

"""A week's local times as seconds from its beginning, clock changes included."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from geulpi_calendar._week_spans import Span

__all__ = ["HOUR", "WeekClock"]

HOUR: Final = 3600.0
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time(0)


class WeekClock:
    """The week that begins on a Monday at 00:00 in a time zone.

    A day has 23 or 25 hours where clocks change, and its times of day lie where they say.
    """

    def __init__(self, monday: date, zone: tzinfo) -> None:
        self._days = [monday + position * _DAY for position in range(8)]
        self._zone = zone
        self._base = datetime.combine(monday, _MIDNIGHT, zone).timestamp()
        midnights = [self.at(position, _MIDNIGHT) for position in range(8)]
        self.days: list[Span] = list(pairwise(midnights))
        self.end = midnights[-1]

    def at(self, day: int, moment: time) -> float:
        """Return when it is so late on a day; 0 is Monday, 7 the Monday after."""
        return datetime.combine(self._days[day], moment, self._zone).timestamp() - self._base

    def windows(self, days: Iterable[int], opens: time, closes: time) -> list[Span]:
        """Return the time between two times of day, on each of these days."""
        return [(self.at(day, opens), self.at(day, closes)) for day in days]

    def span(self, start: datetime, end: datetime) -> Span:
        """Return a time as seconds; it may reach beyond the week."""
        return start.timestamp() - self._base, end.timestamp() - self._base

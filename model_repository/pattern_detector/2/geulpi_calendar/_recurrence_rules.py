"""Recurrence rules of RFC 5545 on day numbers, and the days that they name.

A day number is a proleptic Gregorian ordinal (`date.toordinal`), so Mondays are 1 modulo 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

__all__ = ["LAST", "WEEKDAYS", "Rule"]

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LAST: Final = -1
"""The place of a month's last day, or of its last weekday of a kind."""

_WEEK: Final = 7
_YEAR: Final = 12
_END: Final = date.max.toordinal()
_LAST_MONTH: Final = date.max.year * _YEAR + 11  # months are counted from January of a year 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Every `interval` days, weeks or months, on certain days of them.

    `unit` is "day", "week" or "month". Of a week, `weekdays` (0 = Monday) are the days. Of a month,
    `place` is the day (1 to 31, or `LAST`) or, with one weekday, which of them (1 to 4, or `LAST`).
    A month without its day is skipped, as the RFC has it. Twelve months are written as a year.
    """

    unit: str
    interval: int
    weekdays: tuple[int, ...] = ()
    place: int = 0

    def text(self, anchor: int) -> str:
        """Return the value of an RRULE property; `anchor` is the day number of its DTSTART."""
        days = ",".join(WEEKDAYS[day] for day in self.weekdays)
        interval = self.interval
        if self.unit == "day" or len(self.weekdays) == _WEEK:
            frequency, on = "DAILY", ""
        elif self.unit == "week":
            frequency, on = "WEEKLY", f";BYDAY={days}"
        else:
            on = f";BYDAY={self.place}{days}" if days else f";BYMONTHDAY={self.place}"
            frequency = "MONTHLY"
            if interval % _YEAR == 0:
                frequency, interval = "YEARLY", interval // _YEAR
                on = f";BYMONTH={date.fromordinal(anchor).month}{on}"
        return f"FREQ={frequency}{f';INTERVAL={interval}' if interval > 1 else ''}{on}"

    def days(self, anchor: int, since: int | None = None) -> Iterator[int]:
        """Yield the rule's day numbers, to the end of the calendar.

        Args:
            anchor: the day of DTSTART, one of the rule's.
            since: leave out the days before it; None is the anchor.
        """
        since = anchor if since is None else max(anchor, since)
        ahead = since - anchor
        if self.unit == "day":
            yield from range(
                anchor + -(-ahead // self.interval) * self.interval, _END, self.interval
            )
        elif self.unit == "week":
            step = _WEEK * self.interval
            monday = anchor - (anchor - 1) % _WEEK
            for week in range(monday + (since - monday) // step * step, _END - _WEEK, step):
                yield from (week + day for day in self.weekdays if week + day >= since)
        else:
            first = _month_of(anchor)
            first += (_month_of(since) - first) // self.interval * self.interval
            for month in range(first, _LAST_MONTH, self.interval):
                day = self._day_in(month)
                if day is not None and day >= since:
                    yield day

    def _day_in(self, month: int) -> int | None:
        """Return the day number in a month, None where the month has no such day."""
        first, following = _first_day(month), _first_day(month + 1)
        if self.weekdays:
            weekday = self.weekdays[0]
            if self.place == LAST:
                return following - 1 - (following - 2 - weekday) % _WEEK
            return first + (weekday - first + 1) % _WEEK + _WEEK * (self.place - 1)
        day = following - 1 if self.place == LAST else first + self.place - 1
        return day if day < following else None


def _month_of(day: int) -> int:
    date_of = date.fromordinal(day)
    return date_of.year * _YEAR + date_of.month - 1


def _first_day(month: int) -> int:
    return date(month // _YEAR, month % _YEAR + 1, 1).toordinal()

"""When in the day a title's events start: the clock that they keep, and the hours that they share.

What recurs is the time on a wall clock. It is the calendar's own clock unless another one is kept
better: a meeting that New York holds at 10:00 jumps by an hour twice a year in Seoul.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from math import log
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["Clock", "Occasions", "kept_clock", "occasions"]

_DAY: Final = 1440
_HOUR: Final = 60
_GAPS: Final = (150, 45, 10)
"""Minutes without a start that part a title's hours, coarsely and finely."""
_USUAL_LEVEL: Final = 1  # starts this near to each other about midnight are of one day

# One zone for each way of changing the clocks that much of the world follows, and one without.
_OTHER_CLOCKS: Final = ("America/New_York", "Europe/London", "Australia/Sydney", "UTC")
_ROUND: Final = 5  # minutes; a start is told to these when clocks are compared
_EVIDENCE: Final = log(1000)
_FEWEST: Final = 6


@dataclass(frozen=True, slots=True)
class Clock:
    """A time zone and its name."""

    zone: tzinfo
    name: str


@dataclass(frozen=True, slots=True)
class Occasions:
    """Where in the calendar a title's events stand, in their order.

    Attributes:
        days: day numbers; of the starts about midnight, all that of their usual start.
        minutes: of the start after that day's midnight; negative or over 1440 beyond it.
        hours: for each level, from coarse to fine, the number of the event's part of the day.
    """

    days: list[int]
    minutes: list[float]
    hours: tuple[list[int], ...]


def kept_clock(starts: Sequence[datetime], own: Clock) -> Clock:
    """Return the clock by which the events start at the fewest different times.

    Another clock than the calendar's own must tell the starts by `log(1000)` nats shorter.
    """
    if len(starts) < _FEWEST or not _an_hour_apart(starts):
        return own
    best, shortest = own, _surprise(starts) - _EVIDENCE
    for name in _OTHER_CLOCKS:
        zone = ZoneInfo(name)
        told = _surprise([start.astimezone(zone) for start in starts])
        if told < shortest:
            best, shortest = Clock(zone, name), told
    return best


def occasions(starts: Sequence[datetime]) -> Occasions:
    """Return the days and times of day of starts, and which of them are at about one hour."""
    clock = [start.hour * _HOUR + start.minute + start.second / _HOUR for start in starts]
    order = sorted(range(len(starts)), key=clock.__getitem__)
    ascending = [clock[event] for event in order]
    # The day is a circle: cut it where nothing starts for longest.
    gaps = [later - before for before, later in pairwise(ascending)]
    gaps.append(ascending[0] + _DAY - ascending[-1])
    cut = (gaps.index(max(gaps)) + 1) % len(gaps)
    order, gaps = order[cut:] + order[:cut], gaps[cut:] + gaps[:cut]
    days = [start.toordinal() for start in starts]
    minutes = list(clock)
    for position in range(len(order) - cut, len(order)):
        minutes[order[position]] += _DAY
        days[order[position]] -= 1
    levels = []
    for gap in _GAPS:
        hours, label = [0] * len(starts), 0
        for event, after in zip(order, gaps, strict=True):
            hours[event] = label
            label += after > gap
        levels.append(hours)
    _to_their_usual_day(order, days, minutes, levels[_USUAL_LEVEL])
    return Occasions(days, minutes, tuple(levels))


def _to_their_usual_day(
    order: Sequence[int], days: list[int], minutes: list[float], hours: Sequence[int]
) -> None:
    """Count the starts of an hour whose median lies past midnight from that midnight, in place."""
    late = [event for event in order if hours[event] == hours[order[-1]]]
    if minutes[late[len(late) // 2]] >= _DAY:
        for event in late:
            minutes[event] -= _DAY
            days[event] += 1


def _an_hour_apart(starts: Sequence[datetime]) -> bool:
    times = {start.hour * _HOUR + start.minute for start in starts}
    return any((time + _HOUR) % _DAY in times for time in times)


def _surprise(starts: Sequence[datetime]) -> float:
    """Return how many nats tell the times of day, by their own frequencies."""
    counts = Counter((start.hour * _HOUR + start.minute) // _ROUND for start in starts).values()
    return len(starts) * log(len(starts)) - sum(count * log(count) for count in counts)

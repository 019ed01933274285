"""When a task may be done: spans of free time, and the cells of the grid within them.

Moments are whole seconds of the Unix epoch. Spans are an array `[S, 2]` of starts and ends, in
order, which neither touch nor overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._schedule_problem import DAY_MINUTES, ClockRange, Problem, Task

__all__ = ["Cells", "Moments", "Spans", "TaskCalendar", "covered", "ends_of", "left_of", "spans"]

Spans: TypeAlias = NDArray[np.int64]
Moments: TypeAlias = NDArray[np.int64]
Cells: TypeAlias = NDArray[np.int64]

_FOREVER: Final = 1 << 60
_HOUR: Final = 3600
_QUARTER: Final = 900
_THURSDAY: Final = 3  # the day on which the Unix epoch begins


class TaskCalendar:
    """The free time of a problem, and the grid that cuts it into cells.

    Cell 0 begins at the midnight before the window; cells are equally long, over clock changes too.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._moments: dict[int, list[int]] = {}  # by minute after midnight, of each day
        first = datetime.fromtimestamp(problem.start, problem.zone).date()
        last = datetime.fromtimestamp(problem.end, problem.zone).date()
        self._days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
        self.origin = self._at(0)[0]
        self._taken: dict[str | None, Spans] = {
            attendee: spans(
                (busy.start - problem.buffer, busy.end + problem.buffer)
                for busy in problem.busy
                if busy.attendee == attendee and busy.end > busy.start
            )
            for attendee in {busy.attendee for busy in problem.busy}
        }
        working = covered([self.hours(problem.working), spans([(problem.start, problem.end)])], 2)
        breaks = self.hours(problem.breaks)
        self._free = left_of(left_of(working, breaks), self._taken.get(None, spans([])))

    def hours(self, ranges: Sequence[ClockRange]) -> Spans:
        """Return the hours of ranges on the days of the window, by the zone's wall clock."""
        weekdays = [day.weekday() for day in self._days]
        return spans(
            (self._at(one.first)[day], self._at(one.last)[day])
            for one in ranges
            for day, weekday in enumerate(weekdays)
            if weekday in one.days
        )

    def available(
        self,
        task: Task,
        *,
        deadline: bool = True,
        earliest: bool = True,
        forbidden: bool = True,
        attendees: bool = True,
    ) -> Spans:
        """Return when a task may be done; what is False is left out of account."""
        free = self._free
        for attendee in task.attendees if attendees else ():
            if attendee in self._taken:
                free = left_of(free, self._taken[attendee])
        if forbidden and task.forbidden:
            free = left_of(free, self.hours(task.forbidden))
        first = task.earliest if earliest and task.earliest is not None else -_FOREVER
        last = task.deadline if deadline and task.deadline is not None else _FOREVER
        if first > -_FOREVER or last < _FOREVER:
            free = covered([free, spans([(first, last)])], 2)
        return free

    def cells_for(self, seconds: int) -> int:
        """Return how many cells something of a length takes."""
        return -(-seconds // self.problem.step)

    def begins(self, cells: Cells) -> Moments:
        """Return when cells begin."""
        return self.origin + cells * self.problem.step

    def starts_within(self, free: Spans, seconds: int) -> Cells:
        """Return the cells at whose start something of a length fits into one of the spans."""
        firsts = -((self.origin - free[:, 0]) // self.problem.step)
        lasts = (free[:, 1] - seconds - self.origin) // self.problem.step
        counts = np.maximum(lasts - firsts + 1, 0)
        before = np.cumsum(counts) - counts
        cells = np.repeat(firsts - before, counts) + np.arange(counts.sum())
        return np.asarray(cells, dtype=np.int64)

    def hours_of_week(self, moments: Moments) -> NDArray[np.int64]:
        """Return the hour of the week of the wall clock, 0 is Monday 0:00 to 1:00."""
        changes, offsets = self._offsets
        local = moments + offsets[np.searchsorted(changes, moments, side="right") - 1]
        return np.asarray((local // _HOUR + 24 * _THURSDAY) % 168)

    def _at(self, minute: int) -> list[int]:
        """Return when each day's wall clock shows so many minutes after midnight."""
        if minute not in self._moments:
            zone = self.problem.zone
            ahead, left = divmod(minute, DAY_MINUTES)  # 24:00 is the next midnight
            at = time(left // 60, left % 60)
            self._moments[minute] = [
                _moment(datetime.combine(day + timedelta(days=ahead), at, zone), zone)
                for day in self._days
            ]
        return self._moments[minute]

    @cached_property
    def _offsets(self) -> tuple[Moments, NDArray[np.int64]]:
        """Return when the zone's offset to UTC changes, and to how many seconds."""
        midnights = [*self._at(0), self._at(DAY_MINUTES)[-1]]
        changes, offsets = [-_FOREVER], [self._offset(midnights[0])]
        for begin, end in pairwise(midnights):
            if self._offset(end) == offsets[-1]:
                continue
            for moment in range(begin, end + 1, _QUARTER):
                if self._offset(moment) != offsets[-1]:
                    changes.append(moment)
                    offsets.append(self._offset(moment))
        return np.array(changes), np.array(offsets)

    def _offset(self, moment: int) -> int:
        offset = datetime.fromtimestamp(moment, self.problem.zone).utcoffset() or timedelta()
        return int(offset.total_seconds())


def spans(pairs: Iterable[tuple[int, int]]) -> Spans:
    """Return spans of starts and ends in any order, which may overlap; empty ones are left out."""
    found = np.array([pair for pair in pairs if pair[0] < pair[1]], dtype=np.int64).reshape(-1, 2)
    return covered([found], 1) if len(found) > 1 else found


def covered(parts: Sequence[Spans], least: int) -> Spans:
    """Return the time that at least so many spans cover."""
    moments = np.concatenate([side for part in parts for side in (part[:, 0], part[:, 1])])
    steps = np.concatenate([np.full(len(p), sign) for p in parts for sign in (1, -1)])
    order = np.lexsort((-steps, moments))  # what ends where another begins touches it
    moments = moments[order]
    within = np.cumsum(steps[order]) >= least
    changes = np.flatnonzero(np.diff(within, prepend=False))
    found = moments[changes].reshape(-1, 2)
    return np.asarray(found[found[:, 0] < found[:, 1]])


def left_of(free: Spans, taken: Spans) -> Spans:
    """Return what is left of spans without others."""
    if not len(taken):
        return free
    gaps = np.concatenate([[-_FOREVER], taken.ravel(), [_FOREVER]]).reshape(-1, 2)
    return covered([free, gaps], 2)


def ends_of(free: Spans, moments: Moments) -> Moments:
    """Return where the spans that hold some moments end; for a moment in none, the moment."""
    if not len(free):
        return moments
    at = np.searchsorted(free[:, 0], moments, side="right") - 1
    return np.where(at >= 0, np.maximum(free[at, 1], moments), moments)


def _moment(wanted: datetime, zone: tzinfo) -> int:
    """Return when the wall clock shows a time; of two the first, of none when it skips it."""
    moment = int(wanted.timestamp())
    if datetime.fromtimestamp(moment, zone).replace(tzinfo=None) == wanted.replace(tzinfo=None):
        return moment
    before, after = int(wanted.replace(fold=1).timestamp()), moment
    while after - before > 1:  # the clock changes in between
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) < wanted.replace(tzinfo=None):
            before = middle
        else:
            after = middle
    return after

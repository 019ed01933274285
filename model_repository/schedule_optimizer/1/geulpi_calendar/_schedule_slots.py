"""When a task may be done: spans of absolute minutes, and the cells of the grid within them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._schedule_problem import DAY_MINUTES, ClockRange, Problem, Task

Span: TypeAlias = tuple[float, float]
Cells: TypeAlias = NDArray[np.int64]

_EPSILON: Final = 1e-6  # of a minute: seconds are no binary fractions of minutes


@dataclass(frozen=True)
class Grid:
    """The cells that time is cut into: cell 0 begins at the midnight before the window."""

    problem: Problem

    @cached_property
    def origin(self) -> float:
        """The beginning of cell 0, in absolute minutes."""
        first = datetime.fromtimestamp(self.problem.start * 60, self.problem.zone)
        return _absolute(datetime.combine(first.date(), time(), self.problem.zone))

    @property
    def step(self) -> int:
        """How long a cell is, in minutes."""
        return self.problem.step

    def cells_for(self, minutes: float) -> int:
        """Return how many cells so many minutes take."""
        return int(np.ceil(minutes / self.step - _EPSILON))

    def begins(self, cells: Cells) -> NDArray[np.float64]:
        """Return when cells begin, in absolute minutes."""
        return np.asarray(self.origin + cells * self.step, dtype=np.float64)

    def starts_within(self, spans: Sequence[Span], minutes: float) -> Cells:
        """Return the cells where something of a length can begin and end within one span."""
        found = [
            np.arange(
                np.ceil((first - self.origin) / self.step - _EPSILON),
                np.floor((last - minutes - self.origin) / self.step + _EPSILON) + 1,
                dtype=np.int64,
            )
            for first, last in spans
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


class Calendar:
    """The free time of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.grid = Grid(problem)
        working = subtract(self.spans_of(problem.working), self.spans_of(problem.breaks))
        self.working = intersect(working, [(problem.start, problem.end)])
        self._taken = {
            attendee: merged(
                (busy.start - problem.buffer, busy.end + problem.buffer)
                for busy in problem.busy
                if busy.attendee == attendee and busy.end > busy.start
            )
            for attendee in {busy.attendee for busy in problem.busy} | {None}
        }
        self.free = subtract(self.working, self._taken[None])

    def spans_of(self, ranges: Sequence[ClockRange]) -> list[Span]:
        """Return the hours of ranges on the days of the window, by the zone's wall clock."""
        zone = self.problem.zone
        day = datetime.fromtimestamp(self.problem.start * 60, zone).date()
        last = datetime.fromtimestamp(self.problem.end * 60, zone).date()
        spans = []
        while day <= last:
            midnight = datetime.combine(day, time(), zone)
            spans += [
                (_at(midnight, one.first), _at(midnight, one.last))
                for one in ranges
                if day.weekday() in one.days
            ]
            day += timedelta(days=1)
        return merged(spans)

    def available(
        self,
        task: Task,
        *,
        deadline: bool = True,
        earliest: bool = True,
        forbidden: bool = True,
        attendees: bool = True,
    ) -> list[Span]:
        """Return the spans that a task may use; what is False is left out of account."""
        spans = self.free
        if attendees:
            for attendee in task.attendees:
                spans = subtract(spans, self._taken.get(attendee, []))
        if forbidden:
            spans = subtract(spans, self.spans_of(task.forbidden))
        first = task.earliest if earliest and task.earliest is not None else self.problem.start
        last = task.deadline if deadline and task.deadline is not None else self.problem.end
        return intersect(spans, [(first, last)])


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that touch or overlap as one; empty ones are left out."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if last <= first:
            continue
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def subtract(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Return what is left of merged spans without merged holes."""
    left = []
    place = 0
    for start, last in spans:
        first = start
        while place < len(holes) and holes[place][1] <= first:
            place += 1
        at = place
        while at < len(holes) and holes[at][0] < last:
            if holes[at][0] > first:
                left.append((first, holes[at][0]))
            first = max(first, holes[at][1])
            at += 1
        if first < last:
            left.append((first, last))
    return left


def intersect(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return what merged spans have in common with others."""
    found = [
        (max(first, other_first), min(last, other_last))
        for first, last in spans
        for other_first, other_last in others
    ]
    return merged(found)


def inside(starts: NDArray[np.float64], minutes: float, spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Return which of some starts lie, with all that follows for a time, within one span."""
    if not spans:
        return np.zeros(len(starts), dtype=np.bool_)
    firsts, lasts = np.array(spans).T
    at = np.searchsorted(firsts, starts + _EPSILON, side="right") - 1
    return np.asarray((at >= 0) & (lasts[at] >= starts + minutes - _EPSILON))


def _at(midnight: datetime, minutes: int) -> float:
    """Return the moment when the wall clock shows so many minutes after midnight."""
    if minutes == DAY_MINUTES:
        return _absolute(midnight + timedelta(days=1))
    return _absolute(midnight.replace(hour=minutes // 60, minute=minutes % 60))


def _absolute(moment: datetime) -> float:
    return moment.timestamp() / 60

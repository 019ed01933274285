"""What a start is worth: the user's wishes, when such events usually happen, and being early."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._schedule_problem import Problem, Task
from geulpi_calendar._schedule_slots import Calendar, Cells, Span, inside
from geulpi_calendar.documents import CATEGORIES, CalendarEvent

HOURS: Final = 7 * 24  # of a week, from Monday 0:00
# The most that each may add to a start's worth; QUALITY is the most of all.
WISHES, HABITS, EARLINESS = 40, 30, 30
QUALITY: Final = WISHES + HABITS + EARLINESS
RUN_COST: Final = 5  # of each part of a split task
# How many events of the user's own outweigh what is known of people.
PRIOR_EVENTS: Final = 20.0
SAME_TITLE: Final = 5.0  # an event of the very title counts like so many of its category


@dataclass(frozen=True)
class SlotPreferences:
    """How often an event of a category begins in an hour of the week, `[10, 168]`, rows sum to 1.

    Rows are in the order of `CATEGORIES`, hours from Monday 0:00.
    """

    shares: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> SlotPreferences:
        """Read a JSON file that holds a list of 168 shares by category."""
        table = json.loads(path.read_text(encoding="utf-8"))
        return cls(np.array([table[category] for category in CATEGORIES]))

    def of(self, category: str | None) -> NDArray[np.float64]:
        """Return the shares of a category, of all where it is None."""
        if category is None:
            return np.asarray(self.shares.mean(axis=0))
        return np.asarray(self.shares[CATEGORIES.index(category)])


def hour_of_week(moment: datetime) -> int:
    """Return the hour of the week of a moment's wall clock, 0 is Monday 0:00 to 1:00."""
    return moment.weekday() * 24 + moment.hour


class Values:
    """The worth of the starts of a problem's tasks, 0 to `QUALITY`."""

    def __init__(self, problem: Problem, calendar: Calendar, preferences: SlotPreferences) -> None:
        self._problem = problem
        self._calendar = calendar
        self._preferences = preferences
        self._history = _History(problem.history)
        self._hours: dict[int, int] = {}

    def of(self, task: Task, cells: Cells, minutes: float) -> NDArray[np.int64]:
        """Return what it is worth that a task, or a part of so many minutes, begins in cells."""
        starts = self._calendar.grid.begins(cells)
        worth = EARLINESS * self._earliness(task, starts, minutes)
        worth += HABITS * self._habits(task)[self._hours_of(cells, starts)]
        if task.preferred:
            spans: Sequence[Span] = self._calendar.spans_of(task.preferred)
            worth += WISHES * inside(starts, minutes, spans)
        return np.asarray(np.rint(worth), dtype=np.int64)

    def _earliness(
        self, task: Task, starts: NDArray[np.float64], minutes: float
    ) -> NDArray[np.float64]:
        """Return 1 for the earliest start and less for later ones, the less the more urgent."""
        first = max(self._problem.start, task.earliest or self._problem.start)
        last = min(self._problem.end, task.deadline or self._problem.end) - minutes
        late = (starts - first) / max(last - first, 1.0)
        return np.clip(1.0 - late * task.priority / 5, 0.0, 1.0)

    def _habits(self, task: Task) -> NDArray[np.float64]:
        """Return how usual each hour of the week is for a task, the most usual one is 1.

        What is known of people is the prior of a Dirichlet distribution, which the user's own
        events of the category, and those of the title, move.
        """
        prior = PRIOR_EVENTS * self._preferences.of(task.category)
        counts = prior + self._history.counts(task)
        # Neighbouring hours are as good as the same: a meeting at 10:05 is one at 9:55.
        days = counts.reshape(7, 24)
        smooth = 0.5 * days
        smooth[:, 1:] += 0.25 * days[:, :-1]
        smooth[:, :-1] += 0.25 * days[:, 1:]
        return np.asarray((smooth / smooth.max()).ravel())

    def _hours_of(self, cells: Cells, starts: NDArray[np.float64]) -> list[int]:
        known, zone = self._hours, self._problem.zone
        for cell, start in zip(cells.tolist(), starts.tolist(), strict=True):
            if cell not in known:
                known[cell] = hour_of_week(datetime.fromtimestamp(start * 60, zone))
        return [known[cell] for cell in cells.tolist()]


class _History:
    def __init__(self, events: Sequence[CalendarEvent]) -> None:
        self._by_category: Mapping[str, NDArray[np.float64]] = {c: _none() for c in CATEGORIES}
        self._by_title: dict[str, NDArray[np.float64]] = {}
        for event in events:
            if event.all_day:
                continue
            hour = hour_of_week(event.start)
            if event.category is not None:
                self._by_category[event.category][hour] += 1
            self._by_title.setdefault(_plain(event.title), _none())[hour] += 1

    def counts(self, task: Task) -> NDArray[np.float64]:
        counts = _none()
        if task.category is not None:
            counts += self._by_category[task.category]
        if task.title:
            counts += SAME_TITLE * self._by_title.get(_plain(task.title), _none())
        return counts


def _none() -> NDArray[np.float64]:
    return np.zeros(HOURS)


def _plain(title: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())

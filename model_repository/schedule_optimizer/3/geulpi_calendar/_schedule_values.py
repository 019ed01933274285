"""What a start is worth: the user's wishes, when such events usually happen, and being early."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._schedule_problem import Problem, Task
from geulpi_calendar._schedule_slots import Moments, TaskCalendar, ends_of
from geulpi_calendar.documents import CATEGORIES, CalendarEvent

__all__ = [
    "HOURS", "PART_COST", "QUALITY", "SlotPreferences", "Values", "habits", "placed_worth",
]  # fmt: skip

HOURS: Final = 7 * 24
"""Of a week, from Monday 0:00."""

# The most points that each may add to what a start is worth.
_WISHES, _HABITS, _EARLINESS = 400, 300, 300
QUALITY: Final = _WISHES + _HABITS + _EARLINESS
PART_COST: Final = 50
"""Points that each part of a task costs."""

# Chosen for the likelihood of the later half of a real calendar given its earlier half.
_PRIOR_EVENTS: Final = 40.0
_TITLE_WEIGHT: Final = 5.0


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
        shares = np.array([table[category] for category in CATEGORIES], dtype=np.float64)
        return cls(shares / shares.sum(axis=1, keepdims=True))

    def of(self, category: str | None) -> NDArray[np.float64]:
        """Return the shares of a category, of all alike where it is None."""
        if category is None:
            return np.asarray(self.shares.mean(axis=0))
        return np.asarray(self.shares[CATEGORIES.index(category)])


def habits(
    prior: NDArray[np.float64], of_category: NDArray[np.float64], of_title: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how likely such an event begins in each hour of the week, `[168]`.

    The posterior mean of a Dirichlet distribution: what is known of people counts like 40 events,
    each own event of the category like one, and like five more if it has the very title. Half of
    an event's weight falls to its hour and a quarter to each neighbour: 10:05 is as good as 9:55.

    Args:
        prior: shares of people.
        of_category: the user's own events by hour.
        of_title: those with the task's title.
    """
    own = (of_category + _TITLE_WEIGHT * of_title).reshape(7, 24)
    smooth = np.apply_along_axis(np.convolve, 1, own, [0.25, 0.5, 0.25], mode="same").ravel()
    counts = _PRIOR_EVENTS * prior + smooth
    return np.asarray(counts / counts.sum())


def placed_worth(priority: int, tasks: int) -> int:
    """Return what it is worth to place a task at all.

    More than the starts of all tasks can add; a task of the next higher priority counts like two.
    """
    return (tasks + 1) * QUALITY << (priority - 1)


class Values:
    """The worth of the starts of a problem's tasks, in points, at most `QUALITY`."""

    def __init__(
        self, problem: Problem, calendar: TaskCalendar, preferences: SlotPreferences
    ) -> None:
        self._problem = problem
        self._calendar = calendar
        self._preferences = preferences
        events = [event for event in problem.history if not event.all_day]
        hours = [event.start.weekday() * 24 + event.start.hour for event in events]
        self._own = {c: _counted(events, hours, c) for c in {t.category for t in problem.tasks}}
        self._titles: dict[str, list[int]] = {_plain(task.title): [] for task in problem.tasks}
        for event, hour in zip(events, hours, strict=True):
            if (known := self._titles.get(_plain(event.title))) is not None:
                known.append(hour)

    def of(self, task: Task, starts: Moments, seconds: Moments | int) -> NDArray[np.int64]:
        """Return what it is worth that a task, or a part of so many seconds, begins at moments."""
        if not len(starts):
            return np.empty(0, dtype=np.int64)
        worth = _EARLINESS * self._earliness(task, starts)
        usual = self._habits(task)[self._calendar.hours_of_week(starts)]
        worth += _HABITS * usual / usual.max()
        if task.preferred:
            preferred = self._calendar.hours(task.preferred)
            worth += _WISHES * (ends_of(preferred, starts) >= starts + seconds)
        return np.asarray(np.rint(worth), dtype=np.int64)

    def _earliness(self, task: Task, starts: Moments) -> NDArray[np.float64]:
        """Return 1 for the earliest start and less for later ones, the less the more urgent."""
        first = max(self._problem.start, task.earliest or self._problem.start)
        last = min(self._problem.end, task.deadline or self._problem.end)
        late = (starts - first) / max(last - first, 1)
        return np.asarray(1 - late * task.priority / 5)

    def _habits(self, task: Task) -> NDArray[np.float64]:
        title = _plain(task.title)
        of_title = np.bincount(self._titles[title] if title else [], minlength=HOURS)
        return habits(
            self._preferences.of(task.category), self._own[task.category], of_title.astype(float)
        )


def _counted(
    events: Iterable[CalendarEvent], hours: Iterable[int], category: str | None
) -> NDArray[np.float64]:
    found = [
        hour
        for event, hour in zip(events, hours, strict=True)
        if event.category == category and category is not None
    ]
    return np.bincount(np.array(found, dtype=np.int64), minlength=HOURS).astype(np.float64)


def _plain(title: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())

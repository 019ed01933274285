"""Why a task found no place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import numpy as np

from geulpi_calendar._schedule_answer import NotPlaced
from geulpi_calendar._schedule_items import Chunks, may_split
from geulpi_calendar._schedule_problem import Task
from geulpi_calendar._schedule_slots import Spans, TaskCalendar, covered, spans

__all__ = ["why_not"]

_LIMITS: Final = ("deadline", "earliest", "forbidden", "attendees")
_FOREVER: Final = 1 << 60


def why_not(
    task: Task, calendar: TaskCalendar, placed: Mapping[str, Chunks], *, proven: bool
) -> NotPlaced:
    """Return the first reason of a task that found no place.

    Args:
        task: that task.
        calendar: the free time of its problem.
        placed: the tasks that found a place, by their ids.
        proven: whether no plan is better; else only the time limit may have been in its way.
    """
    reason, sentence = _reason(task, calendar, placed, proven=proven)
    return NotPlaced(task.id, reason, sentence)


def _reason(
    task: Task, calendar: TaskCalendar, placed: Mapping[str, Chunks], *, proven: bool
) -> tuple[str, str]:
    problem = calendar.problem
    if task.deadline is not None and task.deadline <= problem.start:
        deadline = datetime.fromtimestamp(task.deadline, problem.zone).isoformat()
        return "deadline", f"Its deadline, {deadline}, is not after the window's start."
    if not _fits(task, calendar, calendar.available(task, **dict.fromkeys(_LIMITS, False))):
        return "no_free_slot", f"No free time has room for its {task.seconds / 60:g} minutes."
    if not _fits(task, calendar, calendar.available(task)):
        return _limit(task, calendar)
    if waiting := _waiting(task, calendar, placed):
        return "dependency", waiting
    if proven:
        return "displaced", "Tasks that are worth more take the time that has room for it."
    return "time_limit", "No place was found for it before the time limit."


def _waiting(task: Task, calendar: TaskCalendar, placed: Mapping[str, Chunks]) -> str | None:
    """Return how the tasks that a task waits for leave it no room; None if they do."""
    if not task.depends_on:
        return None
    lacking = [other for other in task.depends_on if other not in placed]
    if lacking:
        return f"It waits for {', '.join(lacking)}, which found no place."
    last = max(task.depends_on, key=lambda other: placed[other][-1][1])
    after = placed[last][-1][1] + calendar.problem.buffer
    later = covered([calendar.available(task), spans([(after, _FOREVER)])], 2)
    if _fits(task, calendar, later):
        return None
    return f"No free time after {last}, for which it waits, has room for it."


def _limit(task: Task, calendar: TaskCalendar) -> tuple[str, str]:
    """Return the first limit of a task without which there would be room for it."""
    sentences = {
        "deadline": "No free time before its deadline has room for it.",
        "earliest": "No free time from its earliest start on has room for it.",
        "forbidden": "The free time that has room for it is forbidden.",
        "attendees": f"{', '.join(task.attendees)} and you have no free time together with room "
        "for it.",
    }
    for limit in _LIMITS:
        if _fits(task, calendar, calendar.available(task, **{limit: False})):
            return limit, sentences[limit]
    limits = {
        "deadline": task.deadline, "earliest": task.earliest,
        "forbidden": task.forbidden, "attendees": task.attendees,
    }  # fmt: skip
    named = " and ".join(limit for limit, given in limits.items() if given)
    return "no_free_slot", f"Its {named} together leave no free time that has room for it."


def _fits(task: Task, calendar: TaskCalendar, free: Spans) -> bool:
    """Return whether a task alone fits into free time."""
    if not may_split(task):
        return bool(len(calendar.starts_within(free, task.seconds)))
    step, origin = calendar.problem.step, calendar.origin
    first = -((origin - free[:, 0]) // step) * step + origin  # where a part may begin
    room = np.maximum(free[:, 1] - first, 0)
    return bool(room[room >= task.min_chunk].sum() >= task.seconds)

"""`schedule_optimizer`: where do these tasks go?

A row of the tensor `problem` is planned into the free cells of a grid. What counts, in this order:
that tasks are placed (one of priority p like two of p − 1, and each more than all that quality can
add), and how good their starts are (`_schedule_values`). The objective is the sum.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from geulpi_calendar._schedule_core import (
    MOST_COVERED,
    Item,
    Model,
    SplitItem,
    Use,
    cells_used,
    search,
)
from geulpi_calendar._schedule_problem import Problem, Task, parse_problem
from geulpi_calendar._schedule_slots import Calendar, Cells
from geulpi_calendar._schedule_values import QUALITY, RUN_COST, SlotPreferences, Values

__all__ = ["PREFERENCES", "NotPlaced", "Placement", "Schedule", "load", "solve"]

PREFERENCES: Final = "slot_preferences.json"
# Of the quality that could be reached: what is left open there is not worth the search.
TOLERANCE: Final = 0.01
COARSEST: Final = 15  # minutes: a finer grid is made no coarser than that
# Starts that the search may weigh. With more, each task's are thinned out evenly.
MOST_STARTS: Final = 12_000


@dataclass(frozen=True)
class Placement:
    """When a task is done, in absolute minutes; `chunks` are the (start, end) of its parts."""

    task: Task
    chunks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class NotPlaced:
    """A task that found no place, and why, as a word and as a sentence."""

    task: Task
    reason: str
    detail: str


@dataclass(frozen=True)
class Schedule:
    """A plan; `gap` is what is left open, relative to the quality that could be reached."""

    status: str
    objective: float
    bound: float
    gap: float
    placements: tuple[Placement, ...]
    not_placed: tuple[NotPlaced, ...]
    solve_s: float


def load(
    folder: Path, ask: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
) -> Callable[[Sequence[bytes]], Mapping[str, Any]]:
    """Return what answers rows of `problem`; the table of preferences lies in the folder."""
    del ask
    preferences = SlotPreferences.read(folder / PREFERENCES)

    def answer(rows: Sequence[bytes]) -> Mapping[str, Any]:
        problems = [parse_problem(row) for row in rows]  # a bad one costs no search
        plans = np.empty((len(rows), 1), dtype=np.object_)
        for place, problem in enumerate(problems):
            plans[place, 0] = _document(problem, solve(problem, preferences))
        return {"schedule": plans}

    return answer


def solve(problem: Problem, preferences: SlotPreferences) -> Schedule:
    """Place the tasks of a problem; the best found when its time limit ends.

    The same problem gives the same plan wherever the search ends by itself.
    """
    started = time.monotonic()
    calendar = _calendar(problem)
    coarser = calendar.problem.step > problem.step
    values = Values(problem, calendar, preferences)
    items, thinned = _items(calendar, values, _placed_values(problem.tasks))
    before = _dependencies(problem.tasks)
    first = _one_by_one(items, problem.tasks, before)
    scale = max(1, sum(QUALITY for item in items if _can_be_placed(item)))
    left_s = problem.time_limit_s - (time.monotonic() - started)
    outcome = None
    if left_s > 0 and any(_can_be_placed(item) for item in items):
        model = Model(items, before)
        model.hint(first)
        left_s = problem.time_limit_s - (time.monotonic() - started)
        outcome = search(model, seconds=left_s, seed=problem.seed, absolute_gap=TOLERANCE * scale)
    uses = first if outcome is None else outcome.uses
    objective = sum(_worth(item, use) for item, use in zip(items, uses, strict=True))
    upper = sum(_most_worth(item) for item in items)
    bound = max(objective, upper if outcome is None else min(upper, outcome.bound))
    nothing_to_do = not any(_can_be_placed(item) for item in items)
    proven = nothing_to_do or bound <= objective or (outcome is not None and outcome.proven)
    status = "optimal" if proven and not thinned and not coarser else "feasible"
    placements, missing = [], []
    for task, item, use in zip(problem.tasks, items, uses, strict=True):
        if use:
            placements.append(Placement(task, _chunks(calendar, task, item, use)))
        else:
            missing.append(task)
    return Schedule(
        status=status,
        objective=float(objective),
        bound=float(bound),
        gap=float((bound - objective) / scale),
        placements=tuple(placements),
        not_placed=tuple(_why(task, missing, calendar, status) for task in missing),
        solve_s=time.monotonic() - started,
    )


def _calendar(problem: Problem) -> Calendar:
    """Return the free time, on the problem's grid or, where that is too fine, on a coarser one.

    Its step is a multiple of the problem's, of a quarter of an hour at most.
    """
    step = problem.step
    while True:
        calendar = Calendar(replace(problem, step=step))
        covered = sum(
            len(_starts(calendar, task)) * calendar.grid.cells_for(task.minutes)
            for task in problem.tasks
            if not _splits(task)
        )
        if covered <= MOST_COVERED or step + problem.step > COARSEST:
            return calendar
        step += problem.step


def _placed_values(tasks: Sequence[Task]) -> list[int]:
    """Return what it is worth to place each task: more than all quality, twice as much a level."""
    least = (len(tasks) + 1) * QUALITY
    return [least << (task.priority - 1) for task in tasks]


def _starts(calendar: Calendar, task: Task) -> Cells:
    return calendar.grid.starts_within(calendar.available(task), task.minutes)


def _items(
    calendar: Calendar, values: Values, placed: Sequence[int]
) -> tuple[list[Item | SplitItem], bool]:
    """Return the tasks as the search takes them, and whether starts were left out."""
    problem, grid = calendar.problem, calendar.grid
    wholes = {
        place: _starts(calendar, task)
        for place, task in enumerate(problem.tasks)
        if not _splits(task)
    }
    every = 1 + sum(len(cells) for cells in wholes.values()) // MOST_STARTS
    items: list[Item | SplitItem] = []
    for place, task in enumerate(problem.tasks):
        if place in wholes:
            cells = _thinned(wholes[place], every)
            items.append(
                Item(
                    cells.tolist(),
                    values.of(task, cells, task.minutes).tolist(),
                    grid.cells_for(task.minutes + problem.buffer),
                    placed[place],
                )
            )
            continue
        cells = grid.starts_within(calendar.available(task), grid.step)
        total = grid.cells_for(task.minutes)
        spare = total * grid.step - task.minutes  # the last part ends so much earlier
        items.append(
            SplitItem(
                cells=cells.tolist(),
                values=values.of(task, cells, grid.step).tolist(),
                total=total,
                shortest=grid.cells_for(task.min_chunk + spare),
                trail=grid.cells_for(problem.buffer),
                placed=placed[place],
                run_cost=RUN_COST,
            )
        )
    return items, every > 1


def _splits(task: Task) -> bool:
    return task.splittable and task.minutes >= 2 * task.min_chunk


def _thinned(cells: Cells, every: int) -> Cells:
    """Return every n-th cell, and each one that begins a free span."""
    if every == 1:
        return cells
    begins = np.flatnonzero(np.diff(cells, prepend=-2) > 1)
    kept = np.zeros(len(cells), dtype=np.bool_)
    kept[::every] = True
    kept[begins] = True
    return np.asarray(cells[kept])


def _dependencies(tasks: Sequence[Task]) -> list[tuple[int, int]]:
    places = {task.id: place for place, task in enumerate(tasks)}
    return [(places[other], place) for place, task in enumerate(tasks) for other in task.depends_on]


def _one_by_one(
    items: Sequence[Item | SplitItem], tasks: Sequence[Task], before: Sequence[tuple[int, int]]
) -> tuple[Use, ...]:
    """Return a plan at once: the most urgent task that waits for none takes its best free start."""
    uses: list[Use] = [()] * len(items)
    taken: set[int] = set()
    waits = {
        place: {first for first, second in before if second == place} for place in range(len(items))
    }
    while waits:
        ready = [place for place, others in waits.items() if not others & waits.keys()]
        place = min(ready, key=lambda p: (-tasks[p].priority, tasks[p].deadline or np.inf, p))
        others = waits.pop(place)
        if not all(uses[other] for other in others):
            continue
        after = max((_end(items[other], uses[other]) for other in others), default=0)
        item = items[place]
        if isinstance(item, Item):
            uses[place] = _best_start(item, taken, after)
        else:
            uses[place] = _earliest_runs(item, taken, after)
        taken.update(cells_used(item, uses[place]))
    return tuple(uses)


def _best_start(item: Item, taken: set[int], after: int) -> Use:
    free = [
        (-value, cell)
        for cell, value in zip(item.starts, item.values, strict=True)
        if cell >= after and taken.isdisjoint(range(cell, cell + item.length))
    ]
    return (min(free)[1],) if free else ()


def _earliest_runs(item: SplitItem, taken: set[int], after: int) -> Use:
    free = [
        cell
        for cell in item.cells
        if cell >= after and taken.isdisjoint(range(cell, cell + item.trail + 1))
    ]
    used: list[int] = []
    place = 0
    while place < len(free) and len(used) < item.total:
        end = place + 1
        while end < len(free) and free[end] == free[end - 1] + 1:
            end += 1
        left = item.total - len(used)
        take = min(end - place, left)
        if 0 < left - take < item.shortest:
            take = left - item.shortest
        if take >= item.shortest:
            used += free[place : place + take]
        place = end
    return tuple(used) if len(used) == item.total else ()


def _end(item: Item | SplitItem, use: Use) -> int:
    """Return the first cell after a placed item."""
    return use[0] + item.length if isinstance(item, Item) else use[-1] + 1


def _can_be_placed(item: Item | SplitItem) -> bool:
    return bool(item.starts) if isinstance(item, Item) else len(item.cells) >= item.total


def _worth(item: Item | SplitItem, use: Use) -> int:
    if not use:
        return 0
    if isinstance(item, Item):
        return item.placed + item.values[item.starts.index(use[0])]
    values = dict(zip(item.cells, item.values, strict=True))
    runs = sum(1 for cell in use if cell - 1 not in use)
    return item.placed + sum(values[c] // item.total for c in use) - runs * item.run_cost


def _most_worth(item: Item | SplitItem) -> int:
    return item.placed + QUALITY if _can_be_placed(item) else 0


def _chunks(
    calendar: Calendar, task: Task, item: Item | SplitItem, use: Use
) -> tuple[tuple[float, float], ...]:
    """Return when the parts of a task begin and end, in absolute minutes."""
    if isinstance(item, Item):
        (start,) = calendar.grid.begins(np.array(use)).tolist()
        return ((start, start + task.minutes),)
    firsts = [cell for cell in use if cell - 1 not in use]
    lasts = [cell + 1 for cell in use if cell + 1 not in use]
    starts = calendar.grid.begins(np.array(firsts)).tolist()
    ends = calendar.grid.begins(np.array(lasts)).tolist()
    ends[-1] -= item.total * calendar.grid.step - task.minutes
    return tuple(zip(starts, ends, strict=True))


def _why(task: Task, missing: Sequence[Task], calendar: Calendar, status: str) -> NotPlaced:
    """Return why a task found no place: the first limit without which it might have one."""
    problem, grid = calendar.problem, calendar.grid
    length = task.min_chunk if _splits(task) else task.minutes

    def fits(**without: bool) -> bool:
        spans = calendar.available(task, **without)
        room = sum(last - first for first, last in spans) >= task.minutes
        return room and len(grid.starts_within(spans, length)) > 0

    if task.deadline is not None and task.deadline <= problem.start:
        return NotPlaced(
            task, "deadline", f"its deadline {_text(task.deadline, problem)} is before the window"
        )
    sentences = {
        "deadline": "no free time before its deadline has room for it",
        "earliest": "no free time from its earliest start on has room for it",
        "forbidden": "the free time that has room for it is forbidden",
        "attendees": f"its attendees ({', '.join(task.attendees)}) are never free with you",
    }
    if not fits():
        alone = (limit for limit in sentences if fits(**{limit: False}))
        if limit := next(alone, None):
            return NotPlaced(task, limit, sentences[limit])
        every = fits(deadline=False, earliest=False, forbidden=False, attendees=False)
        return NotPlaced(
            task,
            "no_free_slot",
            "deadline, earliest start, forbidden hours and attendees together leave no room for it"
            if every
            else f"no free time of the working hours has room for its {task.minutes:g} minutes",
        )
    lacking = {other.id for other in missing} & set(task.depends_on)
    if lacking:
        named = ", ".join(sorted(lacking))
        return NotPlaced(task, "dependency", f"it waits for {named}, which found no place")
    if status == "optimal":
        return NotPlaced(
            task, "displaced", "what it could take is taken by tasks that are worth more together"
        )
    return NotPlaced(task, "time_limit", "no place was found before the time limit")


def _document(problem: Problem, schedule: Schedule) -> str:
    def span(chunk: tuple[float, float]) -> dict[str, str]:
        return {"start": _text(chunk[0], problem), "end": _text(chunk[1], problem)}

    placements = [
        {
            "task": one.task.id,
            **span((one.chunks[0][0], one.chunks[-1][1])),
            "chunks": [span(chunk) for chunk in one.chunks],
        }
        for one in schedule.placements
    ]
    document = {
        "status": schedule.status,
        "objective": schedule.objective,
        "bound": schedule.bound,
        "gap": schedule.gap,
        "placements": placements,
        "not_placed": [
            {"task": one.task.id, "reason": one.reason, "detail": one.detail}
            for one in schedule.not_placed
        ],
        "solve_s": round(schedule.solve_s, 6),
    }
    return json.dumps(document, ensure_ascii=False)


def _text(minutes: float, problem: Problem) -> str:
    return datetime.fromtimestamp(round(minutes * 60), problem.zone).isoformat()

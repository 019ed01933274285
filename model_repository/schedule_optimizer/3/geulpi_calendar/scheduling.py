"""`schedule_optimizer`: where do these tasks go?

Tensors: `problem` BYTES [N, 1], a document of `_schedule_problem` per row, → `schedule` BYTES
[N, 1], a JSON document per row (`Schedule`).

The objective counts points. First, that tasks are placed: one of a priority counts like two of the
next lower one, and each for more than the starts of all tasks can add. Then, how good the starts
are (`_schedule_values`): within preferred hours up to 400 points, at hours when such events usually
begin up to 300, early up to 300, the later the fewer, for priority 5 down to none at the deadline;
each part of a split task costs 50. Deadlines, forbidden hours and dependencies are never broken: a
task that can't keep them is not placed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geulpi_calendar._schedule_answer import NotPlaced, Placement, Schedule, document
from geulpi_calendar._schedule_core import (
    Item,
    Model,
    Outcome,
    Use,
    joined,
    search,
    thinned,
    worth_of,
)
from geulpi_calendar._schedule_greedy import one_by_one
from geulpi_calendar._schedule_items import chunks, dependencies, item_of
from geulpi_calendar._schedule_problem import Problem, parse_problem
from geulpi_calendar._schedule_reasons import why_not
from geulpi_calendar._schedule_slots import TaskCalendar
from geulpi_calendar._schedule_values import QUALITY, SlotPreferences, Values

__all__ = [
    "NAME", "PREFERENCES", "TOLERANCE", "NotPlaced", "Placement", "Problem", "Schedule",
    "SlotPreferences", "load", "parse_problem", "solve",
]  # fmt: skip

NAME: Final = "schedule_optimizer"
PREFERENCES: Final = "slot_preferences.json"
TOLERANCE: Final = 0.01
"""Of the points that the starts could reach: what is left open then is not worth the search."""

# Cells that all parts of all items may cover. With more, their parts are thinned out evenly.
_MOST_COVERS: Final = 150_000
# What it takes to tell the search of a part, and of each cell that it covers, in seconds.
_PART_S: Final = 4e-6
_COVER_S: Final = 0.6e-6
# CP-SAT's deterministic seconds in a second of the clock: on two cores, 0.1 to 0.6 were seen.
_EFFORT: Final = 0.3


def load(
    folder: Path,
    ask: Callable[[str, dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]],  # noqa: ARG001  # needs no other model
) -> Callable[[Sequence[bytes]], Mapping[str, npt.NDArray[Any]]]:
    """Return the model as Triton's Python backend calls it: documents → tensors.

    The returned function raises `documents.InvalidDocument` for a document that can't be used.
    """
    preferences = SlotPreferences.read(folder / PREFERENCES)

    def infer(documents: Sequence[bytes]) -> Mapping[str, npt.NDArray[Any]]:
        problems = [parse_problem(row) for row in documents]  # a bad one costs no search
        plans = np.empty((len(documents), 1), dtype=np.object_)
        for row, problem in enumerate(problems):
            plans[row, 0] = document(solve(problem, preferences), problem.zone)
        return {"schedule": plans}

    return infer


def solve(problem: Problem, preferences: SlotPreferences) -> Schedule:
    """Return the best plan that is found within the problem's time limit.

    The limit is told to the search as deterministic effort, so equal problems have equal plans. The
    clock ends it only on a machine that is busy or much slower than those it was measured on.
    """
    started = time.monotonic()
    calendar = TaskCalendar(problem)
    values = Values(problem, calendar, preferences)
    items = [item_of(task, calendar, values) for task in problem.tasks]
    plan = _plan(items, problem, started)
    chosen = {
        task.id: chunks(task, item, use, calendar)
        for task, item, use in zip(problem.tasks, items, plan.uses, strict=True)
        if use
    }
    qualities = (most - item.placed for item in items if (most := _most_worth(item)))
    gap = (plan.bound - plan.objective) / max(1, sum(qualities))
    return Schedule(
        status="optimal" if plan.proven else "feasible",
        objective=plan.objective,
        bound=plan.bound,
        gap=gap,
        placements=tuple(Placement(name, parts) for name, parts in chosen.items()),
        not_placed=tuple(
            why_not(task, calendar, chosen, proven=plan.proven)
            for task in problem.tasks
            if task.id not in chosen
        ),
        solve_s=time.monotonic() - started,
    )


def _plan(items: Sequence[Item], problem: Problem, started: float) -> Outcome:
    """Return the best uses of the items; `bound` is never below the objective."""
    before = dependencies(problem.tasks)
    first = one_by_one(items, problem.tasks, before)
    objective, most = sum(map(worth_of, items, first)), sum(map(_most_worth, items))
    at_once = Outcome(first, objective, float(most), proven=most == objective, effort=0.0)
    covers = sum(part.end - part.start for item in items for part in item.parts)
    every = -(-covers // _MOST_COVERS)
    searched = thinned(items, first, every) if every > 1 else items
    parts = sum(len(item.parts) for item in searched)
    build_s = parts * _PART_S + min(covers, _MOST_COVERS) * _COVER_S
    if at_once.proven or build_s >= problem.time_limit_s:
        return at_once
    hint = _same_parts(items, first, searched)
    found = search(
        Model(searched, before, hint=hint),
        seconds=problem.time_limit_s - (time.monotonic() - started),
        seed=problem.seed,
        absolute_gap=TOLERANCE * (most - sum(item.placed for item in items if item.parts)),
        effort=_EFFORT * (problem.time_limit_s - build_s),
    )
    if found is None:
        return at_once
    improved = [joined(*pair) for pair in zip(searched, found.uses, strict=True)]
    uses = max(improved, hint, key=lambda uses: sum(map(worth_of, searched, uses)))
    reached = sum(map(worth_of, searched, uses))
    complete = all(item.complete for item in searched)  # else what was left out might be better
    return Outcome(
        uses=_same_parts(searched, uses, items),
        objective=reached,
        bound=float(max(min(found.bound, most) if complete else most, reached)),
        proven=found.proven and complete,
        effort=found.effort,
    )


def _same_parts(
    items: Sequence[Item], uses: Sequence[Use], others: Sequence[Item]
) -> tuple[Use, ...]:
    """Return uses of items as uses of others, which have the same parts at other places."""
    return tuple(
        tuple(other.parts.index(item.parts[place]) for place in use)
        for item, use, other in zip(items, uses, others, strict=True)
    )


def _most_worth(item: Item) -> int:
    """Return what an item alone could be worth; 0 if there is no room for it."""
    if not item.complete:
        return item.placed + QUALITY
    if not item.parts:
        return 0
    # Of one part, or as many points for each cell as the best part has.
    best = max(part.value / part.size for part in item.parts)
    return item.placed + max(0, math.ceil(best * item.total))

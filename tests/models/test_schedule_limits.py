"""What `schedule_optimizer` takes of a machine: bounded, however large the problem."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from geulpi_calendar import _schedule_items, scheduling
from geulpi_calendar._schedule_core import Item, Part, joined, thinned
from geulpi_calendar._schedule_items import item_of
from geulpi_calendar._schedule_slots import TaskCalendar
from geulpi_calendar._schedule_values import Values
from geulpi_calendar.scheduling import SlotPreferences, parse_problem, solve

EVEN = SlotPreferences(np.full((10, 168), 1 / 168))


def problem(**task: Any) -> scheduling.Problem:
    """Return the problem of one task in the minutes of a week."""
    window = {"start": "2026-03-02T00:00:00+09:00", "end": "2026-03-09T00:00:00+09:00"}
    row = {
        "time_zone": "Asia/Seoul", "window": window, "step_minutes": 1,
        "tasks": [{"id": "a", "duration_minutes": 60} | task],
    }  # fmt: skip
    return parse_problem(json.dumps(row))


def item(one: scheduling.Problem) -> Item:
    calendar = TaskCalendar(one)
    return item_of(one.tasks[0], calendar, Values(one, calendar, EVEN))


def test_the_process_that_serves_has_no_pandas() -> None:
    """OR-tools' own modelling layer would import it: 70 MB in each process."""
    code = "import sys, geulpi_calendar.scheduling; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("task", [{}, {"splittable": True, "min_chunk_minutes": 1}])
def test_parts_beyond_the_limit_are_left_out(
    task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The item says so, still has its longest and its shortest part, and begins every day."""
    complete = item(problem(**task))
    assert complete.complete
    monkeypatch.setattr(_schedule_items, "_MOST_PARTS", 200)
    few = item(problem(**task))
    assert not few.complete
    assert len(few.parts) < 500 < len(complete.parts)
    assert set(few.parts) <= set(complete.parts)
    assert {min(p.size for p in one.parts) for one in (few, complete)} == {60 if not task else 1}
    mornings = {day * 1440 + 540 for day in range(5)}
    assert mornings <= {part.start for part in few.parts}


def test_a_thinned_search_promises_no_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left out might be better, so the bound is what each task alone could reach."""
    window = {"start": "2026-03-02T09:00:00+09:00", "end": "2026-03-02T18:00:00+09:00"}
    tasks = [{"id": name, "duration_minutes": 60} for name in "ab"]  # both would be the first
    row = {"time_zone": "Asia/Seoul", "window": window, "tasks": tasks, "step_minutes": 5}
    found = solve(parse_problem(json.dumps(row)), EVEN)
    assert (found.status, found.gap < scheduling.TOLERANCE) == ("optimal", True)
    monkeypatch.setattr(scheduling, "_MOST_COVERS", 1000)
    thin = solve(parse_problem(json.dumps(row)), EVEN)
    assert len(thin.placements) == 2
    assert (thin.status, thin.bound > thin.objective) == ("feasible", True)
    assert thin.bound > found.bound


def test_thinning_keeps_what_is_in_use() -> None:
    """So the first plan is there for the search to begin with."""
    parts = [Part(cell, 1, cell + 1, cell) for cell in range(10)]
    (kept,) = thinned([Item(parts, 1, placed=1)], [(7,)], every=5)
    assert [part.start for part in kept.parts] == [0, 5, 7]
    assert not kept.complete


def test_parts_without_a_pause_become_one() -> None:
    """But not with time missing between them, nor with a buffer after the first."""
    parts = [Part(0, 2, 2, 1), Part(0, 4, 4, 5), Part(2, 2, 4, 1), Part(5, 2, 7, 1)]
    together = Item(parts, 4, placed=1, most_parts=2)
    assert joined(together, (0, 2)) == (1,)
    assert joined(together, (0, 3)) == (0, 3)
    buffered = Item([part._replace(end=part.end + 1) for part in parts], 4, 1, most_parts=2)
    assert joined(buffered, (0, 2)) == (0, 2)


def test_where_the_best_starts_leave_out_tasks_the_earliest_are_tried() -> None:
    """At once, without a search: the first waits for no usual hour if another waits for it."""
    window = {"start": "2026-03-02T09:00:00+09:00", "end": "2026-03-02T18:00:00+09:00"}
    afternoon = [{"start": "16:00", "end": "18:00"}]
    tasks = [
        {"id": "a", "duration_minutes": 60, "preferred": afternoon},
        {"id": "b", "duration_minutes": 240, "depends_on": ["a"]},
    ]
    row = {"time_zone": "Asia/Seoul", "window": window, "tasks": tasks, "time_limit_s": 0.01}
    one = parse_problem(json.dumps(row))
    calendar = TaskCalendar(one)
    values = Values(one, calendar, EVEN)
    items = [item_of(task, calendar, values) for task in one.tasks]
    uses = scheduling.one_by_one(items, one.tasks, [(0, 1)])
    assert all(uses)

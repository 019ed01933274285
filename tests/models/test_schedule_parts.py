"""Edges of free time, of split tasks and of priorities in `schedule_optimizer`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from geulpi_calendar import scheduling
from geulpi_calendar._schedule_items import item_of
from geulpi_calendar._schedule_slots import TaskCalendar
from geulpi_calendar._schedule_values import Values
from geulpi_calendar.scheduling import Problem, SlotPreferences, parse_problem, solve

EVEN = SlotPreferences(np.full((10, 168), 1 / 168))
SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"


def problem(
    hours: list[list[str]], *tasks: dict[str, Any], zone: str = SEOUL, day: str = "2026-03-02"
) -> Problem:
    """Return tasks and the hours of one day that are free for them."""
    begin = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(zone))
    names = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    row = {
        "time_zone": zone,
        "window": {"start": begin.isoformat(), "end": begin.replace(hour=23).isoformat()},
        "working_hours": {names[begin.weekday()]: hours},
        "tasks": [{"id": str(place)} | task for place, task in enumerate(tasks)],
    }
    return parse_problem(json.dumps(row))


def placed(one: Problem) -> dict[str, list[str]]:
    """Return the parts of the placed tasks as texts such as `09:00-09:40`."""
    return {
        found.task: [
            "-".join(f"{datetime.fromtimestamp(at, one.zone):%H:%M}" for at in chunk)
            for chunk in found.chunks
        ]
        for found in solve(one, EVEN).placements
    }


def split(minutes: int) -> dict[str, Any]:
    return {"duration_minutes": minutes, "splittable": True, "min_chunk_minutes": 30}


def test_a_split_task_uses_free_time_to_its_end() -> None:
    """Though that is off the grid; what is missing there may not be missing to the task."""
    gaps = [["09:00", "09:40"], ["11:00", "11:40"]]
    assert placed(problem(gaps, split(80))) == {"0": ["09:00-09:40", "11:00-11:40"]}
    assert placed(problem(gaps, split(85))) == {}


def test_the_first_plan_lacks_no_time_either() -> None:
    """Whole cells are not enough if time is missing in two of them."""
    one = problem([["09:00", "09:40"], ["11:00", "11:40"]], split(85))
    calendar = TaskCalendar(one)
    item = item_of(one.tasks[0], calendar, Values(one, calendar, EVEN))
    assert item.parts
    assert scheduling.one_by_one([item], one.tasks, []) == ((),)


def test_no_part_is_cut_below_the_least_length() -> None:
    """What is more than the task needs is taken from a part that has it."""
    gaps = [["09:00", "09:45"], ["11:00", "11:30"]]
    assert placed(problem(gaps, split(70))) == {"0": ["09:00-09:40", "11:00-11:30"]}


def test_more_parts_than_the_least_length_allows_are_no_plan() -> None:
    """Four parts of half an hour are two hours, not 118 minutes."""
    gaps = [[f"{hour:02}:00", f"{hour:02}:30"] for hour in (9, 11, 13, 15)]
    assert len(placed(problem(gaps, split(120)))["0"]) == 4
    assert placed(problem(gaps, split(118))) == {}


def test_a_task_that_may_be_split_fits_wherever_it_fits_whole() -> None:
    """The exact gap of a task that is no multiple of the step."""
    gap = [["09:00", "10:40"]]
    assert placed(problem(gap, split(100))) == {"0": ["09:00-10:40"]}


def test_hours_that_touch_are_one() -> None:
    """A task may run from one into the next."""
    hours = [["10:00", "12:00"], ["12:00", "14:00"]]
    assert placed(problem(hours, {"duration_minutes": 240})) == {"0": ["10:00-14:00"]}


def test_an_hour_that_the_clocks_skip_begins_after_it() -> None:
    """Free from 2:30 on the night when 2:00 becomes 3:00 is free from 3:00."""
    one = problem([["02:30", "04:00"]], {"duration_minutes": 60}, zone=NEW_YORK, day="2026-03-08")
    assert placed(one) == {"0": ["03:00-04:00"]}


def test_a_priority_counts_like_two_of_the_next_lower_one() -> None:
    """Two hours for one task of priority 5 rather than for two of 3, but for three of 4."""
    urgent, other = ({"duration_minutes": m, "priority": p} for m, p in ((120, 5), (60, 3)))
    assert placed(problem([["09:00", "11:00"]], urgent, other, other)).keys() == {"0"}
    third = {"duration_minutes": 40, "priority": 4}
    assert placed(problem([["09:00", "11:15"]], urgent, *[third] * 3)).keys() == {"1", "2", "3"}


def test_the_search_is_told_a_limit_that_no_clock_measures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its effort is proportional to the time limit, so a busy machine has the same plan."""
    efforts = []

    def search(*_model: Any, effort: float, **_limits: Any) -> None:
        efforts.append(effort)

    monkeypatch.setattr(scheduling, "search", search)
    one = problem([["09:00", "18:00"]], *[{"duration_minutes": 60}] * 2)
    for _ in range(2):
        solve(one, EVEN)
    assert efforts[0] == efforts[1]
    assert 0 < efforts[0] < one.time_limit_s

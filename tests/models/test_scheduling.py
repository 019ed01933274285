"""Plans are valid, as good as the best, the same each time, and say why a task is left out."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from geulpi_calendar import scheduling
from geulpi_calendar._schedule_problem import Problem, Task, parse_problem
from geulpi_calendar._schedule_values import SlotPreferences
from geulpi_calendar.documents import InvalidDocument
from geulpi_calendar.scheduling import Schedule, solve
from geulpi_client import Busy, Event, TimeRange
from geulpi_client import Task as ClientTask
from geulpi_client._schedule import schedule_question

SEOUL = ZoneInfo("Asia/Seoul")
MONDAY = datetime(2026, 3, 2, tzinfo=SEOUL)
EVEN = SlotPreferences(np.full((10, 168), 1 / 168))


def at(day: int, hour: float, zone: ZoneInfo = SEOUL) -> str:
    moment = datetime(2026, 3, 2, tzinfo=zone) + timedelta(days=day)
    return moment.replace(hour=int(hour), minute=round(hour % 1 * 60)).isoformat()


def problem(tasks: list[dict[str, Any]], **changes: Any) -> Problem:
    document = {
        "time_zone": "Asia/Seoul",
        "window": {"start": at(0, 0), "end": at(5, 0)},
        "tasks": tasks,
        "time_limit_s": 5,
        **changes,
    }
    return parse_problem(json.dumps(document))


def task(name: str, minutes: float, **changes: Any) -> dict[str, Any]:
    return {"id": name, "duration_minutes": minutes, **changes}


def told(plan: Schedule) -> dict[str, list[tuple[str, str]]]:
    """Placements by task, as local times such as `Mon 09:00`."""

    def text(minutes: float) -> str:
        return datetime.fromtimestamp(round(minutes * 60), SEOUL).strftime("%a %H:%M")

    return {p.task.id: [(text(a), text(b)) for a, b in p.chunks] for p in plan.placements}


def reasons(plan: Schedule) -> dict[str, str]:
    return {one.task.id: one.reason for one in plan.not_placed}


def in_ranges(start: float, end: float, ranges: Any, zone: Any) -> bool:
    """Whether each minute of a span lies in one of the clock ranges."""
    for minute in np.arange(start, end - 1e-6, 1.0):
        moment = datetime.fromtimestamp(minute * 60, zone)
        clock = moment.hour * 60 + moment.minute
        if not any(moment.weekday() in r.days and r.first <= clock < r.last for r in ranges):
            return False
    return True


def touches(start: float, end: float, ranges: Any, zone: Any) -> bool:
    minutes = np.arange(start, end - 1e-6, 1.0)
    return any(in_ranges(m, m + 1, ranges, zone) for m in minutes)


def check(asked: Problem, plan: Schedule) -> None:
    """Raise unless a plan keeps everything that was asked; knows nothing of cells."""
    assert {p.task.id for p in plan.placements} | reasons(plan).keys() == {
        t.id for t in asked.tasks
    }
    spans = []
    by_id = {p.task.id: p for p in plan.placements}
    for placement in plan.placements:
        wanted: Task = placement.task
        chunks = placement.chunks
        assert sum(end - start for start, end in chunks) == pytest.approx(wanted.minutes)
        if len(chunks) > 1:
            assert wanted.splittable
            assert all(end - start >= wanted.min_chunk - 1e-6 for start, end in chunks)
        for start, end in chunks:
            assert asked.start <= start < end <= asked.end
            assert wanted.deadline is None or end <= wanted.deadline
            assert wanted.earliest is None or start >= wanted.earliest
            assert in_ranges(start, end, asked.working, asked.zone)
            assert not touches(start, end, asked.breaks, asked.zone)
            assert not touches(start, end, wanted.forbidden, asked.zone)
            for busy in asked.busy:
                if busy.attendee in {None, *wanted.attendees} and busy.end > busy.start:
                    assert end + asked.buffer <= busy.start or busy.end + asked.buffer <= start
            spans.append((start, end, wanted.id))
        for other in wanted.depends_on:
            assert by_id[other].chunks[-1][1] <= chunks[0][0]
    for (_, end, first), (start, _, second) in itertools.pairwise(sorted(spans)):
        assert end <= start + 1e-6
        assert first == second or end + asked.buffer <= start + 1e-6
    assert plan.bound >= plan.objective


def random_problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    tasks = []
    for place in range(int(rng.integers(1, 9))):
        one = task(f"t{place}", int(rng.integers(10, 240)), priority=int(rng.integers(1, 6)))
        one["splittable"] = bool(rng.random() < 0.3)
        one["min_chunk_minutes"] = int(rng.integers(20, 60))
        if rng.random() < 0.4:
            one["deadline"] = at(int(rng.integers(0, 5)), int(rng.integers(8, 23)))
        if rng.random() < 0.3:
            one["earliest"] = at(int(rng.integers(0, 4)), int(rng.integers(8, 23)))
        if rng.random() < 0.3:
            one["forbidden"] = [{"days": ["MO", "TU"], "start": "09:00", "end": "12:00"}]
        if rng.random() < 0.3:
            one["attendees"] = ["ana"]
        if place and rng.random() < 0.3:
            one["depends_on"] = [f"t{int(rng.integers(place))}"]
        tasks.append(one)
    busy = []
    for _ in range(int(rng.integers(0, 20))):
        start = MONDAY + timedelta(minutes=int(rng.integers(5 * 1440)))
        end = start + timedelta(minutes=int(rng.integers(0, 180)))
        who = ["ana", None, "bo"][int(rng.integers(3))]
        busy.append({"start": start.isoformat(), "end": end.isoformat(), "attendee": who})
    return problem(
        tasks,
        busy=busy,
        breaks=[["12:00", "13:00"]] if rng.random() < 0.5 else [],
        buffer_minutes=int(rng.choice([0, 5, 15, 20])),
        step_minutes=int(rng.choice([10, 15, 30])),
        time_limit_s=1,
    )


@pytest.mark.parametrize("seed", range(25))
def test_any_plan_keeps_everything_that_was_asked(seed: int) -> None:
    """Working hours, busy times, buffers, deadlines, parts and dependencies all hold."""
    asked = random_problem(seed)
    check(asked, solve(asked, EVEN))


@pytest.mark.parametrize("seed", range(12))
def test_no_other_plan_is_worth_more(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """On small problems every combination of starts is tried."""
    monkeypatch.setattr(scheduling, "TOLERANCE", 0.0)
    rng = np.random.default_rng(seed)
    tasks = [
        task(
            f"t{i}", int(rng.choice([60, 90, 120])), priority=int(rng.integers(1, 6)),
            deadline=at(0, int(rng.integers(11, 16))),
        )
        for i in range(3)
    ]  # fmt: skip
    if seed % 2:
        tasks[2]["depends_on"] = ["t0"]
    asked = problem(
        tasks, window={"start": at(0, 9), "end": at(0, 14)}, step_minutes=30,
        busy=[{"start": at(0, 10.5), "end": at(0, 11)}],
    )  # fmt: skip
    plan = solve(asked, EVEN)
    calendar = scheduling._calendar(asked)
    values = scheduling.Values(asked, calendar, EVEN)
    items, _ = scheduling._items(calendar, values, scheduling._placed_values(asked.tasks))
    best = 0
    for starts in itertools.product(*[[None, *item.starts] for item in items]):
        used = [
            s + j
            for s, i in zip(starts, items, strict=True)
            if s is not None
            for j in range(i.length)
        ]
        if len(set(used)) < len(used):
            continue
        first, last = starts[0], starts[2]
        waits = seed % 2 and last is not None
        if waits and (first is None or first + items[0].length > last):
            continue
        best = max(best, sum(
            i.placed + i.values[i.starts.index(s)]
            for s, i in zip(starts, items, strict=True) if s is not None
        ))  # fmt: skip
    assert (plan.status, plan.objective, plan.gap) == ("optimal", best, 0)


def test_the_same_problem_gives_the_same_plan() -> None:
    """Where the search ends by itself, nothing is left to chance."""
    asked = random_problem(3)
    first, second = solve(asked, EVEN), solve(asked, EVEN)
    assert first.placements == second.placements
    assert (first.objective, first.bound) == (second.objective, second.bound)


def test_at_the_time_limit_the_best_so_far_is_the_answer() -> None:
    """A hundredth of a second is enough for a valid plan of 60 tasks."""
    tasks = [task(f"t{i}", 30 + i % 4 * 15, priority=i % 5 + 1) for i in range(60)]
    asked = problem(tasks, time_limit_s=0.01)
    plan = solve(asked, EVEN)
    check(asked, plan)
    assert plan.status == "feasible"
    assert len(plan.placements) > 30


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
def test_durations_are_absolute_over_clock_changes(day: str, hours: int) -> None:
    """A task as long as the day fits into the whole of it, and one a minute longer does not."""
    zone = ZoneInfo("America/New_York")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (start + timedelta(days=1)).replace(tzinfo=zone)
    for minutes, placed in ((hours * 60, 1), (hours * 60 + 1, 0)):
        asked = problem(
            [task("whole day", minutes)], time_zone="America/New_York",
            window={"start": start.isoformat(), "end": end.isoformat()},
            working_hours={"SU": [["00:00", "24:00"]]},
        )  # fmt: skip
        assert len(solve(asked, EVEN).placements) == placed


def test_tasks_may_cross_midnight() -> None:
    """Working hours of two days that touch are one free time."""
    hours = {day: [["00:00", "24:00"]] for day in ("MO", "TU")}
    busy = [{"start": at(0, 0), "end": at(0, 23)}, {"start": at(1, 2), "end": at(5, 0)}]
    plan = solve(problem([task("night", 180)], working_hours=hours, busy=busy), EVEN)
    assert told(plan) == {"night": [("Mon 23:00", "Tue 02:00")]}


def test_odd_busy_times_do_no_harm() -> None:
    """Overlapping, empty and outside the window: only what is taken counts."""
    busy = [
        {"start": at(0, 9), "end": at(0, 12)}, {"start": at(0, 10), "end": at(0, 14)},
        {"start": at(0, 15), "end": at(0, 15)}, {"start": at(-3, 9), "end": at(-2, 9)},
    ]  # fmt: skip
    plan = solve(problem([task("a", 240)], busy=busy), EVEN)
    assert told(plan) == {"a": [("Mon 14:00", "Mon 18:00")]}


@pytest.mark.parametrize(
    ("tasks", "changes", "reason"),
    [
        ([task("x", 600)], {}, "no_free_slot"),
        ([task("x", 60, deadline=at(0, 9.5))], {}, "deadline"),
        ([task("x", 60, deadline=at(-1, 9))], {}, "deadline"),
        ([task("x", 60, earliest=at(4, 17.5))], {}, "earliest"),
        ([task("x", 60, forbidden=[{"start": "00:00", "end": "24:00"}])], {}, "forbidden"),
        ([task("x", 60, attendees=["ana"])],
         {"busy": [{"start": at(0, 0), "end": at(5, 0), "attendee": "ana"}]}, "attendees"),
        ([task("y", 600), task("x", 60, depends_on=["y"])], {}, "dependency"),
        ([task(f"p{i}", 540, priority=5) for i in range(5)] + [task("x", 60, priority=1)], {},
         "displaced"),
    ],
)  # fmt: skip
def test_what_is_not_placed_says_why(
    tasks: list[dict[str, Any]], changes: dict[str, Any], reason: str
) -> None:
    """The reason is the limit without which there would be a place."""
    assert reasons(solve(problem(tasks, **changes), EVEN))["x"] == reason


def test_the_urgent_goes_first() -> None:
    """Where one of two has room, it is the one of the higher priority."""
    tasks = [task("low", 480, priority=1), task("high", 480, priority=5)]
    plan = solve(problem(tasks, window={"start": at(0, 0), "end": at(1, 0)}), EVEN)
    assert (list(told(plan)), reasons(plan)) == (["high"], {"low": "displaced"})


def test_preferred_hours_are_taken() -> None:
    """A wish outweighs being early."""
    wish = [{"days": ["WE"], "start": "14:00", "end": "16:00"}]
    plan = solve(problem([task("a", 60, preferred=wish)]), EVEN)
    assert told(plan)["a"][0][0].startswith("Wed 1")


def test_the_users_habits_are_learned_from_history() -> None:
    """A task like past events goes to their usual hour."""
    history = [
        {"title": "deep work", "start": at(-7 * week + 3, 16), "end": at(-7 * week + 3, 17)}
        for week in range(1, 9)
    ]
    usual = solve(problem([task("a", 60, title="Deep  Work", priority=1)], history=history), EVEN)
    assert told(usual) == {"a": [("Thu 16:00", "Thu 17:00")]}


def test_a_split_task_has_few_parts_of_the_right_length() -> None:
    """It fills what is free, no part shorter than asked, and takes the whole of its duration."""
    busy = [{"start": at(0, 11), "end": at(0, 13)}, {"start": at(0, 15), "end": at(5, 0)}]
    asked = problem([task("a", 200, splittable=True, min_chunk_minutes=60)], busy=busy)
    plan = solve(asked, EVEN)
    check(asked, plan)
    assert len(told(plan)["a"]) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window": {"start": at(0, 0), "end": at(0, 0)}}, "window.end"),
        ({"window": {"start": at(0, 0), "end": "2027-03-02T00:00:00+09:00"}}, "window.end"),
        ({"window": None}, "window"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"tasks": None}, "tasks"),
        ({"tasks": [task("a", 30), task("a", 30)]}, r"tasks\[1\].id"),
        ({"tasks": [task("a", 0)]}, "duration_minutes"),
        ({"tasks": [task("a", float("nan"))]}, "duration_minutes"),
        ({"tasks": [task("a", 30, category="play")]}, "category is 'play'"),
        ({"tasks": [task("a", 30, depends_on=["b"])]}, "depends_on is 'b'"),
        ({"tasks": [task("a", 9, depends_on=["b"]), task("b", 9, depends_on=["a"])]}, "[ab] → "),
        ({"tasks": [task("a", 30, priority=6)]}, "priority is 6"),
        ({"tasks": [task("a", 30, colour="red")]}, "colour"),
        ({"tasks": [task("a", 30, deadline="tomorrow")]}, "deadline is 'tomorrow'"),
        ({"tasks": [task(str(i), 30) for i in range(201)]}, "at most 200"),
        ({"working_hours": {"MO": [["9", "18:00"]]}}, r"working_hours.MO\[0\]"),
        ({"working_hours": {"MO": [["18:00", "09:00"]]}}, r"working_hours.MO\[0\]"),
        ({"working_hours": {"XX": []}}, "working_hours.XX"),
        ({"busy": [{"start": at(1, 0), "end": at(0, 0)}]}, r"busy\[0\].end"),
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"step_minutes": 61}, "step_minutes"),
        ({"step_minutes": 7.5}, "step_minutes"),
        ({"seed": -1}, "seed"),
        ({"history": 3}, "history"),
    ],
)  # fmt: skip
def test_documents_that_cannot_be_used_are_refused(changes: dict[str, Any], said: str) -> None:
    """The field, its value and what is expected are told before any search."""
    with pytest.raises(InvalidDocument, match=said):
        problem(**{"tasks": [], **changes})


def test_text_that_is_no_document_is_refused() -> None:
    """Broken JSON is a refusal too."""
    with pytest.raises(InvalidDocument, match="problem"):
        parse_problem(b"\xff{")


def test_no_tasks_are_a_plan_of_none() -> None:
    """There is nothing to do, and that is optimal."""
    plan = solve(problem([]), EVEN)
    assert (plan.status, plan.placements, plan.not_placed, plan.gap) == ("optimal", (), (), 0)


def test_what_the_client_sends_is_understood() -> None:
    """Every option of the typed call reaches the optimizer."""
    question = schedule_question(
        [
            ClientTask(
                "a", timedelta(minutes=50), title="보고서", deadline=MONDAY + timedelta(days=2),
                earliest=MONDAY, priority=5, category="work", splittable=True,
                min_chunk=timedelta(minutes=20), attendees=["ana"],
                preferred=[TimeRange(time(9), time())],
                forbidden=[TimeRange(time(9), time(10), days=["MO"])],
            ),
            ClientTask("b", timedelta(hours=1), depends_on=["a"]),
        ],
        window=(MONDAY, MONDAY + timedelta(days=5)),
        busy=[
            Busy(MONDAY, MONDAY + timedelta(hours=10), "ana"),
            Event("x", MONDAY, MONDAY + timedelta(hours=1)),
        ],
        working_hours={"MO": [(time(8), time())]},
        breaks=[(time(12), time(13))],
        buffer=timedelta(minutes=5),
        history=[Event("보고서", MONDAY - timedelta(days=7), MONDAY - timedelta(days=6))],
        step=timedelta(minutes=10),
        time_limit_s=1.0,
        seed=3,
        time_zone=None,
    )  # fmt: skip
    asked = parse_problem(question.inputs["problem"][0])
    assert (asked.buffer, asked.step, asked.seed, asked.time_limit_s) == (5, 10, 3, 1.0)
    assert [t.minutes for t in asked.tasks] == [50, 60]
    assert asked.tasks[0].min_chunk == 20
    assert {busy.attendee for busy in asked.busy} == {"ana", None}
    assert len(asked.history) == 1
    check(asked, solve(asked, EVEN))

"""Tasks, busy times and what else makes a scheduling problem."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from geulpi_client import Busy, Event, InvalidEvent, InvalidSetting, InvalidTask, Task, TimeRange
from geulpi_client._schedule import schedule_question

SEOUL = ZoneInfo("Asia/Seoul")
NINE = datetime(2026, 3, 2, 9, tzinfo=SEOUL)
HOUR = timedelta(hours=1)
WEEK = (NINE, NINE + timedelta(days=7))
DEFAULTS = {
    "window": WEEK,
    "busy": (),
    "working_hours": None,
    "breaks": (),
    "buffer": timedelta(),
    "history": (),
    "step": timedelta(minutes=15),
    "time_limit_s": 2.0,
    "seed": 0,
    "time_zone": None,
}


def problem(*tasks: Task, **settings: object) -> dict[str, Any]:
    question = schedule_question(tasks, **(DEFAULTS | settings))
    (document,) = question.inputs["problem"]
    return json.loads(document)


def test_a_problem_says_every_setting() -> None:
    """Durations in minutes, moments in UTC, the zone of the window; what is not given is left."""
    assert problem() == {
        "time_zone": "Asia/Seoul",
        "window": {"start": "2026-03-02T00:00:00+00:00", "end": "2026-03-09T00:00:00+00:00"},
        "tasks": [],
        "busy": [],
        "breaks": [],
        "buffer_minutes": 0,
        "history": [],
        "step_minutes": 15,
        "time_limit_s": 2.0,
        "seed": 0,
    }
    given = problem(
        working_hours={"MO": [(time(13), time(0)), (time(9), time(12))], "SU": []},
        breaks=[(time(12), time(13))],
        buffer=timedelta(minutes=7.5),
        history=[Event("b", NINE + HOUR), Event("a", NINE, category="work")],
        step=timedelta(minutes=5),
        time_limit_s=1,
        seed=7,
        time_zone="Europe/Berlin",
    )
    assert given["working_hours"] == {"MO": [["09:00", "12:00"], ["13:00", "24:00"]], "SU": []}
    assert given["breaks"] == [["12:00", "13:00"]]
    assert given["buffer_minutes"] == 7.5
    assert [event["title"] for event in given["history"]] == ["a", "b"]
    assert (given["step_minutes"], given["time_limit_s"], given["seed"]) == (5, 1.0, 7)
    assert given["time_zone"] == "Europe/Berlin"


def test_a_task_says_what_it_needs() -> None:
    """Every field; ids and names in one order, so that equal problems share a cached answer."""
    task = Task(
        "t1",
        timedelta(minutes=90),
        title="보고서",
        deadline=NINE + HOUR,
        earliest=NINE,
        priority=5,
        category="work",
        preferred=[TimeRange(time(9), time(12), days=["MO", "TU"])],
        forbidden=[TimeRange(time(20), time(0))],
        splittable=True,
        min_chunk=timedelta(minutes=45),
        depends_on=["t3", "t2"],
        attendees=["bo", "ana"],
    )
    others = [Task(name, HOUR) for name in ("t2", "t3")]
    rows = problem(task, *others)["tasks"]
    assert rows[0] == {
        "id": "t1",
        "title": "보고서",
        "duration_minutes": 90,
        "deadline": "2026-03-02T01:00:00+00:00",
        "earliest": "2026-03-02T00:00:00+00:00",
        "priority": 5,
        "category": "work",
        "preferred": [{"days": ["MO", "TU"], "start": "09:00", "end": "12:00"}],
        "forbidden": [{"days": None, "start": "20:00", "end": "24:00"}],
        "splittable": True,
        "min_chunk_minutes": 45,
        "depends_on": ["t2", "t3"],
        "attendees": ["ana", "bo"],
    }
    assert [row["id"] for row in rows] == ["t1", "t2", "t3"]
    assert rows[1]["priority"] == 3
    assert hash(task) == hash(task)  # its lists became tuples


def test_busy_times_are_intervals_of_somebody() -> None:
    """In their order; events count, all-day ones by the days of the zone, reminders not at all."""
    rows = problem(
        busy=[
            Busy(NINE + HOUR, NINE + 2 * HOUR, "ana"),
            Event("회의", NINE, NINE + HOUR),
            Event("약", NINE),
            Busy(NINE, NINE),
            Event("휴가", date(2026, 3, 29), date(2026, 3, 30), all_day=True),
        ],
        time_zone="Europe/Berlin",
    )["busy"]
    assert rows == [
        {"start": "2026-03-02T00:00:00+00:00", "end": "2026-03-02T01:00:00+00:00"},
        {
            "start": "2026-03-02T01:00:00+00:00",
            "end": "2026-03-02T02:00:00+00:00",
            "attendee": "ana",
        },
        # The night of the change to summer time: a day of 23 hours.
        {"start": "2026-03-28T23:00:00+00:00", "end": "2026-03-29T22:00:00+00:00"},
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": ""}, "id .* not blank"),
        ({"id": 7}, "id is 7; expected text"),
        ({"title": " "}, "title .* not blank"),
        ({"title": "a\0"}, "title .* NUL"),
        ({"duration": timedelta()}, "duration is '0:00:00'; expected more than 0"),
        ({"duration": -HOUR}, "duration .* 0 or more"),
        ({"duration": 90}, "duration is 90; expected a timedelta"),
        ({"min_chunk": timedelta()}, "min_chunk .* more than 0"),
        ({"deadline": NINE.replace(tzinfo=None)}, "deadline .* time zone"),
        ({"earliest": "2026-03-02"}, "earliest .* datetime"),
        ({"priority": 0}, "priority is 0; expected a whole number from 1 to 5"),
        ({"priority": 3.0}, "priority"),
        ({"priority": True}, "priority"),
        ({"category": "chores"}, "category is 'chores'; expected one of errand"),
        ({"splittable": "no"}, "splittable .* True or False"),
        ({"preferred": TimeRange(time(9), time(12))}, "preferred .* a list such as"),
        ({"forbidden": [(time(9), time(12))]}, "forbidden .* a list such as"),
        ({"depends_on": "t0"}, "depends_on is 't0'; expected a list of ids"),
        ({"attendees": ["ana", ""]}, r"attendees\[1\] .* not blank"),
    ],
)
def test_a_task_that_cant_be_is_refused(given: dict[str, object], expected: str) -> None:
    """When it is made, with the field, the value and what is expected."""
    with pytest.raises(InvalidTask, match=expected):
        Task(**({"id": "t1", "duration": HOUR} | given))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: TimeRange(time(9), time(9)), "TimeRange.end .* after 09:00"),
        (lambda: TimeRange(time(22), time(2)), "TimeRange.end .* over midnight"),
        (lambda: TimeRange("09:00", time(12)), r"TimeRange.start .* time\(9\)"),
        (lambda: TimeRange(time(9, tzinfo=UTC), time(12)), "TimeRange.start .* without a zone"),
        (lambda: TimeRange(time(9, 0, 30), time(12)), "TimeRange.start .* whole minutes"),
        (lambda: TimeRange(time(9), time(12), days=[]), "TimeRange.days"),
        (lambda: TimeRange(time(9), time(12), days="MO"), "TimeRange.days"),
        (lambda: TimeRange(time(9), time(12), days=["Monday"]), "TimeRange.days .* one of MO"),
        (lambda: Busy(NINE, NINE - HOUR), "Busy.end .* or later"),
        (lambda: Busy(NINE.replace(tzinfo=None), NINE), "Busy.start .* time zone"),
        (lambda: Busy(NINE, date(2026, 3, 3)), "Busy.end .* datetime"),
        (lambda: Busy(NINE, NINE, ""), "Busy.attendee .* not blank"),
    ],
)
def test_times_that_cant_be_are_refused(make: Any, expected: str) -> None:
    """When they are made, with the field, the value and what is expected."""
    with pytest.raises(InvalidSetting, match=expected):
        make()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"window": (NINE, NINE)}, r"window\[1\] .* a moment after"),
        ({"window": (NINE, NINE.replace(tzinfo=None))}, r"window\[1\] .* time zone"),
        ({"window": NINE}, "window .* two datetimes"),
        ({"window": (NINE,)}, "window .* two datetimes"),
        ({"busy": Busy(NINE, NINE)}, "busy .* a list"),
        ({"busy": [(NINE, NINE)]}, r"busy\[0\] .* a Busy, or an Event"),
        ({"busy": [Event("a")]}, r"busy\[0\] .* with a start"),
        ({"working_hours": [(time(9), time(18))]}, "working_hours .* a dict"),
        ({"working_hours": {"Mo": []}}, "working_hours is 'Mo'; expected one of MO"),
        ({"working_hours": {None: []}}, "working_hours is None"),
        ({"working_hours": {"MO": [time(9)]}}, r"working_hours\['MO'\]\[0\]"),
        ({"working_hours": {"MO": [(time(9), time(8))]}}, r"working_hours\['MO'\]\[0\].end"),
        ({"breaks": (time(12), time(13))}, r"breaks\[0\] .* a list of two times each"),
        ({"breaks": [(time(12),)]}, r"breaks\[0\]"),
        ({"buffer": -HOUR}, "buffer .* 0 or more"),
        ({"buffer": 5}, "buffer .* timedelta"),
        ({"step": timedelta(minutes=61)}, "step .* 1 to 60"),
        ({"step": timedelta(seconds=90)}, "step .* whole minutes"),
        ({"step": timedelta()}, "step"),
        ({"time_limit_s": 0}, "time_limit_s .* 0.01 to 60"),
        ({"time_limit_s": float("nan")}, "time_limit_s"),
        ({"time_limit_s": "2"}, "time_limit_s"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"time_zone": "Mars"}, "time_zone"),
    ],
)
def test_settings_that_cant_be_are_refused(settings: dict[str, object], expected: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidSetting, match=expected):
        problem(Task("t1", HOUR), **settings)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([Task("a", HOUR), Task("a", HOUR)], r"tasks\[1\].id is 'a'; expected an id that no other"),
        ([Task("a", HOUR, depends_on=["b"])], r"depends_on of 'a' is 'b'; expected .* ids 'a'"),
        ([Task("a", HOUR, depends_on=["a"])], "a → a"),
        (
            [Task(x, HOUR, depends_on=[y]) for x, y in ("ab", "bc", "ca")],
            "depends_on is '. → . → . → .'; expected tasks that do not wait for each other",
        ),
        (["a"], r"tasks\[0\] is 'a'; expected a Task"),
    ],
)
def test_tasks_that_cant_stand_together_are_refused(tasks: list[object], expected: str) -> None:
    """Ids that are not unique, and dependencies that are unknown or go round."""
    with pytest.raises(InvalidTask, match=expected):
        problem(*tasks)


def test_other_lists_are_refused() -> None:
    """A bare task, and a history that is none."""
    with pytest.raises(InvalidTask, match=r"tasks .* a list"):
        schedule_question(Task("a", HOUR), **DEFAULTS)
    with pytest.raises(InvalidEvent, match=r"history\[0\].start"):
        problem(history=[Event("a")])

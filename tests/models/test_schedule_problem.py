"""The document `problem`: what it may say, and how it is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from geulpi_calendar._schedule_problem import (
    MAX_BUSY,
    MAX_TASKS,
    ClockRange,
    Problem,
    parse_problem,
)
from geulpi_calendar.documents import InvalidDocument
from geulpi_client import Busy, Event, Task, TimeRange
from geulpi_client._schedule import schedule_question

SEOUL = ZoneInfo("Asia/Seoul")
START, END = "2026-03-02T00:00:00+09:00", "2026-03-09T00:00:00+09:00"
WINDOW = {"start": START, "end": END}
WEEKDAYS, EVERY_DAY = frozenset(range(5)), frozenset(range(7))
Row = dict[str, Any]


def parsed(task: Row | None = None, **fields: Any) -> Problem:
    """Read a problem of one task."""
    row: Row = {
        "time_zone": "Asia/Seoul",
        "window": WINDOW,
        "tasks": [{"id": "a", "duration_minutes": 60, **(task or {})}],
        **fields,
    }
    return parse_problem(json.dumps(row).encode())


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_what_is_not_said_has_its_default() -> None:
    """Office hours, a quarter of an hour, two seconds; an explicit null says nothing."""
    problem = parsed()
    (task,) = problem.tasks
    assert (problem.start, problem.end) == (seconds(START), seconds(END))
    assert problem.working == tuple(
        ClockRange(frozenset({day}), 9 * 60, 18 * 60) for day in range(5)
    )
    assert (problem.busy, problem.breaks, problem.history, problem.buffer) == ((), (), (), 0)
    assert (problem.step, problem.time_limit_s, problem.seed) == (15 * 60, 2.0, 0)
    assert (task.seconds, task.priority, task.min_chunk) == (3600, 3, 30 * 60)
    assert (task.deadline, task.earliest, task.category) == (None, None, None)
    assert not task.splittable
    nothing = dict.fromkeys(["title", "deadline", "earliest", "priority", "category", "preferred"])
    silent = dict.fromkeys(["busy", "working_hours", "breaks", "history", "step_minutes", "seed"])
    assert parsed(nothing, **silent) == problem


def test_offsets_may_be_mixed() -> None:
    """Moments are what counts, however they are written."""
    plain = parsed({"deadline": "2026-03-05T18:00:00+09:00"})
    mixed = parsed(
        {"deadline": "2026-03-05T04:00:00-05:00"},
        window={"start": "2026-03-01T15:00:00Z", "end": "2026-03-08T20:30:00+05:30"},
    )
    assert mixed == plain


def test_a_day_ends_at_24() -> None:
    """`24:00` is the end of a day, for hours of all kinds."""
    until = {"start": "18:00", "end": "24:00"}
    problem = parsed(
        {"preferred": [until], "forbidden": [{**until, "days": ["SU"]}]},
        working_hours={"MO": [["00:00", "24:00"]]},
        breaks=[["23:00", "24:00"]],
    )
    assert problem.working == (ClockRange(frozenset({0}), 0, 24 * 60),)
    assert problem.breaks == (ClockRange(EVERY_DAY, 23 * 60, 24 * 60),)
    assert problem.tasks[0].preferred == (ClockRange(EVERY_DAY, 18 * 60, 24 * 60),)
    assert problem.tasks[0].forbidden == (ClockRange(frozenset({6}), 18 * 60, 24 * 60),)


def test_fractions_of_seconds_are_rounded_so_that_nothing_overlaps() -> None:
    """Busy times outwards, the window and limits inwards, lengths up."""
    moment = "2026-03-02T10:00:00.5+09:00"
    second = seconds("2026-03-02T10:00:00+09:00")
    problem = parsed(
        {"duration_minutes": 0.51, "deadline": moment, "earliest": moment},
        window={"start": moment, "end": "2026-03-02T20:00:00.5+09:00"},
        busy=[{"start": moment, "end": moment}],
    )
    (task,), (busy,) = problem.tasks, problem.busy
    assert (problem.start, problem.end) == (second + 1, second + 10 * 3600)
    assert (task.seconds, task.deadline, task.earliest) == (31, second, second + 1)
    assert (busy.start, busy.end) == (second, second + 1)
    assert parsed({"duration_minutes": 0.1 + 0.2}).tasks[0].seconds == 18


def tasks_of(*waits: tuple[str, list[str]]) -> list[Row]:
    return [{"id": name, "duration_minutes": 5, "depends_on": others} for name, others in waits]


def windows(start: str, end: str) -> Row:
    return {"window": {"start": start, "end": end}}


ONE = {"id": "a", "duration_minutes": 60}
REFUSED: list[tuple[str, Row, str]] = [
    ("time_zone", {"time_zone": "Asia/Seul"}, "IANA"),
    ("time_zone", {"time_zone": None}, "IANA"),
    ("window", {"window": None}, "start and end"),
    ("window", {"window": [START, END]}, "start and end"),
    ("window.start", {"window": {"end": END}}, "offset"),
    ("window.start", windows("2026-03-02T00:00:00", END), "offset"),
    ("window.end", windows(START, "next week"), "offset"),
    ("window.end", windows(START, START), "after"),
    ("window.end", windows(END, START), "after"),
    ("window.end", windows(START, "2026-05-01T00:00:01+09:00"), "60 days"),
    ("window.until", {"window": {**WINDOW, "until": END}}, "only"),
    ("deadline", {"deadline": END}, "only"),
    ("tasks", {"tasks": None}, "list"),
    ("tasks", {"tasks": {"a": 60}}, "list"),
    ("tasks", {"tasks": [{**ONE, "id": str(i)} for i in range(MAX_TASKS + 1)]}, "at most 200"),
    ("tasks[0]", {"tasks": ["a"]}, "object"),
    ("tasks[0].id", {"tasks": [{"duration_minutes": 5}]}, "text"),
    ("tasks[1].id", {"tasks": [ONE, {**ONE, "id": ""}]}, "text"),
    ("tasks[1].id", {"tasks": [ONE, ONE]}, "no other task"),
    ("tasks[0].depends_on", {"tasks": tasks_of(("a", ["b"]))}, "id of a task"),
    ("tasks[0].depends_on", {"tasks": tasks_of(("a", 7))}, "list"),
    ("tasks[0].depends_on[1]", {"tasks": tasks_of(("a", ["a", 7]))}, "text"),
    ("busy", {"busy": {}}, "list"),
    ("busy", {"busy": [WINDOW] * (MAX_BUSY + 1)}, "at most 5000"),
    ("busy[0]", {"busy": [[START, END]]}, "start and end"),
    ("busy[0].end", {"busy": [{"start": END, "end": START}]}, "or later"),
    ("busy[0].end", {"busy": [{"start": START}]}, "offset"),
    ("busy[1].attendee", {"busy": [WINDOW, {**WINDOW, "attendee": 7}]}, "null"),
    ("busy[0].title", {"busy": [{**WINDOW, "title": "x"}]}, "only"),
    ("working_hours", {"working_hours": [["09:00", "18:00"]]}, "MO"),
    ("working_hours.Monday", {"working_hours": {"Monday": []}}, "MO"),
    ("working_hours.MO", {"working_hours": {"MO": "09:00"}}, "list"),
    ("working_hours.MO[0]", {"working_hours": {"MO": ["09:00"]}}, "two times"),
    ("working_hours.TU[1]", {"working_hours": {"TU": [["08:00", "09:00"], ["22:00", "06:00"]]}},
     "night"),
    ("breaks[0]", {"breaks": [["12:00", "12:00"]]}, "after the start"),
    ("breaks[0]", {"breaks": [["9:00", "12:00"]]}, "00:00"),
    ("breaks[0]", {"breaks": [["23:00", "24:01"]]}, "24:00"),
    ("breaks[0]", {"breaks": [[9, 12]]}, "time of a day"),
    ("buffer_minutes", {"buffer_minutes": -1}, "from 0"),
    ("buffer_minutes", {"buffer_minutes": 1441}, "1440"),
    ("history", {"history": "none"}, "list"),
    ("history[0].start", {"history": [{"title": "x"}]}, "offset"),
    ("step_minutes", {"step_minutes": 0}, "1 to 60"),
    ("step_minutes", {"step_minutes": 7.5}, "whole"),
    ("step_minutes", {"step_minutes": True}, "whole"),
    ("time_limit_s", {"time_limit_s": 0}, "0.01"),
    ("time_limit_s", {"time_limit_s": 61}, "60"),
    ("seed", {"seed": -1}, "whole"),
    ("seed", {"seed": 2**31}, "2147483647"),
]  # fmt: skip

REFUSED_TASKS: list[tuple[str, Row, str]] = [
    ("duration_minutes", {"duration_minutes": None}, "number"),
    ("duration_minutes", {"duration_minutes": 0}, "number"),
    ("duration_minutes", {"duration_minutes": -5}, "number"),
    ("duration_minutes", {"duration_minutes": "60"}, "number"),
    ("duration_minutes", {"duration_minutes": True}, "number"),
    ("duration_minutes", {"duration_minutes": float("nan")}, "number"),
    ("duration_minutes", {"duration_minutes": float("inf")}, "number"),
    ("duration_minutes", {"duration_minutes": 60 * 24 * 60 + 1}, "86400"),
    ("title", {"title": 7}, "text"),
    ("category", {"category": "wrok"}, "work"),
    ("category", {"category": ["work"]}, "work"),
    ("deadline", {"deadline": "2026-03-05"}, "offset"),
    ("deadline", {"deadline": 1772000000}, "offset"),
    ("earliest", {"earliest": "0001-01-01T00:00:00+00:00"}, "years"),
    ("priority", {"priority": 0}, "1 to 5"),
    ("priority", {"priority": 6}, "1 to 5"),
    ("priority", {"priority": 2.5}, "whole"),
    ("splittable", {"splittable": 1}, "true or false"),
    ("min_chunk_minutes", {"min_chunk_minutes": 0}, "number"),
    ("preferred", {"preferred": {"start": "09:00", "end": "12:00"}}, "list"),
    ("preferred[0]", {"preferred": [["09:00", "12:00"]]}, "object"),
    ("preferred[0]", {"preferred": [{"start": "09:00"}]}, "time of a day"),
    ("preferred[0].days", {"preferred": [{"days": ["MON"], "start": "09:00", "end": "12:00"}]},
     "MO"),
    ("preferred[0].days", {"preferred": [{"days": "MO", "start": "09:00", "end": "12:00"}]},
     "list"),
    ("forbidden[0]", {"forbidden": [{"start": "12:00", "end": "09:00"}]}, "night"),
    ("forbidden[0].day", {"forbidden": [{"day": "MO", "start": "09:00", "end": "12:00"}]}, "only"),
    ("attendees", {"attendees": "ana"}, "list"),
    ("attendees[0]", {"attendees": [None]}, "text"),
    ("duration", {"duration": 60}, "only"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "fields", "expected"), REFUSED)
def test_a_problem_that_can_t_be_is_refused_by_its_field(
    field: str, fields: Row, expected: str
) -> None:
    """The error names the field, shows its value and says what is expected."""
    with pytest.raises(InvalidDocument) as refused:
        parsed(**fields)
    assert refused.value.field == field
    told = str(refused.value)
    assert told.startswith(f"{field} is ")
    assert expected in told.partition("; expected ")[2]


@pytest.mark.parametrize(("field", "fields", "expected"), REFUSED_TASKS)
def test_a_task_that_can_t_be_is_refused_by_its_field(
    field: str, fields: Row, expected: str
) -> None:
    """The field tells which task it is, too."""
    with pytest.raises(InvalidDocument) as refused:
        parsed(fields)
    assert refused.value.field == f"tasks[0].{field}"
    assert expected in str(refused.value).partition("; expected ")[2]


@pytest.mark.parametrize(
    "waits",
    [
        [("a", ["a"])],
        [("a", ["b"]), ("b", ["a"])],
        [("x", []), ("a", ["b", "x"]), ("b", ["c"]), ("c", ["a"])],
    ],
)
def test_tasks_that_wait_in_a_circle_are_refused(waits: list[tuple[str, list[str]]]) -> None:
    """The error tells the circle from one task back to it, and no task outside of it."""
    with pytest.raises(InvalidDocument) as refused:
        parsed(tasks=tasks_of(*waits))
    assert refused.value.field == "depends_on"
    shown = str(refused.value).removeprefix("depends_on is '").partition("'")[0].split(" → ")
    assert shown[0] == shown[-1]
    assert set(shown) == {name for name, others in waits if others}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    """The error shows how it begins."""
    with pytest.raises(InvalidDocument, match="expected a JSON object"):
        parse_problem(raw)


def test_the_longest_window_is_sixty_days() -> None:
    """To the second."""
    problem = parsed(window={"start": START, "end": "2026-05-01T00:00:00+09:00"})
    assert problem.end - problem.start == 60 * 24 * 3600


def test_the_client_s_document_is_understood() -> None:
    """Every option of the client arrives as what it means."""

    def moment(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 3, day, hour, minute, tzinfo=SEOUL)

    mornings = TimeRange(time(9), time(12, 30), days=["MO", "TU"])
    question = schedule_question(
        [
            Task("data", timedelta(minutes=45)),
            Task(
                "report",
                timedelta(hours=2),
                title="보고서",
                deadline=moment(5, 18),
                earliest=moment(3, 8),
                priority=5,
                category="work",
                preferred=[mornings],
                forbidden=[TimeRange(time(22), time(0))],
                splittable=True,
                min_chunk=timedelta(minutes=40),
                depends_on=["data"],
                attendees=["ana"],
            ),
        ],
        window=(moment(2, 0), moment(9, 0).astimezone(UTC)),
        busy=[
            Busy(moment(2, 10), moment(2, 11), "ana"),
            Event("Dentist", moment(3, 15), moment(3, 16)),
        ],
        working_hours={"MO": [(time(8), time(12)), (time(13), time(0))]},
        breaks=[(time(12), time(13))],
        buffer=timedelta(minutes=10),
        history=[Event("보고서", moment(1, 9), moment(1, 10), category="work")],
        step=timedelta(minutes=5),
        time_limit_s=1.5,
        seed=7,
        time_zone="Asia/Seoul",
    )
    (raw,) = question.inputs["problem"]
    problem = parse_problem(raw)
    data, report = problem.tasks
    assert problem.zone == SEOUL
    assert (problem.start, problem.end) == (seconds(START), seconds(END))
    assert (problem.buffer, problem.step, problem.time_limit_s, problem.seed) == (600, 300, 1.5, 7)
    monday = frozenset({0})
    assert problem.working == (ClockRange(monday, 480, 720), ClockRange(monday, 780, 1440))
    assert problem.breaks == (ClockRange(EVERY_DAY, 720, 780),)
    assert [(b.start, b.end, b.attendee) for b in problem.busy] == [
        (moment(2, 10).timestamp(), moment(2, 11).timestamp(), "ana"),
        (moment(3, 15).timestamp(), moment(3, 16).timestamp(), None),
    ]
    assert [(e.title, e.start, e.category) for e in problem.history] == [
        ("보고서", moment(1, 9), "work")
    ]
    assert (data.id, data.seconds, data.priority, data.depends_on) == ("data", 2700, 3, ())
    assert (report.id, report.title, report.seconds) == ("report", "보고서", 7200)
    assert (report.deadline, report.earliest) == (
        moment(5, 18).timestamp(),
        moment(3, 8).timestamp(),
    )
    assert (report.priority, report.category, report.splittable) == (5, "work", True)
    assert report.preferred == (ClockRange(frozenset({0, 1}), 540, 750),)
    assert report.forbidden == (ClockRange(EVERY_DAY, 1320, 1440),)
    assert (report.min_chunk, report.depends_on, report.attendees) == (2400, ("data",), ("ana",))

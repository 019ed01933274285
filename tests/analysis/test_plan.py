"""The tasks file: human forms, and errors that name field, value and remedy."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from geulpi_analysis import FileUnreadable, InvalidTasks, Plan, read_plan
from geulpi_analysis._tasks import parse_plan
from geulpi_client import TimeRange

AS_OF = datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC)
ONE = "tasks: [{id: a, duration: 1h}]\n"


def plan(text: str) -> Plan:
    return parse_plan(text, name="tasks.yaml", time_zone="Asia/Seoul", as_of=AS_OF)


def test_the_least_file() -> None:
    """A week from now, the optimizer's own hours."""
    least = plan(ONE)
    assert least.window[0].isoformat() == "2026-03-02T12:04:00+09:00"
    assert least.window[1] - least.window[0] == timedelta(days=7)
    assert (least.working_hours, least.breaks, least.buffer) == (None, [], timedelta())
    assert least.tasks[0].duration == timedelta(hours=1)


def test_everything_can_be_said_in_human_forms() -> None:
    """Days as ranges, hours as 9 to 12, local times, single values for lists."""
    full = plan(
        """
time_zone: Europe/Berlin
window: {start: 2026-03-09, end: 2026-03-14 18:00}
working_hours:
  MO-WE,FR: 09:00-12:00
  FR-MO: [13:00-17:00, [20:00, 24:00]]
  TH: off
breaks: [12:00-13:00]
buffer: 10m
step_minutes: 30
time_limit_s: 0.5
seed: 7
busy: [{start: 2026-03-09 09:00, end: 2026-03-09T10:00:00+09:00, attendee: ana}]
tasks:
  - {id: a, title: no, duration: 1h30m, deadline: 2026-03-11, splittable: yes, min_chunk: 45 min}
  - id: b
    duration_minutes: 90
    deadline: 2026-03-11 12:00
    earliest: 2026-03-10
    priority: 5
    category: work
    preferred: ["TU,TH 09:00-12:00", {start: 14:00, end: 15:00, days: [MO]}]
    forbidden: 12:00-24:00
    depends_on: a
    attendees: [ana]
""".replace("2026-03-09T10:00:00+09:00", "2026-03-09T19:00:00+09:00")
    )
    a, b = full.tasks
    assert full.window[1].isoformat() == "2026-03-14T18:00:00+01:00"
    assert full.working_hours is not None
    assert full.working_hours["MO"] == [
        (time(9), time(12)),
        (time(13), time(17)),
        (time(20), time()),
    ]
    assert full.working_hours["TH"] == []
    assert set(full.working_hours) == {"MO", "TU", "WE", "TH", "FR", "SA", "SU"}
    assert full.breaks == [(time(12), time(13))]
    assert (full.buffer, full.step) == (timedelta(minutes=10), timedelta(minutes=30))
    assert (full.time_limit_s, full.seed) == (0.5, 7)
    assert full.busy[0].attendee == "ana"
    assert (a.title, a.duration, a.splittable) == ("no", timedelta(minutes=90), True)
    assert a.deadline is not None
    assert a.deadline.isoformat() == "2026-03-12T00:00:00+01:00"  # the whole day
    assert b.deadline is not None
    assert b.deadline.isoformat() == "2026-03-11T12:00:00+01:00"
    assert b.preferred == (
        TimeRange(time(9), time(12), days=["TU", "TH"]), TimeRange(time(14), time(15), days=["MO"]),
    )  # fmt: skip
    assert b.forbidden == (TimeRange(time(12), time()),)
    assert (b.depends_on, b.attendees) == (("a",), ("ana",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is None; expected fields"),
        ("- a", "the file is ['a']; expected fields"),
        ("a:\n b: [", "line 2, column 6: "),
        ("a: &a [*a]\ntasks: []", "recursive node; expected YAML"),
        ("[" * 2000, "nested too deeply; expected YAML"),
        ("taks: []", "taks is []; expected only the fields time_zone"),
        ("buffer: 5m", "tasks is None; expected a list of tasks"),
        ("tasks: []", "tasks is []; expected a list of tasks"),
        ("tasks: soon", "tasks is 'soon'; expected a list of tasks"),
        ("tasks: [a]", "tasks[0] is 'a'; expected fields"),
        ("tasks: [{id: a}]", "tasks[0].duration is None"),
        ("tasks: [{duration: 1h}]", "tasks[0].id is None"),
        ("tasks: [{id: a, duration: long}]", "tasks[0].duration is 'long'; expected a duration"),
        ("tasks: [{id: a, duration: 0}]", "tasks[0].duration is '0:00:00'; expected more than 0"),
        ("tasks: [{id: a, duration: [1]}]", "tasks[0].duration is ['1']; expected text"),
        ("tasks: [{id: a, duration: 1h, duration_minutes: 5}]", "expected duration or"),
        ("tasks: [{id: a, duration: 1h, priority: 9}]", "tasks[0].priority is '9'"),
        ("tasks: [{id: a, duration: 1h, category: fun}]", "tasks[0].category is 'fun'"),
        ("tasks: [{id: a, duration: 1h, deadline: friday}]", "tasks[0].deadline is 'friday'"),
        ("tasks: [{id: a, duration: 1h, colour: red}]", "tasks[0].colour is 'red'; expected only"),
        ("tasks: [{id: a, duration: 1h, preferred: morning}]", "tasks[0].preferred is 'morning'"),
        ("tasks: [{id: a, duration: 1h, preferred: XX 9:00-10:00}]", "expected days of MO"),
        ("tasks: [{id: a, duration: 1h, preferred: 12:00-9:00}]", "expected a time after"),
        ("tasks: [{id: a, duration: 1h, preferred: 25:00-26:00}]", "expected a time of the day"),
        ("tasks: [{id: a, duration: 1h, splittable: maybe}]", "expected true or false"),
        ("tasks: [{id: a, duration: 1h}, {id: a, duration: 1h}]", "an id that no other task has"),
        ("tasks: [{id: a, duration: 1h, depends_on: b}]", "depends_on of 'a' is 'b'"),
        ("tasks: [{id: a, duration: 1h, depends_on: a}]", "do not wait for each other"),
        (ONE + "time_zone: Mars", "time_zone is 'Mars'; expected an IANA time zone"),
        (ONE + "window: {start: 2026-03-02}", "window is {'start': '2026-03-02'}; expected start"),
        (ONE + "window: {start: 2026-03-02, end: 2026-03-02}", "window.end is '2026-03-02'"),
        (ONE + "working_hours: always", "working_hours is 'always'"),
        (ONE + "working_hours: {MO: 9-17}", "working_hours.MO is '9'; expected a time"),
        (ONE + "working_hours: {MO: 17:00-9:00}", "expected a time after"),
        (ONE + "breaks: {a: b}", "breaks is {'a': 'b'}; expected a list"),
        (ONE + "breaks: [[1, 2, 3]]", "breaks[0] is ['1', '2', '3']; expected hours"),
        (ONE + "buffer: some", "buffer is 'some'; expected a duration"),
        (ONE + "step_minutes: 90", "step_minutes is '90'; expected a whole number from 1 to 60"),
        (ONE + "time_limit_s: x", "time_limit_s is 'x'; expected 0.01 to 60 seconds"),
        (ONE + "busy: [{start: 2026-03-02}]", "busy[0].end is None; expected a time"),
        (ONE + "busy: [{start: 2026-03-02, end: 2026-03-01}]", "busy[0].end is"),
    ],
)  # fmt: skip
def test_errors_name_field_value_and_remedy(text: str, said: str) -> None:
    """Wrong use: exit code 2."""
    with pytest.raises(InvalidTasks) as caught:
        plan(text)
    assert str(caught.value).startswith("tasks.yaml: ")
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    """Absent, a folder, other encodings."""
    for path, raw in ((tmp_path / "away", None), (tmp_path, None), (tmp_path / "b", b"\xff")):
        if raw:
            path.write_bytes(raw)
        with pytest.raises(FileUnreadable):
            read_plan(path, time_zone="UTC", as_of=AS_OF)


def test_the_example_is_right(root: Path) -> None:
    """The one that the README shows."""
    example = read_plan(root / "examples" / "tasks.yaml", time_zone="UTC", as_of=AS_OF)
    assert len(example.tasks) == 7
    assert example.time_zone == "Asia/Seoul"

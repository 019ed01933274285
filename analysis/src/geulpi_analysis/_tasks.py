"""A tasks file (YAML): what is to be planned, in the words of a person.

Every scalar is read as text, then by what its field wants: so `12:00` is a time, not 720, and `no`
can be a title.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from geulpi_client import Busy, InvalidSetting, InvalidTask, Task
from geulpi_client._problem import span_rows, task_rows, window_row, working_hours_row

from geulpi_analysis._errors import FileUnreadable, InvalidTasks
from geulpi_analysis._fields import (
    Field,
    Span,
    days_of,
    deadline_of,
    duration_at,
    each_at,
    flag_of,
    moment_of,
    number_at,
    range_of,
    seconds_of,
    span_of,
)
from geulpi_analysis._zones import known_zone

_WEEK: Final = timedelta(days=7)
_FILE_FIELDS: Final = (
    "time_zone", "window", "working_hours", "breaks", "buffer", "buffer_minutes", "step_minutes",
    "time_limit_s", "seed", "busy", "tasks",
)  # fmt: skip
_TASK_FIELDS: Final = (
    "id", "title", "duration", "duration_minutes", "deadline", "earliest", "priority", "category",
    "preferred", "forbidden", "splittable", "min_chunk", "min_chunk_minutes", "depends_on",
    "attendees",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is to be planned, as `GeulpiClient.optimize_schedule` takes it."""

    tasks: tuple[Task, ...]
    window: tuple[datetime, datetime]
    time_zone: str
    working_hours: dict[str, list[Span]] | None
    breaks: list[Span]
    buffer: timedelta
    step: timedelta
    time_limit_s: float
    seed: int
    busy: tuple[Busy, ...]


def read_plan(path: Path, *, time_zone: str, as_of: datetime) -> Plan:
    """Read a tasks file.

    Args:
        path: the file.
        time_zone: that of its times, unless it names its own.
        as_of: where the window begins, for seven days, unless the file names one.

    Raises:
        FileUnreadable: it can't be read.
        InvalidTasks: something in it can't be used; names the field, its value, what is expected.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise FileUnreadable(str(path), f"{(error.strerror or str(error)).lower()}.") from error
    except UnicodeDecodeError as error:
        raise FileUnreadable(str(path), "it is not UTF-8.") from error
    return parse_plan(text, name=path.name, time_zone=time_zone, as_of=as_of)


def parse_plan(text: str, *, name: str, time_zone: str, as_of: datetime) -> Plan:
    """Read the text of a tasks file; see `read_plan`."""
    import yaml  # noqa: PLC0415 -- every geulpi command would wait for it

    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 -- makes texts, lists, dicts only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidTasks(name, "", _what_is_wrong(error), "YAML") from error
    file = Field(name, "", loaded)
    rows = file.fields(_FILE_FIELDS)
    zone_field = rows.get("time_zone", file.at("time_zone", time_zone))
    zone = known_zone(zone_field.text())
    if zone is None:
        raise zone_field.refused("an IANA time zone, such as Asia/Seoul")
    if "tasks" not in rows:
        raise file.at("tasks", None).refused("a list of tasks, each with id and duration")
    return Plan(
        tasks=_tasks(rows["tasks"], zone),
        window=_window(rows.get("window"), zone, as_of),
        time_zone=zone_field.text(),
        working_hours=_working_hours(rows.get("working_hours")),
        breaks=_breaks(rows.get("breaks")),
        buffer=duration_at(rows, "buffer", "buffer_minutes", timedelta()),
        step=timedelta(minutes=number_at(rows, "step_minutes", 15, 1, 60)),
        time_limit_s=seconds_of(rows.get("time_limit_s")),
        seed=number_at(rows, "seed", 0, 0, 2**31 - 1),
        busy=tuple(each_at(rows, "busy", lambda one: _busy(one, zone))),
    )


def _tasks(field: Field, zone: tzinfo) -> tuple[Task, ...]:
    if not isinstance(field.value, list) or not field.value:
        raise field.refused("a list of tasks, each with id and duration")
    tasks = field.each(lambda one: _task(one, zone))
    try:
        task_rows(tasks)
    except InvalidTask as error:
        raise InvalidTasks(field.file, *error.args) from error
    return tuple(tasks)


def _task(field: Field, zone: tzinfo) -> Task:
    rows = field.fields(_TASK_FIELDS)
    for name in ("id", "duration"):
        if name not in rows and f"{name}_minutes" not in rows:
            raise field.at(name, None).refused("every task has an id and a duration, such as 1h30m")
    try:
        return Task(
            rows["id"].text(),
            duration_at(rows, "duration", "duration_minutes", timedelta()),
            title=rows["title"].text() if "title" in rows else "",
            deadline=deadline_of(rows.get("deadline"), zone),
            earliest=moment_of(rows["earliest"], zone) if "earliest" in rows else None,
            priority=number_at(rows, "priority", 3, 1, 5),
            category=rows["category"].text() if "category" in rows else None,
            splittable=flag_of(rows.get("splittable")),
            min_chunk=duration_at(rows, "min_chunk", "min_chunk_minutes", timedelta(minutes=30)),
            preferred=each_at(rows, "preferred", range_of),
            forbidden=each_at(rows, "forbidden", range_of),
            depends_on=each_at(rows, "depends_on", Field.text),
            attendees=each_at(rows, "attendees", Field.text),
        )
    except InvalidTask as error:
        name, value, expected = error.args
        raise field.at(name, value).refused(expected) from error


def _busy(field: Field, zone: tzinfo) -> Busy:
    rows = field.fields(("start", "end", "attendee"))
    for name in ("start", "end"):
        if name not in rows:
            raise field.at(name, None).refused("a time, such as 2026-03-02 09:00")
    try:
        return Busy(
            moment_of(rows["start"], zone),
            moment_of(rows["end"], zone),
            rows["attendee"].text() if "attendee" in rows else None,
        )
    except InvalidSetting as error:
        name, value, expected = error.args
        raise field.at(name.removeprefix("Busy."), value).refused(expected) from error


def _window(field: Field | None, zone: tzinfo, as_of: datetime) -> tuple[datetime, datetime]:
    if field is None:
        start = as_of.astimezone(zone).replace(second=0, microsecond=0)
        return start, start + _WEEK
    rows = field.fields(("start", "end"))
    if rows.keys() != {"start", "end"}:
        raise field.refused("start and end, such as {start: 2026-03-02, end: 2026-03-09}")
    window = moment_of(rows["start"], zone), moment_of(rows["end"], zone)
    try:
        window_row(window)
    except InvalidSetting as error:
        raise rows["end"].refused(error.args[2]) from error
    return window


def _working_hours(field: Field | None) -> dict[str, list[Span]] | None:
    if field is None:
        return None
    if not isinstance(field.value, dict):
        raise field.refused("hours by day, such as {MO-FR: 09:00-18:00}")
    hours: dict[str, list[Span]] = {}
    for key, value in field.value.items():
        inner = field.at(str(key), value)
        spans = [] if value in ("", "off", []) else inner.each(span_of)
        for day in days_of(inner, str(key)):
            hours.setdefault(day, []).extend(spans)
    try:
        working_hours_row(hours)
    except InvalidSetting as error:
        raise InvalidTasks(field.file, *error.args) from error
    return hours


def _breaks(field: Field | None) -> list[Span]:
    if field is None:
        return []
    spans = field.each(span_of)
    try:
        span_rows("breaks", spans)
    except InvalidSetting as error:
        raise InvalidTasks(field.file, *error.args) from error
    return spans


def _what_is_wrong(error: Exception) -> str:
    mark, said = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or said is None:
        return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"

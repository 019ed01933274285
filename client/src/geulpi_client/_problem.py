"""A scheduling problem as the JSON document that the optimizer reads; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from geulpi_client._checks import (
    checked_duration,
    checked_list,
    minutes_of,
    one_of,
    utc_moment,
)
from geulpi_client._documents import Row, moment_text
from geulpi_client._errors import InvalidSetting, InvalidTask, listed
from geulpi_client._event import Event
from geulpi_client._names import WEEKDAYS
from geulpi_client._task import Busy, Task, TimeRange, range_texts

Span: TypeAlias = tuple[time, time]


def task_rows(tasks: Sequence[Task]) -> list[Row]:
    """Return the tasks as a document holds them, in their own order.

    Raises:
        InvalidTask: it is no list of tasks, an id is there twice, or a task depends on one that is
            not there, or, over others, on itself.
    """
    checked = checked_list(InvalidTask, "tasks", tasks, "a list of tasks")
    by_id: dict[str, Task] = {}
    for position, task in enumerate(checked):
        if not isinstance(task, Task):
            raise InvalidTask(f"tasks[{position}]", task, "a Task, such as Task('t1', duration)")
        if task.id in by_id:
            raise InvalidTask(f"tasks[{position}].id", task.id, "an id that no other task has")
        by_id[task.id] = task
    _check_dependencies(by_id)
    return [_task_row(task) for task in checked]


def busy_rows(busy: Sequence[Busy | Event], zone: tzinfo) -> list[Row]:
    """Return the times that are taken, in their order; the days of an all-day event are the zone's.

    Raises:
        InvalidSetting: something is neither a `Busy` nor an event with a start.
    """
    taken = checked_list(InvalidSetting, "busy", busy, "a list of Busy or Event")
    spans = [_busy_span(one, f"busy[{position}]", zone) for position, one in enumerate(taken)]
    return [
        {"start": start, "end": end} | ({"attendee": attendee} if attendee else {})
        for start, end, attendee in sorted(spans)
        if start < end  # a reminder takes no time
    ]


def window_row(window: tuple[datetime, datetime]) -> Row:
    """Return the horizon.

    Raises:
        InvalidSetting: it is no pair of moments, or of no length.
    """
    pair = checked_list(InvalidSetting, "window", window, "two datetimes, first and last moment")
    if len(pair) != 2:
        raise InvalidSetting("window", window, "two datetimes, first and last moment")
    first, last = (utc_moment(InvalidSetting, f"window[{i}]", pair[i]) for i in (0, 1))
    if last <= first:
        raise InvalidSetting("window[1]", str(pair[1]), f"a moment after {pair[0]}")
    return {"start": first.isoformat(), "end": last.isoformat()}


def working_hours_row(hours: Mapping[str, Sequence[Span]] | None) -> Row | None:
    """Return the working hours by day; `None` stays the optimizer's own.

    Raises:
        InvalidSetting: a day is none, or its hours are none.
    """
    if hours is None:
        return None
    if not isinstance(hours, Mapping):
        raise InvalidSetting("working_hours", hours, "a dict such as {'MO': [(time(9), time(18))]}")
    for day in hours:
        one_of(InvalidSetting, "working_hours", day, WEEKDAYS)
    return {day: span_rows(f"working_hours['{day}']", spans) for day, spans in hours.items()}


def span_rows(field: str, spans: Sequence[Span]) -> list[list[str]]:
    """Return pairs of times of a day, in their order.

    Raises:
        InvalidSetting: they are none.
    """
    expected = "a list of two times each, such as [(time(12), time(13))]"
    rows = []
    for position, span in enumerate(checked_list(InvalidSetting, field, spans, expected)):
        pair = checked_list(InvalidSetting, f"{field}[{position}]", span, expected)
        if len(pair) != 2:
            raise InvalidSetting(f"{field}[{position}]", span, expected)
        rows.append(range_texts(f"{field}[{position}]", *pair))
    return sorted(rows)


def step_minutes(step: timedelta) -> int:
    """Return the grid of the starts.

    Raises:
        InvalidSetting: it is not 1 to 60 whole minutes.
    """
    minutes = minutes_of(checked_duration(InvalidSetting, "step", step))
    if not isinstance(minutes, int) or not 1 <= minutes <= 60:
        raise InvalidSetting("step", str(step), "1 to 60 whole minutes")
    return minutes


def limit_s(seconds: float) -> float:
    """Return the time limit of the search.

    Raises:
        InvalidSetting: it is not 0.01 to 60 seconds.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0.01 <= seconds <= 60:
        raise InvalidSetting("time_limit_s", seconds, "0.01 to 60 seconds")
    return float(seconds)


def _check_dependencies(by_id: Mapping[str, Task]) -> None:
    for task in by_id.values():
        for other in task.depends_on:
            if other not in by_id:
                expected = f"one of the ids {listed(list(by_id))}"
                raise InvalidTask(f"depends_on of '{task.id}'", other, expected)
    try:
        TopologicalSorter({task.id: task.depends_on for task in by_id.values()}).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise InvalidTask("depends_on", circle, "tasks that do not wait for each other") from error


def _task_row(task: Task) -> Row:
    row: Row = {
        "id": task.id,
        "title": task.title,
        "duration_minutes": minutes_of(task.duration),
        "priority": task.priority,
        "category": task.category,
        "splittable": task.splittable,
        "min_chunk_minutes": minutes_of(task.min_chunk),
        "preferred": [_range_row(one) for one in task.preferred],
        "forbidden": [_range_row(one) for one in task.forbidden],
        "depends_on": sorted(task.depends_on),
        "attendees": sorted(task.attendees),
    }
    for name, moment in (("deadline", task.deadline), ("earliest", task.earliest)):
        if moment is not None:
            row[name] = moment_text(name, moment)
    return row


def _range_row(one: TimeRange) -> Row:
    start, end = range_texts("TimeRange", one.start, one.end)
    return {"days": one.days, "start": start, "end": end}


def _busy_span(one: object, field: str, zone: tzinfo) -> tuple[str, str, str]:
    if isinstance(one, Busy):
        span = (moment_text(f"{field}.start", one.start), moment_text(f"{field}.end", one.end))
        return *span, one.attendee or ""
    start = one.bounds[0] if isinstance(one, Event) else None
    if not isinstance(one, Event) or start is None:
        raise InvalidSetting(field, one, "a Busy, or an Event with a start")
    end = start + (one.duration or timedelta())
    if one.all_day:
        start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (start, end))
    return start.isoformat(), end.isoformat(), ""

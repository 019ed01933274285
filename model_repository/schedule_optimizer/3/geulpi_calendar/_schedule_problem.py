"""What is to be planned: a row of the tensor `problem`, checked at the edge.

    {"time_zone": "Asia/Seoul",
     "window": {"start": "2026-03-02T00:00:00+09:00", "end": "2026-03-09T00:00:00+09:00"},
     "tasks": [{"id": "report", "title": "Report", "duration_minutes": 90,
                "deadline": "2026-03-05T18:00:00+09:00", "earliest": null, "priority": 4,
                "category": "work", "splittable": true, "min_chunk_minutes": 30,
                "preferred": [{"days": ["MO", "TU"], "start": "09:00", "end": "12:00"}],
                "forbidden": [], "depends_on": ["data"], "attendees": ["ana"]}],
     "busy": [{"start": "2026-03-02T10:00:00+09:00", "end": "2026-03-02T11:00:00+09:00",
               "attendee": null}],
     "working_hours": {"MO": [["09:00", "18:00"]]}, "breaks": [["12:00", "13:00"]],
     "buffer_minutes": 0, "history": [], "step_minutes": 15, "time_limit_s": 2.0, "seed": 0}

Required are `time_zone`, `window`, `tasks`, and of a task `id` and `duration_minutes`. Hours are of
the zone's wall clock. A busy time without an attendee is the user's own. `history` holds events as
the calendar document has them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from geulpi_calendar.documents import (
    CATEGORIES,
    CalendarEvent,
    InvalidDocument,
    known_fields,
    parse_events,
    parse_json,
    parse_moment,
    parse_zone,
)

DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_TASKS: Final = 200
MAX_BUSY: Final = 5_000
MAX_WINDOW_DAYS: Final = 60
DAY_MINUTES: Final = 24 * 60
DAY_S: Final = 86_400
DEFAULT_STEP_MINUTES: Final = 15
DEFAULT_LIMIT_S: Final = 2.0
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_OFFICE: Final = {day: [["09:00", "18:00"]] for day in DAYS[:5]}


@dataclass(frozen=True, slots=True)
class ClockRange:
    """Hours of some days of the week (0 is Monday), in minutes after midnight of the wall clock."""

    days: frozenset[int]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Busy:
    """A time that is taken, and whose it is; None is the user's own."""

    start: int
    end: int
    attendee: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """What needs time; `deadline` and `earliest` are None where there is no limit."""

    id: str
    title: str
    seconds: int
    deadline: int | None
    earliest: int | None
    priority: int
    category: str | None
    preferred: tuple[ClockRange, ...]
    forbidden: tuple[ClockRange, ...]
    splittable: bool
    min_chunk: int
    depends_on: tuple[str, ...]
    attendees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Tasks, and what they must fit into.

    Moments are whole seconds of the Unix epoch, lengths whole seconds. What the document tells in
    fractions is rounded so that nothing overlaps: busy times outwards, the window and its limits
    inwards, lengths up.
    """

    zone: tzinfo
    start: int
    end: int
    tasks: tuple[Task, ...]
    busy: tuple[Busy, ...]
    working: tuple[ClockRange, ...]
    breaks: tuple[ClockRange, ...]
    buffer: int
    history: tuple[CalendarEvent, ...]
    step: int
    time_limit_s: float
    seed: int


def parse_problem(raw: bytes | str) -> Problem:
    """Read a problem document.

    Raises:
        InvalidDocument: names the field, such as `tasks[3].deadline`, its value, what is expected.
    """
    document = parse_json(raw, "problem")
    known_fields(
        document,
        {"time_zone", "window", "tasks", "busy", "working_hours", "breaks", "buffer_minutes",
         "history", "step_minutes", "time_limit_s", "seed"},
        "",
    )  # fmt: skip
    zone = parse_zone(document.get("time_zone"), "time_zone")
    start, end = _window(document.get("window"), zone)
    rows = _listed(document.get("tasks"), "tasks", MAX_TASKS)
    tasks = tuple(_task(row, f"tasks[{i}]", zone) for i, row in enumerate(rows))
    _check_ids(tasks)
    busy = _listed(document.get("busy"), "busy", MAX_BUSY)
    hours = document.get("working_hours")
    history = document.get("history")
    return Problem(
        zone=zone,
        start=start,
        end=end,
        tasks=tasks,
        busy=tuple(_busy(row, f"busy[{i}]", zone) for i, row in enumerate(busy)),
        working=_working(_OFFICE if hours is None else hours),
        breaks=tuple(
            _clock_range(pair, f"breaks[{i}]", frozenset(range(7)))
            for i, pair in enumerate(_listed(document.get("breaks"), "breaks", 100))
        ),
        buffer=_seconds(document, "buffer_minutes", "", 0, most=DAY_MINUTES, default=0),
        history=parse_events([] if history is None else history, "history", zone),
        step=60 * _whole(document, "step_minutes", "", 1, 60, default=DEFAULT_STEP_MINUTES),
        time_limit_s=_number(document, "time_limit_s", "", 0.01, most=60, default=DEFAULT_LIMIT_S),
        seed=_whole(document, "seed", "", 0, 2**31 - 1, default=0),
    )


def _window(row: Any, zone: tzinfo) -> tuple[int, int]:
    if not isinstance(row, dict):
        raise InvalidDocument("window", row, "an object with start and end")
    known_fields(row, {"start", "end"}, "window.")
    start = math.ceil(parse_moment(row.get("start"), "window.start", zone).timestamp())
    end = math.floor(parse_moment(row.get("end"), "window.end", zone).timestamp())
    if not start < end <= start + MAX_WINDOW_DAYS * DAY_S:
        expected = f"a moment after {row['start']}, at most {MAX_WINDOW_DAYS} days later"
        raise InvalidDocument("window.end", row["end"], expected)
    return start, end


def _task(row: Any, field: str, zone: tzinfo) -> Task:
    if not isinstance(row, dict):
        raise InvalidDocument(field, row, "an object with id and duration_minutes")
    known_fields(
        row,
        {"id", "title", "duration_minutes", "deadline", "earliest", "priority", "category",
         "preferred", "forbidden", "splittable", "min_chunk_minutes", "depends_on", "attendees"},
        f"{field}.",
    )  # fmt: skip
    identity, title = row.get("id"), row.get("title") or ""
    if not isinstance(identity, str) or not identity:
        raise InvalidDocument(f"{field}.id", identity, "a text that no other task has")
    if not isinstance(title, str):
        raise InvalidDocument(f"{field}.title", title, "a text")
    category, splittable = row.get("category"), row.get("splittable", False)
    if category is not None and category not in CATEGORIES:
        raise InvalidDocument(f"{field}.category", category, f"one of {', '.join(CATEGORIES)}")
    if not isinstance(splittable, bool):
        raise InvalidDocument(f"{field}.splittable", splittable, "true or false")
    deadline, earliest = (
        None if row.get(name) is None else parse_moment(row[name], f"{field}.{name}", zone)
        for name in ("deadline", "earliest")
    )
    return Task(
        id=identity,
        title=title,
        seconds=_seconds(row, "duration_minutes", f"{field}.", 0.01),
        deadline=None if deadline is None else math.floor(deadline.timestamp()),
        earliest=None if earliest is None else math.ceil(earliest.timestamp()),
        priority=_whole(row, "priority", f"{field}.", 1, 5, default=3),
        category=category,
        preferred=_ranges(row.get("preferred"), f"{field}.preferred"),
        forbidden=_ranges(row.get("forbidden"), f"{field}.forbidden"),
        splittable=splittable,
        min_chunk=_seconds(row, "min_chunk_minutes", f"{field}.", 1, default=30),
        depends_on=_texts(row.get("depends_on"), f"{field}.depends_on"),
        attendees=_texts(row.get("attendees"), f"{field}.attendees"),
    )


def _check_ids(tasks: tuple[Task, ...]) -> None:
    ids: set[str] = set()
    for place, task in enumerate(tasks):
        if task.id in ids:
            raise InvalidDocument(f"tasks[{place}].id", task.id, "an id that no other task has")
        ids.add(task.id)
    for place, task in enumerate(tasks):
        for other in task.depends_on:
            if other not in ids:
                raise InvalidDocument(f"tasks[{place}].depends_on", other, "the id of a task")
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise InvalidDocument("depends_on", circle, "tasks that do not wait for each other") from (
            error
        )


def _busy(row: Any, field: str, zone: tzinfo) -> Busy:
    if not isinstance(row, dict):
        raise InvalidDocument(field, row, "an object with start and end")
    known_fields(row, {"start", "end", "attendee"}, f"{field}.")
    start = math.floor(parse_moment(row.get("start"), f"{field}.start", zone).timestamp())
    end = math.ceil(parse_moment(row.get("end"), f"{field}.end", zone).timestamp())
    attendee = row.get("attendee")
    if end < start:
        raise InvalidDocument(f"{field}.end", row["end"], f"the start ({row['start']}) or later")
    if attendee is not None and not isinstance(attendee, str):
        raise InvalidDocument(f"{field}.attendee", attendee, "a name, or null for the user")
    return Busy(start, end, attendee)


def _working(hours: Any) -> tuple[ClockRange, ...]:
    if not isinstance(hours, dict):
        raise InvalidDocument("working_hours", hours, "an object such as {'MO': [['09:00', …]]}")
    known_fields(hours, set(DAYS), "working_hours.")
    return tuple(
        _clock_range(pair, f"working_hours.{day}[{i}]", frozenset({DAYS.index(day)}))
        for day, pairs in hours.items()
        for i, pair in enumerate(_listed(pairs, f"working_hours.{day}", 48))
    )


def _ranges(rows: Any, field: str) -> tuple[ClockRange, ...]:
    found = []
    for i, row in enumerate(_listed(rows, field, 100)):
        if not isinstance(row, dict):
            raise InvalidDocument(f"{field}[{i}]", row, "an object with start and end")
        known_fields(row, {"days", "start", "end"}, f"{field}[{i}].")
        days = _texts(row.get("days"), f"{field}[{i}].days") or DAYS
        if unknown := [day for day in days if day not in DAYS]:
            raise InvalidDocument(f"{field}[{i}].days", unknown[0], f"of {', '.join(DAYS)}")
        numbers = frozenset(DAYS.index(day) for day in days)
        found.append(_clock_range([row.get("start"), row.get("end")], f"{field}[{i}]", numbers))
    return tuple(found)


def _clock_range(pair: Any, field: str, days: frozenset[int]) -> ClockRange:
    if not isinstance(pair, list) or len(pair) != 2:
        raise InvalidDocument(field, pair, "two times of a day such as ['09:00', '18:00']")
    first, last = _clock(pair[0], field), _clock(pair[1], field)
    if last <= first:
        raise InvalidDocument(field, pair, "an end after the start; give a night as two parts")
    return ClockRange(days, first, last)


def _clock(text: Any, field: str) -> int:
    if text == "24:00":
        return DAY_MINUTES
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidDocument(field, text, "a time of a day from '00:00' to '24:00'")
    return int(found[1]) * 60 + int(found[2])


def _listed(rows: Any, field: str, most: int) -> list[Any]:
    if rows is None and field != "tasks":
        return []
    if not isinstance(rows, list):
        raise InvalidDocument(field, rows, "a list")
    if len(rows) > most:
        raise InvalidDocument(field, f"a list of {len(rows)}", f"at most {most}; plan in parts")
    return rows


def _texts(rows: Any, field: str) -> tuple[str, ...]:
    texts = _listed(rows, field, 1000)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidDocument(f"{field}[{i}]", text, "a text")
    return tuple(texts)


def _seconds(
    row: Mapping[str, Any],
    name: str,
    prefix: str,
    least: float,
    *,
    most: float = MAX_WINDOW_DAYS * DAY_MINUTES,
    default: float | None = None,
) -> int:
    """Return minutes as seconds, rounded up."""
    return math.ceil(round(_number(row, name, prefix, least, most=most, default=default) * 60, 6))


def _number(
    row: Mapping[str, Any],
    name: str,
    prefix: str,
    least: float,
    *,
    most: float,
    default: float | None,
) -> float:
    value = row.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidDocument(f"{prefix}{name}", value, f"a number from {least:g} to {most:g}")
    return float(value)


def _whole(
    row: Mapping[str, Any], name: str, prefix: str, least: int, most: int, *, default: int
) -> int:
    value = row.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidDocument(f"{prefix}{name}", value, f"a whole number from {least} to {most}")
    return value

"""An analysis as one HTML page that needs nothing else: no script, no request, no font."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from geulpi_client import BALANCE_DIMENSIONS, CATEGORIES, Event, Pattern

from geulpi_analysis._analysis import Analysis, Planned
from geulpi_analysis._span import monday_of
from geulpi_analysis._sums import Stretch
from geulpi_analysis._words import (
    DAY_NAMES,
    day_in_words,
    duration_in_words,
    hours_in_words,
    joined,
    moment_in_words,
    name_in_words,
    rule_in_words,
    signed,
)

_TEMPLATE: Final = "report.html.j2"
_MOST_PROBLEMS: Final = 200
_MOST_GRIDS: Final = 5
_TICKS: Final = 5
_DAY: Final = timedelta(days=1)


def report(analysis: Analysis) -> str:
    """Return the page."""
    import jinja2  # noqa: PLC0415 -- every geulpi command would wait for it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # titles are foreign text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(_view(analysis))


@dataclass(frozen=True)
class Block:
    """Something on a day of a week grid: where it lies, in percent of the height, what it is."""

    top: float
    height: float
    title: str
    label: str
    category: str
    number: int


@dataclass(frozen=True)
class Grid:
    """A week of the proposed schedule: the days, their blocks, the hours at the side."""

    days: tuple[tuple[str, tuple[Block, ...]], ...]
    hours: tuple[tuple[int, float], ...]


def _view(analysis: Analysis) -> dict[str, Any]:
    """What the template shows, in words and percents."""
    last = (analysis.end - timedelta(microseconds=1)).date()
    weeks = max((analysis.end - analysis.start) / timedelta(days=7), 1.0)
    return {
        "a": analysis,
        "first": day_in_words(analysis.start.date()),
        "last": day_in_words(last),
        "as_of": moment_in_words(analysis.as_of, year=True),
        "hours_a_week": analysis.hours / weeks,
        "categories": CATEGORIES,
        "day_names": DAY_NAMES,
        "heat_most": max(max(day) for day in analysis.heat_map) or 1.0,
        "most_share": max((one.share for one in analysis.categories), default=0.0) or 1.0,
        "chart": _chart(analysis.stretches),
        "patterns": [_pattern(one, analysis) for one in analysis.patterns],
        "week": day_in_words(analysis.week),
        "week_end": day_in_words(analysis.week + 6 * _DAY),
        "dimensions": BALANCE_DIMENSIONS,
        "drivers": _drivers(analysis),
        "plan": None if analysis.planned is None else _plan(analysis.planned),
        "problems": analysis.problems[:_MOST_PROBLEMS],
        "problems_left": max(0, len(analysis.problems) - _MOST_PROBLEMS),
        "name_in_words": name_in_words,
        "hours_in_words": hours_in_words,
        "signed": signed,
    }


def _chart(stretches: Sequence[Stretch]) -> dict[str, Any]:
    """Stacked columns: percents of a round number of hours, and some marks at the sides."""
    top = _round_up(max((one.total for one in stretches), default=0.0))
    monthly = len(stretches) > 1 and stretches[1].first - stretches[0].first > 7 * _DAY
    every = -(-len(stretches) // _TICKS)
    columns = []
    for position, one in enumerate(stretches):
        name = f"{one.first:%B %Y}" if monthly else f"Week of {moment_in_words(one.first)}"
        parts = [
            (category, hours, 100 * hours / top)
            for category, hours in zip(CATEGORIES, one.hours, strict=True)
            if hours
        ]
        tick = _tick(one.first, monthly=monthly)
        # A mark needs room to its right.
        marked = position % every == 0 and len(stretches) - position > 0.7 * every
        columns.append((name, one, parts, tick if marked else ""))
    return {
        "columns": columns,
        "marks": [(top * share, 100 * share) for share in (0.5, 1.0)],
        "unit": "month" if monthly else "week",
    }


def _tick(day: date, *, monthly: bool) -> str:
    if monthly:
        return f"{day:%b %Y}"
    return f"{day.day} {day:%b}"


def _round_up(hours: float) -> float:
    for top in (2, 4, 10, 20, 30, 40, 50, 60, 80, 100, 120, 160, 200, 300, 400, 600, 1000):
        if hours <= top:
            return float(top)
    return hours


def _pattern(pattern: Pattern, analysis: Analysis) -> dict[str, Any]:
    last, upcoming = analysis.local(pattern.last_seen), list(map(analysis.local, pattern.next))
    year = bool(upcoming) and upcoming[0].year != analysis.as_of.year
    return {
        "title": pattern.title,
        "rule": rule_in_words(pattern.rrule, pattern.dtstart),
        "rrule": pattern.rrule,
        "at": "all day" if pattern.all_day else f"{last:%H:%M}{_spread(pattern)}",
        "length": duration_in_words(pattern.duration),
        "support": pattern.support,
        "expected": pattern.expected,
        "missed": len(pattern.exceptions),
        "confidence": pattern.confidence,
        "category": pattern.category,
        "elsewhere": _elsewhere(pattern, last),
        "next": [moment_in_words(moment, year=year) for moment in upcoming[:1]],
        "then": joined([f"{moment.day} {moment:%b}" for moment in upcoming[1:]]),
    }


def _elsewhere(pattern: Pattern, last: date) -> str:
    """The time by the clock that the habit keeps, where that is another one."""
    theirs = pattern.last_seen
    if not isinstance(theirs, datetime) or not isinstance(last, datetime):
        return ""
    if theirs.utcoffset() == last.utcoffset():
        return ""
    return f"{theirs:%H:%M} in {pattern.time_zone}"


def _spread(pattern: Pattern) -> str:
    minutes = round(pattern.start_spread / timedelta(minutes=1))
    return f" ±\u202f{minutes}\u2032" if minutes else ""


def _drivers(analysis: Analysis) -> list[tuple[str, float, float]]:
    """Name, contribution, and its share (−1 to 1) of the strongest one."""
    drivers = analysis.burnout.drivers
    most = max((abs(one.contribution) for one in drivers), default=0.0) or 1.0
    return [(name_in_words(one.name), one.contribution, one.contribution / most) for one in drivers]


def _plan(planned: Planned) -> dict[str, Any]:
    schedule = planned.schedule
    order = sorted(schedule.placements, key=lambda one: one.start.timestamp())
    numbers = {one.task: number for number, one in enumerate(order, start=1)}
    categories = {task.id: task.category or "none" for task in planned.tasks}
    rows = [
        {
            "number": numbers[one.task],
            "title": planned.title_of(one.task),
            "category": categories.get(one.task, "none"),
            "when": [f"{moment_in_words(start)} to {end:%H:%M}" for start, end in one.chunks],
            "length": duration_in_words(sum((e - s for s, e in one.chunks), timedelta())),
        }
        for one in order
    ]
    parts = [
        (
            start,
            end,
            planned.title_of(one.task),
            categories.get(one.task, "none"),
            numbers[one.task],
        )
        for one in order
        for start, end in one.chunks
    ]
    return {
        "status": schedule.status,
        "gap": schedule.gap,
        "rows": rows,
        "left": [
            (planned.title_of(one.task), one.detail or one.reason.replace("_", " "))
            for one in schedule.not_placed
        ],
        "grids": list(_grids(planned, parts)),
    }


def _grids(
    planned: Planned, parts: Sequence[tuple[datetime, datetime, str, str, int]]
) -> Iterator[Grid]:
    if not parts:
        return
    zone = parts[0][0].tzinfo
    taken = [
        (event.start.astimezone(zone), event.end.astimezone(zone), event.title, "taken", 0)
        for event in planned.taken
        if _is_timed(event)
        and isinstance(event.start, datetime)
        and isinstance(event.end, datetime)
    ]
    everything = [*taken, *parts]
    from_hour = min(8, *(start.hour for start, *_ in parts))
    to_hour = max(20, *(end.hour + 1 for _, end, *_ in parts))
    first = monday_of(planned.window[0].astimezone(zone).date())
    last = (planned.window[1].astimezone(zone) - timedelta(microseconds=1)).date()
    for week in range(min(_MOST_GRIDS, (last - first).days // 7 + 1)):
        days = [first + timedelta(days=7 * week + day) for day in range(7)]
        yield Grid(
            days=tuple(
                (
                    f"{day:%a} {day.day}",
                    tuple(_blocks(day, everything, from_hour, to_hour)),
                )
                for day in days
            ),
            hours=tuple(
                (hour, 100 * (hour - from_hour) / (to_hour - from_hour))
                for hour in range(from_hour, to_hour, 2)
            ),
        )


def _is_timed(event: Event) -> bool:
    return not event.all_day and event.duration is not None


def _blocks(
    day: date,
    parts: Sequence[tuple[datetime, datetime, str, str, int]],
    from_hour: int,
    to_hour: int,
) -> Iterator[Block]:
    """What lies on that day between the hours, by the clock of its zone."""
    opens = datetime.combine(day, time())
    span = timedelta(hours=to_hour - from_hour)
    for start, end, title, category, number in parts:
        begins = max(start.replace(tzinfo=None), opens + timedelta(hours=from_hour))
        ends = min(end.replace(tzinfo=None), opens + timedelta(hours=to_hour))
        if begins < ends:
            top = (begins - opens - timedelta(hours=from_hour)) / span
            label = f"{start:%H:%M} to {end:%H:%M}"
            yield Block(100 * top, 100 * ((ends - begins) / span), title, label, category, number)

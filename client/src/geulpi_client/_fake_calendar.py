"""The calendar's models as `geulpi_client.testing` plays them; pure.

They have the tensors of the real ones, and their answers hold together as the real ones' do; they
are plain, always the same, and judge nothing. A plan keeps tasks apart and out of what is busy, a
title that comes three times is a weekly habit, and every week is the same week.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any, Final, TypeAlias

import numpy as np

from geulpi_client._documents import Row
from geulpi_client._names import BALANCE_DIMENSIONS, BURNOUT_DRIVERS, CATEGORIES, MEASURES, WEEKDAYS
from geulpi_client._tensors import Array
from geulpi_client._zones import named_zone

Tensors: TypeAlias = Mapping[str, tuple[str, Sequence[int]]]


@dataclass(frozen=True)
class CalendarModel:
    """A model: its function, what it takes and gives, and how many rows at a time."""

    function: Callable[..., dict[str, Array]]
    inputs: Tensors
    outputs: Tensors
    max_batch_size: int


_TEXT = ("BYTES", [-1, 1])
_WHOLE = ("INT64", [-1, 1])
_HABIT_FROM = 3
_WEEK = timedelta(weeks=1)
# The first word that is in a title decides; a title without any is personal.
_WORDS = {
    "meeting": ("meeting", "standup", "1:1", "회의", "미팅"),
    "exercise": ("gym", "yoga", "workout", "운동", "헬스"),
    "study": ("study", "exam", "lecture", "공부", "강의"),
    "health": ("doctor", "dentist", "병원", "치과"),
    "travel": ("flight", "trip", "여행", "출장"),
    "family": ("family", "kids", "가족", "엄마"),
    "social": ("dinner", "party", "drinks", "약속", "모임"),
    "errand": ("shopping", "bank", "groceries", "장보기", "은행"),
    "work": ("work", "report", "review", "업무", "보고서"),
}
# Of one week, in hours where the name says so.
_MEASURED = {
    "days_with_events": 5, "work_hours": 38, "meeting_hours": 8, "meeting_count": 8,
    "after_hours_hours": 2, "weekend_work_hours": 0, "fragmentation": 0.25,
    "longest_stretch_hours": 4, "breaks_per_day": 2, "sleep_window_hours": 10,
    "exercise_hours": 3, "social_hours": 4, "family_hours": 8, "travel_hours": 1,
    "free_evenings": 4, "overlap_hours": 0,
}  # fmt: skip
# By dimension: score, percentile, hours a day; these hours are a day.
_BALANCE = {
    "work": (70, 0.6, 8), "rest": (80, 0.5, 12), "social": (60, 0.4, 1), "exercise": (65, 0.5, 0.5),
    "family": (70, 0.5, 1.5), "errands": (90, 0.3, 0.5), "study": (75, 0.4, 0.5),
}  # fmt: skip
_SCORE = 72.5
_LOG_ODDS = {
    "work": 0.5, "long_days": 0.25, "study": 0, "family": -0.125, "social": -0.25,
    "exercise": -0.25, "health": 0, "weekend": 0.125, "age": 0, "employment": 0,
}  # fmt: skip
_BASELINE = -2.0
_REACH = 0.5  # of the interval, in log-odds


def classify(
    title: Array, weekday: Array, hour: Array, duration_minutes: Array
) -> dict[str, Array]:
    """Answer as `event_classifier`: by words in the titles."""
    del weekday, hour, duration_minutes
    labels = [_category(one) for one in title[:, 0]]
    rest = 0.1 / (len(CATEGORIES) - 1)
    rows = [[0.9 if name == label else rest for name in CATEGORIES] for label in labels]
    return {"label": _texts(labels), "probabilities": np.array(rows, dtype=np.float32)}


def plan(problem: Array) -> dict[str, Array]:
    """Answer as `schedule_optimizer`: the tasks one after another, beside what is busy."""
    return {"schedule": _texts([json.dumps(_plan(json.loads(one))) for one in problem[:, 0]])}


def habits(calendar: Array) -> dict[str, Array]:
    """Answer as `pattern_detector`: what comes three times or more comes every week."""
    return {"patterns": _texts([json.dumps(_habits(json.loads(one))) for one in calendar[:, 0]])}


def balance(calendar: Array) -> dict[str, Array]:
    """Answer as `balance_analyzer`: the same week for every calendar."""
    scores, percentiles, hours = zip(*(_BALANCE[name] for name in BALANCE_DIMENSIONS), strict=True)
    rows = len(calendar)
    return {
        "score": _numbers(rows, [_SCORE]),
        "sub_scores": _numbers(rows, scores),
        "percentiles": _numbers(rows, percentiles),
        "hours_per_day": _numbers(rows, hours),
        "measures": _measures(calendar),
    }


def burnout(calendar: Array) -> dict[str, Array]:
    """Answer as `burnout_analyzer`: the same moderate risk for every calendar."""
    contributions = [_LOG_ODDS[name] for name in BURNOUT_DRIVERS]
    log_odds, rows = _BASELINE + sum(contributions), len(calendar)
    return {
        "probability": _numbers(rows, [_probability(log_odds)]),
        "interval": _numbers(
            rows, [_probability(log_odds - _REACH), _probability(log_odds + _REACH)]
        ),
        "level": _texts(["moderate"] * rows),
        "baseline": _numbers(rows, [_BASELINE]),
        "contributions": _numbers(rows, contributions),
        "measures": _measures(calendar),
    }


def insights(calendar: Array) -> dict[str, Array]:
    """Answer as `week_insights`: the three above at once."""
    return habits(calendar) | balance(calendar) | burnout(calendar)


_CALENDAR: Tensors = {"calendar": _TEXT}
_EVENT: Tensors = {
    "title": _TEXT, "weekday": _WHOLE, "hour": _WHOLE, "duration_minutes": _WHOLE,
}  # fmt: skip
_CLASSES: Tensors = {"label": _TEXT, "probabilities": ("FP32", [-1, len(CATEGORIES)])}
_PATTERNS: Tensors = {"patterns": _TEXT}
_BY_DIMENSION = ("FP32", [-1, len(BALANCE_DIMENSIONS)])
_WEEK_MEASURES: Tensors = {"measures": ("FP32", [-1, len(MEASURES)])}
_OF_BALANCE: Tensors = {
    "score": ("FP32", [-1, 1]),
    "sub_scores": _BY_DIMENSION,
    "percentiles": _BY_DIMENSION,
    "hours_per_day": _BY_DIMENSION,
}
_OF_BURNOUT: Tensors = {
    "probability": ("FP32", [-1, 1]),
    "interval": ("FP32", [-1, 2]),
    "level": _TEXT,
    "baseline": ("FP32", [-1, 1]),
    "contributions": ("FP32", [-1, len(BURNOUT_DRIVERS)]),
}
_ALL: Tensors = {**_PATTERNS, **_OF_BALANCE, **_OF_BURNOUT, **_WEEK_MEASURES}

CALENDAR_MODELS: Final[Mapping[str, CalendarModel]] = {
    "event_classifier": CalendarModel(classify, _EVENT, _CLASSES, 256),
    "schedule_optimizer": CalendarModel(plan, {"problem": _TEXT}, {"schedule": _TEXT}, 16),
    "pattern_detector": CalendarModel(habits, _CALENDAR, _PATTERNS, 256),
    "balance_analyzer": CalendarModel(balance, _CALENDAR, {**_OF_BALANCE, **_WEEK_MEASURES}, 256),
    "burnout_analyzer": CalendarModel(burnout, _CALENDAR, {**_OF_BURNOUT, **_WEEK_MEASURES}, 256),
    "week_insights": CalendarModel(insights, _CALENDAR, _ALL, 256),
}


def _category(title: str) -> str:
    said = title.casefold()
    for category, words in _WORDS.items():
        if any(word in said for word in words):
            return category
    return "personal"


def _plan(problem: Row) -> Row:
    start, end = _moments(problem["window"])
    busy = [_moments(one) for one in problem["busy"]]
    tasks = {task["id"]: task for task in problem["tasks"]}
    placements: dict[str, Row] = {}
    not_placed = []
    # In their own order, but for those that wait for others.
    for name in TopologicalSorter({n: t["depends_on"] for n, t in tasks.items()}).static_order():
        task = tasks[name]
        lacking = [other for other in task["depends_on"] if other not in placements]
        waits_for = [placements[one]["end"] for one in task["depends_on"] if one in placements]
        length = timedelta(minutes=task["duration_minutes"])
        earliest = [task["earliest"]] if "earliest" in task else []
        first = max([start, *map(datetime.fromisoformat, waits_for + earliest)])
        last = min(end, datetime.fromisoformat(task["deadline"])) if "deadline" in task else end
        for taken_from, taken_to in sorted(busy):
            if taken_from < first + length and first < taken_to:
                first = taken_to
        if lacking:
            detail = f"It waits for {', '.join(lacking)}, which found no place."
            not_placed.append({"task": name, "reason": "dependency", "detail": detail})
        elif first + length > last:
            detail = f"No free time has room for its {task['duration_minutes']:g} minutes."
            not_placed.append({"task": name, "reason": "no_free_slot", "detail": detail})
        else:
            span = {"start": first.isoformat(), "end": (first + length).isoformat()}
            placements[name] = {"task": name, **span, "chunks": [span]}
            busy.append((first, first + length))
    return {
        "status": "optimal",
        "objective": len(placements),
        "bound": len(placements),
        "gap": 0.0,
        "placements": [*placements.values()],
        "not_placed": not_placed,
    }


def _habits(calendar: Row) -> list[Row]:
    by_title: dict[tuple[str, bool], list[Row]] = {}
    for event in calendar["events"]:
        by_title.setdefault((event["title"], event.get("all_day", False)), []).append(event)
    found = [_habit(calendar["time_zone"], events) for events in by_title.values()]
    kept = [habit for habit in found if habit["support"] >= _HABIT_FROM]
    return sorted(kept, key=lambda habit: (-habit["confidence"], habit["title"]))


def _habit(zone_name: str, events: Sequence[Row]) -> Row:
    first, last = _local(events[0]["start"], zone_name), _local(events[-1]["start"], zone_name)
    ends = _local(events[-1].get("end") or events[-1]["start"], zone_name)
    return {
        "title": events[0]["title"],
        "rrule": f"FREQ=WEEKLY;BYDAY={WEEKDAYS[first.weekday()]}",
        "dtstart": first.isoformat(),
        "time_zone": zone_name,
        "all_day": events[0].get("all_day", False),
        "duration_minutes": (ends - last) / timedelta(minutes=1),
        "start_spread_minutes": 0.0,
        "support": len(events),
        "expected": len(events),
        "exceptions": [],
        "extra": 0,
        "confidence": 1 - 1 / len(events),
        "next": [(last + weeks * _WEEK).isoformat() for weeks in (1, 2, 3)],
        "last_seen": last.isoformat(),
        "category": events[0].get("category"),
    }


def _local(text: str, zone_name: str) -> Any:
    if len(text) == len("2026-03-02"):  # an all-day event's
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).astimezone(named_zone(zone_name).tzinfo)


def _moments(span: Row) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(span["start"]), datetime.fromisoformat(span["end"])


def _measures(calendar: Array) -> Array:
    counts = [len(json.loads(one)["events"]) for one in calendar[:, 0]]
    rows = [[({"events": n} | _MEASURED)[name] for name in MEASURES] for n in counts]
    return np.array(rows, dtype=np.float32)


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _numbers(rows: int, row: Sequence[float]) -> Array:
    return np.tile(np.array(row, dtype=np.float32), (rows, 1))


def _texts(column: Sequence[str]) -> Array:
    return np.array(column, dtype=np.object_)[:, np.newaxis]

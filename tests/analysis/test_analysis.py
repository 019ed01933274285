"""What is asked of the models, and what is made of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from geulpi_analysis import Analysis, Asked, analyse, chosen_span, read_export, read_plan
from geulpi_analysis._analysis import classified
from geulpi_client import CATEGORIES, Event, Pattern, Person

SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
Analysed = Callable[..., Analysis]


def test_alike_events_are_asked_once(models: Any) -> None:
    """By what the classifier sees of them; a category that is known stays."""
    start = datetime(2026, 3, 2, 9, tzinfo=SEOUL)
    week = timedelta(days=7)
    events = [
        Event("회의", start, start + timedelta(hours=1)),
        Event("회의 ", start + week, start + week + timedelta(hours=1)),
        Event("회의", start, start + timedelta(hours=2)),
        Event("회의", start + timedelta(days=1), start + timedelta(days=1, hours=1)),
        Event("회의", date(2026, 3, 2), all_day=True),
        Event("치과", start, category="errand"),
    ]
    answers = classified(models, events)
    assert [event.category for event in answers] == ["meeting"] * 5 + ["errand"]
    assert len(models.classified) == 5
    assert [replace(event, category=None) for event in answers[:5]] == events[:5]
    assert classified(models, []) == ()


def test_what_is_asked_about_the_week(models: Any, root: Path) -> None:
    """All events with their categories, the week, the moment, the zone, the person."""
    export = read_export(str(root / "examples" / "calendar.ics"))
    span = chosen_span(export, Asked(), NOW)
    person = Person(34, "full_time")
    done: list[str] = []
    analysis = analyse(models, export, span, person=person, step=done.append)
    assert models.asked["events"] == list(analysis.events)
    assert all(event.category in CATEGORIES for event in analysis.events)
    assert models.asked["week"] == date(2025, 6, 23)
    assert models.asked["as_of"] == datetime(2025, 6, 30, tzinfo=SEOUL)
    assert models.asked["time_zone"] == "Asia/Seoul"
    assert models.asked["person"] == person
    assert len(done) == 2
    assert analysis.planned is None


def test_the_plan_is_made_around_what_takes_time(models: Any, root: Path) -> None:
    """Events after the period are in its way; those of days and transparent ones are not."""
    examples = root / "examples"
    export = read_export(str(examples / "calendar.ics"))
    span = chosen_span(export, Asked(), NOW)
    plan = read_plan(examples / "tasks.yaml", time_zone="UTC", as_of=span.as_of)
    analysis = analyse(models, export, span, plan=plan)
    assert analysis.planned is not None
    titles = {event.title for event in analysis.planned.taken}
    assert {"Daily standup", "Sync with London team"} <= titles
    assert models.problem["busy"] == [*analysis.planned.taken, *plan.busy]
    assert models.problem["history"] == analysis.events
    assert models.problem["time_zone"] == "Asia/Seoul"
    assert analysis.planned.title_of("bank") == "은행 방문"
    assert analysis.planned.title_of("no such task") == "no such task"


def test_what_takes_no_time_is_not_in_the_way_of_a_plan(models: Any, tmp_path: Path) -> None:
    """Transparent events and reminders of days."""
    lines = (
        "DTSTART:20260303T090000\nDTEND:20260303T100000\nSUMMARY:taken",
        "DTSTART:20260303T110000\nDTEND:20260303T120000\nSUMMARY:free\nTRANSP:TRANSPARENT",
        "DTSTART;VALUE=DATE:20260303\nSUMMARY:birthday",
    )
    events = "".join(f"BEGIN:VEVENT\n{line}\nEND:VEVENT\n" for line in lines)
    path, tasks = tmp_path / "my.ics", tmp_path / "tasks.yaml"
    path.write_text(f"BEGIN:VCALENDAR\n{events}END:VCALENDAR")
    tasks.write_text("tasks: [{id: a, duration: 1h}]")
    export = read_export(str(path))
    span = chosen_span(export, Asked(), NOW)
    plan = read_plan(tasks, time_zone="UTC", as_of=NOW)
    analysis = analyse(models, export, span, plan=plan)
    assert analysis.planned is not None
    assert [event.title for event in analysis.planned.taken] == ["taken"]


def test_the_document_is_json_with_everything(
    analysed: Analysed, weekly_pattern: Callable[..., Pattern], root: Path
) -> None:
    """What tables and report show, by stable names."""
    examples = root / "examples"
    pattern = weekly_pattern("회의", datetime(2025, 1, 6, 10, tzinfo=SEOUL))
    analysis = analysed(
        examples / "calendar.ics", patterns=[pattern], tasks=examples / "tasks.yaml"
    )
    document = json.loads(json.dumps(analysis.to_dict()))
    assert set(document) == {
        "calendar", "categories", "heat_map", "over_time", "patterns", "week", "balance",
        "burnout", "schedule", "problems", "models",
    }  # fmt: skip
    assert document["calendar"]["events"] == len(analysis.events) > 700
    assert document["calendar"]["time_zone"] == "Asia/Seoul"
    assert [len(day) for day in document["heat_map"]] == [24] * 7
    assert sum(one["share"] for one in document["categories"]) == pytest.approx(1)
    assert document["patterns"][0]["rule"] == "every Monday"
    assert document["patterns"][0]["duration_minutes"] == 60
    assert document["patterns"][0]["next"][0] == "2025-05-26T10:00:00+09:00"
    assert len(document["schedule"]["placements"]) == 6
    assert document["schedule"]["not_placed"][0]["reason"] == "no_free_slot"
    assert [one["line"] is not None for one in document["problems"]] == [True] * 3


def test_the_example_shows_what_real_calendars_hold(analysed: Analysed, root: Path) -> None:
    """Exceptions, a moved and a cancelled occurrence, days, other zones, broken events."""
    analysis = analysed(root / "examples" / "calendar.ics")
    titles = [event.title for event in analysis.events]
    assert "주간 팀 회의 (장소 변경)" in titles
    assert "벤더 미팅" not in titles  # cancelled
    london = {e.start.hour for e in analysis.events if e.title == "Sync with London team"}
    assert london == {17, 18}  # by summer time
    assert {str(problem).split(": ")[1] for problem in analysis.problems} == {
        "2월 31일 회의?", "계약서 검토", "언젠가 캠핑",
    }  # fmt: skip
    assert 20 <= analysis.hours / 25 <= 60

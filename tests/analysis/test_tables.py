"""The tables on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from geulpi_analysis import Analysis, tables
from geulpi_client import Pattern
from rich.cells import cell_len
from rich.console import Console

SEOUL = ZoneInfo("Asia/Seoul")


def shown(analysis: Analysis, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in tables(analysis):
        console.print(table)
    return stream.getvalue()


@pytest.fixture
def full(
    analysed: Callable[..., Analysis], weekly_pattern: Callable[..., Pattern], root: Path
) -> Analysis:
    """The example with long titles and everything else that a terminal must bear."""
    titles = ["주간 팀 회의", "Very long title " * 20, "[red]markup[/red]", *"abcdefghijk"]
    start = datetime(2025, 1, 6, 10, tzinfo=SEOUL)
    patterns = [weekly_pattern(title, start) for title in titles]
    examples = root / "examples"
    return analysed(examples / "calendar.ics", patterns=patterns, tasks=examples / "tasks.yaml")


def test_nothing_is_wider_than_80_columns(full: Analysis) -> None:
    """Korean letters take two."""
    lines = shown(full).splitlines()
    assert max(cell_len(line.rstrip()) for line in lines) <= 80


def test_every_part_is_there(full: Analysis) -> None:
    """Categories, the week, habits, balance, index, schedule, problems."""
    text = shown(full)
    for words in (
        "민지 (Minji)", "Time by category", "The usual week", "Habits", "every Monday",
        "Balance of the week from 23 June 2025: 63 of 100", "more than 50% of them",
        "Burnout index: moderate, 31% (22% to 43%)", "no diagnosis", "Proposed schedule (optimal)",
        "알림 개편 tech spec (1/2)", "Not placed", "Problems of the file (3)", "calendar.ics:",
        "and 2 more",
    ):  # fmt: skip
        assert words in text
    assert "Very long title Very long t…" in text
    assert "[red]markup[/red]" in text  # titles are text, not markup


def test_without_habits_tasks_and_problems(
    analysed: Callable[..., Analysis], tmp_path: Path
) -> None:
    """A calendar of one event has a table for each question, and no empty ones."""
    path = tmp_path / "one.ics"
    path.write_text(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260302\nSUMMARY:휴가\nEND:VEVENT\n"
        "END:VCALENDAR"
    )
    text = shown(analysed(path))
    assert "Habits: none found." in text
    assert "Problems" not in text
    assert "Proposed" not in text

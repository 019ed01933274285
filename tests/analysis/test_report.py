"""The HTML page: whole by itself, well-formed, and foreign text stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from geulpi_analysis import Analysis, report
from geulpi_client import CATEGORIES, Pattern

EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "br", "path"}


class Page(HTMLParser):
    """Checks that tags are closed in order and collects what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(
    analysed: Callable[..., Analysis], weekly_pattern: Callable[..., Pattern], tmp_path: Path,
    root: Path,
) -> str:  # fmt: skip
    """A page whose calendar, events, habits and problems hold foreign text."""
    text = (root / "examples" / "calendar.ics").read_text()
    text = text.replace("X-WR-CALNAME:민지 (Minji)", f"X-WR-CALNAME:{EVIL}")
    text = text.replace("SUMMARY:Daily standup", f"SUMMARY:{EVIL}").replace("언젠가 캠핑", EVIL)
    path = tmp_path / "evil.ics"
    path.write_text(text)
    pattern = weekly_pattern(EVIL, datetime(2025, 1, 6, 10, tzinfo=ZoneInfo("Asia/Seoul")))
    tasks = tmp_path / "tasks.yaml"
    words = (root / "examples" / "tasks.yaml").read_text()
    tasks.write_text(words.replace("은행 방문", "<script>alert(2)</script>"))
    return report(analysed(path, patterns=[pattern], tasks=tasks))


def test_it_is_well_formed(page: str) -> None:
    """Every tag is closed, in order; ids are unique and named by what refers to them."""
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [attributes["aria-labelledby"] for attributes in parsed.of("section")]
    assert set(labels) <= set(ids)
    assert page.startswith("<!doctype html>")


def test_foreign_text_stays_text(page: str) -> None:
    """Wherever a title may stand."""
    parsed = Page(page)
    assert parsed.of("script") == []
    assert "<script" not in page
    assert parsed.text.count("<script>alert(1)</script>") >= 3
    assert "<script>alert(2)</script>" in parsed.text


def test_it_needs_nothing_else(page: str) -> None:
    """No request goes anywhere: no link, no import, no address."""
    parsed = Page(page)
    assert not {"link", "img", "iframe", "script", "object"} & {tag for tag, _ in parsed.tags}
    assert not re.search(r"https?:|url\(|@import|\bsrc=|\bhref=", page)


def test_it_is_readable_without_eyes(page: str) -> None:
    """Landmarks, one heading of the first level, headed tables, labelled pictures."""
    parsed = Page(page)
    names = [tag for tag, _ in parsed.tags]
    assert [names.count(tag) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    assert parsed.of("html")[0]["lang"] == "en"
    assert all("scope" in attributes for attributes in parsed.of("th"))
    assert all(a.get("aria-label") for _, a in parsed.tags if a.get("role") == "img")
    assert "No diagnosis:" in parsed.text


def test_every_part_is_there(page: str) -> None:
    """Each with its figures."""
    text = " ".join(Page(page).text.split())
    for words in (
        "The usual week", "Time by category", "Habits", "every Monday", "then 2 Jun and 9 Jun",
        "Balance", "Burnout index", "moderate, 31", "interval 22 to 43", "Proposed schedule",
        "6 of 7 tasks", "Not placed", "Problems of the file", "evil.ics, line",
    ):  # fmt: skip
        assert words in text
    assert [f"--c-{category}:" in page for category in CATEGORIES] == [True] * 10


def test_a_calendar_of_many_years_has_months(
    analysed: Callable[..., Analysis], tmp_path: Path
) -> None:
    """And one without timed events has a page, too."""
    lines = "".join(
        f"BEGIN:VEVENT\nDTSTART;VALUE=DATE:{year}0302\nSUMMARY:휴가\nEND:VEVENT\n"
        for year in (2016, 2024)
    )
    path = tmp_path / "old.ics"
    path.write_text(f"BEGIN:VCALENDAR\n{lines}END:VCALENDAR")
    text = Page(report(analysed(path))).text
    assert "Hours of events by month" in text
    assert "No habit was found" in text

"""Models that answer by fixed words instead of a server, and what is made with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from geulpi_analysis import Analysis, Asked, analyse, chosen_span, read_export, read_plan
from geulpi_client import (
    BALANCE_DIMENSIONS,
    BURNOUT_DRIVERS,
    CATEGORIES,
    MEASURES,
    WEEKDAYS,
    Balance,
    BurnoutRisk,
    Busy,
    Classification,
    Event,
    NotPlaced,
    Pattern,
    Placement,
    Schedule,
    Task,
    WeekInsights,
)
from geulpi_client._burnout import Driver

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORDS = {
    "work": "focus 코드 api 배포 버그 장애 리팩터링 doc 테스트 test 마이그레이션 야근",
    "meeting": "standup 회의 리뷰 sync 1:1 planning 회고 미팅 review hands interview kickoff",
    "study": "스터디 공부 강의 북클럽 논문 webinar",
    "exercise": "pt 러닝 등산 수영 요가 라이딩",
    "health": "치과 피부과 안과 검진 물리치료 진료",
    "social": "모임 저녁 커피 회식 파티 치맥 점심",
    "family": "가족 부모님 조카 엄마 할머니",
    "errand": "장보기 은행 세탁소 택배 이체 주민센터 이케아 정기점검",
    "travel": "ktx 여행 공항 hotel ✈️ 출장",
}


def category_of(title: str) -> str:
    """The first category that has a word of the title, else `personal`."""
    lower = title.lower()
    for category, words in WORDS.items():
        if any(word in lower for word in words.split()):
            return category
    return "personal"


class FakeModels:
    """Answers as `GeulpiClient` does and remembers what it was asked."""

    def __init__(self, patterns: Sequence[Pattern] = ()) -> None:
        self.patterns = tuple(patterns)
        self.classified: list[Event] = []
        self.asked: dict[str, object] = {}
        self.problem: dict[str, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def classify(self, events: Sequence[Event]) -> list[Classification]:
        self.classified += events
        rest = dict.fromkeys(CATEGORIES, 0.02)
        return [
            Classification(e.title, category_of(e.title), 0.82,
                           rest | {category_of(e.title): 0.82}, cached=False)
            for e in events
        ]  # fmt: skip

    def week_insights(self, events: Sequence[Event], **asked: object) -> WeekInsights:
        self.asked = {"events": list(events), **asked}
        measures = dict.fromkeys(MEASURES, 1.5)
        shares = [(i + 1) / (len(BALANCE_DIMENSIONS) + 1) for i in range(len(BALANCE_DIMENSIONS))]
        sub_scores = [100 * (1 - abs(2 * share - 1)) for share in shares]
        balance = Balance(
            score=63.4,
            sub_scores=dict(zip(BALANCE_DIMENSIONS, sub_scores, strict=True)),
            percentiles=dict(zip(BALANCE_DIMENSIONS, shares, strict=True)),
            hours_per_day=dict.fromkeys(BALANCE_DIMENSIONS, 1.25),
            measures=measures,
            cached=False,
        )
        drivers = [
            Driver(name, round(0.5 * (-0.7) ** i, 3)) for i, name in enumerate(BURNOUT_DRIVERS)
        ]
        burnout = BurnoutRisk(
            probability=0.31,
            interval=(0.22, 0.43),
            level="moderate",
            drivers=tuple(drivers),
            baseline=-1.1,
            measures=measures,
            cached=False,
        )
        return WeekInsights(self.patterns, balance, burnout, cached=False)

    def optimize_schedule(self, tasks: Sequence[Task], **problem: object) -> Schedule:
        """One task after the other from the window's first 9:00, the last one not at all."""
        self.problem = problem
        window = problem["window"]
        assert isinstance(window, tuple)
        for one in problem["busy"]:  # type: ignore[attr-defined]
            assert isinstance(one, Event | Busy)
        start: datetime = window[0] + timedelta(hours=9)
        placements = []
        for task in tasks[:-1]:
            if task.splittable:
                half = task.duration / 2
                later = start + timedelta(days=1)
                chunks = ((start, start + half), (later, later + half))
            else:
                chunks = ((start, start + task.duration),)
            placements.append(Placement(task.id, chunks[0][0], chunks[-1][1], chunks))
            start += timedelta(days=1) if start.hour > 13 else task.duration + timedelta(hours=1)
        left = NotPlaced(tasks[-1].id, "no_free_slot", "No free slot of 10 hours in the window.")
        return Schedule("optimal", 10.0, 10.0, 0.0, tuple(placements), (left,), cached=False)


def weekly(title: str, start: datetime, **said: object) -> Pattern:
    """A weekly pattern."""
    week = timedelta(days=7)
    values: dict[str, object] = {
        "rrule": "FREQ=WEEKLY;BYDAY=" + WEEKDAYS[start.weekday()],
        "dtstart": start,
        "time_zone": "Asia/Seoul",
        "all_day": False,
        "duration": timedelta(minutes=60),
        "start_spread": timedelta(minutes=4),
        "support": 18,
        "expected": 20,
        "exceptions": (start + week, start + 2 * week),
        "extra": 1,
        "confidence": 0.93,
        "next": tuple(start + n * week for n in (20, 21, 22)),
        "last_seen": start + 19 * week,
        "category": "meeting",
    }
    return Pattern(title=title, **(values | said))  # type: ignore[arg-type]


@pytest.fixture
def models() -> FakeModels:
    """Models that answer without a server."""
    return FakeModels()


@pytest.fixture
def weekly_pattern() -> Callable[..., Pattern]:
    """Make a weekly pattern of a title and a start."""
    return weekly


@pytest.fixture
def analysed() -> Callable[..., Analysis]:
    """Make the analysis of a calendar file by the models that need no server."""
    return analysis_of


def analysis_of(
    path: Path, *, patterns: Sequence[Pattern] = (), tasks: Path | None = None
) -> Analysis:
    export = read_export(str(path))
    span = chosen_span(export, Asked(), NOW)
    plan = None
    if tasks is not None:
        plan = read_plan(tasks, time_zone=export.time_zone, as_of=span.as_of)
    return analyse(FakeModels(patterns), export, span, plan=plan)

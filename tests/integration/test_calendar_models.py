"""The five calendar models on a real Triton, through the typed client and by plain HTTP."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from geulpi_calendar import names
from geulpi_client import (
    Event,
    GeulpiClient,
    InputRefused,
    InvalidEvent,
    ModelClient,
    Person,
    Task,
)
from geulpi_conversion._describe import read_entry
from geulpi_server import EmbeddedTriton

SEOUL = ZoneInfo("Asia/Seoul")
MONDAY = datetime(2026, 3, 2, tzinfo=SEOUL)
WEEK = [
    Event(title, MONDAY + timedelta(days=day, hours=hour), MONDAY + timedelta(days=day, hours=end))
    for day, hour, end, title in (
        (0, 9, 12, "보고서 작성"), (0, 13, 15, "팀 회의"), (1, 9, 18, "sprint work"),
        (2, 10, 11, "1:1 with Ana"), (2, 19, 21, "헬스장"), (3, 9, 20, "deadline work"),
        (4, 18, 21, "동창 모임"), (5, 14, 17, "가족 나들이"),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def client(triton: EmbeddedTriton) -> Iterator[GeulpiClient]:
    with GeulpiClient(triton.grpc_url, timeout_s=30) as client:
        yield client


def calendar_text(**changes: Any) -> str:
    events = [{"title": e.title, "start": str(e.start), "end": str(e.end)} for e in WEEK]
    return json.dumps({"time_zone": "Asia/Seoul", "events": events, **changes})


def test_every_entry_of_the_repository_is_intact(root: Path) -> None:
    """Digests are those in the configs, also of the files that a code model is made of."""
    for config in (root / "model_repository").glob("*/config.pbtxt"):
        read_entry(root / "model_repository", config.parent.name).raise_if_damaged()


def test_published_code_is_the_code_of_the_checkout(root: Path) -> None:
    """What is served is what the tests of `geulpi_calendar` test: build again after a change."""
    source = root / "models" / "src" / "geulpi_calendar"
    published = list((root / "model_repository").glob("*/*/geulpi_calendar/*.py"))
    assert published
    for path in published:
        assert path.read_bytes() == (source / path.name).read_bytes(), path


def test_patterns_of_a_weekly_series(client: GeulpiClient) -> None:
    """A weekly meeting is found with its rule, its duration and its next dates."""
    events = [
        Event("Team sync", start, start + timedelta(hours=1))
        for start in (MONDAY + timedelta(weeks=w, hours=10) for w in range(8))
    ]  # fmt: skip
    (pattern,) = client.detect_patterns(events)
    assert pattern.rrule == "FREQ=WEEKLY;BYDAY=MO"
    assert pattern.duration == timedelta(hours=1)
    assert pattern.next[0] == MONDAY + timedelta(weeks=8, hours=10)


def test_patterns_of_histories_of_different_lengths_in_one_batch(triton: EmbeddedTriton) -> None:
    """Ragged requests batch: each row is a document of its own."""
    rows = [
        calendar_text(),
        json.dumps({"time_zone": "UTC", "events": []}),
        calendar_text(time_zone="America/New_York"),
    ]
    with ModelClient(triton.grpc_url) as models:
        answer = models.infer("pattern_detector", {"calendar": [[row] for row in rows]})
    assert answer["patterns"][1, 0] == "[]"
    assert answer["patterns"].shape == (3, 1)


def test_balance_says_how_a_week_stands(client: GeulpiClient) -> None:
    """Score, sub-scores and percentiles in their ranges; hours are those of the week."""
    person = Person(age=34, employment="full_time")
    balance = client.analyze_balance(WEEK, person=person)
    assert 0 <= balance.score <= 100
    assert tuple(balance.sub_scores) == names.BALANCE_DIMENSIONS
    assert all(0 <= share <= 1 for share in balance.percentiles.values())
    assert balance.measures["events"] == len(WEEK)
    assert balance.measures["exercise_hours"] == pytest.approx(2)


def test_the_risk_adds_up(client: GeulpiClient) -> None:
    """Baseline and contributions are the log-odds of the probability, within its interval."""
    risk = client.predict_burnout(WEEK, person=Person(age=34, employment="full_time"))
    log_odds = risk.baseline + sum(driver.contribution for driver in risk.drivers)
    assert log_odds == pytest.approx(math.log(risk.probability / (1 - risk.probability)), abs=1e-4)
    assert risk.interval[0] <= risk.probability <= risk.interval[1]
    assert risk.level in names.LEVELS


def test_more_work_raises_the_risk(client: GeulpiClient) -> None:
    """Days of 14 hours are riskier than days of 7."""

    def week(hours: int) -> list[Event]:
        return [
            Event("work", MONDAY + timedelta(days=d, hours=8),
                  MONDAY + timedelta(days=d, hours=8 + hours), category="work")
            for d in range(5)
        ]  # fmt: skip

    long, short = client.predict_burnout(week(14)), client.predict_burnout(week(7))
    assert long.probability > short.probability


def test_one_request_gives_what_three_give(client: GeulpiClient) -> None:
    """week_insights runs the steps of the others side by side; answers are the same."""
    insights = client.week_insights(WEEK)
    assert insights.patterns == tuple(client.detect_patterns(WEEK))
    alone = client.analyze_balance(WEEK)
    assert insights.balance.score == pytest.approx(alone.score, abs=1e-4)
    assert insights.burnout.probability == pytest.approx(
        client.predict_burnout(WEEK).probability, abs=1e-6
    )


def test_a_plan_is_placed_around_the_busy_times(client: GeulpiClient) -> None:
    """Tasks lie in working hours, before their deadlines, and not in busy times."""
    busy = [Event("회의", MONDAY + timedelta(hours=9), MONDAY + timedelta(hours=12))]
    tasks = [
        Task("a", timedelta(hours=2), deadline=MONDAY + timedelta(hours=18), priority=5),
        Task("b", timedelta(hours=1), depends_on=["a"]),
        Task("c", timedelta(hours=12)),
    ]
    plan = client.optimize_schedule(tasks, window=(MONDAY, MONDAY + timedelta(days=5)), busy=busy)
    placed = {placement.task: placement for placement in plan.placements}
    assert set(placed) == {"a", "b"}
    assert MONDAY + timedelta(hours=12) <= placed["a"].start
    assert placed["a"].end <= placed["b"].start
    (missing,) = plan.not_placed
    assert (missing.task, missing.reason) == ("c", "no_free_slot")
    again = client.optimize_schedule(tasks, window=(MONDAY, MONDAY + timedelta(days=5)), busy=busy)
    assert again.placements == plan.placements


def test_events_without_a_category_are_classified_on_the_server(client: GeulpiClient) -> None:
    """A gym visit counts as exercise whether its category was given or not."""
    start, end = MONDAY + timedelta(hours=19), MONDAY + timedelta(hours=21)
    told = client.analyze_balance([Event("헬스장", start, end, category="exercise")])
    guessed = client.analyze_balance([Event("헬스장", start, end)])
    assert told.score == guessed.score
    assert guessed.hours_per_day["exercise"] > 0


@pytest.mark.parametrize(
    ("model", "tensor", "document", "said"),
    [
        ("pattern_detector", "calendar", "no JSON", "calendar is"),
        ("pattern_detector", "calendar", "[]", "a JSON object"),
        ("balance_analyzer", "calendar", '{"time_zone":"UTC","events":[]}', "at least one event"),
        ("burnout_analyzer", "calendar", '{"time_zone":"Mars","events":[]}', "time_zone is 'Mars"),
        ("week_insights", "calendar", '{"time_zone":"UTC","events":3}', "events is 3"),
        ("schedule_optimizer", "problem", '{"time_zone":"UTC"}', "window"),
    ],
)  # fmt: skip
def test_bad_documents_are_refused_with_field_and_remedy(
    triton: EmbeddedTriton, model: str, tensor: str, document: str, said: str
) -> None:
    """What the caller did wrong is INVALID_ARGUMENT, also through an ensemble."""
    with ModelClient(triton.grpc_url) as models, pytest.raises(InputRefused, match=said):
        models.infer(model, {tensor: [[document]]})


def test_a_bad_request_fails_alone(triton: EmbeddedTriton) -> None:
    """Requests that Triton batches together get their own answers and errors."""
    rows = [calendar_text() if i % 3 else '{"time_zone": "UTC"}' for i in range(30)]

    def ask(row: str) -> str:
        with ModelClient(triton.grpc_url) as models:
            try:
                models.infer("pattern_detector", {"calendar": [[row]]})
            except InputRefused:
                return "refused"
            return "answered"

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(ask, rows))
    assert found == ["answered" if i % 3 else "refused" for i in range(30)]


def test_plain_http_answers(triton: EmbeddedTriton) -> None:
    """Any HTTP client can ask: one text goes in, texts and numbers come out."""
    tensor = {"name": "calendar", "datatype": "BYTES", "shape": [1, 1], "data": [calendar_text()]}
    request = urllib.request.Request(
        f"{triton.http_url}/v2/models/week_insights/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
    )
    with urllib.request.urlopen(request) as response:
        outputs = {o["name"]: o["data"] for o in json.load(response)["outputs"]}
    assert json.loads(outputs["patterns"][0]) == []
    assert 0 < outputs["probability"][0] < 1


def test_fifty_thousand_events_are_answered_and_more_refused(client: GeulpiClient) -> None:
    """The stated limit holds: 50,000 events, and not one more."""
    start = MONDAY
    events = [
        Event(f"event {i % 500}", start + timedelta(minutes=i * 13), category="work")
        for i in range(50_000)
    ]
    assert isinstance(client.detect_patterns(events, timeout_s=60), list)
    with pytest.raises(InvalidEvent, match=r"50,?000"):
        client.detect_patterns([*events, events[0]])


def test_answers_are_cached_by_row(triton: EmbeddedTriton, valkey_url: str) -> None:
    """The same calendar in another order is the same row."""
    with GeulpiClient(triton.grpc_url, cache=valkey_url, timeout_s=30) as client:
        first = client.analyze_balance(WEEK, week=date(2026, 3, 2))
        second = client.analyze_balance(WEEK[::-1], week=date(2026, 3, 2))
    assert second.cached
    assert np.isclose(first.score, second.score)

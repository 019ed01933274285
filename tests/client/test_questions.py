"""The calendar's questions: typed answers, refused answers, and both over the wire."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import numpy as np
import pytest
import redis
from geulpi_calendar.documents import parse_calendar
from geulpi_client import (
    BALANCE_DIMENSIONS,
    BURNOUT_DRIVERS,
    MEASURES,
    Balance,
    Event,
    GeulpiClient,
    InferResult,
    InputRefused,
    InvalidEvent,
    InvalidSetting,
    NotPlaced,
    Person,
    Placement,
    Schedule,
    Target,
    Task,
    UnexpectedAnswer,
    invalidate,
)
from geulpi_client._answers import Answered
from geulpi_client._balance import read_balance
from geulpi_client._burnout import read_burnout
from geulpi_client._insights import read_insights
from geulpi_client._patterns import read_patterns
from geulpi_client._schedule import read_schedule

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2026, 3, 2, 9, tzinfo=SEOUL)
HOUR = timedelta(hours=1)
EVENTS = [Event("팀 회의", NINE, NINE + HOUR)]
WINDOW = (NINE, NINE + timedelta(days=7))

PATTERN = {
    "title": "팀 회의",
    "rrule": "FREQ=WEEKLY;BYDAY=MO",
    "dtstart": "2026-03-02T10:00:00+01:00",
    "time_zone": "Europe/Berlin",
    "all_day": False,
    "duration_minutes": 45.0,
    "start_spread_minutes": 4.5,
    "support": 3,
    "expected": 4,
    "exceptions": ["2026-03-16T10:00:00+01:00"],
    "extra": 1,
    "confidence": 0.75,
    "next": ["2026-03-30T10:00:00+02:00", "2026-04-06T10:00:00+02:00", "2026-04-13T10:00:00+02:00"],
    "last_seen": "2026-03-23T10:02:00+01:00",
    "category": "meeting",
}
BIRTHDAY = PATTERN | {
    "rrule": "FREQ=YEARLY",
    "all_day": True,
    "dtstart": "2024-03-02",
    "exceptions": [],
    "next": ["2027-03-02"],
    "last_seen": "2026-03-02",
    "category": None,
}
PLAN = {
    "status": "optimal",
    "objective": 12,
    "bound": 12.5,
    "gap": 0.04,
    "placements": [
        {
            "task": "t1",
            "start": "2026-03-02T09:00:00+09:00",
            "end": "2026-03-02T11:00:00+09:00",
            "chunks": [
                {"start": "2026-03-02T09:00:00+09:00", "end": "2026-03-02T09:30:00+09:00"},
                {"start": "2026-03-02T10:30:00+09:00", "end": "2026-03-02T11:00:00+09:00"},
            ],
        }
    ],
    "not_placed": [{"task": "t2", "reason": "deadline", "detail": "It passed."}],
    "solve_s": 0.01,
}


def text(value: object) -> np.ndarray:
    return np.array([value], dtype=np.object_)


def numbers(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def ramp(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32)


CONTRIBUTIONS = ramp(len(BURNOUT_DRIVERS)) * [(-1) ** i for i in range(len(BURNOUT_DRIVERS))]
BALANCE = {
    "score": numbers(62.5),
    "sub_scores": ramp(len(BALANCE_DIMENSIONS)),
    "percentiles": ramp(len(BALANCE_DIMENSIONS)) / 16,
    "hours_per_day": ramp(len(BALANCE_DIMENSIONS)) / 2,
    "measures": ramp(len(MEASURES)),
}
BURNOUT = {
    "probability": numbers(0.25),
    "interval": numbers(0.125, 0.5),
    "level": text("moderate"),
    "contributions": CONTRIBUTIONS.astype(np.float32),
    "baseline": numbers(-1.5),
    "measures": ramp(len(MEASURES)),
}
PATTERNS = {"patterns": text(json.dumps([PATTERN, BIRTHDAY]))}
SCHEDULE = {"schedule": text(json.dumps(PLAN))}
ANSWERS = {
    "pattern_detector": PATTERNS,
    "balance_analyzer": BALANCE,
    "burnout_analyzer": BURNOUT,
    "schedule_optimizer": SCHEDULE,
    "week_insights": PATTERNS | BALANCE | BURNOUT,
}


def answered(outputs: dict[str, np.ndarray], *, cached: bool = False) -> Answered:
    arrays = {name: row[np.newaxis] for name, row in outputs.items()}
    return Answered(InferResult(arrays, "1", np.array([cached]), 1), Target("u", "m", "1"))


def test_patterns_are_read_in_their_own_time_zone() -> None:
    """Moments keep the wall clock over DST, durations are timedeltas, all-day habits have dates."""
    weekly, birthday = read_patterns(answered(PATTERNS))
    assert (weekly.title, weekly.rrule, weekly.category) == (
        "팀 회의",
        "FREQ=WEEKLY;BYDAY=MO",
        "meeting",
    )
    assert weekly.dtstart == datetime(2026, 3, 2, 10, tzinfo=BERLIN)
    assert weekly.time_zone == "Europe/Berlin"
    assert [moment.tzinfo for moment in weekly.next] == [BERLIN] * 3
    assert [moment.hour for moment in weekly.next] == [10] * 3
    assert weekly.exceptions == (datetime(2026, 3, 16, 10, tzinfo=BERLIN),)
    assert weekly.last_seen.minute == 2
    assert (weekly.duration, weekly.start_spread) == (
        timedelta(minutes=45),
        timedelta(minutes=4.5),
    )
    assert (weekly.support, weekly.expected, weekly.extra, weekly.confidence) == (3, 4, 1, 0.75)
    assert (birthday.all_day, birthday.category) == (True, None)
    assert (birthday.dtstart, birthday.next) == (date(2024, 3, 2), (date(2027, 3, 2),))
    assert type(birthday.last_seen) is date


def test_a_plan_is_read_in_the_questions_time_zone() -> None:
    """Whatever offsets the answer was written with."""
    plan = read_schedule(BERLIN, answered(SCHEDULE, cached=True))
    first, second = (NINE, NINE + HOUR / 2), (NINE + 1.5 * HOUR, NINE + 2 * HOUR)
    assert plan == Schedule(
        status="optimal",
        objective=12.0,
        bound=12.5,
        gap=0.04,
        placements=(Placement("t1", NINE, NINE + 2 * HOUR, (first, second)),),
        not_placed=(NotPlaced("t2", "deadline", "It passed."),),
        cached=True,
    )
    assert plan.placements[0].start.tzinfo is BERLIN


def test_a_balance_is_read_by_name() -> None:
    """One number per dimension and per measure, in the order of the model."""
    balance = read_balance(answered(BALANCE))
    dimensions = dict(zip(BALANCE_DIMENSIONS, range(len(BALANCE_DIMENSIONS)), strict=True))
    assert balance == Balance(
        score=62.5,
        sub_scores=dimensions,
        percentiles={name: value / 16 for name, value in dimensions.items()},
        hours_per_day={name: value / 2 for name, value in dimensions.items()},
        measures=dict(zip(MEASURES, range(len(MEASURES)), strict=True)),
        cached=False,
    )


def test_a_risk_is_read_with_its_strongest_driver_first() -> None:
    """By absolute size, whichever way it moves the risk."""
    risk = read_burnout(answered(BURNOUT))
    assert (risk.probability, risk.interval, risk.level) == (0.25, (0.125, 0.5), "moderate")
    assert risk.baseline == -1.5
    assert [driver.name for driver in risk.drivers] == list(reversed(BURNOUT_DRIVERS))
    sizes = [abs(driver.contribution) for driver in risk.drivers]
    assert sizes == sorted(sizes, reverse=True)
    assert {driver.name: driver.contribution for driver in risk.drivers} == dict(
        zip(BURNOUT_DRIVERS, CONTRIBUTIONS.tolist(), strict=True)
    )


def test_insights_are_all_three() -> None:
    """The same as one by one."""
    insights = read_insights(answered(ANSWERS["week_insights"], cached=True))
    assert insights.patterns == tuple(read_patterns(answered(PATTERNS)))
    assert insights.balance == read_balance(answered(BALANCE, cached=True))
    assert insights.burnout == read_burnout(answered(BURNOUT, cached=True))
    assert insights.cached


def test_answers_are_values() -> None:
    """They can't be changed, and survive a process boundary."""
    insights = read_insights(answered(ANSWERS["week_insights"]))
    assert pickle.loads(pickle.dumps(insights)) == insights == deepcopy(insights)
    with pytest.raises(FrozenInstanceError):
        insights.balance.score = 100


MISREAD = [
    (read_balance, {"score": None}, "output 'score' is missing"),
    (read_balance, {"score": numbers(1, 2)}, r"'score' has shape \[1, 2\] instead of \[1, 1\]"),
    (read_balance, {"measures": numbers(1)}, rf"'measures' .* instead of \[1, {len(MEASURES)}\]"),
    (read_balance, {"score": numbers(float("nan"))}, "'score' .* not all finite"),
    (read_balance, {"score": text("62")}, "'score' holds object"),
    (read_burnout, {"level": text("mild")}, "'level' is 'mild', none of low, moderate"),
    (read_burnout, {"level": text(b"\xff")}, "'level' holds .* no text"),
    (read_burnout, {"interval": numbers(0.5, 0.25)}, "'interval' is 0.5 to 0.25"),
    (read_burnout, {"probability": numbers(1.5)}, "'interval' .* around 1.5"),
    (read_burnout, {"contributions": numbers(*[0.0] * 99)}, "'contributions' has shape"),
    (read_patterns, {"patterns": text("[")}, "'patterns' can't be read"),
    (read_patterns, {"patterns": text("{}")}, "'patterns' can't be read: it is no list"),
    (read_patterns, {"patterns": text("[1]")}, "'patterns' can't be read"),
    (read_patterns, {"patterns": text("[" * 100_000)}, "'patterns' can't be read"),
    (read_insights, {"patterns": None}, "'patterns' is missing"),
    (read_insights, {"baseline": None}, "'baseline' is missing"),
]


@pytest.mark.parametrize(("read", "changed", "complaint"), MISREAD)
def test_an_answer_of_another_release_is_refused(
    read: Callable[[Answered], object], changed: dict[str, np.ndarray | None], complaint: str
) -> None:
    """A tensor that is missing, of another width, or no numbers: named, with the remedy."""
    outputs = {
        name: row for name, row in (ANSWERS["week_insights"] | changed).items() if row is not None
    }
    with pytest.raises(UnexpectedAnswer, match=complaint) as caught:
        read(answered(outputs))
    assert "model 'm' version 1 at u" in str(caught.value)
    assert "Remedy" in str(caught.value)


@pytest.mark.parametrize("field", sorted(PATTERN))
@pytest.mark.parametrize("value", [None, [], "x", True, 0.5])
def test_a_pattern_with_a_field_of_another_kind_is_refused(field: str, value: object) -> None:
    """Each field is of one kind; one that is gone is named."""
    kinds = {"duration_minutes": float, "start_spread_minutes": float, "confidence": float}
    free = {"title": str, "rrule": str, "exceptions": list, "next": list, "category": str | None}
    if isinstance(value, (kinds | free).get(field, ())) and not isinstance(value, bool):
        return
    if field == "all_day" and value is True:  # then its moments are no dates
        value = None
    with pytest.raises(UnexpectedAnswer, match="'patterns' can't be read"):
        read_patterns(answered({"patterns": text(json.dumps([PATTERN | {field: value}]))}))
    lacking = {name: found for name, found in PATTERN.items() if name != field}
    with pytest.raises(UnexpectedAnswer, match=f"'patterns' lacks '{field}'"):
        read_patterns(answered({"patterns": text(json.dumps([lacking]))}))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"status": "perfect"}, "status is 'perfect', none of optimal, feasible"),
        ({"objective": "12"}, "objective is '12'"),
        ({"gap": float("inf")}, "gap is inf"),
        ({"placements": {}}, "placements is {}"),
        ({"placements": [{"task": "t1", "start": "2026-03-02T09:00", "end": ""}]}, "no offset"),
        ({"placements": [{}]}, "lacks 'task'"),
        ({"not_placed": [{"task": "t1", "reason": None}]}, "reason is None"),
        ({"not_placed": ["t1"]}, "can't be read"),
    ],
)
def test_a_plan_of_another_kind_is_refused(changed: dict[str, object], complaint: str) -> None:
    """A word that is unknown, a field of another kind, a moment without an offset."""
    document = {"schedule": text(json.dumps(PLAN | changed))}
    with pytest.raises(UnexpectedAnswer, match=f"'schedule' .*{complaint}"):
        read_schedule(SEOUL, answered(document))
    with pytest.raises(UnexpectedAnswer, match="'schedule' can't be read"):
        read_schedule(SEOUL, answered({"schedule": text("[]")}))


@pytest.fixture
def geulpi(calendar_peer, valkey_url):
    calendar_peer.answers = dict(ANSWERS)
    for model in ANSWERS:
        invalidate(valkey_url, model)
    with GeulpiClient(calendar_peer.url, cache=valkey_url) as client:
        yield client


ABOUT = {"week": date(2026, 3, 2), "person": Person(34), "time_zone": "Asia/Seoul"}


def test_every_question_reaches_its_model_once(calendar_peer, geulpi) -> None:
    """Asked a second time the cache answers, and the answer says so."""
    questions: list[Callable[[], Any]] = [
        lambda: geulpi.analyze_balance(EVENTS, **ABOUT),
        lambda: geulpi.predict_burnout(EVENTS, **ABOUT),
        lambda: geulpi.week_insights(EVENTS, as_of=NINE, **ABOUT),
        lambda: geulpi.optimize_schedule([Task("t1", 2 * HOUR), Task("t2", HOUR)], window=WINDOW),
    ]
    for ask in questions:
        first, again = ask(), ask()
        assert (first.cached, again.cached) == (False, True)
        assert again != first
    assert geulpi.detect_patterns(EVENTS, as_of=NINE) == geulpi.detect_patterns(EVENTS, as_of=NINE)
    sent = [json.loads(document) for document in calendar_peer.documents]
    assert [request.model_name for request in calendar_peer.requests] == [
        "balance_analyzer",
        "burnout_analyzer",
        "week_insights",
        "schedule_optimizer",
        "pattern_detector",
    ]
    week = {"week": "2026-03-02", "person": {"age": 34}}
    now = {"as_of": "2026-03-02T00:00:00+00:00"}
    calendar = {
        "time_zone": "Asia/Seoul",
        "events": [
            {
                "title": "팀 회의",
                "start": "2026-03-02T00:00:00+00:00",
                "end": "2026-03-02T01:00:00+00:00",
            }
        ],
    }
    assert sent[:3] == [calendar | week, calendar | week, calendar | week | now]
    assert [task["id"] for task in sent[3]["tasks"]] == ["t1", "t2"]
    plan = questions[3]()
    assert plan.placements[0].start.tzinfo is SEOUL  # the window's
    assert sent[4] == calendar | now


def test_answers_are_kept_as_long_as_they_stay_true(geulpi, valkey_url) -> None:
    """A plan a minute, habits half an hour, a balance and insights a quarter, a risk an hour."""
    geulpi.detect_patterns(EVENTS)
    geulpi.analyze_balance(EVENTS)
    geulpi.predict_burnout(EVENTS)
    geulpi.week_insights(EVENTS)
    geulpi.optimize_schedule([], window=WINDOW)
    expected_s = {
        "pattern_detector": 1800,
        "balance_analyzer": 900,
        "burnout_analyzer": 3600,
        "week_insights": 900,
        "schedule_optimizer": 60,
    }
    with redis.Redis.from_url(valkey_url) as server:
        for model, ttl_s in expected_s.items():
            deadline_s = time.monotonic() + 10
            while not (keys := [*server.scan_iter(match=f"ml_cache:{model}:1:*", count=10_000)]):
                assert time.monotonic() < deadline_s, f"{model} was not written"
            (key,) = keys
            assert ttl_s - 5 < server.ttl(key) <= ttl_s


def test_no_events_ask_nobody(calendar_peer, geulpi) -> None:
    """They hold no habits; and there is no week to judge."""
    assert geulpi.detect_patterns([]) == []
    for ask in (geulpi.analyze_balance, geulpi.predict_burnout, geulpi.week_insights):
        with pytest.raises(InvalidEvent, match="at least one event"):
            ask([])
    with pytest.raises(InvalidEvent, match="a list of events"):
        geulpi.detect_patterns("")
    with pytest.raises(InvalidSetting, match="time_zone"):
        geulpi.detect_patterns([], time_zone="Mars")
    assert calendar_peer.requests == []


@pytest.mark.parametrize(
    ("given", "at_least_s", "at_most_s"),
    [
        ({}, 12, 15),  # the client's 5 s and the search's 10 s
        ({"timeout_s": 3}, 1, 3),
    ],
)
def test_a_search_may_take_its_time_beside_the_calls(
    calendar_peer, given: dict[str, float], at_least_s: float, at_most_s: float
) -> None:
    """The client's time-out is added to the time limit; one that is given counts alone."""
    calendar_peer.answers = dict(ANSWERS)
    left_s = []

    def timed(request, context):
        left_s.append(context.time_remaining())
        return calendar_peer.answer(request, context)

    calendar_peer.infer = timed
    with GeulpiClient(calendar_peer.url) as client:
        client.optimize_schedule([], window=WINDOW, time_limit_s=10, **given)
    assert at_least_s < left_s[0] < at_most_s + 0.1  # gRPC rounds time-outs up


def test_what_the_server_refuses_is_yours_to_mend(calendar_peer) -> None:
    """Its sentence comes through."""
    calendar_peer.answers = dict(ANSWERS)
    sentence = "events[0].title is 'x'; expected y"

    def refuse(_request, context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, sentence)

    calendar_peer.infer = refuse
    with GeulpiClient(calendar_peer.url) as client, pytest.raises(InputRefused) as caught:
        client.analyze_balance(EVENTS)
    assert sentence in str(caught.value)
    assert caught.value.model == "balance_analyzer"


def test_defaults_are_documented_and_by_name() -> None:
    """Only events and tasks are positional; every method has a docstring with its errors."""
    for name in (
        "classify",
        "optimize_schedule",
        "detect_patterns",
        "analyze_balance",
        "predict_burnout",
        "week_insights",
    ):
        method = getattr(GeulpiClient, name)
        _self, first, *others = inspect.signature(method).parameters.values()
        assert first.name in {"events", "tasks"}
        assert all(one.kind is one.KEYWORD_ONLY for one in others)
        assert "Raises:" in method.__doc__


def test_the_pages_examples_run_as_printed(calendar_peer, root: Path, capsys) -> None:
    """In their order; the page names every question, and the server can read what is sent."""
    calendar_peer.answers = dict(ANSWERS)
    page = (root / "client" / "README.md").read_text()
    _classify, *examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    for example in examples:
        here = example.replace("localhost:8001", calendar_peer.url)
        exec(here.replace('"redis://localhost:6379/0"', "None"), names)
    assert {request.model_name for request in calendar_peer.requests} == set(ANSWERS)
    assert all(f"`{model}`" in page for model in ANSWERS)
    calendars = [parse_calendar(text) for text in calendar_peer.documents if "tasks" not in text]
    assert [len(calendar.events) for calendar in calendars] == [10] * 4
    assert "moderate" in capsys.readouterr().out

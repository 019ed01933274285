"""The example backend: JSON to the models and back, and what it says when they don't answer."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args

import geulpi_client
import grpc
import httpx
import numpy as np
import pytest
from geulpi_server import EmbeddedTriton

T = TypeVar("T")

KST = "+09:00"
TITLES = ("팀 주간 회의", "치과 예약", "Gym with Sora", "엄마 생신", "논문 읽기", "Flight to Busan")


@pytest.fixture(scope="module")
def examples(root: Path) -> Path:
    """The folder that the backend is a package of."""
    return root / "client" / "examples"


@pytest.fixture(scope="module")
def backend(examples: Path) -> Iterator[ModuleType]:
    """The backend's app module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(examples), *sys.path])
        for name in list(os.environ):
            if name.startswith("GEULPI_"):
                patch.delenv(name)
        yield importlib.import_module("fastapi_backend.app")


@pytest.fixture(scope="module")
def schemas(backend: ModuleType) -> ModuleType:
    """The backend's requests."""
    return importlib.import_module("fastapi_backend.schemas")


Ask = Callable[[httpx.AsyncClient], Awaitable[T]]
Asking = Callable[..., Any]


@pytest.fixture
def asking(backend: ModuleType) -> Asking:
    """Run a coroutine against an app with these settings, within its lifespan."""

    @asynccontextmanager
    async def running(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = backend.create_app(backend.Settings(**settings))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://backend") as http:
                yield http

    def run(ask: Ask[T], **settings: Any) -> T:
        async def asked() -> T:
            async with running(**settings) as http:
                return await ask(http)

        return asyncio.run(asked())

    return run


@pytest.fixture
def post(asking: Asking, triton: EmbeddedTriton) -> Callable[..., httpx.Response]:
    """Post one request to a backend of the committed models."""

    def post(path: str, body: Any, headers: Any = None, **settings: Any) -> httpx.Response:
        settings = {"url": triton.grpc_url, **settings}
        return asking(lambda http: http.post(path, json=body, headers=headers), **settings)

    return post


def new_title() -> str:
    """A title that no cache knows."""
    return f"회의 {uuid.uuid4().hex}"


def event(title: str, day: int, hour: int = 10, hours: int = 1) -> dict[str, Any]:
    """An event of March 2026, whose second is a Monday."""
    start, end = (f"2026-03-{day:02}T{h:02}:00:00{KST}" for h in (hour, hour + hours))
    return {"title": title, "start": start, "end": end}


def week() -> dict[str, Any]:
    """Four weeks of a meeting every Monday, and work all days of the first one."""
    meetings = [event("팀 주간 회의", day) for day in (2, 9, 16, 23)]
    work = [event("개발", day, hour=13, hours=8) for day in range(2, 7)]
    return {"events": meetings + work, "time_zone": "Asia/Seoul"}


def plan() -> dict[str, Any]:
    """Two tasks, the second after the first, around a meeting."""
    return {
        "tasks": [
            {"id": "draft", "title": "보고서 초안", "duration": "PT2H"},
            {"id": "review", "duration": "PT45M", "depends_on": ["draft"]},
        ],
        "window": [f"2026-03-02T09:00:00{KST}", f"2026-03-02T18:00:00{KST}"],
        "events": [event("팀 주간 회의", 2)],
        "breaks": [["12:00", "13:00"]],
    }


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """A problem document whose members tell what the response's head tells."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def fields_of(response: httpx.Response) -> list[str]:
    """The fields that a refused request is told."""
    assert response.status_code == 422, response.text
    return [error["field"] for error in problem_of(response)["errors"]]


# --- answers ---------------------------------------------------------------------------------


def test_classify_answers_what_the_client_answers(post, triton) -> None:
    """Each event in its place, with the confidence to the last digit."""
    events = [event(title, 2) for title in TITLES]
    response = post("/classify", {"events": events})
    assert response.status_code == 200, response.text
    with geulpi_client.GeulpiClient(triton.grpc_url) as client:
        read = [
            geulpi_client.Event(title, *map(datetime.fromisoformat, (one["start"], one["end"])))
            for title, one in zip(TITLES, events, strict=True)
        ]
        expected = [dataclasses.asdict(one) for one in client.classify(read)]
    assert response.json() == expected
    assert len({one["category"] for one in expected}) > 2  # not the same answer to everything


def test_schedule_places_the_tasks_around_what_is_taken(post) -> None:
    """Durations are read as ISO 8601 writes them, and the order of dependencies is kept."""
    response = post("/schedule", plan())
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["status"], answer["not_placed"]) == ("optimal", [])
    placed = {one["task"]: (one["start"], one["end"]) for one in answer["placements"]}
    draft, review = (
        tuple(map(datetime.fromisoformat, placed[task])) for task in ("draft", "review")
    )
    assert (draft[1] - draft[0]).total_seconds() == 7200
    assert draft[1] <= review[0]
    meeting = tuple(datetime.fromisoformat(plan()["events"][0][key]) for key in ("start", "end"))
    for start, end in (draft, review):
        assert end <= meeting[0] or start >= meeting[1]


def test_a_task_without_a_place_is_an_answer_with_its_reason(post) -> None:
    """A plan that can't hold everything is no error."""
    body = plan() | {"tasks": [{"id": "novel", "duration": "PT20H"}]}
    (missing,) = post("/schedule", body).json()["not_placed"]
    assert missing["task"] == "novel"
    assert missing["detail"]


def test_people_who_are_busy_are_read_with_their_name(post) -> None:
    """What takes an attendee's time keeps the tasks away that need them."""
    busy = {"start": plan()["window"][0], "end": f"2026-03-02T16:00:00{KST}", "attendee": "daniel"}
    tasks = [{"id": "review", "duration": "PT1H", "attendees": ["daniel"]}]
    answer = post("/schedule", plan() | {"tasks": tasks, "busy": [busy]}).json()
    assert answer["placements"][0]["start"] >= f"2026-03-02T16:00:00{KST}"


def test_patterns_are_rules_of_rfc_5545(post) -> None:
    """A weekly meeting comes back with its rule, its length as a duration, and when it is next."""
    found = post("/patterns", week()).json()
    meeting = next(one for one in found if one["title"] == "팀 주간 회의")
    assert meeting["rrule"].startswith("FREQ=WEEKLY")
    assert meeting["duration"] == "PT1H"
    assert meeting["time_zone"] == "Asia/Seoul"
    assert meeting["next"][0] == f"2026-03-30T10:00:00{KST}"


def test_a_calendar_without_events_has_no_patterns(post) -> None:
    """As the client says it."""
    assert post("/patterns", {"events": []}).json() == []


def test_balance_and_burnout_are_about_the_week_and_the_person(post) -> None:
    """Who is meant changes the answer; which week, too."""
    asked = week() | {"week": "2026-03-02", "person": {"age": 34, "employment": "full_time"}}
    balance, burnout = post("/balance", asked).json(), post("/burnout", asked).json()
    assert 0 <= balance["score"] <= 100
    assert burnout["level"] in geulpi_client.LEVELS
    assert balance["measures"] == burnout["measures"]
    assert balance["measures"]["events"] == 6
    assert post("/balance", asked | {"week": "2026-03-09"}).json()["measures"]["events"] == 1
    older = post("/burnout", asked | {"person": {"age": 70, "employment": "not_in_labor_force"}})
    assert older.json()["probability"] != burnout["probability"]


def test_week_insights_are_the_three_answers_at_once(post) -> None:
    """They agree with those that are asked one by one."""
    body = week() | {"week": "2026-03-02", "as_of": f"2026-03-25T00:00:00{KST}"}
    insights = post("/week-insights", body).json()
    one_week = {name: body[name] for name in body if name != "as_of"}
    assert insights["balance"] == post("/balance", one_week).json()
    assert insights["burnout"] == post("/burnout", one_week).json()
    assert insights["patterns"] == post("/patterns", week() | {"as_of": body["as_of"]}).json()


def test_an_all_day_event_has_dates(post) -> None:
    """Dates stay dates on the way."""
    days = [
        {"title": "휴가", "start": f"2026-03-{day:02}", "end": f"2026-03-{day + 1:02}"}
        | {"all_day": True}
        for day in (6, 13, 20, 27)
    ]
    found = post("/patterns", {"events": days, "time_zone": "Asia/Seoul"}).json()
    assert [(one["all_day"], one["dtstart"]) for one in found] == [(True, "2026-03-06")]


# --- requests that can't be answered ---------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/classify", {"events": []}, ["events"]),
        ("/classify", {}, ["events"]),
        ("/classify", {"events": [event("회의", 2), {"title": " "}]}, ["events[1].title"]),
        ("/classify", {"events": [{"title": "회의", "strat": "2026-03-02"}]}, ["events[0].strat"]),
        (
            "/classify",
            {"events": [{"title": "회의", "start": "2026-03-02T10:00:00"}]},
            ["events[0].start"],
        ),
        ("/classify", {"events": [{"title": "회의", "start": "monday"}]}, ["events[0].start"]),
        ("/classify", {"events": [{"title": "회의", "start": 1772413200}]}, ["events[0].start"]),
        (
            "/classify",
            {"events": [event("회의", 3) | {"end": f"2026-03-02T10:00:00{KST}"}]},
            ["events[0].end"],
        ),
        ("/patterns", {"events": [{"title": "회의"}]}, ["events[0].start"]),
        ("/balance", week() | {"week": "2026-03-03"}, ["week"]),
        ("/balance", week() | {"time_zone": "Asia/Atlantis"}, ["time_zone"]),
        ("/burnout", week() | {"person": {"age": 131}}, ["person.age"]),
        ("/burnout", week() | {"person": {"employment": "king"}}, ["person.employment"]),
        (
            "/schedule",
            plan() | {"tasks": [{"id": "a", "duration": "PT0S"}]},
            ["tasks[0].duration"],
        ),
        (
            "/schedule",
            plan()
            | {
                "tasks": [
                    {
                        "id": "a",
                        "duration": "PT1H",
                        "preferred": [{"start": "12:00", "end": "09:00"}],
                    }
                ]
            },
            ["tasks[0].preferred[0].end"],
        ),
        (
            "/schedule",
            plan()
            | {
                "busy": [{"start": f"2026-03-02T10:00:00{KST}", "end": f"2026-03-02T09:00:00{KST}"}]
            },
            ["busy[0].end"],
        ),
        ("/schedule", plan() | {"window": plan()["window"][::-1]}, ["window[1]"]),
        (
            "/schedule",
            plan() | {"tasks": [{"id": "a", "duration": "PT1H", "depends_on": ["b"]}]},
            ["depends_on of 'a'"],
        ),
    ],
)
def test_a_field_that_is_wrong_is_named(post, path, body, fields) -> None:
    """Wherever it was found: in the JSON, in one object, or in all of them together."""
    assert fields_of(post(path, body)) == fields


def test_what_is_no_json_is_refused(asking, triton) -> None:
    """The body is what is wrong then."""
    response = asking(
        lambda http: http.post(
            "/classify", content=b"{events", headers={"content-type": "application/json"}
        ),
        url=triton.grpc_url,
    )
    assert fields_of(response) == ["body"]


def test_of_many_wrong_fields_the_first_are_told(post) -> None:
    """A refusal is not longer than the request that it refuses."""
    assert len(fields_of(post("/classify", {"events": [{}] * 500}))) == 20


@pytest.mark.parametrize("given", ["0", "-5", "soon", "999999999"])
def test_a_deadline_that_is_none_is_refused(post, given) -> None:
    """By the header's name."""
    response = post("/classify", {"events": [event("회의", 2)]}, {"x-timeout-ms": given})
    assert fields_of(response) == ["x-timeout-ms"]


def test_an_unknown_path_and_method_are_problems_too(asking, triton) -> None:
    """Whatever goes wrong is told in one form."""

    async def ask(http: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await http.get("/nowhere"), await http.get("/classify")

    nowhere, wrong_method = asking(ask, url=triton.grpc_url)
    assert problem_of(nowhere)["status"] == 404
    assert problem_of(wrong_method)["status"] == 405
    assert wrong_method.headers["allow"] == "POST"


# --- models that do not answer ---------------------------------------------------------------


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_a_server_that_is_away_is_no_fault_of_the_caller(asking, nobody, caplog) -> None:
    """Try again later; where the server should be is for the log alone."""
    ask = {"events": [event("회의", 2)]}
    response = asking(
        lambda http: http.post("/classify", json=ask, headers={"x-request-id": "req-7"}),
        url=nobody,
        timeout_s=1.0,
    )
    problem = problem_of(response)
    assert (problem["status"], problem["error"]) == (503, "Unreachable")
    assert int(response.headers["retry-after"]) > 0
    assert nobody not in response.text
    assert nobody in caplog.text
    assert "req-7" in caplog.text


def test_a_deadline_that_is_too_small_runs_out(post) -> None:
    """One that suffices does not, with the same request."""
    body = {"events": [event(new_title(), 2) for _ in range(200)]}
    assert post("/classify", body, {"x-timeout-ms": "10000"}).status_code == 200
    problem = problem_of(post("/classify", body, {"x-timeout-ms": "1"}))
    assert (problem["status"], problem["error"]) == (504, "DeadlineExceeded")


@pytest.mark.parametrize(
    ("code", "said", "status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", 429, "Overloaded"),
        (grpc.StatusCode.NOT_FOUND, "unknown model", 503, "ModelNotFound"),
        (grpc.StatusCode.UNAVAILABLE, "model is not ready", 503, "ModelUnavailable"),
        (grpc.StatusCode.INTERNAL, "division by zero", 502, "InferenceFailed"),
        (grpc.StatusCode.PERMISSION_DENIED, "no key", 502, "AccessDenied"),
    ],
)
def test_what_a_server_says_becomes_a_status(
    asking, calendar_peer, code, said, status, error
) -> None:
    """With the time to wait where waiting helps, and without the server's words."""
    calendar_peer.answers["pattern_detector"] = {"patterns": np.array(["[]"], dtype=np.object_)}

    def refuse(_request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, said)

    calendar_peer.infer = refuse
    response = asking(
        lambda http: http.post("/patterns", json=week()), url=calendar_peer.url, timeout_s=2.0
    )
    problem = problem_of(response)
    assert (problem["status"], problem["error"]) == (status, error)
    assert ("retry-after" in response.headers) == (status in {429, 503})
    assert said not in response.text


def test_an_input_that_the_server_refuses_is_told_in_its_words(asking, calendar_peer) -> None:
    """They are about what was sent."""
    calendar_peer.answers["pattern_detector"] = {"patterns": np.array(["[]"], dtype=np.object_)}
    calendar_peer.infer = lambda _, context: context.abort(
        grpc.StatusCode.INVALID_ARGUMENT, "the calendar is upside down"
    )
    response = asking(lambda http: http.post("/patterns", json=week()), url=calendar_peer.url)
    problem = problem_of(response)
    assert (problem["status"], problem["detail"]) == (422, "the calendar is upside down")
    assert calendar_peer.url not in response.text


def test_a_bug_of_the_backend_is_a_problem_too(backend, caplog) -> None:
    """Its words are for the log."""
    app = backend.create_app()

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the password is 1234")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as http:
            return await http.get("/broken")

    response = asyncio.run(ask())
    assert problem_of(response)["status"] == 500
    assert "1234" not in response.text
    assert "1234" in caplog.text


def test_a_backend_that_is_ending_sends_its_callers_to_another(backend, triton) -> None:
    """Its client is closed, which is no fault of theirs."""
    app = backend.create_app(backend.Settings(url=triton.grpc_url))

    async def ask() -> httpx.Response:
        async with app.router.lifespan_context(app):
            pass
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as http:
            return await http.post("/classify", json={"events": [event("회의", 2)]})

    response = asyncio.run(ask())
    assert problem_of(response)["error"] == "ClientClosed"
    assert response.status_code == 503


# --- request ids -----------------------------------------------------------------------------


def test_the_id_of_a_request_comes_back(post) -> None:
    """With answers and with refusals; one that could break a log line is replaced."""
    given = {"x-request-id": "0f8fad5b-d9cb"}
    answered = post("/classify", {"events": [event("회의", 2)]}, given)
    refused = post("/classify", {"events": []}, given)
    assert answered.headers["x-request-id"] == refused.headers["x-request-id"] == "0f8fad5b-d9cb"
    bad = post("/classify", {"events": [event("회의", 2)]}, {"x-request-id": "a b\tc"})
    assert re.fullmatch("[0-9a-f]{32}", bad.headers["x-request-id"])


# --- the cache -------------------------------------------------------------------------------


def test_a_user_s_cached_answers_are_forgotten_alone(asking, triton, valkey_url) -> None:
    """Those of another user stay."""
    mine, theirs = ({"events": [event(new_title(), 2)]} for _ in range(2))
    one, other = f"u{uuid.uuid4().hex}", f"u{uuid.uuid4().hex}"

    async def cached(http: httpx.AsyncClient, body: Any, user: str) -> bool:
        response = await http.post("/classify", json=body, headers={"x-user-id": user})
        return response.json()[0]["cached"]

    async def soon_cached(http: httpx.AsyncClient, body: Any, user: str) -> None:
        for _ in range(200):  # rows may be written behind the answer
            if await cached(http, body, user):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it is never cached")

    async def ask(http: httpx.AsyncClient) -> None:
        assert not await cached(http, mine, one)
        assert not await cached(http, theirs, other)
        await soon_cached(http, mine, one)
        await soon_cached(http, theirs, other)
        forgotten = await http.delete(f"/users/{one}/cache")
        assert (forgotten.status_code, forgotten.json()) == (200, {"entries": 1})
        assert not await cached(http, mine, one)
        assert await cached(http, theirs, other)
        assert (await http.delete("/users/nobody-at-all/cache")).json() == {"entries": 0}

    asking(ask, url=triton.grpc_url, cache=valkey_url)


def test_a_user_that_is_no_name_is_refused(asking, triton) -> None:
    """In the path as in the header."""

    async def ask(http: httpx.AsyncClient) -> list[list[str]]:
        body = {"events": [event("회의", 2)]}
        return [
            fields_of(await http.delete("/users/a%20b/cache")),
            fields_of(await http.post("/classify", json=body, headers={"x-user-id": "a b"})),
        ]

    assert asking(ask, url=triton.grpc_url) == [["user_id"], ["x-user-id"]]


# --- many at once ----------------------------------------------------------------------------


def test_fifty_requests_at_once_are_few_to_the_server(asking, triton) -> None:
    """Each gets the answer to its own question."""
    bodies = [{"events": [event(f"{TITLES[i % 6]} {new_title()}", 2)]} for i in range(50)]

    async def ask(http: httpx.AsyncClient) -> tuple[list[Any], list[Any], int]:
        await http.post("/classify", json=bodies[0])  # the contract is known from here on
        before = requests_of(triton, "event_classifier")
        answers = await asyncio.gather(*(http.post("/classify", json=body) for body in bodies))
        requests = requests_of(triton, "event_classifier") - before
        alone = [await http.post("/classify", json=body) for body in bodies]
        return [one.json()[0] for one in answers], [one.json()[0] for one in alone], requests

    together, alone, requests = asking(ask, url=triton.grpc_url, coalesce_delay_s=0.002)
    assert [one["title"] for one in together] == [body["events"][0]["title"] for body in bodies]
    for one, other in zip(together, alone, strict=True):
        assert one["category"] == other["category"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    assert len({one["confidence"] for one in together}) > 25  # they do differ
    assert 1 <= requests < 25


def requests_of(triton: EmbeddedTriton, model: str) -> int:
    """How many inference requests a server answered so far, as it counts them."""
    lines = httpx.get(triton.metrics_url).text.splitlines()
    counted = re.compile(rf'nv_inference_request_success\{{model="{model}".*\}} (\d+)')
    return sum(int(found[1]) for line in lines if (found := counted.match(line)))


# --- operations ------------------------------------------------------------------------------


def test_health_tells_who_is_ready(asking, triton, nobody) -> None:
    """One server that is ready is enough; the others' problems are told."""

    async def ask(http: httpx.AsyncClient) -> httpx.Response:
        return await http.get("/health")

    well = asking(ask, url=triton.grpc_url)
    assert (well.status_code, well.json()) == (200, {"live": True, "ready": True, "problems": {}})
    half = asking(ask, url=f"{triton.grpc_url}, {nobody}")
    assert (half.status_code, list(half.json()["problems"])) == (200, [nobody])
    away = asking(ask, url=nobody)
    assert (away.status_code, away.json()["ready"]) == (503, False)


def test_metrics_count_the_calls(asking, triton) -> None:
    """By model, as Prometheus reads them."""

    async def ask(http: httpx.AsyncClient) -> httpx.Response:
        for _ in range(3):
            await http.post("/classify", json={"events": [event("회의", 2)]})
        return await http.get("/metrics")

    response = asking(ask, url=triton.grpc_url)
    assert response.headers["content-type"].startswith("text/plain")
    assert re.search(
        r'^geulpi_client_calls_total\{.*model="event_classifier".*\} 3\.0$',
        response.text,
        re.MULTILINE,
    ), response.text


def test_settings_are_read_from_the_environment(backend) -> None:
    """Those that are empty are as if they were not there."""
    settings = backend.Settings.of(
        {
            "GEULPI_URL": "a:8001,b:8001",
            "GEULPI_CACHE": "redis://:secret@cache:6379",
            "GEULPI_TTL_S": '{"event_classifier": 60}',
            "GEULPI_MEMORY_BYTES": "1000000",
            "GEULPI_TOKEN": "",
            "URL": "c:8001",
        }
    )
    assert settings.urls == ["a:8001", "b:8001"]
    assert settings.ttl_s == {"event_classifier": 60}
    assert (settings.memory_bytes, settings.token) == (1_000_000, None)
    assert "secret" not in repr(settings)
    with pytest.raises(ValueError, match="timeout_s"):
        backend.Settings.of({"GEULPI_TIMEOUT_S": "soon"})


# --- documentation ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Event", "Busy", "Task", "TimeRange", "Person"])
def test_requests_have_the_client_s_fields_and_defaults(schemas, name) -> None:
    """Nothing is missing, nothing is more, and what is not said means the same."""
    body, made = getattr(schemas, f"{name}Body"), getattr(geulpi_client, name)
    fields = dataclasses.fields(made)
    assert list(body.model_fields) == [field.name for field in fields]
    for field in fields:
        ours = body.model_fields[field.name]
        if ours.is_required():
            assert field.default is dataclasses.MISSING
        elif isinstance(ours.default, list):
            assert tuple(ours.default) == field.default
        else:
            assert ours.default == field.default


def test_requests_have_the_client_s_words(schemas) -> None:
    """Categories, employments and days are spelled out, so that the documentation has them."""
    assert get_args(schemas.Category) == geulpi_client.CATEGORIES
    assert get_args(schemas.Employment) == geulpi_client.EMPLOYMENTS
    assert get_args(schemas.Weekday) == geulpi_client.WEEKDAYS


def test_the_documentation_describes_every_field(backend) -> None:
    """Of requests, answers and problems; and problems have their media type."""
    document = backend.create_app().openapi()
    schemas = document["components"]["schemas"]
    simple = {"Classification", "Driver", "Placement", "NotPlaced", "WeekInsights"}  # one sentence
    simple |= {"Health", "Forgotten"}
    for name, schema in schemas.items():
        assert schema["description"], name
        assert "Attributes:" not in schema["description"]
        for field, about in schema["properties"].items():
            assert name in simple or about.get("description"), f"{name}.{field}"
    for path in ("/classify", "/schedule", "/patterns", "/balance", "/burnout", "/week-insights"):
        operation = document["paths"][path]["post"]
        assert operation["description"]
        assert list(operation["responses"]["504"]["content"]) == ["application/problem+json"]


def test_the_examples_of_the_documentation_are_answered(backend, post) -> None:
    """Whoever tries them out gets an answer."""
    schemas = backend.create_app().openapi()["components"]["schemas"]
    for body in schemas["ScheduleRequest"]["examples"]:
        assert post("/schedule", body).json()["not_placed"] == []
    events = schemas["EventBody"]["examples"]
    assert len(post("/classify", {"events": events}).json()) == len(events)


# --- the real thing --------------------------------------------------------------------------


def test_uvicorn_serves_it_on_uvloop(examples, triton, valkey_url) -> None:
    """As the README starts it; it answers, and ends in peace with its client closed."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        environment = os.environ | {
            "GEULPI_URL": triton.grpc_url,
            "GEULPI_CACHE": valkey_url,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "fastapi_backend.app:app", "--loop", "uvloop"),
                *("--fd", str(listening.fileno())),
            ],
            cwd=examples,
            env=environment,
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=url, timeout=30) as http:
                assert http.get("/health").json()["ready"]
                answer = http.post("/classify", json={"events": [event("팀 주간 회의", 2)]})
                assert answer.json()[0]["category"] == "meeting"
                assert http.post("/schedule", json=plan()).json()["not_placed"] == []
                document = json.loads(http.get("/openapi.json").text)
                assert "/burnout" in document["paths"]
                assert http.get("/docs").status_code == 200
            server.terminate()
            log, _ = server.communicate(timeout=30)
        finally:
            server.kill()
            server.wait()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log

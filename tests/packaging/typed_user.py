"""A program of a user, for a type checker: it is never run.

Each `type: ignore` is a mistake that the checker must see: where it does not, the comment is
unused, and that is an error too.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal, assert_type

import geulpi_client as geulpi
import numpy as np
from geulpi_client import (
    AsyncGeulpiClient,
    AsyncModelClient,
    Balance,
    BurnoutRisk,
    Busy,
    CacheStats,
    CallFailed,
    Classification,
    Driver,
    EndpointStats,
    Event,
    GeulpiClient,
    Histogram,
    InferResult,
    MemoryStats,
    ModelClient,
    ModelStats,
    NotPlaced,
    Pattern,
    Person,
    Placement,
    Schedule,
    ServedModel,
    ServerStatus,
    Stats,
    Target,
    Task,
    TimeRange,
    Tls,
    WeekInsights,
    cache_entries,
    cache_stats,
    invalidate,
    prometheus,
    server_status,
)
from geulpi_client.testing import FakeRequest, FakeTriton, MemoryCache
from numpy.typing import NDArray

NOW = datetime.fromisoformat("2026-03-02T10:00+09:00")
HOUR = timedelta(hours=1)
EVENTS = [Event("회의", NOW, NOW + HOUR, category="meeting"), Event("생일", date.max, all_day=True)]
PERSON = Person(age=34, employment="full_time")
EVENING = TimeRange(time(18), time(21), days=["TU"])
TASKS = [Task("report", HOUR, deadline=NOW, preferred=[EVENING], depends_on=("a",), priority=5)]
BUSY = Busy(NOW, NOW + HOUR, "ana")
WINDOW = (NOW, NOW + HOUR)
ROWS: NDArray[np.float32] = np.zeros((2, 2), dtype=np.float32)


# --- Clients and their options ---------------------------------------------------------------

ModelClient()
ModelClient("localhost:8001")
ModelClient(["a:8001", "b:8001"], tls=Tls(ca=Path("ca.pem")), token=lambda: "secret")
ModelClient(
    "localhost:8001",
    cache="redis://localhost",
    memory_bytes=1 << 20,
    ttl_s={"event_classifier": 60},
    stale_s=1,
    early_refresh=0,
    timeout_s=2,
    coalesce_delay_s=None,
    max_in_flight=8,
    max_waiting=100,
    token="secret",
    headers={"x-tenant": "a"},
    tls=None,
    local={"event_classifier": "model.onnx", "sum": Path("sum.onnx")},
    tracer=None,
)
AsyncGeulpiClient(cache=None, memory_bytes=1 << 20)
ModelClient(time_out_s=2)  # type: ignore[call-arg]
ModelClient(timeout_s="2")  # type: ignore[arg-type]
ModelClient(memory_bytes=1.5)  # type: ignore[arg-type]
ModelClient(ttl_s=60)  # type: ignore[arg-type]
ModelClient(max_in_flight=None)  # type: ignore[arg-type]
ModelClient(headers=["x-tenant"])  # type: ignore[arg-type]
ModelClient(tls=Path("ca.pem"))  # type: ignore[arg-type]
ModelClient(token=b"secret")  # type: ignore[arg-type]
ModelClient(local={"sum": 1})  # type: ignore[dict-item]
ModelClient(8001)  # type: ignore[arg-type]
ModelClient("a:8001", "b:8001")  # type: ignore[call-arg]
GeulpiClient(coalesce_delay_s="0")  # type: ignore[arg-type]
GeulpiClient(cache=6379)  # type: ignore[arg-type]
AsyncModelClient(timeout=2)  # type: ignore[call-arg]
AsyncGeulpiClient(stale_s=HOUR)  # type: ignore[arg-type]


# --- Any model -------------------------------------------------------------------------------


def models(client: ModelClient) -> None:
    outputs = client.infer("sum", {"X": ROWS})
    assert_type(outputs, dict[str, np.ndarray[Any, np.dtype[Any]]])
    as_arrays: dict[str, NDArray[Any]] = outputs
    del as_arrays
    client.infer("sum", {"X": [[1, 2.5]], "T": [["text"]]}, version="3", timeout_s=1, tags=["a"])
    result = client.infer_detailed("sum", {"X": ROWS}, version="", timeout_s=None, tags={"a"})
    assert_type(result, InferResult)
    assert_type(result.outputs["Y"], np.ndarray[Any, np.dtype[Any]])
    assert_type(result.version, str)
    assert_type(result.cached, NDArray[np.bool_])
    assert_type(result.looked_up, int)
    assert_type(result.source, Literal["server", "cache", "local"])
    assert_type(client.url, str)
    assert_type(client.timeout_s, float)
    assert_type(client.stats(), Stats)
    assert_type(client.invalidate(), int)
    client.invalidate("sum")
    client.invalidate(tag="user:42")
    with client as entered:
        assert_type(entered, ModelClient)
    client.close()

    client.infer("sum")  # type: ignore[call-arg]
    client.infer("sum", [ROWS])  # type: ignore[arg-type]
    client.infer("sum", {"X": ROWS}, version=3)  # type: ignore[arg-type]
    client.infer("sum", {"X": ROWS}, "3")  # type: ignore[call-arg]
    client.infer("sum", {"X": ROWS}, tags=1)  # type: ignore[arg-type]
    client.infer("sum", {"X": ROWS}).shape  # type: ignore[attr-defined]  # noqa: B018
    client.invalidate("sum", "user:42")  # type: ignore[call-arg]


async def models_of_a_loop(client: AsyncModelClient) -> None:
    call: Coroutine[Any, Any, dict[str, np.ndarray[Any, np.dtype[Any]]]]
    call = client.infer("sum", {"X": ROWS})
    assert_type((await call)["Y"], np.ndarray[Any, np.dtype[Any]])
    assert_type(await client.infer_detailed("sum", {"X": ROWS}), InferResult)
    assert_type(await client.invalidate("sum"), int)
    assert_type(client.stats(), Stats)
    async with client as entered:
        assert_type(entered, AsyncModelClient)
    await client.aclose()

    client.infer("sum", {"X": ROWS})["Y"]  # type: ignore[index]
    client.infer("sum", {"X": ROWS})  # type: ignore[unused-coroutine]
    with client:  # type: ignore[attr-defined]
        pass
    client.close()  # type: ignore[attr-defined]


# --- The calendar's questions ----------------------------------------------------------------


def questions(client: GeulpiClient) -> None:
    assert_type(client.models, ModelClient)
    assert_type(client.classify(EVENTS, timeout_s=1.0, tags=["user:42"]), list[Classification])
    assert_type(
        client.optimize_schedule(
            TASKS,
            window=WINDOW,
            busy=[BUSY, *EVENTS],
            working_hours={"MO": [(time(9), time(18))]},
            breaks=[(time(12), time(13))],
            buffer=HOUR,
            history=EVENTS,
            step=HOUR,
            time_limit_s=1,
            seed=1,
            time_zone="Asia/Seoul",
            timeout_s=1,
            tags=(),
        ),
        Schedule,
    )
    assert_type(client.detect_patterns(EVENTS, as_of=NOW, time_zone="+09:00"), list[Pattern])
    assert_type(client.analyze_balance(EVENTS, week=NOW.date(), person=PERSON), Balance)
    assert_type(client.predict_burnout(tuple(EVENTS), person=None), BurnoutRisk)
    assert_type(client.week_insights(EVENTS, week=None, as_of=NOW), WeekInsights)
    assert_type(client.stats(), Stats)
    assert_type(client.invalidate(tag="user:42"), int)
    with client as entered:
        assert_type(entered, GeulpiClient)
    client.close()

    client.classify(EVENTS[0])  # type: ignore[arg-type]
    client.classify(["회의"])  # type: ignore[list-item]
    client.classify(EVENTS, 1.0)  # type: ignore[call-arg]
    client.optimize_schedule(TASKS)  # type: ignore[call-arg]
    client.optimize_schedule(TASKS, window=WINDOW, buffer=10)  # type: ignore[arg-type]
    client.optimize_schedule(EVENTS, window=WINDOW)  # type: ignore[arg-type]
    client.analyze_balance(EVENTS, week="2026-03-02")  # type: ignore[arg-type]
    client.analyze_balance(EVENTS, person=34)  # type: ignore[arg-type]
    client.week_insights(EVENTS).score  # type: ignore[attr-defined]  # noqa: B018
    Event(start=NOW)  # type: ignore[call-arg]
    Event("회의", "10:00")  # type: ignore[arg-type]
    Event("회의", NOW, NOW, "meeting")  # type: ignore[call-arg]
    Task("report", 60)  # type: ignore[arg-type]
    TimeRange(9, 12)  # type: ignore[arg-type]
    Person(age="34")  # type: ignore[arg-type]


async def questions_of_a_loop(client: AsyncGeulpiClient) -> None:
    assert_type(client.models, AsyncModelClient)
    call: Coroutine[Any, Any, list[Classification]] = client.classify(EVENTS)
    assert_type(await call, list[Classification])
    assert_type(await client.optimize_schedule(TASKS, window=WINDOW, busy=[BUSY]), Schedule)
    assert_type(await client.detect_patterns(EVENTS), list[Pattern])
    assert_type(await client.analyze_balance(EVENTS), Balance)
    assert_type(await client.predict_burnout(EVENTS), BurnoutRisk)
    assert_type(await client.week_insights(EVENTS), WeekInsights)
    assert_type(client.stats(), Stats)
    assert_type(await client.invalidate(), int)
    async with client as entered:
        assert_type(entered, AsyncGeulpiClient)
    await client.aclose()

    client.classify(EVENTS)[0]  # type: ignore[index]
    await client.stats()  # type: ignore[misc]


def answers(kind: Classification, plan: Schedule, habit: Pattern, insights: WeekInsights) -> None:
    assert_type(kind.title, str)
    assert_type(kind.category, str)
    assert_type(kind.confidence, float)
    assert_type(kind.probabilities, dict[str, float])
    assert_type(kind.cached, bool)
    assert_type(plan.status, str)
    assert_type(plan.gap, float)
    assert_type(plan.placements, tuple[Placement, ...])
    assert_type(plan.placements[0].start, datetime)
    assert_type(plan.placements[0].chunks, tuple[tuple[datetime, datetime], ...])
    assert_type(plan.not_placed, tuple[NotPlaced, ...])
    assert_type(plan.not_placed[0].reason, str)
    assert_type(habit.rrule, str)
    assert_type(habit.dtstart, datetime | date)
    assert_type(habit.duration, timedelta)
    assert_type(habit.next, tuple[datetime | date, ...])
    assert_type(habit.category, str | None)
    assert_type(insights.patterns, tuple[Pattern, ...])
    assert_type(insights.balance, Balance)
    assert_type(insights.balance.score, float)
    assert_type(insights.balance.sub_scores, dict[str, float])
    assert_type(insights.burnout, BurnoutRisk)
    assert_type(insights.burnout.interval, tuple[float, float])
    assert_type(insights.burnout.drivers, tuple[Driver, ...])
    assert_type(insights.burnout.drivers[0].contribution, float)
    assert_type(insights.cached, bool)
    assert_type(EVENTS[0].duration, timedelta | None)

    kind.category = "work"  # type: ignore[misc]
    EVENTS[0].title = "치과"  # type: ignore[misc]
    plan.placement  # type: ignore[attr-defined]  # noqa: B018


# --- Figures, status, cache ------------------------------------------------------------------


def figures(stats: Stats) -> None:
    assert_type(stats.models, Mapping[str, ModelStats])
    assert_type(stats.total, ModelStats)
    assert_type(stats.total.hit_rate, float)
    assert_type(stats.total.errors, Mapping[str, int])
    assert_type(stats.total.batches, Histogram)
    assert_type(stats.total.latencies.bounds, tuple[float, ...])
    assert_type(stats.endpoints, tuple[EndpointStats, ...])
    assert_type(stats.endpoints[0].state, Literal["closed", "open", "half_open"])
    if stats.memory is not None:
        assert_type(stats.memory, MemoryStats)
        assert_type(stats.memory.bytes, int)
    stats.memory.bytes  # type: ignore[union-attr]  # noqa: B018


def operators(client: ModelClient, others: AsyncGeulpiClient) -> None:
    prometheus.register(client, labels={"pool": "a"})
    prometheus.unregister(others)
    prometheus.register("localhost:8001")  # type: ignore[arg-type]
    status = server_status("localhost:8001", timeout_s=1)
    assert_type(status, ServerStatus)
    assert_type(status.models, tuple[ServedModel, ...])
    assert_type(status.models[0].versions, tuple[str, ...])
    assert_type(cache_stats("redis://localhost"), dict[str, CacheStats])
    assert_type(cache_stats("redis://localhost")["sum"].hit_rate, float)
    assert_type(cache_entries("redis://localhost"), dict[str, int])
    assert_type(invalidate("redis://localhost", None), int)
    invalidate("redis://localhost")  # type: ignore[call-arg]


def words() -> None:
    assert_type(geulpi.WEEKDAYS[0], Literal["MO"])
    names: tuple[str, ...] = (
        *geulpi.BALANCE_DIMENSIONS, *geulpi.BURNOUT_DRIVERS, *geulpi.CATEGORIES,
        *geulpi.EMPLOYMENTS, *geulpi.LEVELS, *geulpi.MEASURES,
    )  # fmt: skip
    del names
    geulpi.COLOURS  # type: ignore[attr-defined]  # noqa: B018


# --- Errors ----------------------------------------------------------------------------------


def failures(client: ModelClient) -> None:
    try:
        client.infer("sum", {"X": ROWS})
    except geulpi.DeadlineExceeded as error:
        assert_type(error.timeout_s, float)
        late: TimeoutError = error
        del late
    except geulpi.InputRefused as error:
        assert_type(error.request_id, str)
        refused: geulpi.InvalidInput = error
        del refused
    except (
        geulpi.AccessDenied, geulpi.InferenceFailed, geulpi.ModelNotFound,
        geulpi.ModelUnavailable, geulpi.Overloaded, geulpi.UnexpectedAnswer, geulpi.Unreachable,
    ) as error:  # fmt: skip
        failed: CallFailed = error
        del failed
    except CallFailed as error:
        assert_type(error.request_id, str)
        assert_type(error.url, str)
        assert_type(error.model, str)
        assert_type(error.version, str)
        assert_type(error.target, Target)
        assert_type(error.exit_code, int)
        error.requestid  # type: ignore[attr-defined]  # noqa: B018


def misuse(client: ModelClient) -> None:
    try:
        client.infer("sum", {"X": ROWS})
    except geulpi.InvalidTensor as error:
        assert_type(error.tensor, str)
        wrong: ValueError = error
        del wrong
    except (geulpi.InvalidEvent, geulpi.InvalidTask) as error:
        assert_type(error.field, str)
    except (geulpi.ClientClosed, geulpi.OtherEventLoop) as error:
        assert_type(error.url, str)
    except (geulpi.InvalidSetting, geulpi.InvalidUrl) as error:
        error.request_id  # type: ignore[union-attr]  # noqa: B018
    except geulpi.MissingExtra as error:
        lacking: ImportError = error
        del lacking
    except geulpi.CacheUnavailable as error:
        assert_type(error.url, str)
    except geulpi.GeulpiError as error:
        assert_type(error.exit_code, int)


# --- Tests of users --------------------------------------------------------------------------


def tests() -> None:
    fake, cache = FakeTriton(), MemoryCache()
    fake.calendar()
    fake.serve(
        "sum",
        lambda X: {"Y": X.sum(axis=1, keepdims=True)},  # noqa: N803
        inputs={"X": ("FP32", [-1, 2])},
        outputs={"Y": ("FP32", [-1, 1])},
        version="2",
        max_batch_size=8,
    )
    fake.fail("sum", geulpi.Unreachable, times=1)
    fake.slow("sum", 0.1)
    fake.recover("sum")
    fake.unload("sum")
    assert_type(fake.requests, list[FakeRequest])
    assert_type(fake.requests[0].inputs["X"], np.ndarray[Any, np.dtype[Any]])
    assert_type(cache.keys, list[str])
    ModelClient(fake, cache=cache)
    ModelClient([fake, "localhost:8001"], cache=cache)
    GeulpiClient(fake, cache=cache)
    AsyncModelClient([fake, fake], cache=cache)
    AsyncGeulpiClient(fake, cache=cache)

    ModelClient(cache)  # type: ignore[arg-type]
    AsyncModelClient(cache)  # type: ignore[arg-type]
    ModelClient(fake, cache=fake)  # type: ignore[arg-type]
    fake.fail("sum", geulpi.InvalidEvent)  # type: ignore[arg-type]
    fake.fail("sum", ValueError)  # type: ignore[arg-type]
    fake.serve("sum", lambda: None, inputs={}, outputs={})  # type: ignore[arg-type, return-value]

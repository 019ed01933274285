"""What the base install of the client can do, run by a Python that has nothing else.

Takes the address of a Triton with the calendar models and the URL of a Redis or Valkey. Prints the
versions and the installed sizes as JSON; ends with an error where something is wrong.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path

import geulpi_client
import numpy as np
from geulpi_client import (
    BALANCE_DIMENSIONS,
    CATEGORIES,
    AsyncGeulpiClient,
    AsyncModelClient,
    Event,
    GeulpiClient,
    MissingExtra,
    ModelClient,
    ModelNotFound,
    Task,
    server_status,
)
from geulpi_client.testing import FakeTriton, MemoryCache

# Of the extras, and of the project's other packages.
ABSENT = (
    "fastapi", "geulpi_conversion", "geulpi_models", "geulpi_server", "httpx", "joblib", "onnx",
    "onnxruntime", "opentelemetry", "pandas", "prometheus_client", "rich", "scipy", "skl2onnx",
    "sklearn", "typer", "uvloop",
)  # fmt: skip
CALLS = 32
ROWS = np.arange(8, dtype=np.float32).reshape(4, 2)
SUMS = [[1.0], [5.0], [9.0], [13.0]]
START = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
EVENTS = [Event("Team standup", START + n * WEEK, START + n * WEEK + HOUR) for n in range(4)]
TASKS = [Task("report", HOUR), Task("review", HOUR, depends_on=["report"])]
WINDOW = (START, START + WEEK)


def nothing_else_is_there() -> None:
    for name in ABSENT:
        assert name not in sys.modules, f"{name} was imported"
        assert importlib.util.find_spec(name) is None, f"{name} is installed"


def a_server() -> FakeTriton:
    fake = FakeTriton()
    fake.calendar()
    fake.serve(
        "sum",
        lambda X: {"Y": X.sum(axis=1, keepdims=True)},  # noqa: N803 -- the input's name
        inputs={"X": ("FP32", [-1, 2])},
        outputs={"Y": ("FP32", [-1, 1])},
    )
    fake.serve(
        "shout",
        lambda T: {"U": np.array([[one.upper()] for one in T[:, 0]], dtype=object)},  # noqa: N803
        inputs={"T": ("BYTES", [-1, 1])},
        outputs={"U": ("BYTES", [-1, 1])},
    )
    return fake


def right(answer: geulpi_client.InferResult, *, cached: bool) -> None:
    assert answer.outputs["Y"].dtype == np.float32
    assert answer.outputs["Y"].tolist() == SUMS
    assert answer.cached.tolist() == [cached] * len(ROWS)


def joined(fake: FakeTriton, answers: list[float]) -> None:
    assert answers == [2.0 * number for number in range(CALLS)]
    assert sum(len(request.inputs["X"]) for request in fake.requests) == CALLS
    assert len(fake.requests) < CALLS, "no call joined another"


def threads_are_answered() -> None:
    fake = a_server()
    with ModelClient(fake, cache=MemoryCache(), memory_bytes=1 << 20, early_refresh=0) as client:
        right(client.infer_detailed("sum", {"X": ROWS}), cached=False)
        right(client.infer_detailed("sum", {"X": ROWS}), cached=True)
        assert client.infer("sum", {"X": [[1, 2]]})["Y"].tolist() == [[3.0]]
        assert client.infer("shout", {"T": [["회의"], ["gym"]]})["U"].tolist() == [
            ["회의"],
            ["GYM"],
        ]
    fake.requests.clear()
    fake.slow("sum", 0.2)
    together = threading.Barrier(CALLS)
    with ModelClient(fake) as client, ThreadPoolExecutor(CALLS) as pool:

        def ask(number: int) -> float:
            together.wait()
            return client.infer("sum", {"X": [[number, number]]})["Y"].item()

        joined(fake, list(pool.map(ask, range(CALLS))))


async def tasks_are_answered() -> None:
    fake = a_server()
    cache = MemoryCache()
    async with AsyncModelClient(fake, cache=cache, early_refresh=0) as client:
        right(await client.infer_detailed("sum", {"X": ROWS}), cached=False)
    async with AsyncModelClient(fake, cache=cache, early_refresh=0) as client:
        right(await client.infer_detailed("sum", {"X": ROWS}), cached=True)
        assert await client.invalidate("sum") == len(ROWS)
    fake.requests.clear()
    fake.slow("sum", 0.2)
    async with AsyncModelClient(fake) as client:
        calls = (client.infer("sum", {"X": [[number, number]]}) for number in range(CALLS))
        joined(fake, [answer["Y"].item() for answer in await asyncio.gather(*calls)])


def questions_have_typed_answers() -> None:
    with GeulpiClient(a_server()) as client:
        assert [one.category for one in client.classify(EVENTS)] == ["meeting"] * len(EVENTS)
        plan = client.optimize_schedule(TASKS, window=WINDOW)
        assert [one.task for one in plan.placements] == ["report", "review"]
        (habit,) = client.detect_patterns(EVENTS)
        assert habit.rrule == "FREQ=WEEKLY;BYDAY=MO"
        assert set(client.analyze_balance(EVENTS).sub_scores) == set(BALANCE_DIMENSIONS)
        assert 0 < client.predict_burnout(EVENTS).probability < 1
        assert client.week_insights(EVENTS).burnout.level == "moderate"
        assert client.stats().total.calls == 6


async def async_questions_have_typed_answers() -> None:
    async with AsyncGeulpiClient(a_server()) as client:
        assert (await client.classify(EVENTS))[0].category == "meeting"
        plan = await client.optimize_schedule(TASKS, window=WINDOW)
        assert plan.not_placed == ()
        assert (await client.detect_patterns(EVENTS))[0].support == len(EVENTS)
        assert (await client.analyze_balance(EVENTS)).score > 0
        assert (await client.predict_burnout(EVENTS)).level == "moderate"
        assert (await client.week_insights(EVENTS)).balance.score > 0


def servers_are_reached(triton: str, redis: str) -> None:
    """Over gRPC and through a shared cache, which one client fills and others read."""
    assert server_status(triton).ready
    with GeulpiClient(triton, cache=redis) as client:
        client.invalidate()
        first = client.classify(EVENTS)
        assert {one.category for one in first} == {"meeting"}
        assert first[0].probabilities.keys() == set(CATEGORIES)
        assert client.optimize_schedule(TASKS, window=WINDOW).status == "optimal"
        assert not any(one.cached for one in first)
    with GeulpiClient(triton, cache=redis) as client:
        again = client.classify(EVENTS)
        assert all(one.cached for one in again)
        assert again == [replace(one, cached=True) for one in first]
        try:
            client.models.infer("event_classifier", {"title": [["a"]]}, version="77")
        except ModelNotFound as error:
            assert error.version == "77"  # noqa: PT017
        else:
            raise AssertionError("there is a version 77")
        assert client.stats().cache_errors == 0


async def servers_are_reached_from_a_loop(triton: str, redis: str) -> None:
    async with AsyncGeulpiClient(triton, cache=redis) as client:
        assert all(one.cached for one in await client.classify(EVENTS))
        assert await client.invalidate("event_classifier") > 0
        assert not any(one.cached for one in await client.classify(EVENTS))
        assert (await client.week_insights(EVENTS)).patterns[0].support == len(EVENTS)
        assert client.stats().cache_errors == 0


def missing(extra: str, make: Callable[[], object]) -> None:
    try:
        make()
    except MissingExtra as error:
        assert f"pip install 'geulpi-client[{extra}]'" in str(error)  # noqa: PT017
    else:
        raise AssertionError(f"the extra {extra} is not missed")


def extras_are_asked_for() -> None:
    here = Path(__file__)
    missing("http", lambda: ModelClient("http://localhost:8000"))
    missing("http", lambda: AsyncGeulpiClient("https://localhost:8000"))
    missing("local", lambda: ModelClient("localhost:8001", local={"sum": here}))
    missing("local", lambda: AsyncModelClient("localhost:8001", local={"sum": here}))

    from geulpi_client import prometheus

    with ModelClient("localhost:8001") as client:
        missing("prometheus", lambda: prometheus.register(client))


def installed() -> dict[str, dict[str, object]]:
    """Return each package with its version and the bytes of its files, compiled ones aside."""
    return {
        found.name.replace("_", "-"): {
            "version": found.version,
            "bytes": sum(
                path.stat().st_size
                for file in found.files or ()
                if (path := Path(str(file.locate()))).suffix != ".pyc" and path.is_file()
            ),
        }
        for found in distributions()
    }


if __name__ == "__main__":
    nothing_else_is_there()
    threads_are_answered()
    asyncio.run(tasks_are_answered())
    questions_have_typed_answers()
    asyncio.run(async_questions_have_typed_answers())
    servers_are_reached(*sys.argv[1:])
    asyncio.run(servers_are_reached_from_a_loop(*sys.argv[1:]))
    extras_are_asked_for()
    nothing_else_is_there()
    print(
        json.dumps(
            {
                "python": sys.version.split()[0],
                "client": geulpi_client.__file__,
                "packages": installed(),
            }
        )
    )

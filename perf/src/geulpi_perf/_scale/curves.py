"""The curves: what is served, what is varied, and what is measured at each step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import redis
from geulpi_client import ModelClient
from geulpi_server import EmbeddedTriton, EmbeddedValkey

from geulpi_perf._errors import BenchFailed
from geulpi_perf._forest import ROW
from geulpi_perf._scale.cpu import pss_mb
from geulpi_perf._scale.loads import Workshop, control
from geulpi_perf._scale.models import Model, copied, made
from geulpi_perf._scale.results import Curve, Point

__all__ = ["CURVES", "draw"]

IN_FLIGHT = 64  # where that is not varied
INSTANCES = (1, 2, 4)
ROWS = (1, 4, 16, 64, 256)
FLIGHTS = (1, 2, 4, 8, 16, 32, 64, 128)
TREES = (10, 100, 500, 1000, 5000)
FEATURES = (10, 100, 1000)
MODELS = (1, 5, 10, 20, 50)
PROCESSES = (1, 2, 4, 8)
ENTRIES = (1_000, 10_000, 100_000, 1_000_000)

PYTHON = Model("python")
CHUNK = 1000  # rows of a call that fills the caches
DIFFERENT = 5000  # rows that are looked up in turn
TRIES = 500  # until all rows are in the cache
KEPT_S = 86_400
FILL_S = 30.0  # that one such call may take
VALKEY_MB, MEMORY_BYTES = 2048, 2 << 30  # more than the largest number of entries takes

Points = Iterator[Point]


@dataclass(frozen=True)
class _Plan:
    title: str
    x: str
    measure: Callable[[Workshop, ExitStack], Points]
    grows: bool = True
    plots: tuple[str, ...] = ("rows_per_s", "p99_ms")


def draw(name: str, shop: Workshop) -> Curve:
    """Measure a curve, one of `CURVES`.

    Raises:
        PerfError, ServerError, GeulpiError: a load, a server or the client failed.
    """
    plan = CURVES[name]
    begin_s = time.monotonic()
    with ExitStack() as stack:
        points = tuple(plan.measure(shop, stack))
    curve = Curve(name, plan.title, plan.x, plan.grows, plan.plots, points)
    return replace(curve, took_s=time.monotonic() - begin_s)


def _instances(shop: Workshop, stack: ExitStack) -> Points:
    repository = _folder(shop, "instances")
    shop.say("training and converting a Python-backend model …")
    made([PYTHON], shop.folder / "python")
    for count in INSTANCES:
        copied(_forest(shop), f"forest_{count}", repository, instances=count)
        copied(shop.folder / "python" / PYTHON.name, f"python_{count}", repository, instances=count)
    triton = shop.serve(stack, repository)
    for count in INSTANCES:
        for model, series in (("forest", "forest, gRPC"), ("python", "Python, gRPC")):
            yield from shop.over_grpc(
                triton, f"{model}_{count}", series, count, in_flight=IN_FLIGHT
            )
        yield shop.over_http(triton, f"forest_{count}", "forest, HTTP", count)


def _batches(shop: Workshop, stack: ExitStack) -> Points:
    triton = shop.serve(stack, shop.forest.repository)
    for rows in ROWS:
        series = f"{rows} row{'s' if rows > 1 else ''}"
        for count in FLIGHTS:
            yield from shop.over_grpc(triton, "forest", series, count, in_flight=count, rows=rows)


def _trees(shop: Workshop, stack: ExitStack) -> Points:
    sizes = {f"{trees} trees": Model("forest", trees=trees) for trees in TREES}
    yield from _sizes(
        shop, stack, "trees", [("forest", n, m) for n, m in zip(TREES, sizes.values(), strict=True)]
    )


def _features(shop: Workshop, stack: ExitStack) -> Points:
    models = [
        (kind, features, Model(kind, features, trees))
        for kind, trees in (("forest", 100), ("linear", 0))
        for features in FEATURES
    ]
    yield from _sizes(shop, stack, "features", models)


def _sizes(
    shop: Workshop, stack: ExitStack, name: str, models: list[tuple[str, int, Model]]
) -> Points:
    shop.say(f"training and converting {len(models)} models …")
    repository = shop.folder / name
    made([model for _, _, model in models], repository)
    triton = shop.serve(stack, repository)
    for series, x, model in models:
        control(triton, model.name, "unload")
        _wait_until_gone(triton, f"{model.name}_0_0")
        more = {
            "artefact_mb": (repository / model.name / "1" / "model.onnx").stat().st_size / 1e6,
            "load_s": control(triton, model.name, "load"),
        }
        for point in shop.over_grpc(triton, model.name, series, x, in_flight=IN_FLIGHT):
            yield replace(point, more={**more, "stub_mb": pss_mb(triton.pid, f"{model.name}_0_0")})


def _models(shop: Workshop, _stack: ExitStack) -> Points:
    for count in MODELS:
        repository = _folder(shop, f"models_{count}")
        names = [f"forest_{number}" for number in range(count)]
        for name in names:
            copied(_forest(shop), name, repository)
        begin_s = time.monotonic()
        with ExitStack() as stack:
            triton = shop.serve(stack, repository)
            more = {"ready_s": time.monotonic() - begin_s}
            one = shop.through_client(triton, names[:1], "one of them", count, in_flight=IN_FLIGHT)
            # What the server takes is said once, whoever is asked.
            yield replace(one, more={**more, "pss_mb": pss_mb(triton.pid)})
            yield shop.through_client(triton, names, "all in turn", count, in_flight=IN_FLIGHT)


def _cache(shop: Workshop, stack: ExitStack) -> Points:
    triton = shop.serve(stack, shop.forest.repository)
    valkey = stack.enter_context(EmbeddedValkey(max_memory_mb=VALKEY_MB))
    store = stack.enter_context(redis.Redis.from_url(valkey.url))
    shared, own = (
        stack.enter_context(
            ModelClient(
                triton.grpc_url, cache=valkey.url, memory_bytes=memory, timeout_s=FILL_S,
                ttl_s={"forest": KEPT_S}, early_refresh=0,
            )
        )
        for memory in (0, MEMORY_BYTES)
    )  # fmt: skip
    before, empty = 0, _used_bytes(store)
    for entries in ENTRIES:
        for start in range(before, entries, CHUNK):
            shop.say(f"{start:,} of {entries:,} entries are cached …")
            numbers = np.arange(start, start + CHUNK)
            _keep(shared, numbers)
            own.infer("forest", {"X": _rows(numbers)})  # what it finds in Valkey it keeps
        before = entries
        for client, series, cached in (
            (shared, "in Valkey", _used_bytes(store) - empty),
            (own, "in the process", _memory_bytes(own)),
        ):
            more = {"entry_bytes": cached / entries, "cache_mb": cached / 1e6}
            yield shop.one_by_one(_looked_up(client, entries), series, entries, more)


def _clients(shop: Workshop, stack: ExitStack) -> Points:
    triton = shop.serve(stack, shop.forest.repository)
    for count in PROCESSES:
        yield shop.through_client(triton, ["forest"], "forest", count, processes=count)


CURVES = {
    "instances": _Plan("Instances of a model", "instances", _instances),
    "batches": _Plan("Rows a request and requests in flight", "requests in flight", _batches),
    "trees": _Plan(
        "Trees of a forest", "trees", _trees, grows=False,
        plots=("rows_per_s", "p99_ms", "artefact_mb", "load_s"),
    ),
    "features": _Plan(
        "Features of a model", "features", _features, grows=False,
        plots=("rows_per_s", "p99_ms", "artefact_mb"),
    ),
    "models": _Plan(
        "Models of a server, one client process", "models", _models, grows=False,
        plots=("rows_per_s", "p99_ms", "ready_s", "pss_mb"),
    ),
    "cache": _Plan(
        "Cached entries, hits one by one", "entries", _cache, grows=False,
        plots=("p50_ms", "rows_per_s", "p99_ms", "cache_mb"),
    ),
    "clients": _Plan(
        "Client processes, 32 requests in flight each", "processes", _clients
    ),
}  # fmt: skip


def _folder(shop: Workshop, name: str) -> Path:
    folder = shop.folder / name
    folder.mkdir()
    return folder


def _forest(shop: Workshop) -> Path:
    return shop.forest.repository / "forest"


def _rows(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    rows = np.tile(np.array(ROW, np.float32), (len(numbers), 1))
    rows[:, -1] = numbers  # below 2²⁴, so that each is another row
    return rows


def _looked_up(client: ModelClient, entries: int) -> Callable[[], object]:
    """Return a call that looks one of so many rows up.

    Raises:
        BenchFailed: some of them are not in the cache.
    """
    rows = _rows(np.random.default_rng(0).integers(entries, size=DIFFERENT))
    for _ in range(TRIES):
        if client.infer_detailed("forest", {"X": rows}).cached.all():
            turns = itertools.cycle([{"X": row[None]} for row in rows])
            return lambda: client.infer("forest", next(turns))
        time.sleep(0.1)
    raise _not_cached()


def _wait_until_gone(triton: EmbeddedTriton, instance: str) -> None:
    """Wait for the end of an instance's process, which comes a moment after the unloading."""
    for _ in range(TRIES):
        if not pss_mb(triton.pid, instance):
            return
        time.sleep(0.02)


def _keep(client: ModelClient, numbers: npt.NDArray[np.int64]) -> None:
    """Ask for rows until all are in the cache: the client writes what it computed a moment later.

    Raises:
        BenchFailed: they do not get there.
    """
    for _ in range(TRIES):
        if client.infer_detailed("forest", {"X": _rows(numbers)}).cached.all():
            return
        time.sleep(0.01)
    raise _not_cached()


def _not_cached() -> BenchFailed:
    return BenchFailed("hits", "rows are not in the cache", "try again on a machine at rest")


def _used_bytes(store: redis.Redis) -> int:
    return int(store.info("memory")["used_memory"])


def _memory_bytes(client: ModelClient) -> int:
    memory = client.stats().memory
    return memory.bytes if memory else 0

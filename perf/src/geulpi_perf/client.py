"""The client's figures: what it gains and what it costs beside what one would use without it.

    python -m geulpi_perf.client [--json] [--quick]

Everything runs on this machine, on a real Triton and a real Valkey. What is compared is measured in
alternation, in several rounds; a target is met if it is in most of them. A call that no cache is to
answer carries a row that was never asked before, and both sides read all outputs of an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import redis
import redis.asyncio
import tritonclient.grpc
import tritonclient.grpc.aio
import uvloop
from geulpi_client import AsyncModelClient, Event, GeulpiClient, InferResult, ModelClient
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tritonclient.utils import np_to_triton_dtype

from geulpi_perf._comparison import (
    RATE_S,
    TASKS,
    Comparison,
    Figure,
    Loop,
    Side,
    Target,
    at_least,
    at_most,
    compared,
    for_information,
    latency,
    within,
)
from geulpi_perf._errors import BenchFailed

__all__ = ["Figure", "main", "measure", "table"]

ROOT = Path(__file__).resolve().parents[3]
IMPORT_ROUNDS = 10
BATCH = 1000
MEMORY_BYTES = 64 << 20
CACHE_TIMEOUT_S = 0.05  # the client's own: a socket with a time-out takes another way in Python

OUTPUTS = {
    "linear": ("variable",),
    "forest": ("probabilities",),
    "event_classifier": ("label", "probabilities"),
}
# A model that does next to nothing and one that computes, beside the committed event_classifier.
TRAINING = """
import sys
from pathlib import Path
import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
X = np.random.default_rng(0).normal(size=(2000, 20)).astype(np.float32)
y = (X[:, :5].sum(axis=1) + X[:, 5] * X[:, 6] > 0).astype(int)
forest, linear = RandomForestClassifier(100, random_state=0).fit(X, y), LinearRegression().fit(X, y)
linear = to_onnx(linear, X[:1], target_opset=17)
forest = to_onnx(forest, X[:1], options={"zipmap": False}, target_opset=17)
del forest.graph.output[0]  # labels, not shaped [N, 1]
for name, graph, width in (("linear", linear, 1), ("forest", forest, 2)):
    folder = Path(sys.argv[1], name, "1")
    folder.mkdir(parents=True)
    folder.joinpath("model.onnx").write_bytes(graph.SerializeToString())
    output = f'output {{ name: "{graph.graph.output[0].name}" data_type: TYPE_FP32 dims: {width} }}'
    folder.parent.joinpath("config.pbtxt").write_text(output + '''
input { name: "X" data_type: TYPE_FP32 dims: 20 }
backend: "onnxruntime"
max_batch_size: 256
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching { max_queue_delay_microseconds: 500 }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
parameters { key: "inter_op_thread_count" value { string_value: "1" } }
''')
"""

Row = dict[str, np.ndarray[Any, np.dtype[Any]]]
Ask = Callable[[], object]
AskAsync = Callable[[], Awaitable[object]]

_numbers = itertools.count(1)
_sample = np.random.default_rng(1).normal(size=(1000, 20)).astype(np.float32)


class Room:
    """The servers and loops that all is measured on, until `stack` is closed."""

    def __init__(self, stack: ExitStack, repository: Path) -> None:
        triton = stack.enter_context(EmbeddedTriton(repository))
        self.grpc, self.http = triton.grpc_url, triton.http_url
        self.cache = stack.enter_context(EmbeddedValkey()).url
        self.open = stack.enter_context
        self.loops = {
            "asyncio": Loop(stack, asyncio.new_event_loop),
            "uvloop": Loop(stack, uvloop.new_event_loop),
        }
        self.loop = self.loops["asyncio"]


def main() -> None:
    """Measure, and print a table, or JSON with every round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, round by round")
    parser.add_argument("--quick", action="store_true", help="one short round: not to be quoted")
    arguments = parser.parse_args()
    figures = measure(quick=arguments.quick)
    if arguments.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        Console().print(table(figures))


def measure(*, quick: bool = False) -> list[Figure]:
    """Return all figures; `quick` is one short round of each, to see that all can be measured.

    Raises:
        BenchFailed: the models could not be made, or a cache did not keep what it was to.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        room = Room(stack, _repository(Path(folder, "repository")))
        comparisons = [
            *_coalesced(room), *_in_process(room), *_in_redis(room), *_missed(room),
            *_batches(room), _imported(), *_transports(room),
        ]  # fmt: skip
        return [
            compared(one, quick=quick) for one in track(comparisons, console=Console(stderr=True))
        ]


def table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table: medians, and the range over the rounds."""
    shown = Table("what", "ours", "raw/peer", "ratio or time", "target", "met")
    for one in figures:
        low, middle, high = (
            one.form.format(value)
            for value in (min(one.value), statistics.median(one.value), max(one.value))
        )
        shown.add_row(
            one.what,
            _written(one.ours, one.unit),
            _written(one.peer, one.unit) if one.peer else "–",
            f"{middle} ({low} to {high})",
            one.target,
            {True: "yes", False: "no", None: "–"}[one.met],
        )
    return shown


def _coalesced(room: Room) -> Iterator[Comparison]:
    for name, loop in room.loops.items():
        ours = loop.open(lambda: AsyncModelClient(room.grpc))
        raw = loop.open(lambda: tritonclient.grpc.aio.InferenceServerClient(room.grpc))
        for model in OUTPUTS:
            yield Comparison(
                f"{model}, {TASKS} tasks, {name}", "rows/s", at_least(5),
                loop.rate(_ask(ours, model)), loop.rate(_ask_raw_async(raw, model)), RATE_S,
            )  # fmt: skip


def _in_process(room: Room) -> Iterator[Comparison]:
    row, events = _row("forest"), [Event("치과 예약")]
    memory = room.open(ModelClient(room.grpc, memory_bytes=MEMORY_BYTES))
    _expect_hit(lambda: memory.infer_detailed("forest", row))
    side = latency(lambda: memory.infer("forest", row), parts=5)
    yield Comparison("hit in the process", "µs", within(10, "µs"), side)
    later = room.loop.open(lambda: AsyncModelClient(room.grpc, memory_bytes=MEMORY_BYTES))
    _expect_hit(lambda: room.loop.run(later.infer_detailed("forest", row)))
    side = room.loop.latency(lambda: later.infer("forest", row), parts=5)
    yield Comparison("hit in the process, async", "µs", within(10, "µs"), side)
    geulpi = room.open(GeulpiClient(room.grpc, memory_bytes=MEMORY_BYTES))
    side = latency(lambda: geulpi.classify(events), parts=5)
    yield Comparison("hit in the process, classify", "µs", for_information("µs"), side)


def _in_redis(room: Room) -> Iterator[Comparison]:
    row, run = _row("forest"), room.loop.run
    ours = room.open(ModelClient(room.grpc, cache=room.cache))
    later = room.loop.open(lambda: AsyncModelClient(room.grpc, cache=room.cache))
    raw = room.open(
        redis.Redis.from_url(
            room.cache, socket_timeout=CACHE_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
    )
    raw_later = room.loop.open(
        lambda: redis.asyncio.Redis.from_url(
            room.cache, socket_timeout=CACHE_TIMEOUT_S, retry=AsyncRetry(NoBackoff(), 0)
        )
    )
    raw.flushdb()
    _expect_hit(lambda: ours.infer_detailed("forest", row))
    _expect_hit(lambda: run(later.infer_detailed("forest", row)))
    key = max(raw.scan_iter(_type="STRING"), key=raw.strlen)
    yield Comparison(
        "hit in Redis, redis-py's GET", "µs", at_most(1.3, plus_us=50),
        latency(lambda: ours.infer("forest", row)), latency(lambda: raw.get(key)),
    )  # fmt: skip
    yield Comparison(
        "hit in Redis, redis-py's GET, async", "µs", at_most(1.3, plus_us=50),
        room.loop.latency(lambda: later.infer("forest", row)),
        room.loop.latency(lambda: raw_later.get(key)),
    )  # fmt: skip


def _missed(room: Room) -> Iterator[Comparison]:
    ours = room.open(ModelClient(room.grpc, cache=room.cache))
    raw = room.open(tritonclient.grpc.InferenceServerClient(room.grpc))
    later = room.loop.open(lambda: AsyncModelClient(room.grpc, cache=room.cache))
    raw_later = room.loop.open(lambda: tritonclient.grpc.aio.InferenceServerClient(room.grpc))
    for model in ("forest", "event_classifier"):
        yield Comparison(
            f"miss, {model}", "µs", at_most(1.1),
            latency(_ask(ours, model)), latency(_ask_raw(raw, model)),
        )  # fmt: skip
        yield Comparison(
            f"miss, {model}, async", "µs", at_most(1.1),
            room.loop.latency(_ask(later, model)),
            room.loop.latency(_ask_raw_async(raw_later, model)),
        )  # fmt: skip


def _batches(room: Room) -> Iterator[Comparison]:
    rows = {"X": np.concatenate([_row("forest")["X"] for _ in range(BATCH)])}
    in_process = room.open(ModelClient(room.grpc, memory_bytes=MEMORY_BYTES))
    in_redis = room.open(ModelClient(room.grpc, cache=room.cache))
    for tier, ours in (("the process", in_process), ("Redis", in_redis)):
        _expect_hit(partial(ours.infer_detailed, "forest", rows))
        side = latency(partial(ours.infer, "forest", rows), per_s=1e3)
        yield Comparison(f"{BATCH:,} rows, hits in {tier}", "ms", within(5, "ms"), side)


def _imported() -> Comparison:
    def side(modules: str) -> Side:
        lines = ("import time", "s = time.perf_counter()", f"import {modules}",
                 "print(time.perf_counter() - s)")  # fmt: skip
        command = [sys.executable, "-c", "\n".join(lines)]
        return lambda _seconds: float(_said(*command)) * 1000

    target = Target("≤ +150 ms", "{:+.0f} ms", lambda o, p: o - p, lambda o, p: o - p <= 150)
    return Comparison(
        "import, tritonclient.grpc and redis", "ms", target,
        side("geulpi_client"), side("tritonclient.grpc, redis"), rounds=IMPORT_ROUNDS,
    )  # fmt: skip


def _transports(room: Room) -> Iterator[Comparison]:
    grpc, http = (room.open(ModelClient(url)) for url in (room.grpc, room.http))
    yield Comparison(
        "gRPC, our HTTP, one caller", "µs", at_most(1),
        latency(_ask(grpc, "forest")), latency(_ask(http, "forest")),
    )  # fmt: skip
    for how, delay_s in (("coalesced", 0.0), ("not coalesced", None)):
        ours, peer = (
            room.loop.open(partial(AsyncModelClient, url, coalesce_delay_s=delay_s))
            for url in (room.grpc, room.http)
        )
        yield Comparison(
            f"gRPC, our HTTP, {TASKS} tasks, {how}", "rows/s", at_least(1),
            room.loop.rate(_ask(ours, "forest")), room.loop.rate(_ask(peer, "forest")), RATE_S,
        )  # fmt: skip


def _written(values: Sequence[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f} {unit}" if middle >= 100 else f"{middle:.1f} {unit}"


def _row(model: str) -> Row:
    """Return a row that was never asked before."""
    number = next(_numbers)
    if model == "event_classifier":
        unknown = np.full((1, 1), -1, np.int64)
        title = np.array([[f"team meeting {number}"]], dtype=object)
        return {"title": title} | dict.fromkeys(("weekday", "hour", "duration_minutes"), unknown)
    row = _sample[number % len(_sample), None].copy()
    row[0, -1] = number
    return {"X": row}


def _ask(client: Any, model: str) -> Callable[[], Any]:
    return lambda: client.infer(model, _row(model))


def _ask_raw(client: Any, model: str) -> Ask:
    def ask() -> None:
        answer = client.infer(model, _raw_inputs(_row(model)))
        for name in OUTPUTS[model]:
            answer.as_numpy(name)

    return ask


def _ask_raw_async(client: Any, model: str) -> AskAsync:
    async def ask() -> None:
        answer = await client.infer(model, _raw_inputs(_row(model)))
        for name in OUTPUTS[model]:
            answer.as_numpy(name)

    return ask


def _raw_inputs(row: Row) -> list[Any]:
    inputs = []
    for name, array in row.items():
        tensor = tritonclient.grpc.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def _expect_hit(ask: Callable[[], InferResult]) -> None:
    """Ask until every row comes from a cache: what was computed may be written a moment later."""
    for _ in range(100):
        if ask().cached.all():
            return
        time.sleep(0.01)
    raise BenchFailed("hits", "rows are not in the cache", "try again on a machine at rest")


def _repository(folder: Path) -> Path:
    _said(sys.executable, "-c", TRAINING, str(folder))
    name = "event_classifier"
    shutil.copytree(ROOT / "model_repository" / name, folder / name)
    return folder


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(Path(command[0]).name, done.stderr or done.stdout, "see above")
    return done.stdout


if __name__ == "__main__":
    main()

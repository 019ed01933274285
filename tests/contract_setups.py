"""What the contract suite runs on: one set of models at all servers, clients of both kinds."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from geulpi_client.testing import FakeTriton
from repositories import text_graph, write_model

WAIT_S = 60.0
BAD = -13
"""A row of `mixed` that begins so makes the model fail."""

# --- The models ------------------------------------------------------------------------------


def mixed(X: np.ndarray, K: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N803 -- their names
    """Answer numbers of several types, row by row, but no batch with a bad row."""
    if (X[:, 0] == -13).any():
        raise ValueError("row -13 can't be answered")
    return {
        "sum": X.sum(axis=1, keepdims=True),
        "echo": X,
        "twice": np.concatenate([K, 2 * K], axis=1),
        "above": X > 0,
    }


def single(X: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N803
    """Answer two numbers, which are no batch."""
    return {"Y": 2 * X}


def text(T: np.ndarray) -> dict[str, np.ndarray]:  # noqa: N803
    """Answer every text with itself."""
    return {"L": T}


MIXED_CONFIG = """
name: "mixed"
backend: "python"
max_batch_size: 64
input [
  { name: "X" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "K" data_type: TYPE_INT64 dims: [ 1 ] }
]
output [
  { name: "sum" data_type: TYPE_FP32 dims: [ 1 ] },
  { name: "echo" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "twice" data_type: TYPE_INT64 dims: [ 2 ] },
  { name: "above" data_type: TYPE_BOOL dims: [ 3 ] }
]
instance_group [ { count: 2 kind: KIND_CPU } ]
"""
SINGLE_CONFIG = """
name: "single"
backend: "python"
max_batch_size: 0
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
TEXT_CONFIG = """
name: "text"
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "T" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "L" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
version_policy { all { } }
"""
CHAIN_CONFIG = """
name: "chain"
platform: "ensemble"
max_batch_size: 64
input [ { name: "T" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "L" data_type: TYPE_STRING dims: [ 1 ] } ]
ensemble_scheduling {
  step [
    {
      model_name: "text" model_version: -1
      input_map { key: "T" value: "T" }
      output_map { key: "L" value: "between" }
    },
    {
      model_name: "text" model_version: -1
      input_map { key: "T" value: "between" }
      output_map { key: "L" value: "L" }
    }
  ]
}
"""
# While the file is there, each request takes as many seconds as it says.
MODEL_PY = """
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

SLOW = Path({slow!r})

{function}

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        try:
            time.sleep(float(SLOW.read_text()))
        except (OSError, ValueError):
            pass
        try:
            outputs = {name}(**{{t.name(): t.as_numpy() for t in request.inputs()}})
        except ValueError as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(*output) for output in outputs.items()])
"""
TEXTS = ("BYTES", [-1, 1])


def write_models(folder: Path, slow: Path) -> None:
    """Write the models, of which `text` has two versions, into a repository."""
    for config, function in ((MIXED_CONFIG, mixed), (SINGLE_CONFIG, single)):
        code = MODEL_PY.format(
            slow=str(slow), function=inspect.getsource(function), name=function.__name__
        )
        write_model(folder, config, "model.py", code)
    file = write_model(folder, TEXT_CONFIG, "model.onnx", text_graph().SerializeToString())
    shutil.copytree(file.parent, folder / "text" / "2")
    (folder / "chain" / "1").mkdir(parents=True)
    (folder / "chain" / "config.pbtxt").write_text(CHAIN_CONFIG)


# --- The servers -----------------------------------------------------------------------------


class Real:
    """A real server at one of its addresses; `slow` is the file that makes its models slow."""

    def __init__(self, url: str, slow: Path) -> None:
        self.at = url
        self._slow = slow

    @contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Let each request for `mixed` or `single` take so long."""
        self._slow.write_text(str(seconds))
        try:
            yield
        finally:
            self._slow.unlink()


class Fake:
    """The fake server with the same models; `mixed` takes about as long as a real one."""

    def __init__(self) -> None:
        self.at = fake = FakeTriton()
        fake.serve(
            "mixed",
            mixed,
            inputs={"X": ("FP32", [-1, 3]), "K": ("INT64", [-1, 1])},
            outputs={
                "sum": ("FP32", [-1, 1]),
                "echo": ("FP32", [-1, 3]),
                "twice": ("INT64", [-1, 2]),
                "above": ("BOOL", [-1, 3]),
            },
            max_batch_size=64,
        )
        fake.serve("single", single, inputs={"X": ("FP32", [2])}, outputs={"Y": ("FP32", [2])})
        for name, version in (("text", "2"), ("chain", "1")):
            fake.serve(
                name,
                text,
                inputs={"T": TEXTS},
                outputs={"L": TEXTS},
                version=version,
                max_batch_size=64,
            )
        fake.slow("mixed", 0.002)

    @contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Let each request for `mixed` or `single` take so long."""
        for name in ("mixed", "single"):
            self.at.slow(name, seconds)
        try:
            yield
        finally:
            self.at.recover("single")
            self.at.slow("mixed", 0.002)


# --- The clients -----------------------------------------------------------------------------


class Threads:
    """Calls a client of threads, each call under way in a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(60)

    def begin(self, function: Callable[..., Any], *args: object, **named: object) -> Future[Any]:
        """Begin a call."""
        return self._pool.submit(function, *args, **named)

    def run(self, function: Callable[..., Any], *args: object, **named: object) -> Any:
        """Call, and return what is returned."""
        return function(*args, **named)

    def stop(self) -> None:
        """End the threads."""
        self._pool.shutdown()


class Tasks:
    """Calls a client of asyncio, each call a task of one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def begin(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *args: object, **named: object
    ) -> Future[Any]:
        """Begin a call."""
        return asyncio.run_coroutine_threadsafe(function(*args, **named), self._loop)

    def run(self, function: Callable[..., Any], *args: object, **named: object) -> Any:
        """Call, and return what is returned."""
        return self.begin(function, *args, **named).result(WAIT_S)

    def stop(self) -> None:
        """End the event loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Client:
    """A client of either kind, whose methods are called as if it were one of threads."""

    def __init__(self, client: Any, caller: Threads | Tasks) -> None:
        self.client = client
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if not callable(method) or name == "stats":
            return method
        return lambda *args, **named: self._caller.run(method, *args, **named)

    def __enter__(self) -> Self:
        """Enter the client as a context manager of its kind."""
        self._caller.run(getattr(self.client, self._named("__enter__", "__aenter__")))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave it likewise."""
        leave = getattr(self.client, self._named("__exit__", "__aexit__"))
        self._caller.run(leave, kind, error, traceback)

    def close(self) -> None:
        """Close it."""
        self._caller.run(getattr(self.client, self._named("close", "aclose")))

    def begin(self, model: str, inputs: Any, **options: Any) -> Future[Any]:
        """Begin a call of `infer_detailed`."""
        return self._caller.begin(self.client.infer_detailed, model, inputs, **options)

    def written(self) -> None:
        """Wait until what was to be cached is in the shared cache."""
        deadline_s = time.monotonic() + WAIT_S
        while self.client._core.tiers._buffer.take_waits():
            assert time.monotonic() < deadline_s
            time.sleep(0.001)

    def _named(self, threads: str, asyncio: str) -> str:
        return threads if isinstance(self._caller, Threads) else asyncio


def outcomes(calls: list[Future[Any]]) -> list[Any]:
    """Return what each call returned or raised, when all have ended."""
    return [call.exception(WAIT_S) or call.result() for call in calls]

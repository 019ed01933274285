"""Closed-loop load of one model from its own sample, over gRPC, one row a request.

What the caller takes of the processor, the server lacks on the same cores. perf_analyzer, which is
not Python, takes less for each request and is preferred; where it is not to be had, asyncio does.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from geulpi_perf._errors import BenchFailed, UntunableModel
from geulpi_perf._perf_analyzer import PerfAnalyzer

__all__ = ["Load", "Measured", "Tensor", "asyncio_load", "perf_analyzer_load", "read_sample"]

CANARY = "canary"  # an ensemble's parameter: the files below warmup/ that hold a row, by input
WARM_UP_S = 0.1
FEWEST = 20  # answers that a measurement has at least, however slow the model
WINDOWS = 3  # perf_analyzer measures that often before it calls anything stable
_NO_PROXY = [("grpc.enable_http_proxy", 0)]


@dataclass(frozen=True)
class Measured:
    """What one measurement saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Tensor:
    """One input of the sample: `datatype` as Triton's protocol calls it, one row's shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content: bytes


# Given so many requests in flight and so many seconds, it returns what it saw.
Load = Callable[[int, float], Measured]


def read_sample(entry: Path, config: Any) -> list[Tensor]:
    """Return the row that a repository entry brings as its warm-up sample or canary.

    Raises:
        UntunableModel: it brings none, or one that can't be read.
    """
    if config.model_warmup:
        given = config.model_warmup[0].inputs
        files = {name: (given[name].input_data_file, tuple(given[name].dims)) for name in given}
    else:
        told = config.parameters[CANARY].string_value if CANARY in config.parameters else "{}"
        named = json.loads(told)
        files = {i.name: (named[i.name], tuple(i.dims)) for i in config.input if i.name in named}
    tensors = []
    for one in config.input:
        file, shape = files.get(one.name, ("", ()))
        if not file:
            raise UntunableModel(
                config.name or entry.name,
                f"it has no sample of its input '{one.name}'",
                "publish it with a sample, which geulpi convert writes",
            )
        kind = model_config_pb2.DataType.Name(one.data_type).removeprefix("TYPE_")
        try:
            content = (entry / "warmup" / file).read_bytes()
        except OSError as error:
            raise UntunableModel(entry.name, f"its sample can't be read: {error}",
                                 "publish it again") from error  # fmt: skip
        tensors.append(Tensor(one.name, kind.replace("STRING", "BYTES"), shape, content))
    return tensors


def asyncio_load(url: str, model: str, sample: list[Tensor], *, batches: bool) -> Load:
    """Return a load generator of this process.

    Args:
        url: `host:port` of the server's gRPC API.
        model: the model's name.
        sample: one row of each of its inputs.
        batches: whether the model has a batch dimension.
    """
    request = service_pb2.ModelInferRequest(model_name=model)
    for tensor in sample:
        shape = [1, *tensor.shape] if batches else tensor.shape
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.raw_input_contents.append(tensor.content)

    def load(concurrency: int, seconds: float) -> Measured:
        try:
            return asyncio.run(_in_flight(url, request, concurrency, seconds))
        except grpc.RpcError as error:
            said = error.details() if hasattr(error, "details") else str(error)
            raise BenchFailed(f"'{model}'", str(said), "see what the model says") from error

    return load


def perf_analyzer_load(
    tool: PerfAnalyzer,
    url: str,
    model: str,
    sample: list[Tensor],
    *,
    header: tuple[str, str],
    slowest_s: float,
) -> Load:
    """Return perf_analyzer as a load generator.

    Args:
        tool: perf_analyzer.
        url: `host:port` of the server's gRPC API.
        model: the model's name.
        sample: one row of each of its inputs.
        header: what opens the model-config API, which it reads.
        slowest_s: what one request takes alone, so that a window holds enough of them.
    """
    row = {
        tensor.name: {"content": _values(tensor), "shape": list(tensor.shape)} for tensor in sample
    }

    def load(concurrency: int, seconds: float) -> Measured:
        window_s = max(seconds, FEWEST * slowest_s) / WINDOWS
        with tempfile.TemporaryDirectory() as folder:
            data, report = Path(folder, "input.json"), Path(folder, "report.csv")
            data.write_text(json.dumps({"data": [row]}, ensure_ascii=False), encoding="utf-8")
            done = tool.run(
                "-m", model, "-i", "grpc", "-u", url, "--input-data", data,
                "--concurrency-range", f"{concurrency}:{concurrency}",
                "--measurement-interval", str(math.ceil(window_s * 1000)),
                # Our repetitions judge the noise: the first three windows always count.
                "--stability-percentage", "999",
                "-H", f"triton-grpc-protocol-{header[0]}:{header[1]}",
                "-f", report, "--verbose-csv",
            )  # fmt: skip
            if done.returncode or not report.exists():
                raise BenchFailed(
                    f"'{model}'", done.stderr or done.stdout, "see what perf_analyzer says"
                )
            (line,) = csv.DictReader(report.read_text(encoding="utf-8").splitlines())
        return Measured(
            float(line["Inferences/Second"]),
            float(line["p50 latency"]) / 1000,
            float(line["p99 latency"]) / 1000,
        )

    return load


async def _in_flight(url: str, request: Any, concurrency: int, seconds: float) -> Measured:
    took: list[float] = []
    async with grpc.aio.insecure_channel(url, options=_NO_PROXY) as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        begin = time.perf_counter() + WARM_UP_S
        end = begin + seconds

        async def ask() -> None:
            while True:
                asked = time.perf_counter()
                if asked > end and len(took) >= FEWEST:
                    return
                await infer(request)
                if asked >= begin:
                    took.append(time.perf_counter() - asked)

        await asyncio.gather(*(ask() for _ in range(concurrency)))
        lasted = time.perf_counter() - begin
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return Measured(len(took) / lasted, cuts[49] * 1000, cuts[98] * 1000)


def _values(tensor: Tensor) -> list[Any]:
    if tensor.datatype == "BYTES":
        return [one.decode() for one in deserialize_bytes_tensor(tensor.content)]
    values: list[Any] = np.frombuffer(tensor.content, triton_to_np_dtype(tensor.datatype)).tolist()
    return values

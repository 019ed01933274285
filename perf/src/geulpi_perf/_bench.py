"""One perf_analyzer sweep over concurrencies: input from the model's own sample, numbers out."""

from __future__ import annotations

import csv
import json
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._perf_analyzer import PerfAnalyzer

__all__ = ["Measured", "Target", "bench", "input_data", "read_csv"]

_FORMATS = {
    "TYPE_BOOL": "?", "TYPE_UINT8": "B", "TYPE_UINT16": "H", "TYPE_UINT32": "I",
    "TYPE_UINT64": "Q", "TYPE_INT8": "b", "TYPE_INT16": "h", "TYPE_INT32": "i",
    "TYPE_INT64": "q", "TYPE_FP32": "f", "TYPE_FP64": "d",
}  # fmt: skip
_COMPUTE_STEPS = ("Input", "Infer", "Output")


@dataclass(frozen=True)
class Target:
    """The server to measure.

    Attributes:
        protocol: "grpc" or "http".
        url: `host:port` of that protocol.
        control_header: what opens the model-config API, which perf_analyzer reads.
    """

    protocol: str
    url: str
    control_header: tuple[str, str] | None


@dataclass(frozen=True)
class Measured:
    """One row of a sweep. Times in microseconds."""

    concurrency: int
    requests_per_s: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    queue_us: float
    compute_us: float


def bench(
    tool: PerfAnalyzer,
    model: str,
    target: Target,
    *,
    concurrency: int,
    seconds: float,
    repository: Path,
) -> Measured:
    """Measure a model at one concurrency.

    Args:
        tool: perf_analyzer.
        model: the model's name.
        target: the server.
        concurrency: requests in flight at a time, one row each.
        seconds: length of a measurement window; at least three are run until they agree.
        repository: where the model's own sample is looked for.

    Raises:
        UnusableOption: a concurrency or time that is not positive.
        BenchFailed: perf_analyzer did not measure; with its words.
    """
    if concurrency < 1:
        raise UnusableOption("--concurrency", concurrency, "a number from 1")
    if seconds <= 0:
        raise UnusableOption("--seconds", seconds, "a time above 0")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.csv")
        arguments = [
            "-m", model, "-i", target.protocol, "-u", target.url,
            "--concurrency-range", f"{concurrency}:{concurrency}",
            "--measurement-interval", str(int(seconds * 1000)),
            "--stability-percentage", "25", "-f", str(report), "--verbose-csv",
        ]  # fmt: skip
        if target.control_header is not None:
            name, value = target.control_header
            prefix = "triton-grpc-protocol-" if target.protocol == "grpc" else ""
            arguments += ["-H", f"{prefix}{name}:{value}"]
        data = input_data(repository / model)
        if data is not None:
            path = Path(folder, "input.json")
            path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
            arguments += ["--input-data", str(path)]
        done = tool.run(*arguments)
        if done.returncode or not report.exists():
            raise BenchFailed(
                f"'{model}' at {target.url}", done.stderr or done.stdout, _remedy(done.stderr)
            )
        return read_csv(report.read_text(encoding="utf-8"))


def input_data(entry: Path) -> dict[str, Any] | None:
    """Return perf_analyzer's input data from the warm-up sample of a repository entry.

    None where the entry is not here or has no sample; perf_analyzer then makes data up.
    """
    try:
        text = (entry / "config.pbtxt").read_text(encoding="utf-8")
    except OSError:
        return None
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    if not config.model_warmup:
        return None
    sample = {
        name: _values(tensor, entry / "warmup" / tensor.input_data_file)
        for name, tensor in config.model_warmup[0].inputs.items()
        if tensor.input_data_file
    }
    return {"data": [sample]} if sample else None


def read_csv(text: str) -> Measured:
    """Read perf_analyzer's verbose CSV report of one measurement."""
    row = next(csv.DictReader(text.splitlines()))
    return Measured(
        concurrency=int(row["Concurrency"]),
        requests_per_s=float(row["Inferences/Second"]),
        p50_us=float(row["p50 latency"]),
        p90_us=float(row["p90 latency"]),
        p95_us=float(row["p95 latency"]),
        p99_us=float(row["p99 latency"]),
        queue_us=float(row["Server Queue"]),
        compute_us=sum(float(row[f"Server Compute {step}"]) for step in _COMPUTE_STEPS),
    )


def _values(tensor: Any, path: Path) -> Sequence[Any]:
    content = path.read_bytes()
    kind = model_config_pb2.DataType.Name(tensor.data_type)
    if kind != "TYPE_STRING":
        size = struct.calcsize(_FORMATS[kind])
        return list(struct.unpack(f"<{len(content) // size}{_FORMATS[kind]}", content))
    texts = []
    while content:
        (length,) = struct.unpack_from("<I", content)
        texts.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return texts


def _remedy(said: str) -> str:
    if "restricted" in said:
        return "give the server's control key by --control-key (`geulpi serve` prints it)"
    if "unknown model" in said or "not found" in said:
        return "name a model that is served (geulpi status lists them)"
    return "start the server (geulpi serve), or name its address with --url"

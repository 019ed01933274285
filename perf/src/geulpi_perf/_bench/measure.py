"""One perf_analyzer measurement: rows in, numbers out, with what the server counted meanwhile."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geulpi_perf._bench.inspected import Counts, Inspected, remedy, since
from geulpi_perf._bench.rows import from_file, input_data, shaped, zeros
from geulpi_perf._bench.targets import Target
from geulpi_perf._errors import BenchFailed, Unstable, UnusableOption
from geulpi_perf._perf_analyzer import PerfAnalyzer

__all__ = ["Asked", "Measured", "Part", "measure", "read_csv"]

SHORTEST_S, LONGEST_S = 0.001, 3600
# perf_analyzer ends after ten windows, but waits for ever for a server that hangs.
_MOST_WINDOWS, _PATIENCE_S = 15, 60
_COMPUTE_STEPS = ("Input", "Infer", "Output")
_DELAYED = re.compile(r"([\d.]+)% of the requests were delayed")


@dataclass(frozen=True)
class Asked:
    """What is measured, and how.

    Attributes:
        model: the model's name.
        seconds: length of a measurement window; at least three are run until they agree.
        repository: where the model's own sample is looked for.
        rows_per_request: how many rows each request carries.
        rows: a file in perf_analyzer's format, in place of the model's own sample.

    Raises:
        UnusableOption: a time or a number of rows that is not positive.
    """

    model: str
    seconds: float
    repository: Path
    rows_per_request: int = 1
    rows: Path | None = None

    def __post_init__(self) -> None:
        if not SHORTEST_S <= self.seconds <= LONGEST_S:
            wanted = f"a time from {SHORTEST_S} to {LONGEST_S}"
            raise UnusableOption("--seconds", self.seconds, wanted)
        if self.rows_per_request < 1:
            raise UnusableOption("--rows", self.rows_per_request, "a number from 1")


@dataclass(frozen=True)
class Part:
    """What a model, or one step of an ensemble, did meanwhile. Times in microseconds a request."""

    model: str
    requests: int
    rows_per_execution: float
    executions_by_rows: Mapping[int, int]
    queue_us: float
    compute_us: float


@dataclass(frozen=True)
class Measured:
    """One row of a sweep. Times in microseconds.

    Attributes:
        concurrency: requests in flight at a time; None where a rate was asked for.
        request_rate: requests a second that were asked for; else None.
        requests_per_s: requests a second that were answered.
        queue_us: wait for a batch or an instance, of an ensemble the sum over its steps.
        compute_us: all else in the model, of an ensemble the sum over its steps.
        rows_per_s: `requests_per_s`, times the rows of a request.
        rows_per_execution: how many rows the server put into one batch, on average.
        delayed_percent: how many requests of a rate left too late.
        rows_from: "sample", "zeros", or the file's name.
        parts: the model, or an ensemble's steps, by the server's own statistics.
    """

    concurrency: int | None
    requests_per_s: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    queue_us: float
    compute_us: float
    request_rate: float | None = None
    way: str = ""
    rows_per_request: int = 1
    rows_per_s: float = 0.0
    rows_per_execution: float = float("nan")
    delayed_percent: float = 0.0
    rows_from: str = ""
    parts: list[Part] = field(default_factory=list)

    @property
    def load(self) -> float:
        """The concurrency, or else the rate."""
        return self.concurrency if self.concurrency is not None else self.request_rate or 0.0


def measure(
    tool: PerfAnalyzer,
    asked: Asked,
    target: Target,
    *,
    concurrency: int | None = None,
    request_rate: float | None = None,
) -> Measured:
    """Measure a model at one concurrency, or at one request rate.

    Args:
        tool: perf_analyzer.
        asked: the model and how it is measured.
        target: the server.
        concurrency: requests in flight at a time.
        request_rate: requests a second, in place of a concurrency.

    Raises:
        UnusableOption: a load that is not positive, or a file that can't be used.
        Unstable: windows did not agree, or the rate could not be kept.
        BenchFailed: perf_analyzer did not measure; with its words.
    """
    load = _load(concurrency, request_rate)
    inspected = Inspected(target, asked.model)
    data, rows_from = _rows(inspected, asked)
    with tempfile.TemporaryDirectory() as folder:
        report, given = Path(folder, "report.csv"), Path(folder, "input.json")
        given.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        arguments = [
            "-m", asked.model, "-i", target.protocol, "-u", target.url,
            "-b", str(asked.rows_per_request), *load,
            "--measurement-interval", str(int(asked.seconds * 1000)),
            "--stability-percentage", "25", "-f", str(report), "--verbose-csv",
            "--shared-memory", target.shared_memory, "--input-data", str(given),
        ]  # fmt: skip
        if target.body == "json":
            arguments += ["--input-tensor-format", "json", "--output-tensor-format", "json"]
        for name, value in target.headers.items():
            arguments += ["-H", f"{name}:{value}"]
        before = inspected.counts()
        done = tool.run(*arguments, timeout_s=_PATIENCE_S + _MOST_WINDOWS * asked.seconds)
        said = done.stderr or done.stdout
        what = f"'{asked.model}' at {target.url} by {target.way}"
        if "Failed to obtain stable measurement" in said + done.stdout:
            raise Unstable(what, concurrency, request_rate)
        if done.returncode or not report.exists():
            inspected.server_version()  # a server that died is told as such
            raise BenchFailed(what, said, remedy(said))
        measured = read_csv(
            report.read_text(encoding="utf-8"), rows_per_request=asked.rows_per_request
        )
    did = since(before, inspected.counts())
    delayed = _DELAYED.search(done.stdout)
    return replace(
        measured,
        concurrency=concurrency,
        request_rate=request_rate,
        way=target.way,
        rows_from=rows_from,
        delayed_percent=float(delayed[1]) if delayed else 0.0,
        **_counted(did, ensemble=inspected.ensemble),
    )


def read_csv(text: str, *, rows_per_request: int = 1) -> Measured:
    """Read perf_analyzer's verbose CSV report of one measurement."""
    row = next(csv.DictReader(text.splitlines()))
    rows_per_s = float(row["Inferences/Second"])
    return Measured(
        concurrency=int(row["Concurrency"]) if "Concurrency" in row else None,
        request_rate=float(row["Request Rate"]) if "Request Rate" in row else None,
        requests_per_s=rows_per_s / rows_per_request,
        rows_per_request=rows_per_request,
        rows_per_s=rows_per_s,
        p50_us=float(row["p50 latency"]),
        p90_us=float(row["p90 latency"]),
        p95_us=float(row["p95 latency"]),
        p99_us=float(row["p99 latency"]),
        queue_us=float(row["Server Queue"]),
        compute_us=sum(float(row[f"Server Compute {step}"]) for step in _COMPUTE_STEPS),
    )


def _load(concurrency: int | None, request_rate: float | None) -> list[str]:
    if (concurrency is None) == (request_rate is None):
        wanted = "a request rate or a concurrency, not both"
        raise UnusableOption("--request-rate", request_rate, wanted)
    if concurrency is not None:
        if concurrency < 1:
            raise UnusableOption("--concurrency", concurrency, "a number from 1")
        return ["--concurrency-range", f"{concurrency}:{concurrency}"]
    if request_rate is None or request_rate <= 0:
        raise UnusableOption("--request-rate", request_rate, "a number above 0")
    return ["--request-rate-range", f"{request_rate}:{request_rate}"]


def _rows(inspected: Inspected, asked: Asked) -> tuple[dict[str, Any], str]:
    if asked.rows is not None:
        return from_file(asked.rows, inspected.inputs), asked.rows.name
    sample = input_data(asked.repository / asked.model)
    own = shaped(sample, inspected.inputs) if sample else None
    return (own, "sample") if own else (zeros(inspected.inputs), "zeros")


def _counted(did: Mapping[str, Counts], *, ensemble: bool) -> dict[str, Any]:
    """Return what the server counted; perf_analyzer itself sees no queue of an ensemble."""
    parts = [
        Part(
            model=name,
            requests=counts.requests,
            rows_per_execution=counts.rows_per_execution,
            executions_by_rows=dict(sorted(counts.batches.items())),
            queue_us=counts.queue_us / counts.requests,
            compute_us=counts.compute_us / counts.requests,
        )
        for name, counts in did.items()
        if counts.requests
    ]
    executions = sum(counts.executions for counts in did.values())
    rows = sum(counts.rows for counts in did.values())
    found: dict[str, Any] = {"parts": parts}
    if executions:
        found["rows_per_execution"] = rows / executions
    if ensemble and parts:
        found["queue_us"] = sum(part.queue_us for part in parts)
        found["compute_us"] = sum(part.compute_us for part in parts)
    return found

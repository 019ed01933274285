"""One perf_analyzer measurement: rows in, numbers out, with what the server counted meanwhile."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geulpi_perf._errors import BenchFailed, Unstable, UnusableOption
from geulpi_perf._inspected import Counts, Inspected, Target, remedy, since
from geulpi_perf._perf_analyzer import PerfAnalyzer
from geulpi_perf._rows import from_file, input_data, shaped, zeros

__all__ = ["Measured", "Part", "Target", "bench", "input_data", "levels", "read_csv"]

_COMPUTE_STEPS = ("Input", "Infer", "Output")
_DELAYED = re.compile(r"([\d.]+)% of the requests were delayed")


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


def bench(
    tool: PerfAnalyzer,
    model: str,
    target: Target,
    *,
    seconds: float,
    repository: Path,
    concurrency: int | None = None,
    request_rate: float | None = None,
    rows_per_request: int = 1,
    rows: Path | None = None,
) -> Measured:
    """Measure a model at one concurrency, or at one request rate.

    Args:
        tool: perf_analyzer.
        model: the model's name.
        target: the server.
        seconds: length of a measurement window; at least three are run until they agree.
        repository: where the model's own sample is looked for.
        concurrency: requests in flight at a time.
        request_rate: requests a second, in place of a concurrency.
        rows_per_request: how many rows each request carries.
        rows: a file in perf_analyzer's format, in place of the model's own sample.

    Raises:
        UnusableOption: a load or time that is not positive, or a file that can't be used.
        Unstable: windows did not agree, or the rate could not be kept.
        BenchFailed: perf_analyzer did not measure; with its words.
    """
    _check(concurrency, request_rate, seconds, rows_per_request)
    inspected = Inspected(target, model)
    data, rows_from = _rows(inspected, repository / model, rows)
    with tempfile.TemporaryDirectory() as folder:
        report, given = Path(folder, "report.csv"), Path(folder, "input.json")
        given.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        arguments = [
            "-m", model, "-i", target.protocol, "-u", target.url, "-b", str(rows_per_request),
            *_load(concurrency, request_rate), "--measurement-interval", str(int(seconds * 1000)),
            "--stability-percentage", "25", "-f", str(report), "--verbose-csv",
            "--shared-memory", target.shared_memory, "--input-data", str(given),
        ]  # fmt: skip
        if target.body == "json":
            arguments += ["--input-tensor-format", "json", "--output-tensor-format", "json"]
        for name, value in target.headers.items():
            arguments += ["-H", f"{name}:{value}"]
        before = inspected.counts()
        done = tool.run(*arguments)
        said = done.stderr or done.stdout
        what = f"'{model}' at {target.url}"
        if "Failed to obtain stable measurement" in said + done.stdout:
            raise Unstable(what, concurrency, request_rate)
        if done.returncode or not report.exists():
            raise BenchFailed(what, said, remedy(said))
        measured = read_csv(report.read_text(encoding="utf-8"), rows_per_request=rows_per_request)
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


def levels(text: str, option: str) -> list[int]:
    """Return the steps of a sweep.

    "1,8,64" are those, "1:64" doubles from the first to the last, "10:50:10" goes in steps of 10.

    Raises:
        UnusableOption: it is none of these, or not from 1 upwards.
    """
    expected = "numbers from 1: 1,8,64, or 1:64 (doubling), or 10:50:10 (in steps of 10)"
    try:
        steps = list(dict.fromkeys(n for part in text.split(",") for n in _range(part)))
    except ValueError as error:
        raise UnusableOption(option, text, expected) from error
    if not steps or min(steps) < 1:
        raise UnusableOption(option, text, expected)
    return steps


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


def _check(
    concurrency: int | None, request_rate: float | None, seconds: float, rows_per_request: int
) -> None:
    if concurrency is not None and concurrency < 1:
        raise UnusableOption("--concurrency", concurrency, "a number from 1")
    if request_rate is not None and request_rate <= 0:
        raise UnusableOption("--request-rate", request_rate, "a number above 0")
    if (concurrency is None) == (request_rate is None):
        raise UnusableOption(
            "--request-rate", request_rate, "a request rate or a concurrency, not both"
        )
    if seconds < 0.001:
        raise UnusableOption("--seconds", seconds, "a time from 0.001")
    if rows_per_request < 1:
        raise UnusableOption("--rows", rows_per_request, "a number from 1")


def _load(concurrency: int | None, request_rate: float | None) -> list[str]:
    if concurrency is not None:
        return ["--concurrency-range", f"{concurrency}:{concurrency}"]
    return ["--request-rate-range", f"{request_rate}:{request_rate}"]


def _range(part: str) -> Iterator[int]:
    numbers = [int(number) for number in part.split(":")]
    if len(numbers) == 1:
        yield numbers[0]
        return
    first, last, *step = numbers
    if first < 1 or last < first or len(step) > 1 or min(step, default=1) < 1:
        raise ValueError(part)
    while first < last:
        yield first
        first = first + step[0] if step else 2 * first
    if first == last or not step:
        yield last


def _rows(inspected: Inspected, entry: Path, rows: Path | None) -> tuple[dict[str, Any], str]:
    if rows is not None:
        return from_file(rows, inspected.inputs), rows.name
    sample = input_data(entry)
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

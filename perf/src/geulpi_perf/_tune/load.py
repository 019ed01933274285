"""Closed-loop load of one model from its own sample, by perf_analyzer, one row a request."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geulpi_perf._bench.measure import read_csv
from geulpi_perf._errors import BenchFailed
from geulpi_perf._perf_analyzer import PerfAnalyzer

__all__ = ["Load", "Measured"]

FEWEST = 20  # answers that a measurement has at least, however slow the model
WINDOWS = 3  # perf_analyzer measures that often before it calls anything stable


@dataclass(frozen=True)
class Measured:
    """What one measurement saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Load:
    """Requests to one server.

    Attributes:
        tool: perf_analyzer.
        url: `host:port` of the server's gRPC API.
        header: what opens the model-config API, which perf_analyzer reads.
        rows: what each request carries, as perf_analyzer reads it.
    """

    tool: PerfAnalyzer
    url: str
    header: tuple[str, str]
    rows: dict[str, Any]

    def measured(self, model: str, concurrency: int, seconds: float, alone_s: float) -> Measured:
        """Measure a model with so many requests in flight.

        Args:
            model: under which name it is served.
            concurrency: requests in flight.
            seconds: to measure; longer where one request, which takes `alone_s`, needs that.

        Raises:
            BenchFailed: perf_analyzer did not measure.
        """
        window_s = max(seconds, FEWEST * alone_s) / WINDOWS
        with tempfile.TemporaryDirectory() as folder:
            data, report = Path(folder, "input.json"), Path(folder, "report.csv")
            data.write_text(json.dumps(self.rows, ensure_ascii=False), encoding="utf-8")
            done = self.tool.run(
                "-m", model, "-i", "grpc", "-u", self.url, "--input-data", data,
                "--concurrency-range", f"{concurrency}:{concurrency}",
                "--measurement-interval", str(math.ceil(window_s * 1000)),
                # Our repetitions judge the noise: the first three windows always count.
                "--stability-percentage", "999",
                "-H", f"triton-grpc-protocol-{self.header[0]}:{self.header[1]}",
                "-f", report, "--verbose-csv",
            )  # fmt: skip
            if done.returncode or not report.exists():
                said = done.stderr or done.stdout
                raise BenchFailed(f"'{model}'", said, "see what perf_analyzer says")
            seen = read_csv(report.read_text(encoding="utf-8"))
        return Measured(seen.requests_per_s, seen.p50_us / 1000, seen.p99_us / 1000)

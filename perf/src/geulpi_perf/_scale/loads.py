"""Loads on servers that were started for a curve; each becomes a point."""

from __future__ import annotations

import math
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from geulpi_server import EmbeddedTriton

from geulpi_perf._bench.measure import Asked, measure
from geulpi_perf._bench.targets import Target
from geulpi_perf._errors import BenchFailed, Unstable
from geulpi_perf._forest import ROW, Forest, make_forest
from geulpi_perf._perf_analyzer import PerfAnalyzer, find_perf_analyzer
from geulpi_perf._scale.caller import callers
from geulpi_perf._scale.cpu import Meter
from geulpi_perf._scale.results import Point
from geulpi_perf._wrk import find_wrk, load

__all__ = ["Workshop"]

WARM_UP_S = 0.2
Say = Callable[[str], None]


@dataclass
class Workshop:
    """What all curves share.

    Attributes:
        folder: for models and repositories.
        seconds: of a measurement window.
        say: tells what is being done.
        note: tells what stays on the screen.
    """

    folder: Path
    seconds: float
    say: Say
    note: Say

    @cached_property
    def forest(self) -> Forest:
        """The forest of 100 trees and 20 features."""
        self.say("training and converting the forest …")
        folder = self.folder / "forest"
        folder.mkdir()
        return make_forest(folder)

    @cached_property
    def tool(self) -> PerfAnalyzer:
        """Triton's perf_analyzer."""
        return find_perf_analyzer()

    def serve(self, stack: ExitStack, repository: Path) -> EmbeddedTriton:
        """Start a server that runs until the stack is closed."""
        self.say(f"starting Triton with {len(list(repository.iterdir()))} models …")
        return stack.enter_context(EmbeddedTriton(repository, start_timeout_s=300))

    def over_grpc(
        self,
        triton: EmbeddedTriton,
        model: str,
        series: str,
        x: float,
        *,
        in_flight: int,
        rows: int = 1,
        more: Mapping[str, float] | None = None,
    ) -> list[Point]:
        """Measure with perf_analyzer; no point where its windows do not agree, twice."""
        self.say(f"{model}: {rows} rows, {in_flight} in flight …")
        target = Target("grpc", triton.grpc_url, triton.control_header)
        for seconds in (self.seconds, 2 * self.seconds):
            asked = Asked(model, seconds, triton.model_repository, rows_per_request=rows)
            try:
                with Meter() as meter:
                    found = measure(self.tool, asked, target, concurrency=in_flight)
            except Unstable:
                continue
            return [
                Point(
                    series, x, found.rows_per_s, found.p50_us / 1000, found.p99_us / 1000,
                    meter.cores, meter.busiest, more or {},
                )
            ]  # fmt: skip
        self.note(f"left out, for its windows did not agree: {series} at {x:g}")
        return []

    def over_http(self, triton: EmbeddedTriton, model: str, series: str, x: float) -> Point:
        """Measure single rows in JSON with wrk."""
        self.say(f"{model}: single rows over HTTP …")
        url = f"{triton.http_url}/v2/models/{model}/infer"
        tensor = {"name": "X", "shape": [1, len(ROW)], "datatype": "FP32", "data": ROW}
        with Meter() as meter:
            found = load(find_wrk(), url, {"inputs": [tensor]}, self.folder, seconds=self.seconds)
        if found.errors:
            raise BenchFailed(f"'{model}'", f"{found.errors} requests failed", "try again")
        return Point(series, x, found.requests_per_s, found.p50_ms, found.p99_ms,
                     meter.cores, meter.busiest)  # fmt: skip

    def through_client(
        self,
        triton: EmbeddedTriton,
        models: list[str],
        series: str,
        x: float,
        *,
        processes: int = 1,
        in_flight: int = 32,
        more: Mapping[str, float] | None = None,
    ) -> Point:
        """Measure with processes that use the client."""
        self.say(f"{processes} processes ask {len(models)} models …")
        with callers(processes, triton.grpc_url, models, in_flight=in_flight) as ready, (
            Meter()
        ) as meter:  # fmt: skip
            found = ready.ask(self.seconds)
        return Point(series, x, found.rows_per_s, found.p50_ms, found.p99_ms, meter.cores,
                     meter.busiest, more or {})  # fmt: skip

    def one_by_one(
        self, ask: Callable[[], object], series: str, x: float, more: Mapping[str, float]
    ) -> Point:
        """Measure a call of this process, one after another."""
        _repeated(ask, min(WARM_UP_S, self.seconds))
        with Meter() as meter:
            took_ms = _repeated(ask, self.seconds)
        p50, p99 = (float(value) for value in np.percentile(took_ms, (50, 99)))
        rate = 1000 / math.fsum(took_ms) * len(took_ms)
        return Point(series, x, rate, p50, p99, meter.cores, meter.busiest, more)


def control(triton: EmbeddedTriton, model: str, action: str) -> float:
    """Let Triton `load` or `unload` a model; return how many seconds that took."""
    request = urllib.request.Request(
        f"{triton.http_url}/v2/repository/models/{model}/{action}",
        data=b"{}",
        headers=dict([triton.control_header]),
    )
    begin_s = time.perf_counter()
    urllib.request.urlopen(request, timeout=120).close()
    return time.perf_counter() - begin_s


def _repeated(ask: Callable[[], object], seconds: float) -> list[float]:
    took_ms: list[float] = []
    begin_s = now_s = time.perf_counter()
    while now_s < begin_s + seconds:
        ask()
        asked_s, now_s = now_s, time.perf_counter()
        took_ms.append((now_s - asked_s) * 1000)
    return took_ms

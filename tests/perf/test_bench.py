"""What is read and written around perf_analyzer and wrk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from geulpi_perf._bench import Target, bench, input_data, read_csv
from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._perf_analyzer import find_perf_analyzer
from geulpi_perf._wrk import read_wrk

CSV = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,"
    "p90 latency,p95 latency,p99 latency,Avg latency,request/response,response wait\n"
    "8,1349.49,7,962,1927,122,2123,764,2,5560,8700,9932,13362,5910,9,5872\n"
)
WRK = """
    Latency   Distribution
     50%   10.48ms
     99%    1.02s
  45000 requests in 5.00s, 12.00MB read
  Socket errors: connect 0, read 2, write 1, timeout 0
  Non-2xx or 3xx responses: 4
Requests/sec:   9103.21
"""


def test_perf_analyzers_report_is_read() -> None:
    """Throughput, percentiles, queue and the three compute steps together."""
    measured = read_csv(CSV)
    assert (measured.concurrency, measured.requests_per_s) == (8, 1349.49)
    assert (measured.p50_us, measured.p99_us) == (5560, 13362)
    assert measured.queue_us == 1927
    assert measured.compute_us == 122 + 2123 + 764


def test_wrks_report_is_read() -> None:
    """Rates, latencies in whatever unit, and every kind of error; anything else is a failure."""
    load = read_wrk(WRK)
    assert (load.requests_per_s, load.p50_ms, load.p99_ms) == (9103.21, 10.48, 1020)
    assert load.errors == 7
    with pytest.raises(BenchFailed):
        read_wrk("unable to connect")


def test_input_data_is_the_models_own_sample(root: Path, tmp_path: Path) -> None:
    """The committed classifier's warm-up row, as perf_analyzer takes it; None where none is."""
    data = input_data(root / "model_repository" / "event_classifier")
    (row,) = data["data"]
    assert set(row) == {"title", "weekday", "hour", "duration_minutes"}
    assert isinstance(row["title"][0], str)
    assert isinstance(row["weekday"][0], int)
    assert input_data(tmp_path) is None


def test_perf_analyzer_runs() -> None:
    """The real program, set up if it was not there."""
    assert find_perf_analyzer().run("--version").returncode == 0


@pytest.mark.parametrize(("concurrency", "seconds"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
def test_a_measurement_of_nothing_is_refused(
    tmp_path: Path, concurrency: int, seconds: float
) -> None:
    """Before anything runs."""
    with pytest.raises(UnusableOption):
        bench(
            find_perf_analyzer(), "m", Target("grpc", "localhost:1", None),
            concurrency=concurrency, seconds=seconds, repository=tmp_path,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["m", "--concurrency", "one"], 2, "--concurrency"),
        (["m", "--protocol", "smtp"], 2, "smtp"),
        (["m", "--url", "localhost:1", "--seconds", "0.2"], 1, "start the server"),
    ],
)
def test_the_command_explains_bad_input(arguments: list[str], code: int, words: str) -> None:
    """Exit code 2 for wrong use, 1 for failure, no traceback."""
    done = subprocess.run(
        [Path(sys.executable).with_name("geulpi"), "bench", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout or json.loads(done.stdout)

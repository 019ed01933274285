"""What is read and written around perf_analyzer and wrk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from geulpi_perf._bench.measure import Asked, measure, read_csv
from geulpi_perf._bench.rows import input_data, zeros
from geulpi_perf._bench.sweep import levels
from geulpi_perf._bench.targets import Body, Protocol, SharedMemory, Target, targets
from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._perf_analyzer import SDK_CONTAINER, PerfAnalyzer, find_perf_analyzer
from geulpi_perf._wrk import read_wrk
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from geulpi_server._keys import remembered

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
    assert load.requests_per_s == pytest.approx(9103.21 * (1 - 4 / 45_000))  # 4 were refused
    assert (load.p50_ms, load.p99_ms) == (10.48, 1020)
    assert load.errors == 7
    with pytest.raises(BenchFailed):
        read_wrk("unable to connect")


def test_input_data_is_the_models_own_sample(root: Path, tmp_path: Path) -> None:
    """The committed classifier's warm-up row, as perf_analyzer takes it; None where none is."""
    data = input_data(root / "model_repository" / "event_classifier")
    assert data is not None
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
        measure(
            find_perf_analyzer(),
            Asked("m", seconds, tmp_path),
            Target("grpc", "localhost:1", None),
            concurrency=concurrency,
        )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["m", "--concurrency", "one"], 2, "--concurrency"),
        (["m", "--request-rate", ""], 2, "--request-rate"),
        (["m", "--protocol", "smtp"], 2, "smtp"),
        (["m", "--seconds", "nan"], 2, "--seconds"),
        (["m", "--url", "localhost"], 2, "host:port"),
        (["m", "--url", "localhost:80010"], 2, "host:port"),
        (["m", "--url", "nowhere.invalid:8001"], 1, "start the server"),
        (["m", "--url", ""], 2, "host:port"),
        (["m", "--url", "a:1,b:2"], 2, "one host:port"),
        (["m", "--output", "/dev/null/here"], 2, "--output"),
        (["m", "--url", "localhost:1"], 1, "start the server"),
        (["m", "--url", "localhost:1", "--protocol", "http"], 1, "start the server"),
    ],
)
def test_the_command_explains_bad_input(arguments: list[str], code: int, words: str) -> None:
    """Exit code 2 for wrong use, 1 for failure, no traceback."""
    assert_explained(geulpi_bench(*arguments), code, words)


def test_the_key_of_this_machines_server_goes_nowhere_else(tmp_path: Path) -> None:
    """Another host's port is asked without it, unless it is given."""
    ways = (Protocol.GRPC, Body.BINARY, SharedMemory.NONE)
    with remembered(("geulpi-control-key", "secret"), (8001,)):
        (here,) = targets(None, *ways, None)
        (there,) = targets("gpu1:8001", *ways, None)
        (given,) = targets("gpu1:8001", *ways, "theirs")
    assert here.control_header == ("geulpi-control-key", "secret")
    assert there.control_header is None
    assert given.control_header == ("geulpi-control-key", "theirs")


@pytest.fixture(scope="module")
def server(hand_made: Path) -> Iterator[EmbeddedTriton]:
    """A server that someone else started: the bench knows its address and nothing else."""
    with EmbeddedTriton(hand_made) as running:
        yield running


def geulpi_bench(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`geulpi bench`, as one types it."""
    command = [sys.executable, "-m", "geulpi", "bench"]
    return subprocess.run(
        [*command, *arguments, *(() if "--seconds" in arguments else ("--seconds", "0.2"))],
        capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"} | env,
    )  # fmt: skip


def assert_explained(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """A sentence and what to do, nothing on stdout and no traceback."""
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def places(server: EmbeddedTriton) -> str:
    """gRPC's and HTTP's address."""
    return f"{server.grpc_url},{server.http_url}"


def test_a_strangers_model_is_measured_in_every_way(server: EmbeddedTriton, tmp_path: Path) -> None:
    """gRPC, HTTP, JSON and shared memory; an open dimension; table, JSON, CSV and plots."""
    done = geulpi_bench(
        "sum", "--url", places(server), "--protocol", "both", "--body", "both",
        "--shared-memory", "both", "--concurrency", "1:2", "--control-key",
        server.control_header[1], "--output", tmp_path, "--json",
    )  # fmt: skip
    said = json.loads(done.stdout)
    rows = said["rows"]
    measured = {(row["way"], row["concurrency"]) for row in rows}
    assert measured | left_out(done.stderr) >= {("grpc", 1), ("grpc", 2)}
    assert {way for way, _ in measured} <= {"grpc", "grpc shm", "http", "http shm", "http json"}
    for row in rows:
        assert row["requests_per_s"] > 0
        assert 0 < row["p50_us"] <= row["p90_us"] <= row["p95_us"] <= row["p99_us"]
        assert row["rows_from"] == "zeros"
        assert 1 <= row["rows_per_execution"] <= 2
    assert json.loads((tmp_path / "sum.json").read_text()) == said
    assert said["versions"]["tritonserver"] == "2.51.0"
    assert "perf_analyzer" in said["versions"]
    assert said["command"].startswith("geulpi bench sum --url")
    assert said["ended_by"] is None
    assert server.control_header[1] not in (tmp_path / "sum.json").read_text()
    lines = (tmp_path / "sum.csv").read_text().splitlines()
    assert len(lines) == len(rows) + 1
    page = (tmp_path / "sum.html").read_text()
    assert page.count("<svg") == 4
    assert all(html in page for html in ("p99, ms", "http json", server.grpc_url))
    assert (tmp_path / "sum.png").read_bytes().startswith(b"\x89PNG")


def left_out(said: str) -> set[tuple[str, int]]:
    """What a busy machine could not measure steadily, said on stderr."""
    return {("grpc", int(n)) for n in re.findall(r"Left out: .* at concurrency (\d+)", said)}


def test_strings_and_an_ensemble(
    triton: EmbeddedTriton, root: Path, server: EmbeddedTriton
) -> None:
    """Empty strings where no sample is; an ensemble's own sample, and what its steps took."""
    tool = find_perf_analyzer()
    target = Target("grpc", server.grpc_url, None)
    text = measure(tool, Asked("text", 0.2, root), target, concurrency=4)
    assert text.rows_from == "zeros"
    assert text.rows_per_execution > 1
    assert sum(text.parts[0].executions_by_rows.values()) > 0
    week = measure(
        tool, Asked("week_insights", 0.5, root / "model_repository"),
        Target("http", triton.http_url.removeprefix("http://"), None), concurrency=1,
    )  # fmt: skip
    assert week.rows_from == "sample"
    assert {"pattern_detector", "burnout_index"} <= {part.model for part in week.parts}
    assert week.queue_us == pytest.approx(sum(part.queue_us for part in week.parts))


def test_a_request_rate_and_rows_of_a_file(server: EmbeddedTriton, tmp_path: Path) -> None:
    """The rate is kept; several rows a request count as such."""
    rows = tmp_path / "mine.json"
    rows.write_text(json.dumps({"data": [{"T": ["치과"]}, {"T": ["dentist"]}]}))
    done = geulpi_bench(
        "text", "--url", server.grpc_url, "--request-rate", "50", "--rows", "2",
        "--input-data", rows, "--json",
    )  # fmt: skip
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["request_rate"], row["concurrency"], row["rows_per_request"]) == (50, None, 2)
    assert row["rows_per_s"] == pytest.approx(2 * row["requests_per_s"])
    assert row["rows_from"] == "mine.json"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing"], 1, "name a model that is served"),
        (["sum", "--shared-memory", "system"], 1, "--control-key"),
        (["sum", "--input-data", "missing.json"], 2, "missing.json"),
        (["sum", "--protocol", "both"], 2, "comma"),
        (["sum", "--body", "json"], 2, "--protocol http"),
        (["sum", "--rows", "0"], 2, "--rows"),
        (["sum", "--rows", "1000"], 1, "--rows"),
        (["sum", "--concurrency", "8:1"], 2, "doubling"),
        (["sum", "--request-rate", "0"], 2, "--request-rate"),
    ],
)
def test_a_running_server_explains_bad_input(
    server: EmbeddedTriton, arguments: list[str], code: int, words: str
) -> None:
    """Misuse is told from failure."""
    assert_explained(geulpi_bench(*arguments, "--url", server.grpc_url), code, words)


@pytest.mark.parametrize(
    "content",
    [
        "no JSON", b"\xff", "[]", "{}", '{"data": []}', '{"data": [1]}', '{"data": {"T": ["a"]}}',
        '{"data": [{"X": [1]}]}', '{"data": [{"T": ["a"]}, {"X": ["a"]}]}',
    ],
)  # fmt: skip
def test_rows_for_another_model_are_refused(
    server: EmbeddedTriton, tmp_path: Path, content: str | bytes
) -> None:
    """The answer shows what a file should hold."""
    rows = tmp_path / "rows.json"
    rows.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = geulpi_bench("text", "--url", server.grpc_url, "--input-data", rows)
    assert_explained(done, 2, str(rows), '{"data": [{"T": […]}]}')


def test_a_sample_that_can_not_be_read_is_said(server: EmbeddedTriton, tmp_path: Path) -> None:
    """A repository whose entry is broken is not passed over in silence."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.pbtxt").write_text("name: ")
    done = geulpi_bench("text", "--url", server.grpc_url, "--model-repository", tmp_path)
    assert_explained(done, 2, "--model-repository", "'text'", "--input-data")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_port_of_something_else(
    server: EmbeddedTriton, valkey: EmbeddedValkey, website: str, protocol: str
) -> None:
    """The other protocol's port, Redis, a website that answers all with JSON."""
    theirs = server.http_url.removeprefix("http://") if protocol == "grpc" else server.grpc_url
    for place in (theirs, valkey.url.removeprefix("redis://").split("/")[0], website):
        done = geulpi_bench("sum", "--protocol", protocol, "--url", place)
        assert_explained(done, 1, place, "name the port of --protocol")


@pytest.fixture
def website() -> Iterator[str]:
    """Something that answers 200 and JSON, whatever it is asked."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Answer) as site:
        threading.Thread(target=site.serve_forever).start()
        yield f"localhost:{site.server_port}"
        site.shutdown()


@pytest.mark.parametrize("cache", ["empty", "not a folder"])
def test_without_perf_analyzer_the_container_is_named(
    server: EmbeddedTriton, tmp_path: Path, cache: str
) -> None:
    """Nothing on PATH, nothing in the cache, no network: how to measure nevertheless."""
    home = tmp_path / "home"
    home.mkdir() if cache == "empty" else home.write_text("")
    done = geulpi_bench(
        "sum", "--url", server.grpc_url, PATH="", XDG_CACHE_HOME=str(home),
        UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "uv"), PIP_NO_INDEX="1", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert_explained(done, 1, "perf_analyzer is not to be had", "docker run", "-py3-sdk")
    assert not list(tmp_path.rglob("*perf_analyzer*"))


def test_a_model_that_refuses_zeros_says_so(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Its own words, and that rows can be given."""
    done = geulpi_bench(
        "week_insights", "--url", triton.grpc_url, "--model-repository", tmp_path,
        "--concurrency", "1",
    )  # fmt: skip
    assert done.returncode == 1
    assert "calendar is" in done.stderr
    assert "--input-data" in done.stderr


def test_the_container_is_the_same_everywhere(root: Path) -> None:
    """The line in the error, the README and --help; the release is that of docker-compose.yml."""
    words = SDK_CONTAINER.split()
    for told in ((root / "perf" / "README.md").read_text(), geulpi_bench("--help").stdout):
        assert " ".join(words) in " ".join(told.replace("\\", "").split())
    release = words[words.index("perf_analyzer") - 1].removesuffix("-sdk").partition(":")[2]
    assert f"TRITON_TAG:-{release}" in (root / "docker-compose.yml").read_text()


class Sweeping:
    """`geulpi bench` in the background, in the middle of its last load.

    Three come before it, for a busy machine may measure one or two of them unsteadily.
    """

    def __init__(self, *arguments: str | Path) -> None:
        loads = ["--concurrency", "1,3,4,2", "--seconds", "0.4"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "geulpi", "bench", *arguments, *loads, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.analyzers = self._at_concurrency("2")

    def end(self) -> tuple[int, dict[str, Any], str]:
        """Return its exit code, what it printed, and what it said on stderr."""
        printed, said = self.process.communicate(timeout=60)
        assert not psutil.wait_procs(self.analyzers, timeout=5)[1]
        assert "Traceback" not in said
        return self.process.returncode, json.loads(printed), said

    def _at_concurrency(self, number: str) -> list[psutil.Process]:
        ours = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            for child in ours.children():
                with suppress(psutil.NoSuchProcess):
                    if f"{number}:{number}" in child.cmdline():
                        return [child]
            time.sleep(0.02)
        pytest.fail(f"it ended early: {self.process.communicate()}")


def assert_kept(printed: dict[str, Any]) -> None:
    """There are rows of the loads before the last, and none of the last."""
    measured = {row["concurrency"] for row in printed["rows"]}
    assert measured
    assert measured <= {1, 3, 4}


def test_an_interrupt_keeps_what_was_measured(server: EmbeddedTriton, tmp_path: Path) -> None:
    """Ctrl-C: 130, nothing goes on in the background, and the rows are shown and written."""
    sweeping = Sweeping("sum", "--url", server.grpc_url, "--output", tmp_path)
    sweeping.process.send_signal(signal.SIGINT)
    code, printed, said = sweeping.end()
    assert code == 130
    assert_kept(printed)
    assert printed["ended_by"] == "Ctrl-C"
    assert f"{len(printed['rows'])} of 4 loads" in said
    assert json.loads((tmp_path / "sum.json").read_text()) == printed
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv", ".html", ".png"}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_dies_keeps_what_was_measured(hand_made: Path, protocol: str) -> None:
    """Killed in the middle of the last load: the others are printed, then the error is told."""
    with EmbeddedTriton(hand_made) as dying:
        place = dying.grpc_url if protocol == "grpc" else dying.http_url.removeprefix("http://")
        sweeping = Sweeping("sum", "--url", place, "--protocol", protocol)
        psutil.Process(dying.pid).kill()
        code, printed, said = sweeping.end()
    assert code == 1
    assert_kept(printed)
    assert place in printed["ended_by"]
    assert "start the server" in said


def test_an_interrupt_before_anything_was_measured(server: EmbeddedTriton) -> None:
    """130, and nothing on stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "geulpi", "bench", "sum", "--url", server.grpc_url,
         "--seconds", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ours = psutil.Process(process.pid)
    while not (children := ours.children()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not printed
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=5)[1]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1,8,64", [1, 8, 64]),
        ("1:64", [1, 2, 4, 8, 16, 32, 64]),
        ("1:5", [1, 2, 4, 5]),
        ("10:50:10", [10, 20, 30, 40, 50]),
        ("7:7", [7]),
        ("1,1:2", [1, 2]),
    ],
)
def test_sweeps(text: str, steps: list[int]) -> None:
    """Lists, doubling and steps."""
    assert levels(text, "--concurrency") == steps


@pytest.mark.parametrize("text", ["", "a", "0:8", "8:1", "1:8:0", "1:2:3:4", "-1", "1.5"])
def test_no_sweep(text: str) -> None:
    """What is none is refused."""
    with pytest.raises(UnusableOption):
        levels(text, "--concurrency")


def test_zeros_have_the_shape_that_is_asked_for() -> None:
    """Each data type; open dimensions are 1."""
    data = zeros(
        [
            {"name": "n", "data_type": "TYPE_FP32", "dims": ["-1", "3"]},
            {"name": "s", "data_type": "TYPE_STRING", "dims": [2]},
            {"name": "h", "data_type": "TYPE_FP16", "dims": [1]},
        ]
    )
    assert data == {
        "data": [
            {
                "n": {"content": [0, 0, 0], "shape": [1, 3]},
                "s": {"content": ["", ""], "shape": [2]},
                "h": {"b64": "AAA=", "shape": [1]},
            }
        ]
    }


def test_a_server_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """perf_analyzer itself has no time limit."""
    waiting = tmp_path / "perf_analyzer"
    waiting.write_text("#!/bin/sh\nexec sleep 600\n")
    waiting.chmod(0o755)
    with pytest.raises(BenchFailed, match=r"no end within 1 s[\s\S]*geulpi status"):
        PerfAnalyzer(waiting, "unknown", dict(os.environ)).run(timeout_s=1.0)

"""The README's figures: start, first request, and a forest beside FastAPI with micro-batches.

    python -m geulpi_perf.figures        (or: make perf)

Both servers run on this machine, one after the other in alternating rounds, under the same load
generator (wrk) with the same rows: one JSON request is one row. What counts is their ratio.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from geulpi_client import Event, GeulpiClient
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from rich.console import Console
from rich.table import Table

from geulpi_perf._errors import BenchFailed, PerfError, ToolMissing

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[3]
PEER = ROOT / "perf" / "peers" / "fastapi_microbatch"
RESULTS = ROOT / "perf" / "results" / "figures.json"
ROUNDS = 3
SECONDS = 5
CONNECTIONS = 100
CALLS = 300

# The forest that both serve, and the rows that conversion is judged by.
FOREST = """
import sys, joblib, numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
X, y = make_classification(2000, 20, random_state=0)
X = X.astype(np.float32)
joblib.dump(RandomForestClassifier(100, random_state=0).fit(X, y), sys.argv[1])
np.save(sys.argv[2], X)
"""


@dataclass(frozen=True)
class Load:
    """What wrk measured in one round."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def main() -> None:
    """Measure, print a table and write perf/results/figures.json."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("") as status:
        try:
            wrk = _find_wrk()
            start_s, first_ms = measure_start(status.update)
            miss_ms, hit_ms = measure_cache(status.update)
            rounds = measure_forest(Path(folder), wrk, status.update)
        except PerfError as error:
            sys.exit(f"perf: {error}")
    ratios = [
        triton.requests_per_s / peer.requests_per_s
        for triton, peer in zip(rounds["triton"], rounds["fastapi"], strict=True)
    ]
    table = Table("figure", "measured", title=f"{os.cpu_count()} cores")
    table.add_row("start to ready, event_classifier, warm", f"{start_s:.2f} s")
    table.add_row("first request after ready", f"{first_ms:.1f} ms")
    table.add_row("one title through the client, not cached", f"{miss_ms:.2f} ms (median)")
    table.add_row("one title through the client, cached", f"{hit_ms:.2f} ms (median)")
    for name, loads in rounds.items():
        middle = statistics.median(load.requests_per_s for load in loads)
        table.add_row(
            f"forest on {name}, HTTP, {CONNECTIONS} connections",
            f"{middle:,.0f} requests/s, p50 {statistics.median(x.p50_ms for x in loads):.1f} ms, "
            f"p99 {statistics.median(x.p99_ms for x in loads):.1f} ms, "
            f"{sum(load.errors for load in loads)} errors",
        )
    table.add_row(
        "ratio, round by round",
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
    )
    console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    report = {
        "start_s": start_s,
        "first_request_ms": first_ms,
        "miss_ms": miss_ms,
        "hit_ms": hit_ms,
        "rounds": {name: [asdict(load) for load in loads] for name, loads in rounds.items()},
        "ratios": ratios,
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"written: {RESULTS.relative_to(ROOT)}")


def measure_start(say: Callable[[str], None]) -> tuple[float, float]:
    """Return start-to-ready in seconds and the first request in ms, of a second (warm) start."""
    body = {
        "inputs": [
            {"name": "title", "datatype": "BYTES", "shape": [1, 1], "data": ["치과 예약"]},
            *(
                {"name": name, "datatype": "INT64", "shape": [1, 1], "data": [-1]}
                for name in ("weekday", "hour", "duration_minutes")
            ),
        ]
    }
    found = (0.0, 0.0)
    for which in ("cold", "warm"):
        say(f"measuring the start ({which}) …")
        started = time.perf_counter()
        with EmbeddedTriton(ROOT / "model_repository") as triton:
            ready = time.perf_counter()
            url = f"{triton.http_url}/v2/models/event_classifier/infer"
            with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=30) as answer:
                answer.read()
            found = (ready - started, (time.perf_counter() - ready) * 1000)
    return found


def measure_cache(say: Callable[[str], None]) -> tuple[float, float]:
    """Return the median of a classify call in ms: answered by Triton, answered by the cache."""
    say("measuring calls through the client …")
    with (
        EmbeddedValkey() as valkey,
        EmbeddedTriton(ROOT / "model_repository") as triton,
        GeulpiClient(triton.grpc_url, cache=valkey.url) as geulpi,
    ):
        titles = [Event(title=f"team meeting {number}") for number in range(CALLS)]
        times = []
        for _ in ("miss", "hit"):
            taken = []
            for title in titles:
                started = time.perf_counter()
                geulpi.classify([title])
                taken.append((time.perf_counter() - started) * 1000)
            times.append(statistics.median(taken))
    return times[0], times[1]


def measure_forest(folder: Path, wrk: str, say: Callable[[str], None]) -> dict[str, list[Load]]:
    """Return the rounds of both servers, in alternation."""
    say("training and converting the forest …")
    model, sample = folder / "forest.joblib", folder / "rows.npy"
    repository = folder / "repository"
    geulpi = Path(sys.executable).with_name("geulpi")
    _run(sys.executable, "-c", FOREST, model, sample)
    _run(geulpi, "convert", model, "--trust", "--sample", sample, "--name", "forest",
         "--repository", repository)  # fmt: skip
    row = [round(0.1 * n, 1) for n in range(20)]
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 20], "data": row}
    say("setting up the FastAPI environment …")
    python = _peer_environment()
    rounds: dict[str, list[Load]] = {"triton": [], "fastapi": []}
    with EmbeddedTriton(repository) as triton, _peer(python, model) as peer:
        targets = {
            "triton": (f"{triton.http_url}/v2/models/forest/infer", {"inputs": [tensor]}),
            "fastapi": (f"{peer}/predict", {"row": row}),
        }
        for number in range(ROUNDS + 1):
            for name, (url, body) in targets.items():
                say(f"round {number} of {ROUNDS}: {name} …" if number else f"warming {name} …")
                load = _load(wrk, url, body, folder, seconds=SECONDS if number else 2)
                if number:
                    rounds[name].append(load)
    return rounds


def _load(wrk: str, url: str, body: object, folder: Path, *, seconds: int) -> Load:
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{json.dumps(body)}]==]\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    said = _run(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, url)
    return read_wrk(said)


def read_wrk(said: str) -> Load:
    """Read wrk's report."""
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}

    def percentile(which: str) -> float:
        found = re.search(rf"{which}%\s+([\d.]+)(us|ms|s)", said)
        return float(found[1]) * units[found[2]] if found else float("nan")

    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise BenchFailed("with wrk", said, "look at what it says")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", said)
    errors = int(refused[1]) if refused else 0
    errors += sum(int(count) for count in sockets.groups()) if sockets else 0
    return Load(float(rate[1]), percentile("50"), percentile("99"), errors)


@contextmanager
def _peer(python: Path, model: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    command: list[str | Path] = [
        python, "-m", "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools",
        "--port", str(port), "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=PEER, env=os.environ | {"MODEL": str(model)})
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise BenchFailed("FastAPI", "uvicorn ended", "run it by hand") from None
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _peer_environment() -> Path:
    """Return the Python of the peer's own environment, made once for its requirements."""
    requirements = PEER / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("geulpi") / f"fastapi-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        own = ROOT / ".tools" / "uv" / "bin" / "uv"
        uv = str(own) if own.exists() else shutil.which("uv")
        if uv is None:
            raise ToolMissing("uv", "it is neither in .tools nor on PATH", "make setup")
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        _run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes",
             "-r", requirements)  # fmt: skip
        (folder / "ready").touch()
    return python


def _find_wrk() -> str:
    if found := shutil.which("wrk"):
        return found
    raise ToolMissing("wrk", "it is not on PATH", "e.g. `apt install wrk`")


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchFailed(Path(command[0]).name, done.stderr or done.stdout, "see above")
    return done.stdout


if __name__ == "__main__":
    main()

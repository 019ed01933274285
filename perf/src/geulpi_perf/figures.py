"""The README's figures: start, first request, and a forest beside FastAPI with micro-batches.

    python -m geulpi_perf.figures        (or: make perf)

Both servers run on this machine, one after the other in alternating rounds, under the same load
generator (wrk) with the same rows: one JSON request is one row. What counts is their ratio.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from geulpi_client import Event, GeulpiClient
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from rich.console import Console
from rich.table import Table

from geulpi_perf._errors import PerfError
from geulpi_perf._forest import make_forest
from geulpi_perf._peers import PEERS, environment, running, v2_body
from geulpi_perf._processes import ROOT
from geulpi_perf._wrk import CONNECTIONS, Load, find_wrk, load

__all__ = ["main"]

RESULTS = ROOT / "perf" / "results" / "figures.json"
ROUNDS = 3
SECONDS = 5
CALLS = 300
FASTAPI = PEERS[0]


def main() -> None:
    """Measure, print a table and write perf/results/figures.json."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("") as status:
        try:
            wrk = find_wrk()
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
        middle = statistics.median(one.requests_per_s for one in loads)
        table.add_row(
            f"forest on {name}, HTTP, {CONNECTIONS} connections",
            f"{middle:,.0f} requests/s, "
            f"p50 {statistics.median(one.p50_ms for one in loads):.1f} ms, "
            f"p99 {statistics.median(one.p99_ms for one in loads):.1f} ms, "
            f"{sum(one.errors for one in loads)} errors",
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
        "rounds": {name: [asdict(one) for one in loads] for name, loads in rounds.items()},
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
    forest = make_forest(folder)
    say("setting up the FastAPI environment …")
    programs = environment(FASTAPI)
    rounds: dict[str, list[Load]] = {"triton": [], "fastapi": []}
    with (
        EmbeddedTriton(forest.repository) as triton,
        running(FASTAPI, programs, forest.model) as peer,
    ):
        targets = {
            "triton": (f"{triton.http_url}/v2/models/forest/infer", v2_body("FP32", "X")),
            "fastapi": (peer + FASTAPI.path, FASTAPI.body),
        }
        for number in range(ROUNDS + 1):
            for name, (url, body) in targets.items():
                say(f"round {number} of {ROUNDS}: {name} …" if number else f"warming {name} …")
                measured = load(wrk, url, body, folder, seconds=SECONDS if number else 2)
                if number:
                    rounds[name].append(measured)
    return rounds


if __name__ == "__main__":
    main()

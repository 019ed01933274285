"""The load generator of side-by-side measurements: wrk."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from geulpi_perf._errors import BenchFailed, ToolMissing
from geulpi_perf._processes import said

__all__ = ["CONNECTIONS", "Load", "find_wrk", "load", "read_wrk"]

CONNECTIONS = 100


@dataclass(frozen=True)
class Load:
    """What wrk measured in one round.

    Attributes:
        requests_per_s: those that were answered with success.
        p50_ms, p99_ms: of all answers.
        errors: answers without success, and requests without an answer.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def find_wrk() -> str:
    """Return wrk's path.

    Raises:
        ToolMissing: it is not on the PATH.
    """
    if found := shutil.which("wrk"):
        return found
    raise ToolMissing("wrk", "it is not on PATH", "e.g. `apt install wrk`")


def load(
    wrk: str,
    url: str,
    body: object,
    folder: Path,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
) -> Load:
    """Post `body` as JSON over and over; wrk's script is written into `folder`."""
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{json.dumps(body)}]==]\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    length = f"-d{max(1, round(seconds))}s"
    return read_wrk(said(wrk, "-t1", f"-c{connections}", length, "--latency", "-s", script, url))


def read_wrk(report: str) -> Load:
    """Read wrk's report.

    Raises:
        BenchFailed: it holds no rate.
    """
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}

    def percentile(which: str) -> float:
        found = re.search(rf"{which}%\s+([\d.]+)(us|ms|s)", report)
        return float(found[1]) * units[found[2]] if found else float("nan")

    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    count = re.search(r"(\d+) requests in ", report)
    if rate is None or count is None:
        raise BenchFailed("with wrk", report, "look at what it says")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report
    )
    failed = int(refused[1]) if refused else 0
    lost = sum(int(group) for group in sockets.groups()) if sockets else 0
    # wrk counts a refusal as a request done, and the quickest server would be one that refuses.
    answered = 1 - failed / max(int(count[1]), 1)
    return Load(float(rate[1]) * answered, percentile("50"), percentile("99"), failed + lost)

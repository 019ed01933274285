"""The client's figures, measured once and shortly: that each is there, not what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO

import pytest
from geulpi_perf._comparison import Comparison, at_most, compared
from geulpi_perf.client import table
from rich.console import Console

MODELS = ("linear", "forest", "event_classifier")
ROWS = [
    *(f"{model}, 200 tasks, {loop}" for loop in ("asyncio", "uvloop") for model in MODELS),
    "hit in the process",
    "hit in the process, async",
    "hit in the process, classify",
    "hit in Redis, redis-py's GET",
    "hit in Redis, redis-py's GET, async",
    *(f"miss, {model}{how}" for model in MODELS[1:] for how in ("", ", async")),
    "1,000 rows, hits in the process",
    "1,000 rows, hits in Redis",
    "import, tritonclient.grpc and redis",
    "gRPC, our HTTP, one caller",
    "gRPC, our HTTP, 200 tasks, coalesced",
    "gRPC, our HTTP, 200 tasks, not coalesced",
]


def test_every_figure_is_measured() -> None:
    """By the real program, on real servers; JSON on stdout and nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "geulpi_perf.client", "--quick", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [figure["what"] for figure in figures] == ROWS
    assert all(value > 0 for figure in figures for value in figure["ours"] + figure["peer"])
    alone = [figure["what"] for figure in figures if not figure["peer"]]
    assert alone == [row for row in ROWS if row.startswith(("hit in the process", "1,000"))]
    asked_nothing = [figure["what"] for figure in figures if figure["met"] is None]
    assert asked_nothing == ["hit in the process, classify"]


@pytest.mark.parametrize(("slow", "met"), [({1, 2}, "yes"), ({1, 2, 3}, "no")])
def test_a_target_is_met_in_most_rounds_or_not_at_all(slow: set[int], met: str) -> None:
    """Medians over the rounds, which a few slow ones don't move; the table says so."""
    calls = {"ours": -1, "peer": -1}  # the first of each is the warm-up

    def side(name: str, quick_us: float, slow_us: float) -> float:
        calls[name] += 1
        return slow_us if calls[name] in slow else quick_us

    figure = compared(
        Comparison(
            "a call", "µs", at_most(1.1),
            lambda _: side("ours", 105, 150), lambda _: side("peer", 100, 100),
        )
    )  # fmt: skip
    assert calls == {"ours": 5, "peer": 5}
    assert len(figure.ours) == len(figure.peer) == len(figure.value) == 5
    written = StringIO()
    Console(width=200, file=written).print(table([figure]))
    (line,) = [line for line in written.getvalue().splitlines() if "a call" in line]
    ratio = "1.05×" if met == "yes" else "1.50×"
    assert f"{ratio} (1.05× to 1.50×)" in line
    assert line.rstrip(" │").endswith(met)

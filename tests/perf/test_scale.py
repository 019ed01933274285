"""How serving scales: curves are measured on real servers, and what is said of them is computed."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from geulpi_perf._errors import UnusableOption
from geulpi_perf._machine import Origin
from geulpi_perf._scale import report
from geulpi_perf._scale.cpu import ROLES, Meter, pss_mb, tree
from geulpi_perf._scale.nodes import nodes, rate_of_mix
from geulpi_perf._scale.results import Curve, Point, Results, as_json, read
from geulpi_perf._scale.verdict import turn, verdicts, why

COMMAND = [sys.executable, "-m", "geulpi_perf.scale"]


def _point(x: float, rate: float, series: str = "forest", **cores: float) -> Point:
    return Point(series, x, rate, 1.0, 2.0, dict.fromkeys(ROLES, 0.0) | cores, ("Triton", 0.5))


def _results(*points: Point, grows: bool = True, name: str = "instances") -> Results:
    curve = Curve(name, "Instances", "instances", grows, ("rows_per_s", "p99_ms"), points, 3.0)
    return Results(
        Origin("command", "2026-01-01", "machine, 2 cores", {"Python": "3"}), 2, (curve,)
    )


@pytest.mark.parametrize(
    ("rates", "grows", "place"),
    [
        ([100, 190, 200, 205], True, 1),  # 5 % more is no growth
        ([100, 190, 150, 380], True, None),  # one bad moment is no end
        ([100, 112, 125, 140], True, None),
        ([100, 90, 80, 70], True, 0),
        ([100, 98, 97, 60], False, 2),
        ([100, 98, 97, 95], False, None),
    ],
)
def test_a_curve_turns_where_a_doubling_brings_or_costs_a_tenth(
    rates: list[float], grows: bool, place: int | None
) -> None:
    """The place is the last that was worth it."""
    assert turn([1, 2, 4, 8], rates, grows=grows) == place


def test_steps_that_are_no_doublings_count_as_what_they_would_be() -> None:
    """Three times as much for ten times as many is more than a tenth a doubling."""
    assert turn([10, 100], [1, 3], grows=True) is None
    assert turn([10, 100], [1, 1.3], grows=True) == 0


def test_the_reason_is_who_kept_the_cores_busy() -> None:
    """It says other things for other shares."""
    full = _point(2, 1, Triton=0.5, stubs=1.24, callers=0.25, others=0.01)
    assert why(full, 2) == (
        "both cores are full, 62% in the stubs, 25% in Triton itself, 12% in the callers"
    )
    one = replace(_point(2, 1, stubs=0.97, Triton=0.3), busiest=("stubs", 0.97))
    assert why(one, 2).startswith("one process of the stubs keeps a core full, while 1.3 of 2")
    idle = replace(_point(1, 1, stubs=0.2, Valkey=0.2), busiest=("Valkey", 0.2))
    assert why(idle, 2) == (
        "no core is full, 0.4 of 2 are at work, 50% in the stubs, 50% in Valkey: the rest is "
        "waiting"
    )
    assert "no processor time" in why(_point(1, 1, stubs=0.0), 2)


def test_a_line_says_where_it_ends() -> None:
    """With the reason at that place, or, where a line is to hold, at the place that costs."""
    points = [
        _point(1, 100, Triton=0.5), _point(2, 190, stubs=2.0), _point(4, 191, callers=2.0),
    ]  # fmt: skip
    (curve,) = _results(*points).curves
    assert verdicts(curve, 2) == [
        "forest: stops growing at 2 instances: both cores are full, 100% in the stubs."
    ]
    falling = [
        replace(point, rows_per_s=rate) for point, rate in zip(points, (90, 89, 40), strict=True)
    ]
    (curve,) = _results(*falling, grows=False).curves
    assert verdicts(curve, 2) == [
        "forest: holds up to 2 instances; at 4 both cores are full, 100% in the callers."
    ]


def test_a_machine_that_was_not_at_rest_is_said_so() -> None:
    """Figures that other programs were in the way of are not to be quoted."""
    (curve,) = _results(_point(1, 100, stubs=0.5, others=1.5)).curves
    assert "other programs kept 1.5 of 2 cores busy" in verdicts(curve, 2)[-1]


@pytest.mark.parametrize(
    ("wanted", "measured", "count"), [(1000, 10_000, 2), (6000, 10_000, 2), (6001, 10_000, 3)]
)
def test_machines_for_a_rate_are_counted(wanted: float, measured: float, count: int) -> None:
    """At 60 % of what one does, and one to spare."""
    assert nodes(wanted, measured) == count


def test_the_mix_is_a_rate_or_what_a_load_came_to(tmp_path: Path) -> None:
    """And nothing else."""
    file = tmp_path / "load.json"
    file.write_text(json.dumps({"total": {"per_s": 812.5}}), encoding="utf-8")
    assert rate_of_mix(str(file)) == 812.5
    assert rate_of_mix("90") == 90
    file.write_text("{}", encoding="utf-8")
    for wrong in ("many", "-1", "nan", str(file)):
        with pytest.raises(UnusableOption):
            rate_of_mix(wrong)


def test_processor_time_is_counted_for_who_spent_it() -> None:
    """A child that computes for a while is a caller, and is the busiest."""
    spin = "import time; end = time.time() + 1.2\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as child, Meter() as meter:
        assert child.pid in tree(os.getpid())
        child.wait()
    assert meter.busiest[0] == "callers"
    assert meter.cores["callers"] > meter.cores["Triton"] + meter.cores["stubs"]
    assert pss_mb(os.getpid()) > 1
    assert pss_mb(os.getpid(), "no such argument") == 0


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """What is not a number is null in between."""
    results = _results(replace(_point(1, 100), p99_ms=math.nan, more={"load_s": 1.5}))
    report.write(results, tmp_path)
    found = read(tmp_path / "scale.json")
    assert as_json(found) == as_json(results)
    assert math.isnan(found.curves[0].points[0].p99_ms)
    assert (tmp_path / "instances.png").read_bytes().startswith(b"\x89PNG")
    head, line = (tmp_path / "scale.csv").read_text(encoding="utf-8").splitlines()
    assert len(head.split(",")) == len(line.split(","))
    assert "<svg" in (tmp_path / "scale.html").read_text(encoding="utf-8")


def test_documentation_gets_its_figures_between_marks(tmp_path: Path) -> None:
    """Twice as well as once; the text around them stays; a page without marks is left alone."""
    page = tmp_path / "performance.md"
    marks = "<!-- figures of {0} -->\nold\n<!-- end of {0} -->"
    text = f"begin\n{marks.format('instances')}\nmiddle\n{marks.format('nodes')}\nend\n"
    page.write_text(text, encoding="utf-8")
    results = _results(_point(1, 1000), _point(2, 1234))
    report.write_docs(results, page)
    once = page.read_text(encoding="utf-8")
    assert "| forest | 2 | 1,234 |" in once
    assert "| forest, single rows | 1,234 | 3 |" in once
    assert [word in once for word in ("begin", "middle", "end", "old")] == [True, True, True, False]
    assert (tmp_path / "performance" / "instances.png").exists()
    report.write_docs(results, page)
    assert page.read_text(encoding="utf-8") == once
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(report.MarksMissing, match="instances"):
        report.write_docs(results, page)
    assert page.read_text(encoding="utf-8") == "nothing"


def test_the_page_has_a_place_for_every_curve(root: Path, tmp_path: Path) -> None:
    """And for the machines."""
    from geulpi_perf.scale import NAMES

    page = tmp_path / "performance.md"
    page.write_bytes((root / "docs" / "performance.md").read_bytes())
    for name in NAMES:
        report.write_docs(_results(_point(1, 1000), name=name), page)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seconds", "0"], "--seconds 0.0"),
        (["--mix", "much"], "--mix 'much'"),
        (["--from", "nowhere.json"], "--from 'nowhere.json'"),
    ],
)
def test_misuse_is_told_in_a_sentence(arguments: list[str], said: str) -> None:
    """With the exit code 2, before anything is started."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(300)
def test_curves_are_measured_and_kept(tmp_path: Path) -> None:
    """By the real program on real servers; JSON on stdout and nothing else."""
    done = subprocess.run(
        [*COMMAND, "--only", "clients", "--seconds", "0.3", "--json", "--output", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (curve,) = found["curves"]
    assert [point["x"] for point in curve["points"]] == [1, 2, 4, 8]
    for point in curve["points"]:
        assert point["rows_per_s"] > 0
        assert 0 < point["p50_ms"] <= point["p99_ms"]
        assert point["cores"]["callers"] > 0
        assert point["cores"]["Triton"] > 0
    assert "processes" in (tmp_path / "scale.csv").read_text(encoding="utf-8")
    shown = subprocess.run(
        [*COMMAND, "--from", tmp_path / "scale.json", "--mix", "100"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Client processes" in shown.stdout
    assert "the calendar models' mix" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())


@pytest.mark.timeout(300)
def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle: no process, no folder, the exit code 130."""
    process = subprocess.Popen(
        [*COMMAND, "--only", "clients", "--seconds", "20"],
        stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    with process:
        started: set[int] = set()
        while not any("_scale.caller" in _arguments(pid) for pid in started):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.1)
            started = {*tree(process.pid)}
        process.send_signal(signal.SIGINT)
        said = process.stderr.read() if process.stderr else b""
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert not any(_arguments(pid) for pid in started)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""

"""Load on the calendar models: real servers, a short time, no timed assertions."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from geulpi_client import AsyncGeulpiClient, GeulpiError, Overloaded
from geulpi_client.testing import FakeTriton
from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._load.callers import Caller, Calls
from geulpi_perf._load.processes import GENERATOR, Sampler, local_port, processes
from geulpi_perf._load.report import as_json, page
from geulpi_perf._load.results import summed_up
from geulpi_perf._load.seed import seed_table
from geulpi_perf._load.svg import line_plot
from geulpi_perf._load.world import MIX, MODELS, World, WorldSettings, parsed_mix
from geulpi_perf.load import LoadPlan, Servers, run, servers
from geulpi_server import EmbeddedTriton, EmbeddedValkey

SMALL = WorldSettings(people=10, titles=200)
SHORT = LoadPlan(users=8, seconds=1.0, think_s=0.02, warm_up_s=0.2, world=SMALL, timeout_s=60)


@pytest.fixture
def running(triton: EmbeddedTriton, valkey: EmbeddedValkey) -> Servers:
    """Triton and Valkey of the session."""
    return Servers(triton.grpc_url, valkey.url)


@pytest.mark.parametrize("rate", [None, 60.0])
def test_a_load_is_answered_and_counted(running: Servers, rate: float | None) -> None:
    """Closed and open loop: all five models answer, and the servers' processes are seen."""
    result = run(replace(SHORT, rate=rate), running)
    assert {one.kind for one in result.kinds} == set(MODELS)
    assert result.total.calls == sum(one.calls for one in result.kinds) > 0
    assert not result.total.errors
    assert result.total.p50_ms <= result.total.p95_ms <= result.total.p99_ms
    assert result.total.uncorrected_p99_ms <= result.total.max_ms
    assert result.total.hit_rate is not None
    assert 0 < result.total.hit_rate < 1
    names = {process.name for process in result.processes}
    assert {"tritonserver", "valkey-server", GENERATOR, "stub pattern_detector_0_0"} <= names
    assert result.servers is not None
    assert result.servers.peak_mb >= result.servers.end_mb > 0


def test_without_a_cache_nothing_is_a_hit(running: Servers) -> None:
    """And only what the mix names is asked."""
    plan = replace(SHORT, cached=False, mix={"classify": 1.0, "balance": 1.0})
    result = run(plan, running)
    assert [one.kind for one in result.kinds] == ["classify", "balance"]
    assert result.total.hit_rate is None
    assert "valkey-server" not in {process.name for process in result.processes}


async def _open_loop_calls(answer_s: float, per_s: float, seconds: float) -> dict[str, Calls]:
    fake = FakeTriton()
    fake.calendar()
    fake.slow("event_classifier", answer_s)
    calls = {"classify": Calls()}
    async with AsyncGeulpiClient(fake, coalesce_delay_s=None, max_in_flight=1) as client:
        caller = Caller(client, World({"classify": 1.0}, SMALL), calls)
        await caller.open_loop(per_s, seconds)
    return calls


def test_questions_that_were_late_are_timed_from_when_they_were_meant() -> None:
    """Where the load generator itself comes too late, the wait counts: no coordinated omission."""
    calls = Calls()
    calls.meant_s.extend([0.0, 0.1])
    calls.asked_s.extend([0.0, 0.5])
    calls.ended_s.extend([0.5, 0.6])
    with Sampler([], every_s=1.0) as sampler:
        pass
    result = summed_up("", {"classify": calls}, (0.0, 1.0), _no_stats(), sampler.samples)
    assert result.total.max_ms == pytest.approx(500)
    assert result.total.mean_ms == pytest.approx(500)
    assert result.total.uncorrected_p99_ms < result.total.p99_ms + 1


def test_an_open_loop_asks_on_though_nobody_is_answered() -> None:
    """A server that takes one call at a time: the later a question, the longer it waited."""
    import asyncio

    calls = asyncio.run(_open_loop_calls(0.05, per_s=100, seconds=0.5))["classify"]
    assert not calls.errors
    waited = sorted(end - meant for meant, end in zip(calls.meant_s, calls.ended_s, strict=True))
    assert waited[-1] > 0.1  # behind at least one other, for certain


def test_failures_are_counted_by_name(running: Servers) -> None:
    """A call that fails is no latency."""
    import asyncio

    async def asked() -> Calls:
        fake = FakeTriton()
        fake.calendar()
        fake.fail("event_classifier", Overloaded)
        calls = {"classify": Calls()}
        async with AsyncGeulpiClient(fake, timeout_s=0.2) as client:
            caller = Caller(client, World({"classify": 1.0}, SMALL), calls)
            await caller.closed_loop(2, 0.01, 0.2)
        return calls["classify"]

    calls = asyncio.run(asked())
    assert calls.errors
    assert not calls.ended_s


def _no_stats() -> object:
    import asyncio

    async def made() -> object:
        fake = FakeTriton()
        async with AsyncGeulpiClient(fake) as client:
            return client.stats()

    return asyncio.run(made())


def test_a_few_people_and_titles_are_asked_about_most() -> None:
    """The shares of the mix, and the same questions from the same seed."""
    world, again = World(MIX, SMALL), World(MIX, SMALL)
    kinds = [world.next().kind for _ in range(2000)]
    assert kinds == [again.next().kind for _ in range(2000)]
    counted = Counter(kinds)
    assert counted["classify"] == max(counted.values())
    assert set(counted) == set(MIX)


@pytest.mark.parametrize(
    "text",
    ["", "classify", "classify=x", "lunch=3", "classify=0", "burnout=-1", "classify=nan"],
)
def test_a_mix_that_makes_no_sense_is_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(UnusableOption, match="classify=70"):
        parsed_mix(text)


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"seconds": 0.0}, {"think_s": -1.0}, {"rate": 0.0}, {"memory_mb": -1},
     {"seconds": math.nan}],
)  # fmt: skip
def test_a_load_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    """Before anything runs."""
    with pytest.raises(UnusableOption):
        replace(SHORT, **wrong)


def test_no_server_and_no_cache_are_told_at_once(root: Path) -> None:
    """Nothing is measured then."""
    with pytest.raises(GeulpiError):
        run(replace(SHORT, timeout_s=1.0), Servers("localhost:1"))
    with (
        pytest.raises(BenchFailed, match="cache"),
        servers("localhost:1", "redis://localhost:1/0", root),
    ):
        pass


def test_the_old_table_is_filled_row_by_row(running: Servers) -> None:
    """Every number that was reported has its row; what comes of it can be written down."""
    table = seed_table(replace(SHORT, seconds=1.0), running)
    theirs = {row.theirs for row in table.rows}
    assert {80, 500, 400, 200, 15, 180, 45, 120, 280, 450, 0.1, 72, 256, 384, 512} <= theirs
    assert all(math.isfinite(row.ours) for row in table.rows)
    written = page(table.loads, "a machine", table)
    assert written.count("<svg") == 5 * len(table.loads)
    json.loads(json.dumps(as_json(table, "a machine"), allow_nan=False))


def test_addresses_and_processes() -> None:
    """Only this machine's; a port where nobody listens has no process."""
    assert local_port("localhost:8001") == 8001
    assert local_port("redis://127.0.0.1:6379/0") == 6379
    assert local_port("grpcs://triton.example:443") is None
    assert processes({1}) == {}


def test_a_plot_leaves_out_what_is_no_number() -> None:
    """A line of one point, one with a gap, a name with marks of HTML, and nothing at all."""
    plot = line_plot(
        "t", {"a<b": ([1.0], [2.0]), "c": ([1, 2, 3], [math.nan, 5, 0])}, x="s", y="ms", log=True
    )
    assert "a&lt;b" in plot
    assert "nan" not in plot
    assert "nothing was measured" in line_plot("t", {"a": ([], [])}, x="s", y="ms")


def test_the_command(running: Servers, tmp_path: Path) -> None:
    """JSON on stdout, a page where it is asked for; misuse ends with 2."""
    done = _load(
        "--url", running.url, "--cache", running.cache, "--users", "4", "--duration", "1",
        "--json", "--html", tmp_path / "load.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total"]["calls"] > 0
    assert "<svg" in (tmp_path / "load.html").read_text(encoding="utf-8")
    assert _load("--mix", "lunch=1").returncode == 2
    assert _load("--url", running.url, "--html", tmp_path / "no" / "x.html").returncode == 2


def _load(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geulpi_perf.load", *(str(argument) for argument in arguments)],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip

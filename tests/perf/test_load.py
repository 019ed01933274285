"""Load on the calendar models: real servers, a short time, no timed assertions."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from geulpi_client import AsyncGeulpiClient, Event, GeulpiError, Overloaded, Stats
from geulpi_client.testing import FakeTriton
from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._load.callers import Caller, Calls
from geulpi_perf._load.processes import Sampler, local_port, processes
from geulpi_perf._load.report import as_json, parts, write
from geulpi_perf._load.results import QUANTILES, LoadResult, summed_up
from geulpi_perf._load.run import LoadPlan, Servers, run, servers
from geulpi_perf._load.seed import seed_table
from geulpi_perf._load.world import MIX, MODELS, World, WorldSettings, parsed_mix
from geulpi_perf._machine import origin
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from rich.console import Console
from rich.table import Table

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
    assert {"tritonserver", "valkey-server", "stub of pattern_detector"} <= names
    assert result.generator.cores > 0
    assert result.servers is not None
    assert result.servers.end_mb == pytest.approx(sum(one.end_mb for one in result.processes))
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


def _summed(seconds: float, **kinds: Calls) -> LoadResult:
    with Sampler([], every_s=1.0) as sampler:
        pass
    return summed_up("", kinds, (0.0, seconds), _no_stats(), sampler.samples)


def _calls(took_s: Iterable[float], **errors: int) -> Calls:
    calls = Calls(errors=Counter(errors))
    for took in took_s:
        calls.meant_s.append(1.0)
        calls.asked_s.append(1.0)
        calls.ended_s.append(1.0 + took)
    return calls


def test_questions_that_were_late_are_timed_from_when_they_were_meant() -> None:
    """Where the load generator itself comes too late, the wait counts: no coordinated omission."""
    calls = Calls()
    calls.meant_s.extend([0.0, 0.1])
    calls.asked_s.extend([0.0, 0.5])
    calls.ended_s.extend([0.5, 0.6])
    total = _summed(1.0, classify=calls).total
    assert total.max_ms == pytest.approx(500)
    assert total.mean_ms == pytest.approx(500)
    assert total.uncorrected_p99_ms == pytest.approx(496)  # of 500 and 100
    assert total.p99_ms == pytest.approx(500)


def test_quantiles_rates_and_errors_are_what_they_are_called() -> None:
    """Of 1 to 5,000 ms in disorder and 2,000 short ones, and some failures."""
    took_ms = [float(ms) for ms in range(1, 5001)]
    random.Random(0).shuffle(took_ms)
    result = _summed(
        10.0,
        burnout=_calls((ms / 1000 for ms in took_ms), Overloaded=1000, ServerUnavailable=250),
        classify=_calls([0.0005] * 2000, Overloaded=750),
    )
    one, other = result.kinds
    assert one.p50_ms == pytest.approx(2500.5)
    assert one.p95_ms == pytest.approx(4750.05)
    assert one.p99_ms == pytest.approx(4950.01)
    assert (one.max_ms, one.mean_ms) == pytest.approx((5000, 2500.5))
    assert (one.calls, one.per_s, one.error_rate) == (6250, 500, 0.2)
    assert (other.calls, other.per_s) == (2750, 200)
    total = result.total
    assert (total.calls, total.per_s) == (9000, 700)
    assert total.errors == {"Overloaded": 1750, "ServerUnavailable": 250}
    assert total.error_rate == pytest.approx(2000 / 9000)
    # The 2,000 short ones are below: the median of all is the 1,500th or 1,501st of the others.
    assert total.p50_ms == pytest.approx(1500.5)
    assert result.distribution["burnout"][QUANTILES.index(0.9)] == pytest.approx(4500.1)


def test_hits_are_counted_among_what_was_looked_up(running: Servers) -> None:
    """The same hundred calendars and titles again and again: only the first is not known."""
    once = replace(SMALL, people=1, titles=1, changes=0.0)
    plan = replace(SHORT, users=1, world=once, memory_mb=1, cached=False, warm_up_s=0.0)
    (one,) = run(replace(plan, mix={"classify": 1.0}), running).kinds
    assert one.hit_rate == pytest.approx(1 - 1 / one.calls)


def test_a_stalled_server_shows_in_the_open_loop_and_hides_in_the_closed(running: Servers) -> None:
    """Triton is stopped for a while: one user waits once, a rate of questions piles up."""
    plan = replace(
        SHORT, seconds=2.0, warm_up_s=0.0, users=1, think_s=0.0, cached=False,
        mix={"classify": 1.0},
    )  # fmt: skip
    closed = _stalled(plan, running).total
    opened = _stalled(replace(plan, rate=100.0), running).total
    assert not closed.errors
    assert not opened.errors
    assert closed.max_ms >= STALL_S * 900  # it was stopped in both
    # Questions of a quarter of the time were meant while it was: the slowest waited for most of it.
    assert opened.p99_ms >= STALL_S * 500
    assert closed.p99_ms < opened.p99_ms / 2


STALL_S = 0.5


def _stalled(plan: LoadPlan, running: Servers) -> LoadResult:
    """Make a load while Triton does nothing for half a second."""
    port = local_port(running.url)
    assert port
    (triton,) = (pid for pid, name in processes({port}).items() if name == "tritonserver")
    stalls: list[threading.Thread] = []

    def stall() -> None:
        os.kill(triton, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(triton, signal.SIGCONT)

    def say(text: str) -> None:
        if " of 2 s" in text and not stalls:
            stalls.append(threading.Thread(target=stall))
            stalls[0].start()

    result = run(plan, running, say)
    stalls[0].join()
    return result


def test_an_open_loop_asks_on_though_nobody_is_answered() -> None:
    """A server that takes one call at a time: the later a question, the longer it waited."""
    calls = asyncio.run(_open_loop_calls(0.05, per_s=100, seconds=0.5))["classify"]
    assert not calls.errors
    waited = sorted(end - meant for meant, end in zip(calls.meant_s, calls.ended_s, strict=True))
    assert waited[-1] > 0.1  # behind at least one other, for certain


def test_failures_are_counted_by_name(running: Servers) -> None:
    """A call that fails is no latency."""

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


def _no_stats() -> Stats:
    async def made() -> Stats:
        fake = FakeTriton()
        async with AsyncGeulpiClient(fake) as client:
            return client.stats()

    return asyncio.run(made())


def test_the_same_seed_asks_the_same() -> None:
    """Another asks something else."""
    one, same, other = (World(MIX, replace(SMALL, seed=seed)) for seed in (0, 0, 1))
    kinds = [one.next().kind for _ in range(500)]
    assert kinds == [same.next().kind for _ in range(500)]
    assert kinds != [other.next().kind for _ in range(500)]


def test_questions_come_in_the_shares_of_the_mix() -> None:
    """Within five standard deviations of chance."""
    world, count = World(MIX, SMALL), 20_000
    drawn = Counter(world.next().kind for _ in range(count))
    assert set(drawn) == set(MIX)
    for kind, share in MIX.items():
        part = share / sum(MIX.values())
        assert abs(drawn[kind] - count * part) < 5 * math.sqrt(count * part * (1 - part)), kind


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5])
def test_titles_are_drawn_by_zipfs_law(exponent: float) -> None:
    """On paper of two logarithms, how often over rank is a line that falls by the exponent."""
    world = World({"classify": 1.0}, replace(SMALL, titles=50, exponent=exponent))
    asked = _Asked()

    async def ask() -> None:
        for _ in range(50_000):
            await world.next().ask(cast("AsyncGeulpiClient", asked))

    asyncio.run(ask())
    often = sorted(asked.titles.values(), reverse=True)[:12]
    ranks = [math.log(rank) for rank in range(1, len(often) + 1)]
    slope = statistics.linear_regression(ranks, [math.log(count) for count in often]).slope
    assert slope == pytest.approx(-exponent, abs=0.1)


class _Asked:
    """Counts titles, in place of a client."""

    def __init__(self) -> None:
        self.titles: Counter[str] = Counter()

    async def classify(self, events: Sequence[Event]) -> None:
        self.titles.update(event.title for event in events)


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
def test_a_load_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
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


def test_the_old_table_is_filled_row_by_row(running: Servers, tmp_path: Path) -> None:
    """Every number that was reported has its row; what comes of it can be written down."""
    table = seed_table(replace(SHORT, seconds=1.0), running)
    theirs = {row.theirs for row in table.rows}
    assert {80, 500, 400, 200, 15, 180, 45, 120, 280, 450, 0.1, 72, 256, 384, 512} <= theirs
    assert all(math.isfinite(row.ours) for row in table.rows)
    came_from = origin("geulpi load")
    written = {path.name: path for path in write(tmp_path, table, came_from)}
    assert set(written) == {"load.json", "load.csv", "load.html", "load.png"}
    found = json.loads(written["load.json"].read_text())
    assert [row["ours"] for row in found["rows"]] == [row.ours for row in table.rows]
    json.dumps(as_json(table, came_from), allow_nan=False)
    assert written["load.html"].read_text().count("<svg") == 5 * len(table.loads)
    lines = written["load.csv"].read_text().splitlines()
    assert len(lines) == 1 + sum(len(load.kinds) + 1 for load in table.loads)
    assert written["load.png"].read_bytes().startswith(b"\x89PNG")


def test_tables_fit_a_terminal_of_80_columns(running: Servers) -> None:
    """Nothing is cut or wrapped: all figures and their names stand in one line each."""
    table = seed_table(replace(SHORT, seconds=0.3), running)
    for part in (*parts(table), *parts(table.loads[-1])):
        if isinstance(part, Table):
            shown = io.StringIO()
            Console(width=80, file=shown).print(part)
            text = shown.getvalue()
            assert "…" not in text
            assert text.count("\n") == part.row_count + 5, text  # a title and four lines


def test_addresses_and_processes() -> None:
    """Only this machine's; a port where nobody listens has no process."""
    assert local_port("localhost:8001") == 8001
    assert local_port("redis://127.0.0.1:6379/0") == 6379
    assert local_port("grpcs://triton.example:443") is None
    assert processes({1}) == {}


def test_the_command(running: Servers, tmp_path: Path) -> None:
    """JSON on stdout, files where they are asked for."""
    done = _load(
        "--url", running.url, "--cache", running.cache, "--users", "4", "--duration", "1",
        "--json", "--output", tmp_path / "new" / "folder",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "new" / "folder" / "load.json").read_text())
    assert found["total"]["calls"] > 0
    assert "geulpi load --url" in found["command"]


@pytest.mark.parametrize(
    ("wrong", "code", "told"),
    [
        (["--mix", "lunch=1"], 2, "classify=70"),
        (["--users", "0"], 2, "--users"),
        (["--output", __file__], 2, "--output"),
        (["--url", "localhost:1"], 1, "localhost:1"),
        (["--cache", "redis://localhost:1/0"], 1, "cache"),
        (["--model-repository", "nowhere"], 2, "nowhere"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_told_in_words(wrong: list[str], code: int, told: str) -> None:
    """Without a traceback, and with the exit code of misuse or failure."""
    done = _load(*wrong)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_tells_what_was_measured_and_leaves_no_server(root: Path) -> None:
    """The whole group gets the signal, as from a terminal."""
    with subprocess.Popen(
        [*COMMAND, "--users", "4", "--duration", "60", "--mix", "classify=1", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
        env={**os.environ, "FORCE_COLOR": "1"}, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        for line in process.stderr:
            if " of 60 s" in line:
                break
        begun = set(_descendants(process.pid))
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    found = json.loads(said)
    assert found["interrupted"]
    assert found["total"]["calls"] > 0
    assert begun
    assert not [pid for pid in begun if Path("/proc", str(pid)).exists()]


def _descendants(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                child = int(stat.parent.name)
                found += [child, *_descendants(child)]
    return found


COMMAND = (sys.executable, "-m", "geulpi", "load")


def _load(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *(str(argument) for argument in arguments)],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip

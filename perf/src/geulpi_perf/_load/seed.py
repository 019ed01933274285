"""The table of numbers that the service before was reported by, measured row by row."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import uvloop
from geulpi_client import AsyncGeulpiClient

from geulpi_perf._load.results import LoadResult
from geulpi_perf._load.run import LoadPlan, Say, Servers, run
from geulpi_perf._load.world import MIX, MODELS, World

# Cache off, a hundred users who think for as long as this ask for some 500 answers a second.
THINK_OFF_S = 0.15
HITS = 100
KEPT_S = 0.02  # rows are written beside the calls
# In a closed loop: users = rate x (latency + think time).
THEIR_THINK_S: Final = 100 / 45 - 0.12
THEIRS_ONE_MS: Final[Mapping[str, float | None]] = {
    "classify": 80, "schedule": 500, "patterns": 400, "balance": None, "burnout": 200,
}  # fmt: skip
AT_MOST_MS: Final[Mapping[str, float]] = {
    "classify": 3, "schedule": 50, "patterns": 20, "balance": 5, "burnout": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A figure: theirs as reported (None: nothing was), ours as measured, and what it is to be.

    `better` is how many times ours is better, None where there is nothing to compare.
    """

    section: str
    figure: str
    unit: str
    theirs: float | None
    ours: float
    target: str = ""
    met: bool | None = None
    more_is_better: bool = False

    @property
    def better(self) -> float | None:
        """How many times ours is better than theirs."""
        if self.theirs is None or not self.ours or not self.theirs:
            return None
        return self.ours / self.theirs if self.more_is_better else self.theirs / self.ours


@dataclass(frozen=True)
class SeedTable:
    """The rows, and the loads that they come from."""

    rows: tuple[Row, ...]
    loads: tuple[LoadResult, ...]
    remarks: tuple[str, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it before all was measured."""
        return any(load.interrupted for load in self.loads)


def seed_table(plan: LoadPlan, where: Servers, say: Say = lambda _: None) -> SeedTable:
    """Measure all that the service before was reported by; each load takes `plan.seconds`.

    Rows about the start are there where the servers are ours to start.
    """
    rows: list[Row] = []
    loads: list[LoadResult] = []
    for made, load in _measured(plan, where, say):
        rows += made
        if load is not None:
            loads.append(load)
            if load.interrupted:
                break
    return SeedTable(
        tuple(rows),
        tuple(loads),
        (
            (
                f"45 requests/s of 100 users at 120 ms mean that theirs thought for "
                f"{THEIR_THINK_S:.1f} s between calls; ours think for {plan.think_s * 1000:g} ms "
                f"(cache off: {_slower(plan).think_s * 1000:g} ms), and so ask more."
            ),
            "Theirs are figures as they were reported, of another machine.",
            (
                "Memory is that of the servers with the cache on: at the start, after the warm-up; "
                "at the end; and the most that a look showed."
            ),
        ),
    )


def _measured(
    plan: LoadPlan, where: Servers, say: Say
) -> Iterator[tuple[list[Row], LoadResult | None]]:
    """Yield the rows of each measurement, and the load that they come from, if one was made."""
    if where.start_s is not None:
        section = "Start"
        yield [_at_most(Row(section, "start to ready", "s", 8, where.start_s), 4)], None
        firsts = _first_ms(plan, where)
        slowest = max(firsts, key=lambda kind: firsts[kind][0])
        took_ms, again_ms = firsts[slowest]
        yield (
            [
                _at_most(Row(section, f"1st request, {slowest}", "ms", 200, took_ms), 20),
                Row(section, f"2nd request, {slowest}", "ms", None, again_ms),
            ],
            None,
        )
    for kind in MODELS:
        load = run(_alone(plan, kind), where, say)
        name = f"{kind}{', first answer' if kind == 'schedule' else ''}"
        ours, theirs = load.total.p50_ms, THEIRS_ONE_MS[kind]
        section = "One user, no cache, p50"
        yield [_at_most(Row(section, name, "ms", theirs, ours), AT_MOST_MS[kind])], load
    if where.cache:
        hit_ms, miss_ms = uvloop.run(_hit_and_miss(plan, where, say))
        section = "One user, the mix, mean"
        yield (
            [
                Row(section, "cache hit", "ms", 15, hit_ms),
                Row(section, "cache miss", "ms", 180, miss_ms),
            ],
            None,
        )
        load = run(replace(plan, cached=True), where, say)
        yield [*_users(load, 1000, 45, theirs=True), *_memory(load)], load
    load = run(replace(_slower(plan), cached=False), where, say)
    memory = [] if where.cache else _memory(load)
    yield [*_users(load, 400, 150, theirs=not where.cache), *memory], load


def _slower(plan: LoadPlan) -> LoadPlan:
    return replace(plan, think_s=max(plan.think_s, THINK_OFF_S))


def _memory(load: LoadResult) -> list[Row]:
    if load.servers is None:
        return []
    section = "Memory (PSS), all servers"
    start, end, peak = load.servers.start_mb, load.servers.end_mb, load.servers.peak_mb
    return [
        Row(section, "at the start", "MB", 256, start),
        _at_most(Row(section, "after the load", "MB", 384, end), 384),
        Row(section, "peak", "MB", 512, peak),
        Row(section, "growth under load", "%", None, (end / start - 1) * 100,
            "≤ 5 %", end <= 1.05 * start),
    ]  # fmt: skip


def _alone(plan: LoadPlan, kind: str) -> LoadPlan:
    """Return one user without a cache, who does not think; plans as a busy week's, first answer."""
    world = replace(plan.world, people=30, tasks=20, plan_s=0.01)
    return replace(
        plan, users=1, rate=None, think_s=0, mix={kind: 1.0}, cached=False, memory_mb=0,
        seconds=max(1.0, min(10.0, plan.seconds / 10)), warm_up_s=min(1.0, plan.warm_up_s),
        world=world,
    )  # fmt: skip


def _users(load: LoadResult, per_s: float, p99_ms: float, *, theirs: bool) -> list[Row]:
    """Return the rows of many users; theirs were reported once, with a cache."""
    total, what = load.total, load.title
    their: Callable[[float], float | None] = lambda value: value if theirs else None  # noqa: E731
    rows = [
        Row(what, "requests/s", "/s", their(45), total.per_s, f"≥ {per_s:,.0f} /s",
            total.per_s >= per_s, more_is_better=True),
        Row(what, "mean", "ms", their(120), total.mean_ms),
        Row(what, "p95", "ms", their(280), total.p95_ms),
        _at_most(Row(what, "p99", "ms", their(450), total.p99_ms), p99_ms),
        Row(what, "errors", "%", their(0.1), total.error_rate * 100, "none", not total.errors),
    ]  # fmt: skip
    if total.hit_rate is not None:
        rows.append(
            Row(what, "cache hits", "%", their(72), total.hit_rate * 100, more_is_better=True)
        )
    return rows


def _at_most(row: Row, most: float) -> Row:
    return replace(row, target=f"≤ {most:g} {row.unit}", met=row.ours <= most)


def _first_ms(plan: LoadPlan, where: Servers) -> dict[str, tuple[float, float]]:
    """Return what the first question of each kind takes a new client, and the same one again."""

    async def asked() -> dict[str, tuple[float, float]]:
        took = {}
        for kind in MODELS:
            world = World({kind: 1.0}, replace(plan.world, people=1, plan_s=0.01, changes=0.0))
            async with AsyncGeulpiClient(where.url, timeout_s=plan.timeout_s) as client:
                took[kind] = await _took_ms(client, world), await _took_ms(client, world)
        return took

    return uvloop.run(asked())


async def _took_ms(client: AsyncGeulpiClient, world: World) -> float:
    question = world.next()
    started = time.perf_counter()
    await question.ask(client)
    return (time.perf_counter() - started) * 1000


async def _hit_and_miss(plan: LoadPlan, where: Servers, say: Say) -> tuple[float, float]:
    """Return the mean of hits and of misses in ms, of questions asked twice."""
    say("hits and misses …")
    world = World(MIX, replace(plan.world, seed=plan.world.seed + 1, changes=1.0))
    hits: list[float] = []
    misses: list[float] = []
    async with AsyncGeulpiClient(where.url, cache=where.cache, timeout_s=plan.timeout_s) as client:
        for _ in range(HITS):
            question = world.next()
            took, known = [], []
            for _ in range(2):
                before = client.stats().total.hits
                started = time.perf_counter()
                await question.ask(client)
                took.append((time.perf_counter() - started) * 1000)
                known.append(client.stats().total.hits > before)
                await asyncio.sleep(KEPT_S)
            for one, hit in zip(took, known, strict=True):
                (hits if hit else misses).append(one)
    return statistics.fmean(hits or [float("nan")]), statistics.fmean(misses or [float("nan")])

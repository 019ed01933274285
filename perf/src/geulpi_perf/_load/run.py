"""A load on the calendar models through the client: servers, warm-up, and the measured time."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis
import uvloop
from geulpi_client import AsyncGeulpiClient
from geulpi_server import EmbeddedTriton, EmbeddedValkey

from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._load.callers import Caller, Calls
from geulpi_perf._load.processes import Sampler
from geulpi_perf._load.results import LoadResult, summed_up
from geulpi_perf._load.world import MIX, World, WorldSettings

__all__ = ["LoadPlan", "Say", "Servers", "run", "servers"]

Say = Callable[[str], None]
CACHE_MB = 12  # of the rows of this world's 300 people and 20,000 titles, those that come again
TICK_S = 0.25


@dataclass(frozen=True)
class Servers:
    """What is asked: Triton's address and the cache's, "" for none; seconds to ready if ours."""

    url: str
    cache: str = ""
    start_s: float | None = None


@dataclass(frozen=True)
class LoadPlan:
    """Who asks how often.

    Attributes:
        users: that ask, wait for the answer and think.
        seconds: to measure, after the warm-up.
        think_s: mean of the time between answer and next question; it varies from 0 on.
        rate: questions per second in an open loop, in place of users that wait; None is a closed
            loop.
        mix: shares of the kinds of questions.
        world: people and titles.
        cached: whether the client has the cache.
        memory_mb: for rows in the client's own memory, 0 for none.
        timeout_s: of a call.
        warm_up_s: of the same load before anything is measured.
    """

    users: int = 100
    seconds: float = 60.0
    think_s: float = 0.09
    rate: float | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    world: WorldSettings = field(default_factory=WorldSettings)
    cached: bool = True
    memory_mb: int = 0
    timeout_s: float = 5.0
    warm_up_s: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what can't be measured.

        Raises:
            UnusableOption.
        """
        checks = (
            ("--users", self.users, 1 <= self.users <= 10_000, "1 to 10,000"),
            ("--duration", self.seconds, 0 < self.seconds < 1e6, "seconds above 0"),
            ("--think", self.think_s, 0 <= self.think_s < 1e6, "seconds from 0"),
            ("--rate", self.rate, self.rate is None or 0 < self.rate <= 1e5, "0 to 100,000"),
            ("--changes", self.world.changes, 0 <= self.world.changes <= 1, "0 to 1"),
            ("--memory-mb", self.memory_mb, self.memory_mb >= 0, "0 or more"),
            ("--mix", dict(self.mix), bool(self.mix), "at least one kind"),
        )
        for option, value, fine, expected in checks:
            if not fine:
                raise UnusableOption(option, value, expected)

    def __str__(self) -> str:
        """Return the load in words."""
        who = (
            f"{self.users} user{'s' * (self.users > 1)}, thinking {self.think_s * 1000:g} ms"
            if self.rate is None
            else f"{self.rate:g} questions/s, open loop"
        )
        what = "" if dict(self.mix) == dict(MIX) else f", {'+'.join(self.mix)}"
        return f"{who}{what}, cache {'on' if self.cached else 'off'}"


@contextmanager
def servers(
    url: str | None, cache: str | None, repository: Path, *, cache_mb: int = CACHE_MB
) -> Iterator[Servers]:
    """Return the servers at these addresses; where none is named, they are started for us.

    Args:
        url, cache: addresses.
        repository: what a server that is started serves.
        cache_mb: MB for a cache that is started; 0 starts none.

    Raises:
        UnusableOption: less than no memory.
        BenchFailed: no cache answers at the address.
        ServerError: ours do not start.
    """
    if cache_mb < 0:
        raise UnusableOption("--cache-mb", cache_mb, "0 or more")
    if url is not None:
        _check_cache(cache)
        yield Servers(url, cache or "")
        return
    with ExitStack() as stack:
        _check_cache(cache)
        started = time.perf_counter()
        triton = stack.enter_context(EmbeddedTriton(repository))
        start_s = time.perf_counter() - started
        if cache is None and cache_mb:
            cache = stack.enter_context(EmbeddedValkey(max_memory_mb=cache_mb)).url
        yield Servers(triton.grpc_url, cache or "", start_s)


def run(plan: LoadPlan, where: Servers, say: Say = lambda _: None) -> LoadResult:
    """Make a load, and return what it came to.

    Ctrl-C after the warm-up ends the load: the result is of the time until then, and says so.

    Raises:
        KeyboardInterrupt: Ctrl-C before anything was measured.
        GeulpiError: already the first question of a kind failed: nothing was measured.
    """
    plan = replace(plan, cached=plan.cached and bool(where.cache))
    say("making calendars up …")
    world = World(plan.mix, plan.world)
    gc.collect()
    gc.freeze()  # no pauses of the load generator for calendars that stay
    try:
        return uvloop.run(_load(plan, where, world, say))
    finally:
        gc.unfreeze()


async def _load(plan: LoadPlan, where: Servers, world: World, say: Say) -> LoadResult:
    for kind in plan.mix:  # one of each, on a client of its own: what is wrong is told at once
        async with _client(plan, where) as client:
            await World({kind: 1}, replace(plan.world, people=1)).next().ask(client)
    sampler = Sampler([where.url, *([where.cache] if plan.cached else [])], _every_s(plan.seconds))
    async with _client(plan, where) as client:
        if plan.warm_up_s:
            say(f"warming up: {plan} …")
            thrown_away = {kind: Calls() for kind in plan.mix}
            await _ask(plan, Caller(client, world, thrown_away), plan.warm_up_s)
    async with _client(plan, where) as client:
        say(f"{plan} …")
        with sampler:
            calls = {kind: Calls() for kind in plan.mix}
            begin_s, interrupted = time.perf_counter(), False
            ticker = asyncio.create_task(_tick(plan, begin_s, say))
            try:
                await _ask(plan, Caller(client, world, calls), plan.seconds)
            except asyncio.CancelledError:  # Ctrl-C
                interrupted = True
            finally:
                ticker.cancel()
            end_s = time.perf_counter()
        stats = client.stats()
    result = summed_up(str(plan), calls, (begin_s, end_s), stats, sampler.samples)
    return replace(result, interrupted=interrupted)


async def _ask(plan: LoadPlan, caller: Caller, seconds: float) -> None:
    if plan.rate is None:
        await caller.closed_loop(plan.users, plan.think_s, seconds)
    else:
        await caller.open_loop(plan.rate, seconds)


def _client(plan: LoadPlan, where: Servers) -> AsyncGeulpiClient:
    return AsyncGeulpiClient(
        where.url,
        cache=where.cache if plan.cached else None,
        memory_bytes=plan.memory_mb << 20,
        timeout_s=plan.timeout_s,
    )


async def _tick(plan: LoadPlan, begin_s: float, say: Say) -> None:
    while True:
        say(f"{plan}: {time.perf_counter() - begin_s:.0f} of {plan.seconds:g} s …")
        await asyncio.sleep(TICK_S)


def _every_s(seconds: float) -> float:
    """Return how often to look at the processes: each look costs them some milliseconds."""
    return min(max(seconds / 60, 1.0), max(seconds / 5, 0.1))


def _check_cache(url: str | None) -> None:
    if not url:
        return
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as store:
            store.ping()
    except (redis.RedisError, ValueError) as error:
        raise BenchFailed(
            "with a cache", str(error), "start Redis or Valkey (geulpi serve does), or leave "
            "--cache out"
        ) from error  # fmt: skip

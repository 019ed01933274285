"""Comparisons of two sides, in alternation and in rounds, and what each is to reach."""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TypeVar

__all__ = [
    "RATE_S", "TASKS", "Comparison", "Figure", "Loop", "Side", "Target", "at_least", "at_most",
    "compared", "for_information", "latency", "within",
]  # fmt: skip

ROUNDS = 5
LATENCY_S, RATE_S = 0.1, 0.25  # what one side of one round is given
QUICK = 0.2  # the part of it that a quick measurement gives
TASKS = 200

T = TypeVar("T")
Ask = Callable[[], object]
AskAsync = Callable[[], Awaitable[object]]
# One side of a comparison: given so many seconds, it returns its figure.
Side = Callable[[float], float]


@dataclass(frozen=True)
class Target:
    """What a figure is to reach.

    Attributes:
        words: as the table says it.
        form: how the value that counts is written.
        value: that value, of ours and the peer's.
        met: whether it is reached, by ours and the peer's; `None` where nothing is asked.
    """

    words: str
    form: str
    value: Callable[[float, float], float]
    met: Callable[[float, float], bool] | None


@dataclass(frozen=True)
class Comparison:
    """Two sides to be measured in alternation, or one alone."""

    what: str
    unit: str
    target: Target
    ours: Side
    peer: Side | None = None
    seconds: float = LATENCY_S
    rounds: int = ROUNDS


@dataclass(frozen=True)
class Figure:
    """What was measured, round by round; `peer` is empty where nothing is compared."""

    what: str
    unit: str
    ours: list[float]
    peer: list[float]
    value: list[float]
    form: str
    target: str
    met: bool | None


class Loop:
    """An event loop, and the clients that live on it until `stack` is closed."""

    def __init__(self, stack: ExitStack, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.run = stack.enter_context(asyncio.Runner(loop_factory=factory)).run
        self._clients = AsyncExitStack()
        stack.callback(lambda: self.run(self._clients.aclose()))

    def open(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Make a client on the loop, as gRPC asks for, and enter it."""

        async def opened() -> T:
            return await self._clients.enter_async_context(make())

        return self.run(opened())

    def latency(self, ask: AskAsync, *, parts: int = 1) -> Side:
        """Return a side: the median of one caller's calls in µs, the best part's if of several."""

        async def median(seconds: float) -> float:
            took = []
            now = time.perf_counter()
            end = now + seconds
            while now < end:
                await ask()
                before, now = now, time.perf_counter()
                took.append(now - before)
            return statistics.median(took) * 1e6

        return lambda s: min(self.run(median(s / parts)) for _ in range(parts))

    def rate(self, ask: AskAsync) -> Side:
        """Return a side: the calls that many tasks got answered per second."""

        async def calls_per_s(seconds: float) -> float:
            start = time.perf_counter()

            async def task() -> int:
                calls = 0
                while time.perf_counter() < start + seconds:
                    await ask()
                    calls += 1
                return calls

            calls = sum(await asyncio.gather(*(task() for _ in range(TASKS))))
            return calls / (time.perf_counter() - start)

        return lambda seconds: self.run(calls_per_s(seconds))


def latency(ask: Ask, *, parts: int = 1, per_s: float = 1e6) -> Side:
    """Return a side: the median of one caller's calls in µs, the best part's if of several."""

    def median(seconds: float) -> float:
        took = []
        now = time.perf_counter()
        end = now + seconds
        while now < end:
            ask()
            before, now = now, time.perf_counter()
            took.append(now - before)
        return statistics.median(took) * per_s

    return lambda seconds: min(median(seconds / parts) for _ in range(parts))


def compared(one: Comparison, *, quick: bool = False) -> Figure:
    """Measure both sides round by round; a target is met if it is in most rounds.

    `quick` is one short round without a warm-up: to see that it can be measured.
    """
    seconds = one.seconds * (QUICK if quick else 1)
    sides = [one.ours] + ([one.peer] if one.peer else [])
    for side in [] if quick else sides:
        side(seconds)  # a warm-up
    rounds = []
    for _ in range(1 if quick else one.rounds):
        measured = []
        for side in sides:
            gc.collect()
            measured.append(side(seconds))
        rounds.append((measured[0], measured[1] if one.peer else math.nan))
    met = one.target.met
    return Figure(
        one.what,
        one.unit,
        [ours for ours, _ in rounds],
        [peer for _, peer in rounds] if one.peer else [],
        [one.target.value(*both) for both in rounds],
        one.target.form,
        one.target.words,
        None if met is None else sum(met(*both) for both in rounds) * 2 > len(rounds),
    )


def at_least(ratio: float) -> Target:
    """Ours is at least so many times the peer's."""
    return Target(f"≥ {ratio}×", "{:.2f}×", lambda o, p: o / p, lambda o, p: o >= ratio * p)


def at_most(ratio: float, *, plus_us: float = 0) -> Target:
    """Ours is at most so many times the peer's, and some µs."""
    words = f"≤ {ratio}×" + (f" + {plus_us} µs" if plus_us else "")
    return Target(words, "{:.2f}×", lambda o, p: o / p, lambda o, p: o <= ratio * p + plus_us)


def within(most: float, unit: str) -> Target:
    """Ours is at most so much."""
    return Target(f"≤ {most} {unit}", f"{{:.1f}} {unit}", lambda o, _: o, lambda o, _: o <= most)


def for_information(unit: str) -> Target:
    """Nothing is asked of ours."""
    return Target("–", f"{{:.1f}} {unit}", lambda o, _: o, None)

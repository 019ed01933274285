"""Users that ask and wait (closed loop), or questions that come at a rate (open loop)."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

from geulpi_client import AsyncGeulpiClient, GeulpiError

from geulpi_perf._load.world import Question, World

# Timers of event loops have a resolution of 1 ms. A question that they bring late by no more than
# this counts as one that came later.
TIMER_S = 0.0015


@dataclass
class Calls:
    """Answered calls in three columns, in seconds of `time.perf_counter`, and failures by name."""

    meant_s: array[float] = field(default_factory=lambda: array("d"))
    asked_s: array[float] = field(default_factory=lambda: array("d"))
    ended_s: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)


@dataclass
class Caller:
    """Asks questions with one client, and writes down what became of them, by their kind."""

    client: AsyncGeulpiClient
    world: World
    calls: dict[str, Calls]

    async def closed_loop(self, users: int, think_s: float, seconds: float) -> None:
        """Let users ask, wait for the answer and think, in a loop.

        A call is timed from when it is asked: no user means to ask before the last answer is read.
        """
        end_s = time.perf_counter() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(self._user(think_s, end_s))

    async def open_loop(self, per_s: float, seconds: float) -> None:
        """Ask so many questions per second, at random times, whether others are answered or not.

        A call is timed from when it was meant to be asked, however late that was possible: what
        waits behind a slow answer counts (no coordinated omission).
        """
        meant_s = time.perf_counter()
        end_s = meant_s + seconds
        async with asyncio.TaskGroup() as group:
            while (meant_s := meant_s + self.world.pause_s(1 / per_s)) < end_s:
                await asyncio.sleep(max(0.0, meant_s - time.perf_counter()))
                group.create_task(self.ask(self.world.next(), meant_s))

    async def ask(self, question: Question, meant_s: float | None = None) -> float:
        """Ask, write down what became of it, and return the seconds that it took."""
        calls = self.calls[question.kind]
        asked_s = time.perf_counter()
        try:
            await question.ask(self.client)
        except GeulpiError as error:
            calls.errors[type(error).__name__] += 1
            return time.perf_counter() - asked_s
        ended_s = time.perf_counter()
        if meant_s is None or asked_s <= meant_s + TIMER_S:
            meant_s = asked_s
        calls.meant_s.append(meant_s)
        calls.asked_s.append(asked_s)
        calls.ended_s.append(ended_s)
        return ended_s - asked_s

    async def _user(self, think_s: float, end_s: float) -> None:
        await asyncio.sleep(self.world.pause_s(think_s))  # they do not all begin at once
        while time.perf_counter() < end_s:
            await self.ask(self.world.next())
            await asyncio.sleep(self.world.pause_s(think_s))

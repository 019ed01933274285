"""A process that asks models through the client, as a backend would.

    python -m geulpi_perf._scale.caller URL IN_FLIGHT MODEL …

It says "ready" when it was answered, reads from standard input for how many seconds it is to ask,
and prints what it saw as JSON. Each of its tasks asks for one row at a time, the models in turn.
`calling` starts several.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np
from geulpi_client import AsyncModelClient

from geulpi_perf._errors import BenchFailed
from geulpi_perf._forest import ROW

__all__ = ["Seen", "callers"]

IN_FLIGHT = 32
WARM_UP_S = 0.2
KEPT = 5000  # latencies that a caller tells
DIFFERENT = 4096  # rows: equal ones that are under way at a time would be asked once


@dataclass(frozen=True)
class Seen:
    """What callers saw together."""

    rows_per_s: float
    p50_ms: float
    p99_ms: float


class Callers:
    """Processes that are ready to ask."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def ask(self, seconds: float) -> Seen:
        """Let all ask at the same time.

        Raises:
            BenchFailed: one of them could not.
        """
        for process in self._processes:
            pipe = cast("IO[str]", process.stdin)
            pipe.write(f"{seconds}\n")
            pipe.flush()
        found = [json.loads(_line(process)) for process in self._processes]
        took_ms = np.concatenate([one["took_ms"] for one in found])
        p50, p99 = (float(value) for value in np.percentile(took_ms, (50, 99)))
        return Seen(sum(one["rows"] / one["seconds"] for one in found), p50, p99)


@contextmanager
def callers(
    count: int, url: str, models: Sequence[str], *, in_flight: int = IN_FLIGHT
) -> Iterator[Callers]:
    """Start callers, and end them.

    Raises:
        BenchFailed: one of them was not answered.
    """
    command = [sys.executable, "-m", __name__, url, str(in_flight), *models]
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.extend(  # one by one, so that those that started are ended if one can't be
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                stderr=subprocess.PIPE, start_new_session=True,
            )
            for _ in range(count)
        )  # fmt: skip
        for process in processes:
            _line(process)
        yield Callers(processes)
    finally:
        for process in processes:
            process.kill()
            with process:  # closes the pipes and waits
                pass


def _line(process: subprocess.Popen[str]) -> str:
    line = cast("IO[str]", process.stdout).readline()
    if not line:
        process.kill()
        said = cast("IO[str]", process.stderr).read()
        raise BenchFailed("through the client", said, "see what it says")
    return line


async def _main(url: str, in_flight: int, models: Sequence[str]) -> None:
    async with AsyncModelClient(url, cache=None) as client:
        await _asked(client, models, in_flight, WARM_UP_S)
        print("ready", flush=True)
        line = sys.stdin.readline()
        if line:
            print(json.dumps(await _asked(client, models, in_flight, float(line))), flush=True)
        sys.stdin.readline()  # until it is ended: what it spent can be looked at


async def _asked(
    client: AsyncModelClient, models: Sequence[str], in_flight: int, seconds: float
) -> dict[str, Any]:
    rows = np.tile(np.array(ROW, np.float32), (DIFFERENT, 1, 1))
    rows[:, 0, -1] = range(DIFFERENT)
    took_ms: list[float] = []
    turns, next_rows = itertools.cycle(models), itertools.cycle(rows)
    begin_s = time.perf_counter()

    async def ask() -> None:
        while True:
            asked_s = time.perf_counter()
            if asked_s >= begin_s + seconds:
                return
            await client.infer(next(turns), {"X": next(next_rows)})
            took_ms.append((time.perf_counter() - asked_s) * 1000)

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    return {
        "rows": len(took_ms),
        "seconds": time.perf_counter() - begin_s,
        "took_ms": random.sample(took_ms, min(KEPT, len(took_ms))),
    }


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))

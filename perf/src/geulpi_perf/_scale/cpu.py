"""Who keeps the processor busy: this process and all that it started, by what they do."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from geulpi_perf._load.processes import use_of

__all__ = ["ROLES", "Meter", "pss_mb", "tree"]

ROLES: Final = ("Triton", "stubs", "callers", "Valkey", "others")
"""The server itself, its Python-backend processes, who asks, the cache, all else on the machine."""

_PROC: Final = Path("/proc")
_EVERY_S: Final = 0.1
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# As /proc tells a program's name: its first 15 letters.
_BY_PROGRAM: Final = {
    "tritonserver": "Triton",
    "triton_python_b": "stubs",
    "valkey-server": "Valkey",
}


class Meter:
    """Counts processor time while a load runs; a context manager.

    What counts are the moments under load: a load generator's start, during which the servers
    idle, tells nothing about them.

    Attributes:
        cores: cores kept busy, by `ROLES`, on average; after the end.
        busiest: the process of a load that kept most of a core busy, by role, and how much.
    """

    def __init__(self) -> None:
        self.cores: dict[str, float] = dict.fromkeys(ROLES, 0.0)
        self.busiest: tuple[str, float] = ("", 0.0)
        self._samples: list[_Sample] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._samples.append(_Sample())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Add up."""
        self._done.set()
        self._thread.join()
        self._samples.append(_Sample())
        self._add_up()

    def _run(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._samples.append(_Sample())

    def _add_up(self) -> None:
        spans = [_Span(*two) for two in zip(self._samples, self._samples[1:], strict=False)]
        spans = [span for span in spans if span.seconds > _EVERY_S / 2]
        most = max((span.ours for span in spans), default=0.0)
        loaded = [span for span in spans if most and span.ours >= most / 2]
        seconds = sum(span.seconds for span in loaded)
        if not seconds:
            return
        by_process: Counter[tuple[int, str]] = Counter()
        for span in loaded:
            by_process.update(span.by_process)
        for (_, role), spent_s in by_process.items():
            self.cores[role] += spent_s / seconds
        (_, role), spent_s = max(by_process.items(), key=lambda item: item[1])
        self.busiest = (role, spent_s / seconds)
        busy = sum(span.machine_s for span in loaded) / seconds
        ours = sum(self.cores.values())
        self.cores["others"] = max(0.0, min(busy, len(os.sched_getaffinity(0))) - ours)


class _Sample:
    """Processor seconds so far, of each of our processes and of the machine."""

    def __init__(self) -> None:
        self.at_s = time.perf_counter()
        self.spent_s: dict[tuple[int, str], float] = {}
        own = os.getpid()
        for pid in tree(own):
            with suppress(OSError):  # it ended meanwhile
                name, _, rest = (_PROC / f"{pid}/stat").read_text().rpartition(")")
                user, system = rest.split()[11:13]
                role = _BY_PROGRAM.get(name.partition("(")[2], "callers")
                self.spent_s[pid, role] = (int(user) + int(system)) / _TICKS_PER_S
        # All but idling and waiting for disks, which are the fourth and fifth.
        counts = [int(n) for n in (_PROC / "stat").read_text().partition("\n")[0].split()[1:9]]
        self.machine_s = (sum(counts[:3]) + sum(counts[5:])) / _TICKS_PER_S


class _Span:
    """What was spent between two samples."""

    def __init__(self, before: _Sample, after: _Sample) -> None:
        self.seconds = after.at_s - before.at_s
        self.by_process = {
            which: spent_s - before.spent_s.get(which, 0.0)
            for which, spent_s in after.spent_s.items()
        }
        self.machine_s = after.machine_s - before.machine_s
        self.ours = sum(self.by_process.values()) / self.seconds


def tree(process: int) -> Iterator[int]:
    """Yield a process and all that it started and they did, as far as they still run."""
    yield process
    with suppress(OSError):
        for task in (_PROC / f"{process}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield from tree(int(child))


def pss_mb(process: int, program: str = "") -> float:
    """Return the proportional set size of a process and its children in MB.

    Args:
        process: its id.
        program: only those processes whose arguments hold this.
    """
    total = 0.0
    for pid in tree(process):
        with suppress(OSError):
            if re.search(re.escape(program).encode(), (_PROC / f"{pid}/cmdline").read_bytes()):
                total += use_of(pid).pss_mb
    return total

"""Memory and processor time of the servers on this machine, by process, over time."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

PROC: Final = Path("/proc")
LISTENS: Final = "0A"  # the state of a socket in /proc/net/tcp
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
GENERATOR: Final = "load generator"


@dataclass(frozen=True)
class Use:
    """What a process had at a moment: memory in MB (PSS), and processor seconds so far."""

    pss_mb: float
    cpu_s: float


@dataclass(frozen=True)
class Sample:
    """All processes at a moment, by name; `at_s` as `time.perf_counter`."""

    at_s: float
    uses: dict[str, Use]


class Sampler:
    """Looks at the processes behind some ports, and at this one, in a thread; a context manager.

    A process that listens elsewhere, or belongs to someone else, is not seen. PSS is the
    proportional set size: of a page that several processes share, each has its part.
    """

    def __init__(self, urls: list[str], every_s: float) -> None:
        self.samples: list[Sample] = []
        self._ports = {port for url in urls if (port := local_port(url))}
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        """Take the first sample and begin."""
        self.samples.append(self.sample())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the last sample."""
        self._done.set()
        self._thread.join()
        self.samples.append(self.sample())

    def sample(self) -> Sample:
        """Look at all processes now; those that a server restarted are found again."""
        uses = {}
        for pid, name in processes(self._ports).items():
            with suppress(OSError):  # it ended meanwhile, or is another user's
                uses[name] = use_of(pid)
        return Sample(time.perf_counter(), uses | {GENERATOR: use_of(os.getpid())})

    def _run(self) -> None:
        while not self._done.wait(self._every_s):
            self.samples.append(self.sample())


def processes(ports: set[int]) -> dict[int, str]:
    """Return the processes that listen on these ports, and all that they started, with names."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: dict[int, str] = {}
    waiting = _listeners(ports)
    while waiting:
        pid = waiting.pop()
        with suppress(OSError):
            name = _name(pid)
            found[pid] = f"{name} ({pid})" if name in found.values() else name
        waiting += [child for child in children.get(pid, ()) if child not in found]
    return found


def use_of(pid: int) -> Use:
    """Return what a process has now.

    Raises:
        OSError: it ended, or is not ours to look at.
    """
    rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    pss = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    user, system = _stat(pid)[11:13]
    return Use(int(pss[1]) * 1024 / 1e6 if pss else 0.0, (int(user) + int(system)) / TICKS_PER_S)


def local_port(url: str) -> int | None:
    """Return the port of an address on this machine, None for any other."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.port if parts.hostname in {"localhost", "127.0.0.1", "::1"} else None


def _listeners(ports: set[int]) -> list[int]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                _, address, _, state, *_, inode = line.split()[:10]
                if state == LISTENS and int(address.rpartition(":")[2], 16) in ports:
                    inodes.add(f"socket:[{inode}]")
    return [pid for pid in _pids() if inodes and inodes & _open_files(pid)]


def _open_files(pid: int) -> set[str]:
    files: set[str] = set()
    with suppress(OSError):
        for file in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                files.add(str(file.readlink()))
    return files


def _parents() -> Iterator[tuple[int, int]]:
    for pid in _pids():
        with suppress(OSError):
            yield pid, int(_stat(pid)[1])


def _pids() -> list[int]:
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    # The name, in parentheses, may hold anything; the fields after it are counted from the state.
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _name(pid: int) -> str:
    arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    program = arguments[0].rpartition(b"/")[2].decode(errors="replace").partition(" ")[0]
    if program == "triton_python_backend_stub":
        named = [re.fullmatch(r"(.+)_\d+_(\d+)", a.decode(errors="replace")) for a in arguments]
        model, instance = next((name.groups() for name in reversed(named) if name), ("?", "0"))
        return f"stub of {model}" + (f", instance {instance}" if int(instance) else "")
    return program

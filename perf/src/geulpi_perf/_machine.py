"""What a measurement was made on, with and by: part of every result that is kept."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Origin", "origin"]

PACKAGES = (
    "geulpi-client", "geulpi-server", "geulpi-perf", "tritonclient", "onnxruntime", "scikit-learn",
    "numpy", "ortools", "redis", "grpcio",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where figures come from.

    Attributes:
        command: that reproduces them.
        date: ISO 8601, UTC.
        machine: processor, cores, operating system.
        versions: of Python and of the packages at work.
    """

    command: str
    date: str
    machine: str
    versions: dict[str, str]

    @property
    def made_with(self) -> str:
        """The versions in one line."""
        return ", ".join(f"{name} {number}" for name, number in self.versions.items())

    def as_json(self) -> dict[str, object]:
        """Return the fields of a JSON result that say where it comes from."""
        return asdict(self)


def origin(program: str, *, secret: str | None = None) -> Origin:
    """Return where the figures of this process come from.

    Args:
        program: what was run, e.g. "geulpi bench"; its arguments are this process's own.
        secret: is not told.
    """
    words = program.split()
    own = sys.argv[1:]
    arguments = own[1:] if own[:1] == words[1:] else own
    command = shlex.join([*words, *arguments]).replace(secret or "\0", "…")
    return Origin(command, datetime.now(UTC).isoformat(timespec="seconds"), _machine(), _versions())


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return (
        f"{names[0] if names else platform.machine()}, {cores} cores, "
        f"{platform.system()} {platform.release()}"
    )


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one that is not needed here
            continue
    return found

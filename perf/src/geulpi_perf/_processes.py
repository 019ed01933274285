"""Programs that a measurement runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from geulpi_perf._errors import BenchFailed

__all__ = ["ROOT", "said"]

ROOT = Path(__file__).resolve().parents[3]


def said(*command: str | Path) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        BenchFailed: it ended with an error.
    """
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchFailed(Path(command[0]).name, done.stderr or done.stdout, "see above")
    return done.stdout

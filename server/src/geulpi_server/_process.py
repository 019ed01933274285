"""A server process under a guardian: started, watched for early death, stopped cleanly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from geulpi_server import _guardian
from geulpi_server._errors import ServerDied

RUN_FOLDER_PREFIX = "geulpi-run-"
SHM_FOLDER = Path("/dev/shm")  # noqa: S108 -- where Triton's Python backend puts its regions
# <prefix><owner's process id>_<random>: so a sweep can tell whose owner is gone.
SHM_PREFIX = "geulpi_"
_OWNED = re.compile(rf"(?:{RUN_FOLDER_PREFIX}|{SHM_PREFIX})(\d+)_")
# Triton without a GPU always says these; they mean nothing here.
_HARMLESS = re.compile(r"CUDA|NVML|DCGM|GPU|pinned memory|Polling|No server context", re.IGNORECASE)
_USEFUL = re.compile(r"^(?:[EW]\d{4} |\d+:M .*\s#|error|.*(?:Traceback|Error:|rror: ))")


class GuardedProcess:
    """One server process that can't outlive this one."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        run_folder: Path,
        log_file: Path,
        shm_prefix: str = "",
        environment: Mapping[str, str] | None = None,
        working_folder: Path | None = None,
        grace_s: float = 5.0,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._grace_s = grace_s
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-IS", _guardian.__file__, str(grace_s), shm_prefix,
                 run_folder, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=None if environment is None else dict(environment),
                cwd=working_folder,
                start_new_session=True,  # Ctrl-C in the terminal is the owner's to handle
            )  # fmt: skip
        first_line = self._guardian.stdout.readline() if self._guardian.stdout else b""
        self.pid = int(first_line) if first_line.strip() else -1

    @property
    def alive(self) -> bool:
        """Whether the server process runs."""
        return self._guardian.poll() is None

    def raise_if_dead(self) -> None:
        """Raise `ServerDied` with the useful last lines of the log if the process has ended."""
        if not self.alive:
            lines = list(useful_lines(self.log_file))[-8:] or last_lines(self.log_file)
            raise ServerDied(self.name, self._guardian.returncode, lines, self.log_file)

    def stop(self) -> None:
        """End the process and wait until nothing of it is left."""
        for pipe in (self._guardian.stdin, self._guardian.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._guardian.wait(self._grace_s + 5)
        except subprocess.TimeoutExpired:  # pragma: no cover -- the guardian itself hangs
            self._guardian.kill()
            self._guardian.wait()


def last_lines(log_file: Path, count: int = 8) -> list[str]:
    """Return the last lines of a log."""
    with suppress(OSError):
        return log_file.read_text(errors="replace").splitlines()[-count:]
    return []


def useful_lines(log_file: Path) -> Iterator[str]:
    """Yield the warnings and errors of a log that mean something on a machine without a GPU."""
    with suppress(OSError), log_file.open(errors="replace") as log:
        for line in log:
            if is_useful(line):
                yield line.rstrip()


def is_useful(line: str) -> bool:
    """Tell a warning or error worth a person's attention from the usual noise."""
    return bool(_USEFUL.match(line)) and not _HARMLESS.search(line)


def make_run_folder() -> Path:
    """Make this process's folder for one server's files, removed when the server ends."""
    return Path(tempfile.mkdtemp(prefix=f"{RUN_FOLDER_PREFIX}{os.getpid()}_"))


def shm_prefix_for(run_folder: Path) -> str:
    """Return the shared-memory prefix that belongs to a run folder."""
    return SHM_PREFIX + run_folder.name.removeprefix(RUN_FOLDER_PREFIX) + "_"


def sweep_leftovers() -> None:
    """Remove what servers left whose owner *and* guardian were killed."""
    for folder in (Path(tempfile.gettempdir()), SHM_FOLDER):
        for path in folder.iterdir() if folder.is_dir() else ():
            owner = _OWNED.match(path.name)
            if owner is None or Path("/proc", owner[1]).exists():
                continue
            with suppress(OSError):  # another user's
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

"""Make `.venv` from `requirements.lock`, with nothing but a Python >= 3.11 to start from.

Uses the standard library alone. Brings its own uv (pinned, with hashes) into `.tools/`, installs
the locked packages and, on top of them, the rooms of this repository as editable packages.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
ROOMS = ["analysis", "client", "conversion", "models", "server", "perf", "."]
OLDEST_GLIBC = (2, 35)  # what the tritonserver binary was linked against
SERVED_MINORS = [(3, 11), (3, 12)]  # numpy 1.26, which this Triton needs, ends at 3.12


class CannotSetUp(Exception):
    """What is missing on this machine, and the remedy."""


def check_machine() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 -- runs before anything is known of Python
        raise CannotSetUp(
            f"Python {platform.python_version()} is too old: this project needs 3.11 or newer.\n"
            "Remedy: install one and call `make PYTHON=python3.11 …`."
        )
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise CannotSetUp(
            f"The embedded Triton runs on Linux x86-64 only; this is {sys.platform} "
            f"{platform.machine()}.\nRemedy: use the container (docker compose up)."
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        raise CannotSetUp(
            f"The embedded Triton needs glibc {'.'.join(map(str, OLDEST_GLIBC))} or newer; this "
            f"system has {libc or 'another C library'} {version}.\n"
            "Remedy: a newer distribution (Debian 12, Ubuntu 22.04, …), or the container."
        )


def bring_uv() -> Path:
    """Install the pinned uv into `.tools/uv`, by venv where it works, else by pip alone."""
    uv = TOOLS / "uv" / "bin" / "uv"
    if uv.exists():
        return uv
    requirements = ["--require-hashes", "--no-deps", "-qr", str(ROOT / "scripts" / "uv.txt")]
    pip = ["pip", "install", "--disable-pip-version-check"]
    attempts = [
        [[sys.executable, "-m", "venv", TOOLS / "uv"],
         [TOOLS / "uv" / "bin" / "python", "-m", *pip, *requirements]],
        [[sys.executable, "-m", *pip, "--target", TOOLS / "uv", *requirements]],
    ]  # fmt: skip
    complaints = []
    for commands in attempts:
        shutil.rmtree(TOOLS / "uv", ignore_errors=True)
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                complaints.append((done.stderr or done.stdout).strip())
                break
        else:
            return uv
    raise CannotSetUp(
        "uv could not be installed: this Python has neither a working venv nor pip, or the "
        "package registry can't be reached.\nRemedy: e.g. `apt install python3-venv`.\n"
        + "\n".join(complaints)
    )


def shares_its_library(python: str) -> bool:
    """Whether Triton's Python stub will find `libpython3.X.so` of this interpreter."""
    probe = (
        "import ctypes, pathlib, sys, sysconfig\n"
        "name = f'libpython3.{sys.version_info[1]}.so.1.0'\n"
        "path = pathlib.Path(sysconfig.get_config_var('LIBDIR')) / name\n"
        "ctypes.CDLL(str(path) if path.exists() else name)\n"
        f"sys.exit(sys.version_info[:2] not in {SERVED_MINORS})"
    )
    done = subprocess.run([python, "-c", probe], capture_output=True, check=False)
    return done.returncode == 0


def choose_python() -> str:
    """Return an interpreter that the stub can load, or a version for uv to fetch."""
    for name in (sys.executable, "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and shares_its_library(path):
            return path
    print("setup: no Python 3.11 or 3.12 with a shared library here; asking uv for one")
    return "3.12"


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if done.returncode:
        raise CannotSetUp(f"This command failed: {' '.join(map(str, command))}")


def main() -> None:
    check_machine()
    uv = bring_uv()
    if not (VENV / "bin" / "python").exists():
        print("setup: making .venv", flush=True)
        try:
            run(uv, "venv", "--quiet", "--clear", "--python", choose_python(), VENV)
        except CannotSetUp as error:
            name = f"libpython{sysconfig.get_python_version()}.so"
            raise CannotSetUp(
                f"No usable Python: Triton's Python backend loads {name}, which is not on this "
                "machine, and no other Python could be fetched.\n"
                f"Remedy: e.g. `apt install lib{name[3:-3]}` (Debian, Ubuntu)."
            ) from error
    print("setup: installing the locked packages", flush=True)
    python = VENV / "bin" / "python"
    run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", "requirements.lock")
    editables = [part for room in ROOMS for part in ("-e", ROOT / room)]
    run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps",
        "--no-build-isolation", *editables)  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except CannotSetUp as error:
        sys.exit(f"setup: {error}")

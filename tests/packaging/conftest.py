"""The client as users install it: its wheel and the packages that it asks for, and no more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture(scope="session")
def client_wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=root / "client", capture_output=True, check=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def uv(root: Path) -> Path:
    """The project's own uv; `make setup` brings it."""
    return root / ".tools" / "uv" / "bin" / "uv"


@pytest.fixture
def python(uv: Path, request: pytest.FixtureRequest) -> str:
    """The Python of the version that the test asks for, or no test where there is none."""
    version: str = request.param
    found = subprocess.run(
        [uv, "python", "find", "--system", "--no-config", version],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode == 0:
        return found.stdout.strip()
    # pyenv's commands are no interpreters: its versions are looked up where they are.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in sorted(pyenv.glob(f"{version}.*/bin/python")):
        return str(path)
    return pytest.skip(f"no Python {version} on this machine")


@pytest.fixture
def base_install(root: Path, uv: Path, client_wheel: Path, tmp_path: Path) -> Install:
    """Return a function that installs the client alone for a Python, and returns that Python.

    It takes what is to be installed in the versions given; the rest has the versions that are
    locked, whatever came out since, or with `locked=False` what goes with those given.
    """
    lock = (root / "requirements.lock").read_text()

    def install(python: str, *given: str, locked: bool = True) -> Path:
        named = {re.split(r"\W", requirement)[0] for requirement in given}
        constraints = tmp_path / "locked.txt"
        constraints.write_text(
            "\n".join(
                f"{name}=={version}"
                for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE)
                if locked and name not in named
            )
        )
        venv = tmp_path / "venv"
        run(uv, "venv", "--quiet", "--no-config", "--python", python, venv)
        # Without the configuration: what it overrides for this checkout, no user has.
        command = [
            uv, "pip", "install", "--quiet", "--no-config", "--python", venv / "bin" / "python",
            "--constraints", constraints, "--only-binary", ":all:", client_wheel, *given,
        ]  # fmt: skip
        try:
            run(*command, "--offline")
        except subprocess.CalledProcessError:  # not all of it was downloaded yet
            run(*command)
        return venv / "bin" / "python"

    return install


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)

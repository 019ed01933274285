"""The client's types as a user's type checker sees them, in what is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import geulpi_client
import pytest
from geulpi_client import testing

USER = Path(__file__).with_name("typed_user.py")


@pytest.mark.parametrize(
    ("python", "numpy"), [("3.11", "1.26.4"), ("3.13", "2.5.5")], indirect=["python"]
)
def test_mistakes_of_types_are_seen_and_nothing_else(
    base_install, tmp_path: Path, python: str, numpy: str
) -> None:
    """The program is strictly typed but for the mistakes in it, each of which mypy names."""
    interpreter = base_install(python, f"numpy=={numpy}")
    done = subprocess.run(
        [
            sys.executable, "-I", "-m", "mypy", "--strict", "--config-file=",
            "--cache-dir", tmp_path / "cache", "--python-executable", interpreter, USER,
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_program_leaves_nothing_public_out() -> None:
    """A name that is exported is a type that is tested."""
    words = set(re.findall(r"\w+", USER.read_text()))
    assert words >= {*geulpi_client.__all__, *testing.__all__}

"""The client's base install: on each Python and numpy that it names, small, and enough."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SMOKE = Path(__file__).with_name("base_install.py")
INSTALLED = {
    "geulpi-client", "grpcio", "hiredis", "ml-dtypes", "numpy", "packaging", "protobuf",
    "python-rapidjson", "redis", "tritonclient", "typing-extensions", "urllib3",
}  # fmt: skip
OWN_BYTES = 1_000_000  # of the client's own files
MANY_BYTES = 130_000_000  # of all; more than half of them are numpy's


@pytest.fixture
def servers(triton, valkey_url: str) -> tuple[str, str]:
    return triton.grpc_url, valkey_url


@pytest.mark.parametrize(
    ("python", "numpy"),
    [  # numpy 1.26 has no wheels for Python 3.13, and numpy 2.5 none for 3.11
        ("3.11", "2.4.6"),
        ("3.12", "1.26.4"),
        ("3.12", "2.5.5"),
        ("3.13", "2.5.5"),
    ],
    indirect=["python"],
)
def test_the_base_install_is_enough(base_install, servers, python: str, numpy: str) -> None:
    """Calls of threads and asyncio, cached and joined, by the fake and by real servers."""
    said = smoked(base_install(python, f"numpy=={numpy}"), servers)
    packages = said["packages"]
    assert packages["numpy"]["version"] == numpy
    assert set(packages) == INSTALLED
    assert packages["geulpi-client"]["bytes"] < OWN_BYTES
    assert sum(one["bytes"] for one in packages.values()) < MANY_BYTES
    print(table(said))


@pytest.mark.parametrize("python", ["3.11"], indirect=True)
def test_the_oldest_that_is_asked_for_is_enough(
    base_install, servers, root: Path, python: str
) -> None:
    """The least versions in `client/pyproject.toml`, with what went with them."""
    project = tomllib.loads((root / "client" / "pyproject.toml").read_text())["project"]
    oldest = [one.replace(">=", "==") for one in project["dependencies"]]
    packages = smoked(base_install(python, *oldest, locked=False), servers)["packages"]
    assert packages.keys() < INSTALLED
    for requirement in oldest:
        name, _, version = requirement.partition("==")
        assert packages[name.partition("[")[0]]["version"].removesuffix(".0") == version


def test_an_import_loads_no_more_than_it_needs() -> None:
    """Neither extras, which are all installed here, nor transports, nor what tests use."""
    script = (
        "import sys\n"
        "import redis, tritonclient.grpc\n"  # which load much by themselves
        "before = set(sys.modules)\n"
        "import geulpi_client\n"
        "print(*set(sys.modules) - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    known = {"geulpi_client", "numpy", *sys.stdlib_module_names}
    others = {name for name in loaded if name.split(".")[0] not in known}
    assert all(name.startswith("_sysconfigdata") for name in others)
    late = "_fake|_http|_transport|cli$|prometheus|testing"
    assert not [name for name in loaded if re.search(rf"geulpi_client\b.*({late})", name)]
    assert "geulpi_client._async.geulpi_client" in loaded


def smoked(interpreter: Path, servers: tuple[str, str]) -> dict:
    # -I: this checkout's sources are not on its path.
    done = subprocess.run(
        [interpreter, "-I", "-W", "error", SMOKE, *servers],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["client"]).is_relative_to(interpreter.parent.parent)
    return said


def table(said: dict) -> str:
    """What is installed, the largest first; `pytest -rP` shows it."""
    by_size = sorted(said["packages"].items(), key=lambda item: -item[1]["bytes"])
    total = sum(one["bytes"] for _, one in by_size)
    lines = [f"{name:17} {one['version']:8} {one['bytes'] / 1e6:6.1f} MB" for name, one in by_size]
    return "\n".join([f"Python {said['python']}", *lines, f"{'together':26} {total / 1e6:6.1f} MB"])

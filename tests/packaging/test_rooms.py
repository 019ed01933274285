"""The rooms keep to themselves: who may import whom, what is exported, what is documented."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
MAY_IMPORT = {
    "analysis": {"client"},
    "client": set(),
    "conversion": set(),
    "server": set(),
    "models": {"conversion"},
    "perf": {"client", "server"},
}
ROOMS = sorted(MAY_IMPORT)
COMMANDS = [
    ["serve"], ["status"], ["classify"], ["convert"], ["describe"], ["verify"],
    ["build"], ["quality"], ["analyze"], ["bench"], ["tune"], ["load"],
    ["compare"],
    ["cache", "stats"], ["cache", "invalidate"],
]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(root: Path, room: str) -> None:
    """A room imports only the rooms that the design allows."""
    # What is published beside a model.py is named geulpi_…, too, but is no room.
    packages = {"geulpi", "geulpi_calendar", *(f"geulpi_{other}" for other in ROOMS)}
    imported = set()
    for path in (root / room / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {n.split(".")[0] for n in names} & packages
    own = {f"geulpi_{room}"} | ({"geulpi_calendar"} if room == "models" else set())
    assert imported - own <= {f"geulpi_{other}" for other in MAY_IMPORT[room]}


def test_what_triton_runs_stands_alone(root: Path) -> None:
    """`geulpi_calendar` travels with the models: it imports no room, and no heavy library."""
    allowed = {"numpy", "dateutil", "ortools", "geulpi_calendar", *sys.stdlib_module_names}
    for path in (root / "models" / "src" / "geulpi_calendar").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {n.split(".")[0] for n in names} <= allowed, path


@pytest.mark.parametrize("room", ROOMS)
def test_dependencies_on_rooms_are_declared(root: Path, room: str) -> None:
    """What a room may import it also requires, and nothing more."""
    project = tomllib.loads((root / room / "pyproject.toml").read_text())["project"]
    required = {
        found[1] for d in project["dependencies"] if (found := re.match(r"geulpi-(\w+)", d))
    }
    assert required <= MAY_IMPORT[room]


@pytest.mark.parametrize("room", ROOMS)
def test_exports_are_sorted_documented_and_there(room: str) -> None:
    """`__all__` is the public face: sorted, importable, each name with a docstring."""
    module = importlib.import_module(f"geulpi_{room}")
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        public = getattr(module, name)
        if callable(public):
            assert public.__doc__, f"{name} has no docstring"


def test_the_client_needs_no_heavy_package() -> None:
    """A backend that installs the client alone gets neither scikit-learn nor ONNX."""
    script = (
        "import sys\n"
        "heavy = {'sklearn', 'onnx', 'onnxruntime', 'skl2onnx', 'pandas', 'scipy', 'pytriton',\n"
        "         'typer', 'rich', 'geulpi_server', 'geulpi_conversion', 'geulpi_models'}\n"
        "import geulpi_client\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    """`--help` says what the command does and how it is typed."""
    done = subprocess.run(
        [BIN / "geulpi", *command, "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert "Example: geulpi" in done.stdout


def test_a_wrong_command_ends_with_2_and_no_traceback() -> None:
    """Wrong use is exit code 2."""
    done = subprocess.run([BIN / "geulpi", "bake"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_readme_names_every_command(root: Path) -> None:
    """A command that the README does not mention is one that nobody finds."""
    readme = (root / "README.md").read_text()
    for command in COMMANDS:
        assert f"geulpi {' '.join(command)}" in readme


def test_versions_are_locked_with_hashes(root: Path) -> None:
    """Every locked package has its hashes and no download address."""
    lock = (root / "requirements.lock").read_text()
    packages = re.split(r"\n(?=\w)", lock.strip())
    assert len(packages) > 40
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in lock
    assert not (root / "uv.lock").exists() or "uv.lock" in (root / ".gitignore").read_text()

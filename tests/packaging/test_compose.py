"""docker-compose.yml, as far as it can be checked without a container engine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from geulpi_server._environment import find_triton, server_environment
from geulpi_server._triton import _CONTROL_APIS, _CONTROL_HEADER


@pytest.fixture(scope="module")
def compose(root: Path) -> dict:
    return yaml.safe_load((root / "docker-compose.yml").read_text())


def test_triton_and_redis_are_there_pinned_and_watched(compose: dict) -> None:
    """Each service names its image's version, has a health check, and listens here alone."""
    assert set(compose["services"]) == {"triton", "redis"}
    for service in compose["services"].values():
        assert re.search(r":\$\{\w+:-[\w.-]+\}$", service["image"])
        assert "latest" not in service["image"]
        assert service["healthcheck"]["test"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_committed_repository_is_mounted_read_only(compose: dict, root: Path) -> None:
    """The container serves the folder that the embedded server serves, and can't change it."""
    (volume,) = compose["services"]["triton"]["volumes"]
    source, target, mode = volume.split(":")
    assert (root / source / "event_classifier" / "config.pbtxt").exists()
    assert mode == "ro"
    assert f"--model-repository={target}" in compose["services"]["triton"]["command"]


def test_the_container_gets_the_solver_that_is_locked(compose: dict, root: Path) -> None:
    """Plans are the same in both homes: the same OR-tools, on Triton's own image."""
    build = compose["services"]["triton"]["build"]
    (solver,) = re.findall(r"ortools==([\d.]+)", build["dockerfile_inline"])
    assert f"\nortools=={solver} " in (root / "requirements.lock").read_text()
    assert "FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG}" in build["dockerfile_inline"]
    assert build["args"]["TRITON_TAG"] == "${TRITON_TAG:-26.09-py3}"


def test_the_flags_are_tritons_own(compose: dict) -> None:
    """Every flag is one that the real tritonserver knows, and the same APIs are closed."""
    flags = compose["services"]["triton"]["command"][1:]
    files = find_triton()
    said = subprocess.run(
        [files.binary, "--help"],
        env=server_environment(files), capture_output=True, text=True, check=False,
    )  # fmt: skip
    known = set(re.findall(r"--[\w-]+", said.stdout + said.stderr))
    assert {flag.split("=")[0] for flag in flags} <= known
    closed = [flag for flag in flags if "restricted" in flag]
    assert len(closed) == 2
    assert all(f"={_CONTROL_APIS}:{_CONTROL_HEADER}=" in flag for flag in closed)

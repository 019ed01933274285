"""What is checked before any server is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from geulpi_server import (
    EmbeddedTriton,
    InvalidAddress,
    PortTaken,
    RepositoryNotFound,
    UnsupportedEnvironment,
)
from geulpi_server._environment import find_triton
from geulpi_server._ports import resolve_ports
from geulpi_server._process import is_useful, sweep_leftovers


def test_free_ports_are_distinct() -> None:
    """Ports that are found, not given, never collide with one another."""
    ports = resolve_ports("127.0.0.1", dict.fromkeys("abcdef"))
    assert len(set(ports.values())) == 6


def test_a_taken_port_is_named_with_its_option() -> None:
    """The error says which port, which option, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} \(http_port\).*\n.*--http-port"):
            resolve_ports("127.0.0.1", {"http_port": port})


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    """Ports are 1 to 65535."""
    with pytest.raises(InvalidAddress, match="1 to 65535"):
        resolve_ports("127.0.0.1", {"http_port": port})


def test_one_port_for_two_listeners_is_refused() -> None:
    """Two names can't share a port."""
    with pytest.raises(InvalidAddress, match="given twice"):
        resolve_ports("127.0.0.1", {"http_port": 18080, "grpc_port": 18080})


def test_a_host_that_is_not_here_is_refused() -> None:
    """An address of another machine can't be listened on."""
    with pytest.raises(InvalidAddress, match=r"host '192\.0\.2\.1'"):
        resolve_ports("192.0.2.1", {"http_port": None})


def test_a_missing_or_empty_repository_is_refused(tmp_path: Path) -> None:
    """No server is started for a folder without models."""
    with pytest.raises(RepositoryNotFound, match="no such folder"):
        EmbeddedTriton(tmp_path / "none").start()
    with pytest.raises(RepositoryNotFound, match="holds no model"):
        EmbeddedTriton(tmp_path).start()


def test_numpy_2_is_refused(tmp_path: Path) -> None:
    """With numpy 2 installed where Python looks first, the server does not start."""
    metadata = tmp_path / "numpy-2.3.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.3.1\n")
    done = subprocess.run(
        [sys.executable, "-c", "from geulpi_server._environment import find_triton; find_triton()"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "UnsupportedEnvironment: The server's environment has numpy 2.3.1" in done.stderr
    assert "Remedy: install numpy 1.26" in done.stderr


def test_a_python_without_stub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this Triton has no stub for the Python that runs, the error says which will do."""
    monkeypatch.setattr("geulpi_server._environment._check_python_library", lambda: None)
    monkeypatch.setattr(sys, "version_info", (3, 99))
    with pytest.raises(UnsupportedEnvironment, match=r"no Python stub for Python 3\.99"):
        find_triton()


def test_only_leftovers_of_dead_owners_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living owner's folder stays; one whose process is gone goes."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = tmp_path / f"geulpi-run-{ended.pid}_x"
    kept = tmp_path / f"geulpi-run-{os.getpid()}_x"
    other = tmp_path / "geulpi-run-notes"
    for folder in (gone, kept, other):
        folder.mkdir()
    sweep_leftovers()
    assert not gone.exists()
    assert kept.exists()
    assert other.exists()


def test_useful_log_lines_are_told_from_noise() -> None:
    """Warnings and errors are shown, except those that every machine without a GPU has."""
    assert is_useful("E1123 04:44:28.7 5341 model.cc:1] \"failed to load 'rf'\"")
    assert not is_useful('I1123 04:44:28.7 5341 server.cc:1] "started"')
    assert not is_useful('W1123 04:44:28.7 5341 pinned.cc:1] "Unable to allocate pinned memory"')

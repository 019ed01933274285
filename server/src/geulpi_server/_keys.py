"""The control key of a running `geulpi serve`, kept where only its own user can read it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

__all__ = ["control_header_for", "remembered"]


def control_header_for(port: int) -> tuple[str, str] | None:
    """Return name and value of the control header of the Triton served on a port of this machine.

    None where this user runs no `geulpi serve` with that HTTP or gRPC port.
    """
    try:
        name, value = json.loads(_path(port).read_text())
    except (OSError, ValueError):
        return None
    return str(name), str(value)


@contextmanager
def remembered(header: tuple[str, str], ports: tuple[int, ...]) -> Iterator[None]:
    """Keep a control header for other commands of this user while the server runs."""
    paths = [_path(port) for port in ports]
    for path in paths:
        with suppress(OSError):  # without a private folder, commands that need the key say so
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(header, file)
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _path(port: int) -> Path:
    return platformdirs.user_state_path("geulpi") / "keys" / f"control-{port}.json"

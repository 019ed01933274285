"""The embedded Triton: the real tritonserver on a model repository, without a container."""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from geulpi_server._control import Control, ModelState
from geulpi_server._environment import TritonFiles, find_triton, server_environment
from geulpi_server._errors import (
    ModelsNotReady,
    PortTaken,
    RepositoryNotFound,
    ServerDied,
    StartTimeout,
)
from geulpi_server._ports import is_listening, resolve_ports
from geulpi_server._process import (
    GuardedProcess,
    last_lines,
    make_run_folder,
    shm_prefix_for,
    sweep_leftovers,
)
from geulpi_server._watchdog import Watchdog

__all__ = ["EmbeddedTriton"]

_BACKENDS = Path(__file__).parent / "backends"
_POLL_S = 0.01
_CONTROL_APIS = "model-repository,shared-memory,logging,trace"
_CONTROL_HEADER = "geulpi-control-key"


@dataclass
class _Running:
    process: GuardedProcess
    control: Control
    watchdog: Watchdog | None = None

    def stop(self) -> None:
        if self.watchdog is not None:
            self.watchdog.stop()
        self.control.close()
        self.process.stop()


class EmbeddedTriton:
    """A tritonserver of this process's own, ready when it is entered, gone when it is left.

    Ready means that a canary inference of every model answered. A model whose Python process dies
    is revived within seconds. Triton's control APIs (model-repository, shared-memory,
    logging, trace) answer only with `control_header`, made anew at each start.

    Args:
        model_repository: the folder that Triton loads.
        host: the address to listen on.
        http_port, grpc_port, metrics_port: ports; a free one is found for `None`.
        log_file: where Triton's log goes; by default into the run folder, which the stop removes.
        start_timeout_s: how long to wait for readiness, in seconds.

    Raises (on entering):
        RepositoryNotFound, UnsupportedEnvironment, InvalidAddress, PortTaken: before any start.
        ModelsNotReady, ServerDied, StartTimeout: everything is stopped again.
    """

    def __init__(
        self,
        model_repository: str | Path,
        *,
        host: str = "127.0.0.1",
        http_port: int | None = None,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        log_file: Path | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.model_repository = Path(model_repository).absolute()
        self.host = host
        self._wanted_ports = {
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
        }
        self._log_file = log_file
        self._start_timeout_s = start_timeout_s
        self._ports: dict[str, int] = {}
        self._server: _Running | None = None
        self.control_header: tuple[str, str] = (_CONTROL_HEADER, secrets.token_urlsafe(24))

    @property
    def http_url(self) -> str:
        """`http://host:port` of the KServe v2 HTTP API."""
        self._running()
        return f"http://{self._address('http_port')}"

    @property
    def grpc_url(self) -> str:
        """`host:port` of the KServe v2 gRPC API, as tritonclient takes it."""
        self._running()
        return self._address("grpc_port")

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        self._running()
        return f"http://{self._address('metrics_port')}/metrics"

    @property
    def pid(self) -> int:
        """Process id of the tritonserver."""
        return self._running().process.pid

    @property
    def log_file(self) -> Path:
        """Triton's log."""
        return self._running().process.log_file

    @property
    def alive(self) -> bool:
        """Whether the tritonserver process runs."""
        return self._server is not None and self._server.process.alive

    def models(self) -> list[ModelState]:
        """Return the state of every model version in the repository."""
        return self._running().control.index()

    def raise_if_dead(self) -> None:
        """Raise `ServerDied` if the tritonserver has ended by itself."""
        self._running().process.raise_if_dead()

    def __enter__(self) -> Self:
        """Start the server and wait until every model has answered."""
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

    def start(self) -> None:
        """Start the server and wait until every model has answered its canary inference."""
        _check_repository(self.model_repository)
        files = find_triton()
        sweep_leftovers()
        deadline = time.monotonic() + self._start_timeout_s
        for attempts_left in (2, 1, 0):
            self._ports = resolve_ports(self.host, self._wanted_ports)
            try:
                self._launch(files)
                self._wait_until_ready(deadline)
            except ServerDied as error:
                said = last_lines(error.log_file, 40)
                self.stop()
                # A port found free can be lost to another process before Triton binds it.
                if not any("already in use" in line for line in said):
                    raise
                if None not in self._wanted_ports.values() or not attempts_left:
                    raise PortTaken("http_port", self.host, self._ports["http_port"]) from error
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop the server; does nothing where none runs."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _launch(self, files: TritonFiles) -> None:
        run_folder = make_run_folder()
        shm_prefix = shm_prefix_for(run_folder)
        backends = _assemble_backends(files, run_folder)
        process = GuardedProcess(
            "tritonserver",
            [files.binary, *self._flags(backends, shm_prefix)],
            run_folder=run_folder,
            log_file=self._log_file or run_folder / "triton.log",
            shm_prefix=shm_prefix,
            environment=server_environment(files),
            grace_s=8.0,
        )
        control = Control(self._address("grpc_port"), self.control_header)
        self._server = _Running(process, control)

    def _flags(self, backends: Path, shm_prefix: str) -> list[str]:
        restricted = f"{_CONTROL_APIS}:{self.control_header[0]}={self.control_header[1]}"
        return [
            f"--model-repository={self.model_repository}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
            "--model-control-mode=explicit",
            "--load-model=*",
            # A model that fails to load is our error to report, with its reason.
            "--exit-on-error=false",
            "--strict-readiness=true",
            # Configs are complete; guessing costs a throw-away Python process per model.
            "--disable-auto-complete-config",
            "--exit-timeout-secs=5",
            f"--http-address={self.host}",
            f"--http-port={self._ports['http_port']}",
            f"--grpc-address={self.host}",
            f"--grpc-port={self._ports['grpc_port']}",
            f"--metrics-address={self.host}",
            f"--metrics-port={self._ports['metrics_port']}",
            f"--http-restricted-api={restricted}",
            f"--grpc-restricted-protocol={restricted}",
            "--allow-gpu-metrics=false",
        ]

    def _wait_until_ready(self, deadline: float) -> None:
        server = self._running()
        process, control = server.process, server.control
        # tritonserver opens its ports one after the other; the control asks by gRPC, the first.
        while not (control.is_live() and self._listens_everywhere()):
            process.raise_if_dead()
            if time.monotonic() > deadline:
                raise StartTimeout(
                    "tritonserver", self._start_timeout_s, "it to answer", process.log_file
                )
            time.sleep(_POLL_S)
        # With explicit control the index is complete once the server is live: the first models
        # were loaded before the ports opened.
        states = control.index()
        reasons = {
            state.name: _last_reason(state.reason)
            for state in states
            if not state.ready and not any(s.ready and s.name == state.name for s in states)
        }
        for name in sorted({state.name for state in states if state.ready}):
            failure = self._ask_canary(name, timeout_s=max(1.0, deadline - time.monotonic()))
            if failure is not None:
                reasons[name] = f"its canary inference failed: {failure}"
        process.raise_if_dead()
        if reasons:
            raise ModelsNotReady(reasons, self._kept_log())
        server.watchdog = Watchdog(
            process,
            needed=control.instances,
            reload=control.reload,
            ask=lambda name: self._ask_canary(name, timeout_s=30),
        )

    def _listens_everywhere(self) -> bool:
        return all(is_listening(self._own_host(), port) for port in self._ports.values())

    def _ask_canary(self, model: str, *, timeout_s: float) -> str | None:
        folder = self.model_repository / model
        return self._running().control.canary(model, folder, timeout_s=timeout_s)

    def _kept_log(self) -> Path:
        """Return a log that outlives the run folder."""
        log_file = self._running().process.log_file
        if self._log_file is not None:
            return log_file
        kept = log_file.parent.with_suffix(".log")
        shutil.copy(log_file, kept)
        return kept

    def _running(self) -> _Running:
        if self._server is None:
            raise RuntimeError("this EmbeddedTriton is not running: enter it with `with` first")
        return self._server

    def _address(self, port: str) -> str:
        return f"{self._own_host()}:{self._ports[port]}"

    def _own_host(self) -> str:
        """Return where this machine reaches the server."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 -- compared, not bound


def _check_repository(path: Path) -> None:
    if not path.is_dir():
        raise RepositoryNotFound(path, "there is no such folder")
    if not any(path.glob("*/config.pbtxt")):
        raise RepositoryNotFound(path, "it holds no model (no */config.pbtxt)")


def _assemble_backends(files: TritonFiles, run_folder: Path) -> Path:
    """Lay out a backend directory as Triton wants it: real `.so`, linked stub, our `model.py`."""
    backends = run_folder / "backends"
    python = backends / "python"
    python.mkdir(parents=True)
    # Triton refuses a symlink here ("escapes the backend directory") …
    shutil.copy(files.python_backend / "libtriton_python.so", python)
    shutil.copy(files.python_backend / "triton_python_backend_utils.py", python)
    # … and the stub finds its libraries relative to where it really lies.
    (python / "triton_python_backend_stub").symlink_to(files.stub)
    shutil.copytree(_BACKENDS, backends, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*"))
    return backends


def _last_reason(reason: str) -> str:
    return reason.strip().removeprefix("Internal: ") or "it failed to load (see the log)"

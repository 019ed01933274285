"""Other servers for the same model, each in an environment of its own.

Their set-ups are in `perf/peers`: what runs, pinned requirements, and where its documentation
recommends it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from geulpi_perf._errors import BenchFailed, ToolMissing
from geulpi_perf._forest import ROW
from geulpi_perf._processes import ROOT, said

__all__ = ["PEERS", "Peer", "environment", "running", "v2_body", "v2_probabilities"]

WORKERS = os.cpu_count() or 1
START_S, STOP_S = 120, 30


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes:
        name: of its folder in `perf/peers`.
        title: as tables say it.
        command: what starts it, by its environment's folder of programs and its port.
        path: of its predictions.
        body: one row, as it is asked.
        probabilities: takes them from its answer, for comparison.
        health: the path that answers once it is ready.
        variables: environment variables, by its port.
    """

    name: str
    title: str
    command: Callable[[Path, int], list[str | Path]]
    path: str
    body: object
    probabilities: Callable[[Any], list[float]]
    health: str = "/health"
    variables: Callable[[int], dict[str, str]] = field(default=lambda _port: {})

    @property
    def folder(self) -> Path:
        """Where its set-up is."""
        return ROOT / "perf" / "peers" / self.name


def v2_body(datatype: str, name: str) -> dict[str, object]:
    """Return one row as the Open Inference Protocol has it (Triton, MLServer)."""
    return {"inputs": [{"name": name, "datatype": datatype, "shape": [1, len(ROW)], "data": ROW}]}


def v2_probabilities(answer: Any) -> list[float]:
    """Return the longest output: the other is the label (Triton, MLServer)."""
    found: list[float] = max((output["data"] for output in answer["outputs"]), key=len)
    return found


def _uvicorn(*options: str) -> Callable[[Path, int], list[str | Path]]:
    return lambda programs, port: [
        programs / "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools",
        "--port", str(port), "--no-access-log", "--log-level", "warning", *options,
    ]  # fmt: skip


def _script(name: str) -> Callable[[Path, int], list[str | Path]]:
    return lambda programs, port: [programs / "python", name, str(port)]


PEERS = (
    Peer(
        "fastapi_microbatch", "FastAPI, micro-batches", _uvicorn(),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "fastapi_single", "FastAPI, one by one", _uvicorn("--workers", str(WORKERS)),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "bentoml", "BentoML",
        lambda programs, port: [
            programs / "bentoml", "serve", "service:Forest", "--host", "127.0.0.1",
            "--port", str(port),
        ],
        "/predict", {"rows": [ROW]}, lambda answer: answer[0][1:],
        health="/readyz", variables=lambda _port: {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "litserve", "LitServe", _script("server.py"),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "mlserver", "MLServer",
        lambda programs, _port: [programs / "mlserver", "start", "."],
        "/v2/models/forest/infer",
        v2_body("FP32", "rows") | {"outputs": [{"name": "predict"}, {"name": "predict_proba"}]},
        v2_probabilities, health="/v2/models/forest/ready",
        variables=lambda port: {
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(_free_port()),
            "MLSERVER_METRICS_PORT": str(_free_port()),
            "MLSERVER_PARALLEL_WORKERS": str(WORKERS),
        },
    ),
    Peer(
        "rayserve", "Ray Serve", _script("app.py"),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"], health="/-/healthz",
        variables=lambda _port: {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
        },
    ),
)  # fmt: skip


def environment(peer: Peer) -> Path:
    """Return the folder of programs of the peer's own environment, made once for its pins.

    Raises:
        ToolMissing: there is no uv.
        BenchFailed: the requirements could not be installed.
    """
    requirements = peer.folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("geulpi") / f"{peer.name}-{digest}"
    if not (folder / "ready").exists():
        own = ROOT / ".tools" / "uv" / "bin" / "uv"
        found = str(own) if own.exists() else shutil.which("uv")
        if found is None:
            raise ToolMissing("uv", "it is neither in .tools nor on PATH", "make setup")
        # Without the workspace's own settings: they would override pins.
        uv = (found, "--no-config")
        said(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        said(*uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python",
             "--require-hashes", "-r", requirements)  # fmt: skip
        (folder / "ready").touch()
    return folder / "bin"


@contextmanager
def running(peer: Peer, programs: Path, model: Path) -> Iterator[str]:
    """Start a peer with the model, yield its URL once it is ready, and stop it again.

    Raises:
        BenchFailed: it ended, or was not ready in time.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        variables = os.environ | peer.variables(port) | {
            "MODEL": str(model),
            "MLSERVER_MODEL_URI": str(model),
            "WORKERS": str(WORKERS),
            "RAY_TMPDIR": folder,
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        }  # fmt: skip
        variables.pop("PYTHONPATH", None)
        log = Path(folder, "log.txt")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in peer.command(programs, port)],
                cwd=peer.folder, env=variables, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            _wait(peer, process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _wait(peer: Peer, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(OSError):
            urllib.request.urlopen(url + peer.health, timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            why = "ended" if process.poll() is not None else f"not ready within {START_S} s"
            last = log.read_text(errors="replace")[-2000:]
            raise BenchFailed(peer.title, f"{why}\n{last}", f"run it by hand in {peer.folder}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it started: its children share its session."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    deadline = time.monotonic() + 5
    while members := _members(process.pid):
        if time.monotonic() > deadline:
            for member in members:
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
        time.sleep(0.1)
    process.wait(STOP_S)


def _members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ProcessLookupError):
            state, _parent, _group, its = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
    return port

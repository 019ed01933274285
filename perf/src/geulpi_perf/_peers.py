"""Other servers for the same model, each in an environment of its own.

Their set-ups are in `perf/peers`: what runs, pinned requirements, and where its documentation
recommends it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import platformdirs
from geulpi_server import GuardedProcess

from geulpi_perf._errors import BenchFailed, ToolMissing
from geulpi_perf._forest import ROW
from geulpi_perf._processes import ROOT, said

__all__ = ["PEERS", "START_S", "Peer", "environment", "running", "v2_body", "v2_probabilities"]

WORKERS = len(os.sched_getaffinity(0))
START_S, STOP_S = 120, 10
LOG_CHARACTERS = 2000  # of the end of a peer's log, where it fails


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes:
        name: of its folder in `perf/peers`.
        title: as tables say it.
        package: the one that serves, as its requirements name it.
        command: what starts it, by its environment's folder of programs and its port.
        path: of its predictions.
        body: one row, as it is asked.
        probabilities: takes them from its answer, for comparison.
        health: the path that answers once it is ready.
        variables: environment variables, by its port.
    """

    name: str
    title: str
    package: str
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

    @property
    def version(self) -> str:
        """The version of its package that is pinned."""
        pins = (self.folder / "requirements.txt").read_text(encoding="utf-8")
        pinned = re.search(rf"^{self.package}(?:\[.*\])?==(\S+)", pins, re.MULTILINE)
        return pinned[1] if pinned else "?"


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
        "fastapi_microbatch", "FastAPI, micro-batches", "fastapi", _uvicorn(),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "fastapi_single", "FastAPI, one by one", "fastapi", _uvicorn("--workers", str(WORKERS)),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "bentoml", "BentoML", "bentoml",
        lambda programs, port: [
            programs / "bentoml", "serve", "service:Forest", "--host", "127.0.0.1",
            "--port", str(port),
        ],
        "/predict", {"rows": [ROW]}, lambda answer: answer[0][1:],
        health="/readyz", variables=lambda _port: {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "litserve", "LitServe", "litserve", _script("server.py"),
        "/predict", {"row": ROW}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "mlserver", "MLServer", "mlserver",
        lambda programs, _port: [programs / "mlserver", "start", "."],
        "/v2/models/forest/infer",
        v2_body("FP32", "rows") | {"outputs": [{"name": "predict"}, {"name": "predict_proba"}]},
        v2_probabilities, health="/v2/models/forest/ready",
        variables=lambda port: {
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(_free_port()),
            "MLSERVER_METRICS_PORT": str(_free_port()),
            "MLSERVER_PARALLEL_WORKERS": "0",
        },
    ),
    Peer(
        "rayserve", "Ray Serve", "ray", _script("app.py"),
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
        ToolMissing: there is no uv, or no source checkout with the peers.
        BenchFailed: the requirements could not be installed.
    """
    requirements = peer.folder / "requirements.txt"
    if not requirements.exists():
        raise ToolMissing(
            f"perf/peers/{peer.name}",
            "the peers' set-ups are in the source checkout, not in an installed package",
            "run it from a checkout of the repository, after `make setup`",
        )
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

    Whatever it starts ends with it, and it ends with this process, even where that is killed.

    Raises:
        BenchFailed: it ended, or was not ready in time.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as place:
        folder, log = Path(place, "run"), Path(place, "log.txt")
        folder.mkdir()
        variables = os.environ | peer.variables(port) | {
            "MODEL": str(model),
            "MLSERVER_MODEL_URI": str(model),
            "WORKERS": str(WORKERS),
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
            # Nothing is written beside the set-up.
            "TMPDIR": str(folder),
            "RAY_TMPDIR": str(folder),
            "MLSERVER_METRICS_DIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        variables.pop("PYTHONPATH", None)
        process = GuardedProcess(
            peer.title, [str(part) for part in peer.command(programs, port)],
            run_folder=folder, log_file=log, environment=variables, working_folder=peer.folder,
            grace_s=STOP_S,
        )  # fmt: skip
        try:
            _wait(peer, process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        except BenchFailed as error:
            if process.alive:
                raise
            raise _failed(peer, process, "it ended") from error
        finally:
            process.stop()


def _wait(peer: Peer, process: GuardedProcess, url: str) -> None:
    deadline = time.monotonic() + START_S
    while process.alive:
        with suppress(OSError, HTTPException):
            urllib.request.urlopen(url + peer.health, timeout=5).close()
            return
        if time.monotonic() > deadline:
            raise _failed(peer, process, f"it was not ready within {START_S} s")
        time.sleep(0.1)
    raise _failed(peer, process, "it ended before it was ready")


def _failed(peer: Peer, process: GuardedProcess, why: str) -> BenchFailed:
    last = process.log_file.read_text(errors="replace")[-LOG_CHARACTERS:]
    return BenchFailed(peer.title, f"{why}\n{last}", f"run it by hand in {peer.folder}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
    return port

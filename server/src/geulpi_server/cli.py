"""`geulpi serve`: Triton and Valkey in the foreground."""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from geulpi_server import EmbeddedTriton, EmbeddedValkey

__all__ = ["serve"]

_POLL_S = 0.25


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port of the HTTP API.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="Port of the gRPC API.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port of the Prometheus metrics.")] = 8002,
    redis_port: Annotated[int, typer.Option(help="Port of the Valkey that is started.")] = 6379,
    redis_url: Annotated[
        str | None,
        typer.Option(
            help="Use this Redis and start no Valkey.", show_default="a Valkey is started"
        ),
    ] = None,
    model_repository: Annotated[Path, typer.Option(help="The folder of models to serve.")] = Path(
        "model_repository"
    ),
) -> None:
    """Run Triton and Valkey with the models of a repository, until Ctrl-C.

    Ready means that every model has answered. A model whose process dies is revived.

    Example: geulpi serve --grpc-port 9001 --model-repository model_repository
    """
    from rich.console import Console
    from rich.logging import RichHandler

    from geulpi_server import EmbeddedTriton, EmbeddedValkey
    from geulpi_server._keys import remembered

    console = Console()
    complaints = Console(stderr=True)
    logging.basicConfig(
        format="%(message)s", handlers=[RichHandler(console=complaints, show_path=False)]
    )
    # Also where a shell started us in the background and set SIGINT to be ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    log_file = _log_file(grpc_port)
    triton = EmbeddedTriton(
        model_repository,
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log_file=log_file,
    )
    started_s = time.monotonic()
    valkey = None if redis_url else EmbeddedValkey(host=host, port=redis_port)
    try:
        with ExitStack() as servers:
            with complaints.status("starting Triton and loading the models …"):
                if valkey is not None:
                    servers.enter_context(valkey)
                servers.enter_context(triton)
                ports = (http_port, grpc_port)
                servers.enter_context(remembered(triton.control_header, ports))
            took_s = time.monotonic() - started_s
            _show(console, triton, redis_url or (valkey.url if valkey else ""), took_s)
            _watch(triton, valkey, log_file, complaints)
    except KeyboardInterrupt:
        console.print("stopped")


def _show(console: Console, triton: EmbeddedTriton, redis_url: str, took_s: float) -> None:
    from rich.table import Table

    table = Table("model", "version", "state", title=f"ready after {took_s:.1f} s")
    for model in triton.models():
        if model.version:
            table.add_row(model.name, model.version, "ready" if model.ready else model.reason)
    console.print(table)
    addresses = Table.grid(padding=(0, 2))
    addresses.add_row("HTTP", triton.http_url)
    addresses.add_row("gRPC", triton.grpc_url)
    addresses.add_row("metrics", triton.metrics_url)
    addresses.add_row("Redis", redis_url.rpartition("@")[2])  # without a password
    addresses.add_row("log", str(triton.log_file))
    addresses.add_row("control key", f"{triton.control_header[0]}: {triton.control_header[1]}")
    console.print(addresses, soft_wrap=True)
    where = [] if triton.grpc_url.endswith(":8001") else [f" --url {triton.grpc_url}"]
    where += [] if redis_url.endswith(":6379/0") else [" --cache …"]
    options = "".join(where)
    console.print(
        "\nTry in another terminal:\n"
        f'  geulpi classify "치과 예약" "Team standup"{options}\n'
        f"  geulpi status{options}\nCtrl-C stops everything.",
        highlight=False,
    )


def _watch(
    triton: EmbeddedTriton, valkey: EmbeddedValkey | None, log_file: Path, complaints: Console
) -> None:
    """Show the log's useful lines until Triton dies; a dead Valkey is started again."""
    from geulpi_server._process import is_useful

    with log_file.open(errors="replace") as log:
        log.seek(0, 2)
        while True:
            triton.raise_if_dead()
            if valkey is not None and not valkey.alive:
                complaints.print("Valkey died; starting it again")
                valkey.stop()
                valkey.start()
            for line in log:
                if is_useful(line):
                    complaints.print(line.rstrip(), markup=False, highlight=False)
            time.sleep(_POLL_S)


def _log_file(grpc_port: int) -> Path:
    """Return a fresh log file; the one of the last start is kept beside it."""
    import platformdirs

    name = f"triton-{grpc_port}.log"
    try:
        log_file = platformdirs.user_log_path("geulpi", ensure_exists=True) / name
        if log_file.exists():
            log_file.replace(log_file.with_suffix(".log.1"))
        log_file.touch()
    except OSError:  # a read-only home is no reason not to serve
        log_file = Path(tempfile.mkdtemp(prefix="geulpi-log-")) / name
        log_file.touch()
    return log_file


def _interrupt(_signal_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

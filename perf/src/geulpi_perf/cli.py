"""`geulpi bench`: perf_analyzer on a running server."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geulpi_perf._tune.cli import tune

if TYPE_CHECKING:
    from geulpi_perf._bench import Target

__all__ = ["bench", "tune"]


class Protocol(StrEnum):
    """How requests travel."""

    GRPC = "grpc"
    HTTP = "http"
    BOTH = "both"


class Body(StrEnum):
    """How tensors are written in an HTTP request."""

    BINARY = "binary"
    JSON = "json"
    BOTH = "both"


class SharedMemory(StrEnum):
    """Whether tensors travel in memory that the server can see."""

    NONE = "none"
    SYSTEM = "system"
    BOTH = "both"


def bench(
    name: Annotated[str, typer.Argument(help="The model to measure.")],
    url: Annotated[
        str | None,
        typer.Option(
            help="host:port of the protocol; for both, gRPC's and HTTP's with a comma between.",
            show_default="localhost:8001 and :8000",
        ),
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="How requests travel.")] = Protocol.GRPC,
    body: Annotated[
        Body, typer.Option(help="How HTTP requests hold tensors (gRPC's are always binary).")
    ] = Body.BINARY,
    shared_memory: Annotated[
        SharedMemory,
        typer.Option(help="Tensors in shared memory, on one machine and with the control key."),
    ] = SharedMemory.NONE,
    concurrency: Annotated[
        str,
        typer.Option(
            help="Requests in flight at a time: 1,8,64, or 1:64 (doubling), or 10:50:10 (steps)."
        ),
    ] = "1,8,64",
    request_rate: Annotated[
        str | None,
        typer.Option(help="Requests a second, in place of --concurrency; written like it."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows in each request.")] = 1,
    input_data: Annotated[
        Path | None,
        typer.Option(
            help="Rows in perf_analyzer's JSON format, in place of the model's sample.",
            show_default="the model's own sample, else zeros",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a measurement window.")] = 2.0,
    control_key: Annotated[
        str | None,
        typer.Option(
            help="The server's control key.",
            envvar="GEULPI_CONTROL_KEY",
            show_default="that of `geulpi serve` on this machine",
        ),
    ] = None,
    model_repository: Annotated[
        Path, typer.Option(help="Where the model's own sample is taken from.")
    ] = Path("model_repository"),
    output: Annotated[
        Path | None,
        typer.Option(help="A folder for NAME.json, NAME.csv and NAME.html with plots."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model on a running server with Triton's perf_analyzer.

    Each request carries the model's own sample, where the model is not ours zeros, or what
    --input-data holds. Windows are repeated until three agree.

    Example: geulpi bench event_classifier --protocol both --concurrency 1:64 --output results
    """
    import shlex

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from geulpi_perf import _bench_report as report
    from geulpi_perf._bench import bench as measure
    from geulpi_perf._bench import levels
    from geulpi_perf._errors import Unstable
    from geulpi_perf._perf_analyzer import find_perf_analyzer

    option, asked = ("--request-rate", request_rate) if request_rate else (
        "--concurrency", concurrency)  # fmt: skip
    loads = levels(asked, option)
    targets = _targets(url, protocol, body, shared_memory, control_key)
    measured, missed = [], []
    err = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("finding perf_analyzer …", total=len(targets) * len(loads))
        tool = find_perf_analyzer()
        for target in targets:
            for load in loads:
                progress.update(task, description=f"{name}, {target.way}, {option[2:]} {load}")
                try:
                    measured.append(
                        measure(
                            tool, name, target, seconds=seconds, repository=model_repository,
                            concurrency=None if request_rate else load,
                            request_rate=float(load) if request_rate else None,
                            rows_per_request=rows, rows=input_data,
                        )
                    )  # fmt: skip
                except Unstable as error:
                    missed.append(error)
                progress.advance(task)
    if not measured:
        raise missed[0]
    if as_json:
        print(json.dumps(report.as_json(measured)))
    else:
        console = Console()
        console.print(report.table(name, measured))
        if steps := report.steps_table(measured):
            console.print(steps)
    for left_out in missed:
        err.print(f"Left out: {left_out}", style="yellow", markup=False)
    if output:
        command = shlex.join(["geulpi", *sys.argv[1:]]).replace(control_key or "\0", "…")
        for path in report.write(output, name, measured, command=command):
            err.print(f"written: {path}")


def _targets(
    url: str | None,
    protocol: Protocol,
    body: Body,
    shared_memory: SharedMemory,
    control_key: str | None,
) -> list[Target]:
    """Return each way to travel that was asked for and exists."""
    from geulpi_server import control_header_for

    from geulpi_perf._bench import Target
    from geulpi_perf._errors import UnusableOption

    if protocol is Protocol.GRPC and body is not Body.BINARY:
        raise UnusableOption("--body", body.value, "binary; JSON is for --protocol http or both")
    if body is Body.JSON and shared_memory is SharedMemory.SYSTEM:
        raise UnusableOption("--shared-memory", "system", "--body binary with shared memory")
    protocols = ["grpc", "http"] if protocol is Protocol.BOTH else [protocol.value]
    usual = {"grpc": "localhost:8001", "http": "localhost:8000"}
    addresses = url.split(",") if url else [usual[one] for one in protocols]
    if len(addresses) != len(protocols):
        raise UnusableOption("--url", url, "gRPC's and HTTP's address, with a comma between")
    targets = []
    for one, address in zip(protocols, addresses, strict=True):
        place = address.removeprefix("http://").rstrip("/")
        try:
            port = int(place.rpartition(":")[2])
        except ValueError as error:
            raise UnusableOption("--url", url, "host:port") from error
        header = ("geulpi-control-key", control_key) if control_key else control_header_for(port)
        written = ["binary", "json"] if body is Body.BOTH else [body.value]
        shared = ["none", "system"] if shared_memory is SharedMemory.BOTH else [shared_memory.value]
        targets += [
            Target(one, place, header, way, memory)
            for way in (["binary"] if one == "grpc" else written)
            for memory in (["none"] if way == "json" else shared)
        ]
    return targets

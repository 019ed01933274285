"""`geulpi bench`: perf_analyzer on a running server."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bench"]


class Protocol(StrEnum):
    """How requests travel."""

    GRPC = "grpc"
    HTTP = "http"


def bench(
    name: Annotated[str, typer.Argument(help="The model to measure.")],
    url: Annotated[
        str | None,
        typer.Option(help="host:port of the protocol.", show_default="localhost:8001 or :8000"),
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="How requests travel.")] = Protocol.GRPC,
    concurrency: Annotated[
        str, typer.Option(help="Requests in flight at a time; several, one after the other.")
    ] = "1,8,64",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model on a running server with Triton's perf_analyzer.

    Each request carries one row: the model's own sample.

    Example: geulpi bench event_classifier --concurrency 1,16,64
    """
    from geulpi_server import control_header_for
    from rich.console import Console
    from rich.table import Table

    from geulpi_perf._bench import Target
    from geulpi_perf._bench import bench as measure
    from geulpi_perf._errors import UnusableOption
    from geulpi_perf._perf_analyzer import find_perf_analyzer

    try:
        steps = [int(step) for step in concurrency.split(",")]
        address = url or ("localhost:8001" if protocol is Protocol.GRPC else "localhost:8000")
        port = int(address.rpartition(":")[2])
    except ValueError as error:
        raise UnusableOption("--concurrency or --url", (concurrency, url), "numbers") from error
    header = ("geulpi-control-key", control_key) if control_key else control_header_for(port)
    target = Target(protocol.value, address, header)
    rows = []
    with Console(stderr=True).status("finding perf_analyzer …") as status:
        tool = find_perf_analyzer()
        for step in steps:
            status.update(f"measuring {name} at concurrency {step} …")
            rows.append(
                measure(tool, name, target, concurrency=step, seconds=seconds,
                        repository=model_repository)
            )  # fmt: skip
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    table = Table(
        "concurrency", "requests/s", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "queue ms",
        "compute ms", title=f"{name}, {protocol.value}, one row a request",
    )  # fmt: skip
    for row in rows:
        times = (row.p50_us, row.p90_us, row.p95_us, row.p99_us, row.queue_us, row.compute_us)
        table.add_row(
            str(row.concurrency),
            f"{row.requests_per_s:,.0f}",
            *(f"{time_us / 1000:.2f}" for time_us in times),
        )
    Console().print(table)

"""`geulpi bench`: its options, and what it prints and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geulpi_perf._bench.targets import Body, Protocol, SharedMemory

__all__ = ["bench"]


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
        typer.Option(help="A folder for NAME.json, NAME.csv, NAME.html and NAME.png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    r"""Measure a model on a running server with Triton's perf_analyzer.

    Each request carries the model's own sample, where the model is not
    ours zeros, or what --input-data holds. Windows are repeated until three
    agree. What was measured before a failure or Ctrl-C is kept.

    perf_analyzer is set up where it is missing. Where it can't be (macOS,
    Alpine, glibc before 2.35), Triton's SDK container has it:

    docker run --rm --net=host nvcr.io/nvidia/tritonserver:26.09-py3-sdk \
    perf_analyzer -m NAME -i grpc -u localhost:8001 --concurrency-range 1

    Example: geulpi bench event_classifier --concurrency 1:64 --output results
    """
    import json
    from dataclasses import replace

    from rich.console import Console

    from geulpi_perf._bench import report
    from geulpi_perf._bench.inspected import Inspected
    from geulpi_perf._bench.measure import Asked
    from geulpi_perf._bench.sweep import levels, sweep
    from geulpi_perf._bench.targets import targets
    from geulpi_perf._machine import origin
    from geulpi_perf._perf_analyzer import find_perf_analyzer

    option, text = ("--request-rate", request_rate) if request_rate is not None else (
        "--concurrency", concurrency)  # fmt: skip
    loads = levels(text, option)
    places = targets(url, protocol, body, shared_memory, control_key)
    asked = Asked(name, seconds, model_repository, rows, input_data)
    if output:
        from geulpi_perf._bench import files
        from geulpi_perf._output import prepare

        prepare(output)
    err = Console(stderr=True)
    served = Inspected(places[0], name).server_version()  # no download for a server that is not up
    with err.status("finding perf_analyzer …"):
        tool = find_perf_analyzer()
    made = origin("geulpi bench", secret=control_key)
    versions = made.versions | {"tritonserver": served, "perf_analyzer": tool.version}
    made = replace(made, versions=versions)
    done = sweep(tool, asked, places, loads, option=option, console=err)
    if as_json:
        print(json.dumps(report.document(name, done, made)))
    else:
        console = Console()
        console.print(report.table(name, done.rows))
        if steps := report.steps_table(done.rows):
            console.print(steps)
    for line in report.left_out(done):
        err.print(line, style="yellow", markup=False)
    if output:
        for path in files.write(output, name, done, made):
            err.print(f"written: {path}", soft_wrap=True, markup=False, highlight=False)
    if done.ended_by is not None:
        err.print(f"Measured before it ended: {len(done.rows)} of {done.planned} loads.")
        raise done.ended_by

"""`geulpi compare`: Triton beside other servers of scikit-learn models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]

ROUNDS, SECONDS = 3, 5


def compare(
    peers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PEER",
            help="bentoml, fastapi_microbatch, fastapi_single, litserve, mlserver, rayserve.",
            show_default="all",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each server is measured.")] = ROUNDS,
    seconds: Annotated[int, typer.Option(help="Length of a round.")] = SECONDS,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round of a second: not to be quoted.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="A folder for compare.json, compare.csv, compare.html and compare.png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every round.")] = False,
) -> None:
    """Measure a random forest behind Triton and behind other servers, side by side.

    Each server runs alone, started anew for every round, in alternation, under
    wrk's 100 connections. One that does not run here, or answers wrongly, is
    skipped. How each is set up, and by whose advice, is in perf/peers/ of the
    source checkout.

    Example: geulpi compare litserve bentoml --output results
    """
    import json
    import signal
    import sys

    from rich.console import Console

    from geulpi_perf._compare import report
    from geulpi_perf._compare.measure import chosen
    from geulpi_perf._compare.measure import compare as measured
    from geulpi_perf._output import prepare

    # The servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = chosen(peers or [])
    if output:
        prepare(output)
    err = Console(stderr=True)
    with err.status("") as status:
        found = measured(
            asked, rounds=1 if quick else rounds, seconds=1 if quick else seconds,
            say=status.update,
        )  # fmt: skip
    made = report.made_by(found)
    if as_json:
        print(json.dumps(report.as_json(found, made), indent=2))
    else:
        Console().print(report.table(found))
    for name, why in found.skipped.items():
        err.print(f"skipped {name}: {why}", style="yellow", markup=False)
    if output:
        for path in report.write(output, found, made):
            err.print(f"written: {path}")
    if len(found.servers) == 1:
        raise typer.Exit(1)  # nothing to compare with

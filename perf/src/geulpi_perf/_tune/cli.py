"""`geulpi tune`: settings found by measuring."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["tune"]


class Objective(StrEnum):
    """What the search looks for."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"


def tune(
    name: Annotated[str, typer.Argument(help="The model to tune; of an ensemble, its steps are.")],
    p99_ms: Annotated[
        float, typer.Option(help="Milliseconds that 99 of 100 requests may take at most.")
    ],
    objective: Annotated[
        Objective,
        typer.Option(help="Most requests a second within the p99, or the lowest p99."),
    ] = Objective.THROUGHPUT,
    concurrency: Annotated[
        int,
        typer.Option(help="Requests in flight; for throughput, what the search begins with."),
    ] = 8,
    seconds: Annotated[float, typer.Option(help="Length of the shortest measurement.")] = 0.5,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2", help="Try these values of a parameter of the config, too."
        ),
    ] = None,
    max_instances: Annotated[
        int | None,
        typer.Option(
            help="Try no more instances: each takes memory.", show_default="one for each core"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write no config.")] = False,
    model_repository: Annotated[
        Path, typer.Option(help="Where the model is, and its config is written.")
    ] = Path("model_repository"),
    output: Annotated[
        Path | None,
        typer.Option(help="A folder for NAME.tune.json, .csv, .html and .png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find a model's batching, delay, instances and threads by measuring, and write them.

    One setting after the other is varied while the others stay, with poor values
    dropped early (coordinate descent with successive halving), and what is
    written was measured against the old settings in alternation, is better, and
    answers the same.

    A server of its own is started; a running one is not touched, and takes the
    settings when it loads the model anew.

    Example: geulpi tune event_classifier --p99-ms 10 --dry-run
    """
    import json

    from rich.console import Console

    from geulpi_perf._errors import UnusableOption
    from geulpi_perf._output import prepare
    from geulpi_perf._tune import report
    from geulpi_perf._tune.tuning import tune as find

    parameters = {}
    for text in parameter or []:
        key, equals, values = text.partition("=")
        if not key or not equals or not all(tried := values.split(",")):
            raise UnusableOption("--parameter", text, "KEY=V1,V2, such as trim_every=100,1000")
        parameters[key] = list(dict.fromkeys(tried))
    if output is not None:
        prepare(output)
    err = Console(stderr=True)
    with err.status("") as status:
        tuned = find(
            name,
            p99_ms=p99_ms,
            objective=objective.value,
            repository=model_repository,
            dry_run=dry_run,
            concurrency=concurrency,
            seconds=seconds,
            parameters=parameters,
            max_instances=max_instances,
            told=lambda what: status.update(f"{what} …"),
        )
    if as_json:
        print(json.dumps(report.as_json(tuned), ensure_ascii=False))
    else:
        Console().print(report.table(tuned))
    for path in (*tuned.written, *(report.write(output, tuned) if output else ())):
        err.print(f"written: {path}", soft_wrap=True, highlight=False)

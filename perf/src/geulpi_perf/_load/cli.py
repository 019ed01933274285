"""`geulpi load`: users that ask the calendar models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["load"]


class Preset(StrEnum):
    """A set of loads."""

    SEED = "seed"


def load(
    users: Annotated[int, typer.Option(help="Users that ask, wait and think.")] = 100,
    duration: Annotated[float, typer.Option(help="Seconds to measure; of each load.")] = 60.0,
    rate: Annotated[
        float | None,
        typer.Option(help="Questions per second, whatever became of the others: an open loop."),
    ] = None,
    think: Annotated[
        float, typer.Option(help="Mean seconds between an answer and the next question.")
    ] = 0.09,
    mix: Annotated[
        str | None,
        typer.Option(
            help="Shares of the questions, as classify=70,balance=30.",
            show_default="classify=70,schedule=2,patterns=8,balance=12,burnout=8",
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="seed: the table of numbers of the service before, ours beside theirs."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running server.", show_default="one is started")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="Redis or Valkey.", show_default="with --url none, else one is started"),
    ] = None,
    cache_mb: Annotated[int, typer.Option(help="MB for a cache that is started here.")] = 12,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask without a cache.")] = False,
    memory_mb: Annotated[int, typer.Option(help="MB for rows in the client's own memory.")] = 0,
    changes: Annotated[
        float, typer.Option(help="How often a calendar has changed when it is asked about, 0 to 1.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of people, titles and questions.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="A folder for load.json, .csv, .html and .png.")
    ] = None,
    model_repository: Annotated[
        Path, typer.Option(help="What a server that is started here serves.")
    ] = Path("model_repository"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let users ask the five calendar models, and show what they felt and what it cost.

    A few users and titles are asked about most of the time (Zipf), and
    calendars change now and then, so that the cache knows some rows and not
    others.

    Example: geulpi load --users 100 --duration 60 --output results
    """
    import json
    from urllib.parse import urlsplit

    from rich.console import Console

    from geulpi_perf._load import report
    from geulpi_perf._load.run import LoadPlan, run, servers
    from geulpi_perf._load.seed import seed_table
    from geulpi_perf._load.world import WorldSettings, parsed_mix
    from geulpi_perf._machine import origin
    from geulpi_perf._output import prepare

    plan = LoadPlan(
        users=users,
        seconds=duration,
        rate=rate,
        think_s=think,
        mix=parsed_mix(mix),
        world=WorldSettings(changes=changes, seed=seed),
        cached=not no_cache,
        memory_mb=memory_mb,
    )
    if output is not None:
        prepare(output)
    came_from = origin("geulpi load", secret=urlsplit(cache or "").password)
    console = Console(stderr=True)
    with (
        console.status("starting the servers …" if url is None else f"asking {url} …") as status,
        servers(url, cache, model_repository, cache_mb=0 if no_cache else cache_mb) as where,
    ):
        result = (
            seed_table(plan, where, status.update) if preset else run(plan, where, status.update)
        )
    if as_json:
        print(json.dumps(report.as_json(result, came_from), ensure_ascii=False))
    else:
        out = Console()
        for shown in report.parts(result):
            out.print(shown, highlight=False)
    if output is not None:
        for path in report.write(output, result, came_from):
            console.print(f"written: {path}", markup=False)
    if result.interrupted:
        raise typer.Exit(130)

"""`geulpi analyze`: a calendar export through the calendar models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from geulpi_client._constants import DEFAULT_CACHE_URL, DEFAULT_TIMEOUT_S, DEFAULT_URL
from geulpi_client.cli import Cache, Json, Timeout, Url

if TYPE_CHECKING:
    from datetime import date, datetime, tzinfo

    from geulpi_client import ServedModel

    from geulpi_analysis._analysis import Analysis
    from geulpi_analysis._span import Asked

__all__ = ["analyze"]

_MOST_STEPS = 5
_MODELS = frozenset(
    {"event_classifier", "week_insights", "pattern_detector", "balance_analyzer",
     "burnout_analyzer", "schedule_optimizer"}
)  # fmt: skip


def analyze(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE.ics|DIR|-", help="A calendar export, a folder of them, stdin."
        ),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write the report to this file, one HTML page.")
    ] = None,
    tasks: Annotated[
        Path | None, typer.Option(help="Plan the tasks of this YAML file, too.")
    ] = None,
    week: Annotated[
        str | None,
        typer.Option(
            help="Monday of the week that balance and burnout index are about.",
            show_default="the last week that is over",
        ),
    ] = None,
    age: Annotated[float | None, typer.Option(help="Whose calendar it is: age in years.")] = None,
    employment: Annotated[
        str | None,
        typer.Option(help="full_time, part_time, unemployed or not_in_labor_force."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="IANA name.", show_default="the calendar's own")
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="First day of the period.",
            show_default="a year back, or all of a calendar of up to 1,000 events",
        ),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day of the period.", show_default="as of")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="What is taken for now, ISO 8601.", show_default="now, or when an old export ends"
        ),
    ] = None,
    *,
    url: Url = DEFAULT_URL,
    cache_url: Cache = DEFAULT_CACHE_URL,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Say what a calendar holds: habits, time by category, balance, burnout index, free time.

    Example: geulpi analyze my.ics --html report.html
    """
    from datetime import UTC, datetime

    from geulpi_client import GeulpiClient, Person

    from geulpi_analysis._analysis import analyse
    from geulpi_analysis._errors import ReportNotWritable
    from geulpi_analysis._ics import read_export
    from geulpi_analysis._span import chosen_span
    from geulpi_analysis._tasks import read_plan

    person = None if age is None and employment is None else Person(age, employment)
    _check_zone(time_zone)
    if html is not None and not html.parent.is_dir():  # told before any work is done
        raise ReportNotWritable(str(html), f"there is no folder {html.parent}")
    cache = None if cache_url == "none" else cache_url
    with _progress() as step, GeulpiClient(url, cache=cache, timeout_s=timeout) as client:
        step("reading the calendar")
        export = read_export(source, time_zone=time_zone)
        asked = _asked(week, first, last, as_of, export.zone)
        span = chosen_span(export, asked, datetime.now(UTC))
        plan = None
        if tasks is not None:
            plan = read_plan(tasks, time_zone=export.time_zone, as_of=span.as_of)
        analysis = analyse(client, export, span, person=person, plan=plan, step=step)
        analysis = replace(analysis, models=_answered(url, timeout, planned=plan is not None))
        if html is not None:
            step("writing the report")
            _write_report(html, analysis)
    if as_json:
        typer.echo(json.dumps(analysis.to_dict(), ensure_ascii=False))
    else:
        _show(analysis, html)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar on stderr, where somebody watches; yields what tells it the next step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=_MOST_STEPS)

        def step(what: str) -> None:
            progress.update(task, advance=1, description=what)

        yield step


def _check_zone(name: str | None) -> None:
    from geulpi_analysis._errors import InvalidOption
    from geulpi_analysis._zones import known_zone

    if name is not None and known_zone(name) is None:
        raise InvalidOption("--time-zone", name, "an IANA time zone, such as Asia/Seoul")


def _asked(
    week: str | None, first: str | None, last: str | None, as_of: str | None, zone: tzinfo
) -> Asked:
    from geulpi_analysis._span import Asked

    return Asked(
        first=_day("--from", first),
        last=_day("--to", last),
        as_of=_moment("--as-of", as_of, zone),
        week=_day("--week", week),
    )


def _day(option: str, text: str | None) -> date | None:
    from datetime import date

    from geulpi_analysis._errors import InvalidOption

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise InvalidOption(option, text, "a day, such as 2026-03-02") from error


def _moment(option: str, text: str | None, zone: tzinfo) -> datetime | None:
    from datetime import datetime

    from geulpi_analysis._errors import InvalidOption

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        expected = "a day or time, such as 2026-03-02 or 2026-03-02T09:00"
        raise InvalidOption(option, text, expected) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _answered(url: str, timeout: float, *, planned: bool) -> tuple[ServedModel, ...]:
    from geulpi_client import server_status

    names = _MODELS if planned else _MODELS - {"schedule_optimizer"}
    served = server_status(url, timeout_s=timeout).models
    return tuple(model for model in served if model.name in names)


def _write_report(path: Path, analysis: Analysis) -> None:
    from geulpi_analysis._errors import ReportNotWritable
    from geulpi_analysis._report import report

    try:
        path.write_text(report(analysis), encoding="utf-8")
    except OSError as error:
        raise ReportNotWritable(str(path), (error.strerror or str(error)).lower()) from error


def _show(analysis: Analysis, html: Path | None) -> None:
    from rich.console import Console

    from geulpi_analysis._tables import tables

    console = Console(highlight=False)
    for table in tables(analysis):
        console.print(table)
    if html is not None:
        console.print(f"\nreport: {html}", markup=False, soft_wrap=True)

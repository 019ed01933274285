"""What loads came to, as tables, JSON and a page with plots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any

from rich.table import Table

from geulpi_perf._load.results import QUANTILES, LoadResult
from geulpi_perf._load.seed import Row, SeedTable
from geulpi_perf._load.svg import line_plot

STYLE = (
    "body{font:15px sans-serif;margin:2em auto;max-width:60em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "svg{display:block;margin:1em 0;max-width:100%;height:auto}"
)
ANSWERS_HEAD = (
    "question", "calls", "requests/s", "mean ms", "p50 ms", "p95 ms", "p99 ms", "errors",
    "cache hits",
)  # fmt: skip
PROCESS_HEAD = ("process", "start MB", "end MB", "peak MB", "cores")
SEED_HEAD = ("figure", "theirs", "ours", "better", "to be", "met")

Cells = list[tuple[str, ...]]


def tables(result: LoadResult) -> list[Table]:
    """Return a load as tables: of its calls, and of the processes."""
    return [
        _table(f"{result.title}, {result.seconds:.1f} s", ANSWERS_HEAD, _answers(result)),
        _table("memory (PSS) and processor", PROCESS_HEAD, _processes(result)),
    ]


def seed_tables(table: SeedTable) -> list[Table]:
    """Return ours beside theirs, as a table."""
    return [_table("the service before, and this one", SEED_HEAD, _seed(table.rows))]


def as_json(result: LoadResult | SeedTable, machine: str) -> dict[str, Any]:
    """Return everything as what JSON can hold; what is not a number is null."""
    return {"machine": machine, "date": _today(), **_plain(asdict(result))}


def page(results: Sequence[LoadResult], machine: str, table: SeedTable | None = None) -> str:
    """Return a page about loads, with plots; it needs nothing but itself."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Load on the calendar models</title>',
        f"<style>{STYLE}</style></head><body>",
        "<h1>Load on the calendar models</h1>",
        f"<p>{escape(machine)}, {_today()}</p>",
    ]
    if table is not None:
        parts.append(_html_table(SEED_HEAD, _seed(table.rows)))
        parts += [f"<p>{escape(remark)}</p>" for remark in table.remarks]
    for result in results:
        parts += [
            f"<h2>{escape(result.title)}</h2>",
            _html_table(ANSWERS_HEAD, _answers(result)),
            *_plots(result),
            _html_table(PROCESS_HEAD, _processes(result)),
        ]
    return "\n".join([*parts, "</body></html>", ""])


def _plots(result: LoadResult) -> Iterable[str]:
    time = result.timeline
    shares = [quantile * 100 for quantile in QUANTILES]
    yield line_plot(
        "Latency by question", {k: (shares, v) for k, v in result.distribution.items()},
        x="% of the answers took at most", y="ms", log=True,
    )  # fmt: skip
    yield line_plot(
        "Latency over time", {name: (time.seconds, v) for name, v in time.latency_ms.items()},
        x="s", y="ms", log=True,
    )  # fmt: skip
    yield line_plot("Answers", {"answers": (time.seconds, time.per_s)}, x="s", y="answers/s")
    for title, unit, lines in (
        ("Memory (PSS)", "MB", time.pss_mb),
        ("Processor", "cores", time.cores),
    ):
        yield line_plot(
            title, {name: (time.sampled_s, values) for name, values in lines.items()},
            x="s", y=unit,
        )  # fmt: skip


def _answers(result: LoadResult) -> Cells:
    rows = []
    for one in (*result.kinds, result.total):
        errors = ", ".join(f"{count:,} {name}" for name, count in sorted(one.errors.items()))
        rows.append(
            (
                one.kind,
                f"{one.calls:,}",
                f"{one.per_s:,.0f}",
                *(_number(ms) for ms in (one.mean_ms, one.p50_ms, one.p95_ms, one.p99_ms)),
                f"{one.error_rate:.2%} ({errors})" if errors else "none",
                "–" if one.hit_rate is None else f"{one.hit_rate:.0%}",
            )
        )
    return rows


def _processes(result: LoadResult) -> Cells:
    together = [result.servers] if result.servers else []
    return [
        (one.name, *(f"{mb:.1f}" for mb in (one.start_mb, one.end_mb, one.peak_mb)),
         f"{one.cores:.2f}")
        for one in (*sorted(result.processes, key=lambda p: -p.peak_mb), *together)
    ]  # fmt: skip


def _seed(rows: Iterable[Row]) -> Cells:
    met = {True: "yes", False: "NO", None: ""}
    return [
        (
            row.figure,
            "–" if row.theirs is None else f"{row.theirs:g} {row.unit}",
            f"{_number(row.ours)} {row.unit}",
            "–" if row.better is None else f"{_number(row.better)}×",
            row.target,
            met[row.met],
        )
        for row in rows
    ]


def _number(value: float) -> str:
    """Return three digits that count, and all of those before the point."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(title: str, head: Sequence[str], rows: Cells) -> Table:
    table = Table(title=title)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _html_table(head: Sequence[str], rows: Cells) -> str:
    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return "\n".join(["<table>", *lines, "</table>"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _today() -> str:
    return datetime.now(UTC).date().isoformat()

"""A sweep as tables, JSON, CSV and a page with plots."""

from __future__ import annotations

import csv
import html
import json
import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from geulpi_perf._bench import Measured

__all__ = ["as_json", "steps_table", "table", "write"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 560, 300, 64, 40, 16, 12
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e")
_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{white-space:pre-wrap}"
    "svg{max-width:100%;height:auto}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}"
    "text{font:12px system-ui,sans-serif;fill:#444}"
)

Line = tuple[str, list[tuple[float, float]]]


def table(model: str, rows: Sequence[Measured]) -> Table:
    """Return the sweep as a table."""
    rates = any(row.request_rate is not None for row in rows)
    one, source = rows[0].rows_per_request, rows[0].rows_from
    shown = Table(
        "way", "asked" if rates else "load", "req/s", "p50", "p90", "p95", "p99", "queue",
        "compute", "batch",
        title=f"{model}: {'one row' if one == 1 else f'{one} rows'} a request ({source}), ms",
    )  # fmt: skip
    for row in rows:
        shown.add_row(*_cells(row))
    return shown


def steps_table(rows: Sequence[Measured]) -> Table | None:
    """Return what each step of an ensemble took; None where there is but one model."""
    if all(len(row.parts) < 2 for row in rows):
        return None
    shown = Table(
        "way", "load", "step", "queue ms", "compute ms", "rows a batch", title="steps, a request"
    )
    for row in rows:
        for part in row.parts:
            shown.add_row(
                row.way, f"{row.load:g}", part.model, f"{part.queue_us / 1000:.2f}",
                f"{part.compute_us / 1000:.2f}", f"{part.rows_per_execution:.1f}",
            )  # fmt: skip
        shown.add_section()
    return shown


def as_json(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the rows as JSON knows them, without NaN."""
    made: list[dict[str, Any]] = []
    for row in rows:
        fields = asdict(row)
        if math.isnan(row.rows_per_execution):
            fields["rows_per_execution"] = None
        made.append(fields)
    return made


def write(folder: Path, model: str, rows: Sequence[Measured], *, command: str) -> list[Path]:
    """Write MODEL.json, MODEL.csv and MODEL.html into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "model": model,
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}",
    }
    paths = [folder / f"{model}.{ending}" for ending in ("json", "csv", "html")]
    paths[0].write_text(json.dumps(made | {"rows": as_json(rows)}, indent=2) + "\n")
    with paths[1].open("w", newline="", encoding="utf-8") as file:
        flat = [{k: v for k, v in row.items() if k != "parts"} for row in as_json(rows)]
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
    paths[2].write_text(_page(made, rows), encoding="utf-8")
    return paths


def _cells(row: Measured) -> list[str]:
    times = (row.p50_us, row.p90_us, row.p95_us, row.p99_us, row.queue_us, row.compute_us)
    late = f" ({row.delayed_percent:.0f} % late)" if row.delayed_percent else ""
    batch = "–" if math.isnan(row.rows_per_execution) else f"{row.rows_per_execution:.1f}"
    return [
        row.way,
        f"{row.load:g}",
        f"{row.requests_per_s:,.0f}{late}",
        *(f"{time_us / 1000:.2f}" for time_us in times),
        batch,
    ]


def _page(made: dict[str, str], rows: Sequence[Measured]) -> str:
    rates = any(row.request_rate is not None for row in rows)
    load = "requests a second asked for" if rates else "requests in flight"
    ways = list(dict.fromkeys(row.way for row in rows))

    def lines(value: Callable[[Measured], float]) -> list[Line]:
        return [(way, [(row.load, value(row)) for row in rows if row.way == way]) for way in ways]

    shown = table(made["model"], rows)
    head = "".join(f"<th>{html.escape(str(column.header))}</th>" for column in shown.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row)) + "</tr>"
        for row in rows
    )
    plots = [
        ("Requests a second", _plot(lines(lambda row: row.requests_per_s), load)),
        ("Median latency, ms", _plot(lines(lambda row: row.p50_us / 1000), load)),
        ("p99 latency, ms", _plot(lines(lambda row: row.p99_us / 1000), load)),
        ("Rows a batch", _plot(lines(lambda row: row.rows_per_execution), load)),
    ]
    said = html.escape(f"{made['date']}, {made['machine']}")
    figures = "".join(f"<h2>{title}</h2>{svg}" for title, svg in plots)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(made["model"])}'
        f"</title><style>{_STYLE}</style><h1>{html.escape(str(shown.title))}</h1><p>{said}</p>"
        f"<pre>{html.escape(made['command'])}</pre>"
        f"<table><tr>{head}</tr>{body}</table>{figures}</html>\n"
    )


def _plot(lines: Sequence[Line], below: str) -> str:
    """Return lines over a logarithmic load as inline SVG."""
    lines = [(name, [at for at in points if not math.isnan(at[1])]) for name, points in lines]
    loads = sorted({x for _, points in lines for x, _ in points})
    if not loads:
        return "<p>The server counted none.</p>"
    top = _rounded(max(y for _, points in lines for _, y in points))
    low, high = math.log(loads[0]), math.log(loads[-1])

    def across(x: float) -> float:
        share = (math.log(x) - low) / (high - low) if high > low else 0.5
        return _LEFT + 10 + share * (_WIDTH - _LEFT - _RIGHT - 20)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}" '
        f'stroke="#ddd"/><text x="{_LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:,g}</text>'
        for y in (top * quarter / 4 for quarter in range(5))
    ]
    parts += [
        f'<text x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
        for x in loads
    ]
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{html.escape(below)}</text>'
    )
    for place, (name, points) in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}">'
            f"<title>{html.escape(name)}: {y:,.6g} at {x:g}</title></circle>"
            for x, y in points
        ]
        row = _TOP + 6 + 16 * place
        parts.append(
            f'<rect x="{_WIDTH + 8}" y="{row - 5}" width="12" height="4" fill="{colour}"/>'
            f'<text x="{_WIDTH + 26}" y="{row + 1}">{html.escape(name)}</text>'
        )
    height = max(_HEIGHT, _TOP + 16 * len(lines) + 16)
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH + 190} {height}" width="{_WIDTH + 190}" '
        f'height="{height}">{"".join(parts)}</svg>'
    )


def _rounded(value: float) -> float:
    """Return a round number that is not below a value."""
    if value <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(value))
    return next(step * ten for step in (1, 2, 4, 5, 8, 10) if step * ten >= value)


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.machine()

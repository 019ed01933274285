"""The files of a sweep: JSON, CSV, a page with plots and a PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from geulpi_perf._bench.measure import Measured
from geulpi_perf._bench.report import document, left_out, of_rates, steps_table, table, title
from geulpi_perf._bench.sweep import Sweep
from geulpi_perf._errors import UnusableOption
from geulpi_perf._machine import Origin
from geulpi_perf._output import write_csv, write_json
from geulpi_perf._pages import Part, page
from geulpi_perf._plots import Lines, panels, save

__all__ = ["write"]

Value = Callable[[Measured], float]

_PLOTS: Mapping[str, tuple[str, Value]] = {
    "Throughput": ("requests/s", lambda row: row.requests_per_s),
    "Median latency": ("p50, ms", lambda row: row.p50_us / 1000),
    "p99 latency": ("p99, ms", lambda row: row.p99_us / 1000),
    "Rows that the server ran together": ("rows a batch", lambda row: row.rows_per_execution),
}
_IN_THE_PNG = ("Throughput", "p99 latency")


def write(folder: Path, model: str, done: Sweep, made: Origin) -> list[Path]:
    """Write MODEL.json, MODEL.csv, MODEL.html and MODEL.png, and return their paths.

    Raises:
        UnusableOption: a file can't be written.
    """
    rows = done.rows
    load, log = ("requests/s asked for", "") if of_rates(rows) else ("requests in flight", "x")
    plots = {
        what: Lines(what, _lines(rows, value), load, y, log, points=True)
        for what, (y, value) in _PLOTS.items()
    }
    steps = steps_table(rows)
    left = left_out(done)
    if done.ended_by is not None:
        left.append(f"Not measured to the end: {str(done.ended_by) or 'Ctrl-C'}")
    json_file, csv_file, html_file, png_file = (
        folder / f"{model}.{ending}" for ending in ("json", "csv", "html", "png")
    )
    whole = document(model, done, made)
    try:
        write_json(json_file, whole)
        flat = [{k: v for k, v in row.items() if k != "parts"} for row in whole["rows"]]
        write_csv(csv_file, flat)
        parts: list[Part] = [
            table(model, rows),
            *left,
            *(panels(plot) for plot in plots.values()),
            *([steps] if steps else []),
        ]
        html_file.write_text(page(f"geulpi bench {model}", made, parts), encoding="utf-8")
        first, *others = (plots[name] for name in _IN_THE_PNG)
        first = replace(first, title=f"{model}: {title(rows)}. {first.title}")
        save(panels(first, *others), png_file)
    except OSError as error:
        raise UnusableOption("--output", str(folder), f"room for files ({error})") from error
    return [json_file, csv_file, html_file, png_file]


def _lines(rows: Sequence[Measured], value: Value) -> dict[str, tuple[list[float], list[float]]]:
    ways = list(dict.fromkeys(row.way for row in rows))
    by_way = {way: [row for row in rows if row.way == way] for way in ways}
    return {
        way: ([row.load for row in some], [value(row) for row in some])
        for way, some in by_way.items()
    }

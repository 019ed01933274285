"""Curves as tables, CSV, pictures, a page, and the figures of the documentation."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from geulpi_perf._errors import PerfError
from geulpi_perf._output import write_json
from geulpi_perf._pages import Part, page
from geulpi_perf._plots import Lines, panels, save
from geulpi_perf._scale.cpu import ROLES
from geulpi_perf._scale.nodes import FORMULA, RATES, nodes, rates
from geulpi_perf._scale.results import LABELS, Curve, Point, Results, as_json
from geulpi_perf._scale.verdict import LEAST_GAIN, verdicts

__all__ = ["MarksMissing", "nodes_table", "remarks", "tables", "write", "write_docs"]

TITLE = "How serving scales"
NODES = "nodes"  # the block of the documentation beside those of the curves


class MarksMissing(PerfError):
    """A page of the documentation without the marks between which figures go."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(
            f"'{path}' has no place for the figures of '{name}'.\n"
            f"Remedy: put the lines {_begin(name)} and {_end(name)} where they belong."
        )


def tables(curve: Curve) -> list[Table]:
    """Return a curve as tables that fit 80 columns: its figures, and who kept the cores busy."""
    found = []
    figures = curve.figures
    for title, names in (
        (curve.title, [name for name in figures if name.endswith(("_per_s", "_ms"))]),
        (f"{curve.title}: what it takes", [n for n in figures if n in curve.points[0].more]),
    ):
        if names:
            table = _table(title, [curve.x, *(LABELS[name] for name in names)])
            for series, points in curve.series.items():
                for point in points:
                    if not any(math.isfinite(point.figure(name)) for name in names):
                        continue
                    cells = (_number(point.figure(name)) for name in names)
                    table.add_row(series, f"{point.x:,.0f}", *cells)
            found.append(table)
    table = _table(f"{curve.title}: cores at work", [curve.x, *ROLES])
    for series, points in curve.series.items():
        for point in points:
            table.add_row(series, f"{point.x:,.0f}", *(f"{point.cores[r]:.2f}" for r in ROLES))
    return [*found, table]


def remarks(curve: Curve, cores: int) -> list[str]:
    """Return where each line of a curve ends, and why."""
    return verdicts(curve, cores)


def nodes_table(results: Results) -> Table | None:
    """Return how many machines rates take; None where no rate is known."""
    known = rates(results.curves, results.mix_per_s)
    if not known:
        return None
    wanted = [f"{rate:,}/s" for rate in RATES]
    table = _table("Machines like this one", ["measured/s", *wanted], first="requests")
    for name, rate in known.items():
        table.add_row(name, _number(rate), *(f"{nodes(wanted, rate):,}" for wanted in RATES))
    return table


def write(results: Results, folder: Path) -> None:
    """Write scale.json, scale.csv, scale.html and the pictures."""
    write_json(folder / "scale.json", as_json(results))
    (folder / "scale.csv").write_text(_csv(results.curves), encoding="utf-8")
    (folder / "scale.html").write_text(
        page(TITLE, results.origin, _parts(results)), encoding="utf-8"
    )
    for curve in results.curves:
        for name, figure in _pictures(curve):
            save(figure, folder / f"{name}.png")


def write_docs(results: Results, path: Path) -> None:
    """Put the figures of these curves into a page of the documentation, and pictures beside it.

    What stands between `<!-- figures of NAME -->` and `<!-- end of NAME -->` is replaced; the
    pictures go into a folder with the page's name.

    Raises:
        MarksMissing: the page has no place for one of them; nothing was written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        text = ""
    folder = path.with_suffix("")
    blocks = {curve.name: _block(curve, results, folder.name) for curve in results.curves}
    table = nodes_table(results)
    if table is not None:
        blocks[NODES] = "\n\n".join([FORMULA, _markdown(table), _source(results)])
    for name, block in blocks.items():
        head, begin, rest = text.partition(_begin(name))
        _, end, tail = rest.partition(_end(name))
        if not (begin and end):
            raise MarksMissing(path, name)
        text = f"{head}{begin}\n\n{block}\n\n{end}{tail}"
    folder.mkdir(exist_ok=True)
    for curve in results.curves:
        for name, figure in _pictures(curve):
            save(figure, folder / f"{name}.png")
    path.write_text(text, encoding="utf-8")


def _pictures(curve: Curve) -> Iterator[tuple[str, Figure]]:
    for number, figure in enumerate(curve.plots):
        drawn = {
            name: ([point.x for point in points], [point.figure(figure) for point in points])
            for name, points in curve.series.items()
            if any(math.isfinite(point.figure(figure)) for point in points)
        }
        title = f"{curve.title}: {LABELS[figure]}"
        name = f"{curve.name}_{figure}" if number else curve.name
        picture = panels(
            Lines(title, drawn, curve.x, LABELS[figure], _log(curve, figure), points=True)
        )
        # At what was measured, not at powers of two.
        varied = sorted({point.x for point in curve.points})
        (axes,) = picture.axes
        axes.set_xticks(varied, [f"{x:,.0f}" for x in varied])
        yield name, picture


def _log(curve: Curve, figure: str) -> str:
    """Return the axes that are logarithmic: y where the values are of several magnitudes."""
    values = [value for point in curve.points if (value := point.figure(figure)) > 0]
    return "xy" if values and max(values) >= 30 * min(values) else "x"


def _parts(results: Results) -> Iterator[Part]:
    for curve in results.curves:
        yield f"# {curve.title}"
        for _, figure in _pictures(curve):
            yield figure
        yield from remarks(curve, results.cores)
        yield from tables(curve)
        yield _measured_in(curve)
    table = nodes_table(results)
    if table is not None:
        yield "# Machines"
        yield FORMULA
        yield table


def _block(curve: Curve, results: Results, folder: str) -> str:
    pictures = "\n\n".join(f"![{curve.title}]({folder}/{n}.png)" for n, _ in _pictures(curve))
    said = "\n".join(f"- {remark}" for remark in remarks(curve, results.cores))
    shown = "\n\n".join(f"{table.title}\n\n{_markdown(table)}" for table in tables(curve))
    parts = [pictures, said, _folded(shown), f"{_measured_in(curve)} {_source(results)}"]
    return "\n\n".join(part for part in parts if part)


def _folded(text: str) -> str:
    return f"<details><summary>The figures</summary>\n\n{text}\n\n</details>"


def _measured_in(curve: Curve) -> str:
    return (
        f"Measured in {curve.took_s:,.0f} s. A line ends where a doubling brings, or begins to "
        f"cost, {LEAST_GAIN:.0%}."
    )


def _source(results: Results) -> str:
    return f"`{results.origin.command}`, {results.origin.date}, {results.origin.machine}."


def _markdown(table: Table) -> str:
    head = [str(column.header) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (head, rule, *rows))


def _csv(curves: Iterable[Curve]) -> str:
    more = list(LABELS)
    file = io.StringIO()
    written = csv.writer(file, lineterminator="\n")
    cores = [f"cores_{role.lower()}" for role in ROLES]
    written.writerow(["curve", "series", "varied", "x", *more, *cores])
    for curve in curves:
        for point in curve.points:
            written.writerow([curve.name, point.series, curve.x, *_numbers(point, more)])
    return file.getvalue()


def _numbers(point: Point, names: Iterable[str]) -> Iterator[str]:
    yield f"{point.x:g}"
    for value in (*(point.figure(name) for name in names), *(point.cores[r] for r in ROLES)):
        yield f"{value:.6g}" if math.isfinite(value) else ""


def _table(title: str, head: Iterable[str], *, first: str = "") -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in head:
        table.add_column(name, justify="right")
    return table


def _number(value: float) -> str:
    """Return three digits that count, and all of those before the point."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _begin(name: str) -> str:
    return f"<!-- figures of {name} -->"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->"

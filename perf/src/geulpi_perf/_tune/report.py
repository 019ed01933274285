"""What a tuning found, as a table, as JSON and as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from geulpi_perf._output import write_csv, write_json
from geulpi_perf._pages import Part, page
from geulpi_perf._plots import OURS, save, scatter
from geulpi_perf._tune.knobs import Value
from geulpi_perf._tune.load import Measured
from geulpi_perf._tune.search import CONCURRENCY, Point
from geulpi_perf._tune.tuning import Measurement, Tuned

__all__ = ["as_json", "table", "write"]

SEEN = tuple(field.name for field in fields(Measured))


def table(tuned: Tuned) -> Table:
    """Return what was found as a table."""
    what = "" if tuned.changed else ": the settings stay, none was better"
    shown = Table("", "before", "after", title=f"{tuned.model}, {_wanted(tuned)}{what}")
    for one in tuned.settings:
        mark = "bold" if one.before != one.after else None
        shown.add_row(one.setting, _shown(one.before), _shown(one.after), style=mark)
    shown.add_section()
    shown.add_row(CONCURRENCY, str(tuned.before.in_flight), str(tuned.after.in_flight))
    for title, figure, form in (
        ("requests/s", "requests_per_s", ",.0f"), ("p50 ms", "p50_ms", ".2f"),
        ("p99 ms", "p99_ms", ".2f"),
    ):  # fmt: skip
        old, new = getattr(tuned.before, figure), getattr(tuned.after, figure)
        shown.add_row(title, f"{old:{form}}", f"{new:{form}}")
    return shown


def as_json(tuned: Tuned) -> dict[str, Any]:
    """Return what was found, and every measurement, as JSON can hold it."""
    told = asdict(tuned)
    del told["origin"]
    return told | tuned.origin.as_json()


def write(folder: Path, tuned: Tuned) -> Iterator[Path]:
    """Write NAME.tune.json, .csv, .html and .png; return their paths.

    Raises:
        OSError: the folder can't be written to.
    """
    json_, csv_, html, png = (
        folder / f"{tuned.model}.tune.{kind}" for kind in ("json", "csv", "html", "png")
    )
    write_json(json_, as_json(tuned))
    yield json_
    write_csv(csv_, list(_flat(tuned)))
    yield csv_
    plot = _plot(tuned)
    parts: list[Part] = [
        table(tuned), plot,
        f"Each point: the median of one set of settings ({len(tuned.measurements)} measurements).",
    ]  # fmt: skip
    html.write_text(page(f"{tuned.model}: {_wanted(tuned)}", tuned.origin, parts), encoding="utf-8")
    yield html
    save(plot, png)
    yield png


def _wanted(tuned: Tuned) -> str:
    goal = {"throughput": "most requests/s", "latency": "lowest p99"}[tuned.objective]
    return f"{goal} within {tuned.p99_ms:g} ms"


def _flat(tuned: Tuned) -> Iterator[dict[str, object]]:
    names = [*(one.setting for one in tuned.settings), CONCURRENCY]
    for one in tuned.measurements:
        seen = vars(one.seen) if one.seen else dict.fromkeys(SEEN, "")
        settings = {name: _shown(one.settings[name]) for name in names}
        yield {**settings, "seconds": one.seconds, **seen}


def _plot(tuned: Tuned) -> Figure:
    first: Point = {one.setting: one.before for one in tuned.settings}
    last: Point = {one.setting: one.after for one in tuned.settings}
    first[CONCURRENCY], last[CONCURRENCY] = tuned.before.in_flight, tuned.after.in_flight
    named: dict[str, list[tuple[float, float]]] = {"tried": [], "before": [], "winner": []}
    for point, seen in _medians(tuned.measurements):
        kind = "winner" if point == last else "before" if point == first else "tried"
        named[kind].append(seen)
    figure = scatter(
        f"{tuned.model}: {sum(map(len, named.values()))} settings",
        {
            name: ([x for x, _ in points], [y for _, y in points])
            for name, points in named.items()
            if points
        },
        x="p99, ms",
        y="requests/s",
    )
    figure.axes[0].axvline(tuned.p99_ms, color=OURS, linestyle=":", linewidth=1)
    return figure


def _medians(measurements: tuple[Measurement, ...]) -> Iterator[tuple[Point, tuple[float, float]]]:
    """Return settings, and the medians of p99 and rate that were seen with them."""
    seen: list[tuple[Point, list[Measurement]]] = []
    for one in measurements:
        same = next((them for point, them in seen if point == one.settings), None)
        if same is None:
            seen.append((one.settings, same := []))
        same.append(one)
    for point, them in seen:
        if found := [one.seen for one in them if one.seen]:
            yield point, (median(s.p99_ms for s in found), median(s.requests_per_s for s in found))


def _shown(value: Value) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)

"""What loads came to: tables, sentences, JSON, CSV, a page and a plot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from geulpi_perf._load.results import QUANTILES, Answers, LoadResult, Process
from geulpi_perf._load.seed import Row, SeedTable
from geulpi_perf._machine import Origin
from geulpi_perf._output import plain, write_csv, write_json
from geulpi_perf._pages import Part, page
from geulpi_perf._plots import Lines, panels, save

__all__ = ["as_json", "parts", "write"]

# A generator that is this busy may be what the rate depends on.
BUSY_CORES = 0.85
ANSWERS_HEAD = ("question", "calls", "per s", "mean", "p50", "p95", "p99", "errors", "hits")
PROCESS_HEAD = ("process", "start MB", "end MB", "peak MB", "cores")
SEED_HEAD = ("figure", "theirs", "ours", "better", "wanted", "met")
SEED_WIDTHS = (22, 8, 9, 6, 11, 3)
TICKS = ("least", *(f"{100 * quantile:g}" for quantile in QUANTILES[1:-1]), "most")


def parts(result: LoadResult | SeedTable) -> list[Table | str]:
    """Return tables and sentences for a terminal of 80 columns.

    Of the service before there is ours beside theirs, a table for each section.
    """
    return _seed_parts(result) if isinstance(result, SeedTable) else _load_parts(result)


def as_json(result: LoadResult | SeedTable, origin: Origin) -> dict[str, Any]:
    """Return everything as what JSON can hold; what is not a number is null."""
    if isinstance(result, LoadResult):
        return {**origin.as_json(), **_load(result)}
    rows = [plain({**asdict(row), "better": row.better}) for row in result.rows]
    loads = [_load(load) for load in result.loads]
    return {**origin.as_json(), "rows": rows, "loads": loads, "remarks": list(result.remarks)}


def write(folder: Path, result: LoadResult | SeedTable, origin: Origin) -> list[Path]:
    """Write load.json, .csv, .html and .png into a folder, and return their paths.

    The plot is of the last load with all five models and a cache, where there are several.
    """
    paths = [folder / f"load.{ending}" for ending in ("json", "csv", "html", "png")]
    loads = result.loads if isinstance(result, SeedTable) else (result,)
    write_json(paths[0], as_json(result, origin))
    write_csv(
        paths[1],
        [
            {"load": load.title, **_calls(one)}
            for load in loads
            for one in (*load.kinds, load.total)
        ],
    )
    seen: list[Part] = [*parts(result)] if isinstance(result, SeedTable) else []
    for load in loads:
        seen += [f"# {load.title}", *parts(load), *(panels(plot) for plot in _plots(load))]
    paths[2].write_text(page("Load on the calendar models", origin, seen), encoding="utf-8")
    shown = max(loads, key=lambda load: (len(load.kinds), load.total.hit_rate is not None))
    latency, *_, memory, _ = _plots(shown)
    save(panels(latency, memory), paths[3])
    return paths


def _load_parts(result: LoadResult) -> list[Table | str]:
    title = f"{result.title}, {result.seconds:.1f} s; times in ms"
    rows = [_answers(one) for one in (*result.kinds, result.total)]
    own = [_process(one) for one in sorted(result.processes, key=lambda p: -p.peak_mb)]
    whole = [_process(result.servers)] if result.servers else []
    return [
        _table(title, ANSWERS_HEAD, rows),
        _table("Memory (PSS) and processor cores", PROCESS_HEAD, [*own, *whole]),
        *_remarks(result),
    ]


def _seed_parts(table: SeedTable) -> list[Table | str]:
    judged = [row.met for row in table.rows if row.met is not None]
    return [
        *(
            _table(section, SEED_HEAD, [_seed(row) for row in rows], SEED_WIDTHS)
            for section, rows in groupby(table.rows, key=lambda row: row.section)
        ),
        f"{sum(judged)} of {len(judged)} are met.",
        *table.remarks,
    ]


def _plots(result: LoadResult) -> Iterator[Lines]:
    time = result.timeline
    places = range(len(QUANTILES))
    yield Lines(
        "Latency by question",
        {kind: (places, values) for kind, values in result.distribution.items()},
        x="% of the answers took at most", y="ms", log="y", points=True, ticks=TICKS,
    )  # fmt: skip
    yield Lines(
        "Latency over time", {name: (time.seconds, v) for name, v in time.latency_ms.items()},
        x="seconds", y="ms", log="y",
    )  # fmt: skip
    yield Lines("Answers", {"answers": (time.seconds, time.per_s)}, x="seconds", y="answers/s")
    for title, unit, named in (
        ("Memory (PSS)", "MB", time.pss_mb),
        ("Processor", "cores", time.cores),
    ):
        yield Lines(
            title, {name: (time.sampled_s, values) for name, values in named.items()},
            x="seconds", y=unit,
        )  # fmt: skip


def _remarks(result: LoadResult) -> Iterator[str]:
    if result.interrupted:
        yield f"Interrupted: what was measured until then, {result.seconds:.1f} s."
    if result.servers:
        yield "The memory at the start is that after the warm-up."
    cores = result.generator.cores
    limit = ": it may be what limits the rate" if cores >= BUSY_CORES else ""
    yield (
        f"The load generator, one process and not counted, took {cores:.2f} of the one core that "
        f"it can use{limit}."
    )
    if result.cache_errors:
        yield f"{result.cache_errors:,} operations of the cache failed; questions went on."
    for one in (*result.kinds, result.total):
        if one.errors:
            named = ", ".join(f"{count:,} {name}" for name, count in sorted(one.errors.items()))
            yield f"Failed, {one.kind}: {named}."


def _answers(one: Answers) -> tuple[str, ...]:
    return (
        one.kind,
        f"{one.calls:,}",
        f"{one.per_s:,.0f}",
        *(_number(ms) for ms in (one.mean_ms, one.p50_ms, one.p95_ms, one.p99_ms)),
        f"{one.error_rate:.2%}" if one.errors else "none",
        "–" if one.hit_rate is None else f"{one.hit_rate:.0%}",
    )


def _process(one: Process) -> tuple[str, ...]:
    memory = (one.start_mb, one.end_mb, one.peak_mb)
    return (one.name, *(f"{mb:.1f}" for mb in memory), f"{one.cores:.2f}")


def _seed(row: Row) -> tuple[str, ...]:
    return (
        row.figure,
        "–" if row.theirs is None else f"{row.theirs:g} {row.unit}",
        f"{_number(row.ours)} {row.unit}",
        "–" if row.better is None else f"{_number(row.better)}×",
        row.target or "–",
        {True: "yes", False: "NO", None: "–"}[row.met],
    )


def _number(value: float) -> str:
    """Return three digits that count, and all of those before the point."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] = ()
) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(head):
        width = widths[place] if widths else None
        table.add_column(name, justify="right" if place else "left", min_width=width)
    for row in rows:
        table.add_row(*row)
    return table


def _load(result: LoadResult) -> dict[str, Any]:
    kinds = [_calls(one) for one in result.kinds]
    made: dict[str, Any] = plain(asdict(result))
    return made | {"total": _calls(result.total), "kinds": kinds}


def _calls(one: Answers) -> dict[str, Any]:
    made: dict[str, Any] = plain(asdict(one))
    return made | {"errors": sum(one.errors.values()), "error_rate": one.error_rate,
                   "errors_by_name": dict(one.errors)}  # fmt: skip

"""What a comparison found, as a table, files and a page with a plot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from rich.table import Column, Table

from geulpi_perf._compare.measure import TRITON, Comparison, Measured
from geulpi_perf._machine import Origin, origin
from geulpi_perf._output import write_csv, write_json
from geulpi_perf._pages import Part, page
from geulpi_perf._plots import bars, save
from geulpi_perf._wrk import CONNECTIONS

__all__ = ["as_json", "made_by", "plot", "table", "write"]

NAME = "compare"
HOW = (
    "A random forest of 100 trees and 20 features, one row in each JSON request, by wrk at "
    f"{CONNECTIONS} connections. Each server runs alone, started anew for every round, in "
    "alternation; servers and load share the cores. The table shows medians, and how many times "
    "the requests of each Triton answers: the median of the rounds, and their range."
)


def made_by(found: Comparison) -> Origin:
    """Return where the figures come from, with the versions of the servers."""
    here = origin("geulpi compare")
    servers = {server.package: server.version for server in found.servers}
    return replace(here, versions=here.versions | servers)


def as_json(found: Comparison, made: Origin) -> dict[str, Any]:
    """Return every round, as what JSON can hold."""
    return {**made.as_json(), "connections": CONNECTIONS, **asdict(found)}


def table(found: Comparison) -> Table:
    """Return medians, and Triton's rate over each peer's: median and range over the rounds."""
    shown = Table(
        "server", "requests/s", "p50 ms", "p99 ms", "errors",
        Column("Triton is so many\ntimes as fast", no_wrap=True),
        title=f"forest, one row a request, {CONNECTIONS} connections",
    )  # fmt: skip
    for server in found.servers:
        shown.add_row(
            server.title,
            f"{_rate(server):,.0f}",
            f"{median(one.p50_ms for one in server.rounds):.1f}",
            f"{median(one.p99_ms for one in server.rounds):.1f}",
            f"{sum(one.errors for one in server.rounds):,}",
            "–" if server.name == TRITON else _ratio(server),
        )
    return shown


def plot(found: Comparison) -> Figure:
    """Return a bar for each server's rate."""
    return bars(
        f"Requests answered a second, at {CONNECTIONS} connections",
        {server.title: [one.requests_per_s for one in server.rounds] for server in found.servers},
        words={
            server.title: f"{_rate(server):,.0f}"
            + ("" if server.name == TRITON else f": Triton × {_ratio(server)}")
            for server in found.servers
        },
        ours="Triton",
        x="requests/s: median of the rounds, and their range",
    )


def write(folder: Path, found: Comparison, made: Origin) -> list[Path]:
    """Write compare.json, .csv, .html and .png into a folder, and return their paths."""
    paths = [folder / f"{NAME}.{ending}" for ending in ("json", "csv", "html", "png")]
    write_json(paths[0], as_json(found, made))
    write_csv(paths[1], list(_flat(found)))
    figure = plot(found)
    parts: list[Part] = [HOW, table(found), figure, _rounds(found)]
    parts += [f"{name} was skipped: {why}" for name, why in found.skipped.items()]
    paths[2].write_text(page("A forest behind each server", made, parts), encoding="utf-8")
    save(figure, paths[3])
    return paths


def _flat(found: Comparison) -> Iterator[dict[str, Any]]:
    for server in found.servers:
        rounds = zip(server.rounds, server.ratios, strict=True)
        for number, (one, ratio) in enumerate(rounds, start=1):
            yield {
                "server": server.name, "version": server.version, "round": number,
                **asdict(one), "ratio": ratio,
            }  # fmt: skip


def _rounds(found: Comparison) -> Table:
    shown = Table(
        "server", "version", "round", "requests/s", "p50 ms", "p99 ms", "errors", "ratio",
        title=f"round by round, {found.seconds} s each",
    )  # fmt: skip
    for row in _flat(found):
        shown.add_row(
            row["server"], row["version"], str(row["round"]), f"{row['requests_per_s']:,.0f}",
            f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}", str(row["errors"]),
            f"{row['ratio']:.1f}",
        )  # fmt: skip
    return shown


def _rate(server: Measured) -> float:
    return median(one.requests_per_s for one in server.rounds)


def _ratio(server: Measured) -> str:
    ratios = server.ratios
    return f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"

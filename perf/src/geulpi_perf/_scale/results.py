"""What curves consist of, and the way into a JSON file and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geulpi_perf._errors import UnusableOption
from geulpi_perf._machine import Origin
from geulpi_perf._output import plain

__all__ = ["LABELS", "Curve", "Point", "Results", "as_json", "read"]

# What a point may say, as it stands in tables and at axes.
LABELS = {
    "rows_per_s": "rows/s",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "artefact_mb": "artefact, MB",
    "load_s": "load, s",
    "stub_mb": "stub, MB",
    "ready_s": "ready, s",
    "pss_mb": "all, MB",
    "entry_bytes": "bytes/entry",
    "cache_mb": "cache, MB",
}


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        series: the line that it is a point of.
        x: what was varied.
        rows_per_s: rows answered.
        p50_ms, p99_ms: of the requests.
        cores: processor cores kept busy meanwhile, by who did: see `cpu.ROLES`.
        busiest: the process that kept most of a core busy, and how much of it.
        more: further figures, by the names of `LABELS`.
    """

    series: str
    x: float
    rows_per_s: float
    p50_ms: float
    p99_ms: float
    cores: Mapping[str, float]
    busiest: tuple[str, float]
    more: Mapping[str, float] = field(default_factory=dict)

    def figure(self, name: str) -> float:
        """Return a figure by its name in `LABELS`; not a number where there is none."""
        own = {"rows_per_s": self.rows_per_s, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms}
        return own.get(name, self.more.get(name, math.nan))


@dataclass(frozen=True)
class Curve:
    """Points along something that was varied.

    Attributes:
        name: its word on the command line.
        title: what is measured, in a line.
        x: what was varied.
        grows: whether rows/s are to grow with it; else they are to hold.
        plots: the figures that are drawn, the first as the curve's own picture.
        took_s: how long the whole curve took, its models and servers included.
    """

    name: str
    title: str
    x: str
    grows: bool
    plots: tuple[str, ...]
    points: tuple[Point, ...]
    took_s: float = 0.0

    @property
    def series(self) -> dict[str, list[Point]]:
        """The points of each line, along the line."""
        found: dict[str, list[Point]] = {}
        for point in sorted(self.points, key=lambda one: one.x):
            found.setdefault(point.series, []).append(point)
        return {name: found[name] for name in dict.fromkeys(one.series for one in self.points)}

    @property
    def figures(self) -> list[str]:
        """The names of the figures that its points have."""
        known = {name for point in self.points for name in point.more}
        return [name for name in LABELS if name in known or name.endswith(("_per_s", "_ms"))]


@dataclass(frozen=True)
class Results:
    """The curves of a run, where they come from, and the cores that there were.

    Attributes:
        mix_per_s: requests a second of the calendar models' mix, if they were stated.
    """

    origin: Origin
    cores: int
    curves: tuple[Curve, ...]
    mix_per_s: float | None = None


def as_json(results: Results) -> dict[str, Any]:
    """Return results as what JSON can hold; what is not a number is null."""
    made: dict[str, Any] = plain(asdict(results))
    return {**made.pop("origin"), **made}


def read(file: Path) -> Results:
    """Return the results that a file holds, which an earlier run wrote.

    Raises:
        UnusableOption: there is no such file, or it is not of this program.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        origin = Origin(*(found[name] for name in ("command", "date", "machine", "versions")))
        curves = tuple(_curve(curve) for curve in found["curves"])
        return Results(origin, found["cores"], curves, found["mix_per_s"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UnusableOption("--from", str(file), "a scale.json of an earlier run") from error


def _curve(found: dict[str, Any]) -> Curve:
    points = [
        Point(**{**point, "busiest": tuple(point["busiest"]), **_numbers(point)})
        for point in found["points"]
    ]
    return Curve(**{**found, "plots": tuple(found["plots"]), "points": tuple(points)})


def _numbers(point: Mapping[str, Any]) -> dict[str, float]:
    names = ("rows_per_s", "p50_ms", "p99_ms")
    return {name: math.nan if point[name] is None else point[name] for name in names}

"""How many machines a rate takes: on paper, from measured rates."""

from __future__ import annotations

import json
import math
from pathlib import Path

from geulpi_perf._errors import UnusableOption
from geulpi_perf._scale.results import Curve

__all__ = ["FORMULA", "RATES", "nodes", "rate_of_mix", "rates"]

UTILISATION = 0.6
SPARE = 1
RATES = (1_000, 10_000, 100_000)
FORMULA = (
    f"machines = ⌈wanted / ({UTILISATION:g} × measured on one)⌉ + {SPARE}: at {UTILISATION:.0%} of "
    "what one does there is room for peaks, and one may be away."
)


def nodes(wanted: float, measured: float) -> int:
    """Return how many machines answer so many requests a second.

    Args:
        wanted: requests a second.
        measured: requests a second of one machine at its best.
    """
    return math.ceil(wanted / (UTILISATION * measured)) + SPARE


def rates(curves: tuple[Curve, ...], mix_per_s: float | None) -> dict[str, float]:
    """Return the best measured requests a second, of single rows, by what was asked."""
    found: dict[str, float] = {}
    for curve in curves:
        if curve.name == "instances":
            for name, points in curve.series.items():
                found[f"{name}, single rows"] = max(point.rows_per_s for point in points)
    if mix_per_s is not None:
        found["the calendar models' mix"] = mix_per_s
    return found


def rate_of_mix(text: str) -> float:
    """Return a rate that is stated, or that of `geulpi load --json` in a file.

    Raises:
        UnusableOption: it is neither.
    """
    try:
        path = Path(text)
        if path.is_file():
            text = json.loads(path.read_text(encoding="utf-8"))["total"]["per_s"]
        rate = float(text)
    except (OSError, ValueError, LookupError, TypeError):
        rate = math.nan
    if not (rate > 0 and math.isfinite(rate)):
        raise UnusableOption("--mix", text, "requests a second, or a file of geulpi load --json")
    return rate

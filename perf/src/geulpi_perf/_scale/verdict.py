"""Where a curve stops growing, and why: from rates and processor shares alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geulpi_perf._scale.results import Curve, Point

__all__ = ["LEAST_GAIN", "turn", "verdicts", "why"]

LEAST_GAIN = 0.10
"""What a doubling must bring, or may cost, for a curve to count as going on."""

_AT_REST = 0.1  # of all cores
_FULL = 0.9  # of all cores, or of one: what is left is the scheduler's


def verdicts(curve: Curve, cores: int) -> list[str]:
    """Return a sentence for each line of a curve, and one if other programs were in its way."""
    said = [
        f"{name}: {_verdict(curve, points, cores)}."
        for name, points in curve.series.items()
        if len(points) > 1
    ]
    others = [point.cores.get("others", 0.0) for point in curve.points]
    if others and (mean := math.fsum(others) / len(others)) > _AT_REST * cores:
        said.append(
            f"The machine was not at rest: other programs kept {mean:.1f} of {cores} cores busy, "
            "so these figures are not to be quoted."
        )
    return said


def turn(x: Sequence[float], y: Sequence[float], *, grows: bool) -> int | None:
    """Return the place where a curve turns; None if it goes on to its end.

    A curve that grows turns before the first step that brings less than `LEAST_GAIN` a doubling of
    x; one that is to hold, before the first that costs more. A step is followed by others, and one
    bad moment of the machine is none: what comes later must not make up for it.
    """
    bound = 1 + LEAST_GAIN if grows else 1 - LEAST_GAIN
    for at in range(len(x) - 1):
        # By the best of what follows, each seen from here.
        ratios = [
            (y[later] / y[at]) ** (1 / math.log2(x[later] / x[at]))
            for later in range(at + 1, len(x))
        ]
        if max(ratios) < bound:
            return at
    return None


def why(point: Point, cores: int) -> str:
    """Return what held a load up, by who kept the cores busy."""
    used = sum(point.cores.values())
    if not used:
        return "no processor time was counted: measure for longer"
    shares = sorted(((spent, role) for role, spent in point.cores.items()), reverse=True)
    said = ", ".join(
        f"{spent / used:.0%} in {_in(role)}" for spent, role in shares if spent >= used / 20
    )
    if used >= _FULL * cores:
        return f"{'both' if cores == 2 else f'all {cores}'} cores are full, {said}"
    role, most = point.busiest
    if most >= _FULL:
        return (
            f"one process of {_in(role)} keeps a core full, while {used:.1f} of {cores} cores are "
            f"at work, {said}"
        )
    return f"no core is full, {used:.1f} of {cores} are at work, {said}: the rest is waiting"


def _verdict(curve: Curve, points: Sequence[Point], cores: int) -> str:
    at = turn(
        [point.x for point in points], [point.rows_per_s for point in points], grows=curve.grows
    )
    verb = "stops growing at" if curve.grows else "holds up to"
    if at is None:
        last = points[-1]
        verb = "still grows at" if curve.grows else "holds up to the last,"
        return f"{verb} {last.x:,.0f} {curve.x}: {why(last, cores)}"
    # What a larger one costs is seen where it costs.
    seen = points[at] if curve.grows else points[at + 1]
    there = "" if curve.grows else f"; at {seen.x:,.0f} "
    return f"{verb} {points[at].x:,.0f} {curve.x}{there or ': '}{why(seen, cores)}"


def _in(role: str) -> str:
    return {"Triton": "Triton itself", "others": "other programs"}.get(role, f"the {role}").replace(
        "the Valkey", "Valkey"
    )

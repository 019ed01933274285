"""Finds good settings with few, noisy measurements.

Coordinate descent: one setting after the other is tried while the others stay, as Triton's Model
Analyzer climbs in its quick search. Settings work on each other little enough, and two rounds over
all of them see what does (more instances pay at more requests in flight). Among the values of one
setting successive halving decides (Karnin, Koren and Somekh, ICML 2013; Jamieson and Talwalkar,
AISTATS 2016): all are measured for a short time, the better half for twice as long, and so on, so
that most of the time goes into what is hard to tell apart. Of the last two, the one that stands
loses its place only if it is beaten in most of several alternating pairs, and by more than noise.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from geulpi_perf._tune.knobs import Value
from geulpi_perf._tune.load import Measured

__all__ = ["CONCURRENCY", "Goal", "Objective", "Point", "Search", "middle"]

CONCURRENCY = "requests in flight"
PAIRS, PROOF_PAIRS = 3, 5
PROOFS = 3  # so many are tried at most
MARGIN = 0.03  # a gain below it is noise
ROUNDS = 2  # over all settings

Objective = Literal["throughput", "latency"]
Point = dict[str, Value]
# Given settings and seconds, it returns what was seen; None where the server refuses the settings.
Measure = Callable[[Point, float], Measured | None]


@dataclass(frozen=True)
class Goal:
    """What is wanted: most requests a second within a p99, or the lowest p99."""

    objective: Objective
    p99_ms: float

    def kept(self, seen: Measured | None) -> bool:
        """Whether the p99 is within what was asked for."""
        return seen is not None and seen.p99_ms <= self.p99_ms

    def key(self, seen: Measured | None) -> tuple[int, float]:
        """Return what sorts measurements, the best last."""
        if seen is None:
            return -1, 0.0
        if self.kept(seen) and self.objective == "throughput":
            return 1, seen.requests_per_s
        return int(self.kept(seen)), -seen.p99_ms

    def gain(self, new: Measured | None, old: Measured | None) -> float:
        """Return by what part the new is better than the old; below 0 it is worse."""
        (new_rank, new_worth), (old_rank, old_worth) = self.key(new), self.key(old)
        if new_rank != old_rank:
            return 1.0 if new_rank > old_rank else -1.0
        if not new_worth or not old_worth:
            return 0.0
        return new_worth / old_worth - 1 if new_worth > 0 else old_worth / new_worth - 1


def middle(seen: Sequence[Measured | None]) -> Measured | None:
    """Return the median of each figure; None if most were refused."""
    measured = [one for one in seen if one is not None]
    if 2 * len(measured) <= len(seen):
        return None
    return Measured(
        statistics.median(one.requests_per_s for one in measured),
        statistics.median(one.p50_ms for one in measured),
        statistics.median(one.p99_ms for one in measured),
    )


@dataclass
class Search:
    """One search.

    Attributes:
        values: what is tried, by setting; tried in this order.
        measure: measures settings.
        goal: what is wanted.
        seconds: how long the shortest measurement takes.
        told: is told what is tried next, for a progress display.
    """

    values: dict[str, Sequence[Value]]
    measure: Measure
    goal: Goal
    seconds: float
    told: Callable[[str], None] = field(default=lambda _: None)

    def descend(self, start: Point) -> list[Point]:
        """Return the settings found from these on, each better than those before it."""
        path = [start]
        tried: dict[str, Point] = {}
        for _ in range(ROUNDS):
            for name in self.values:
                if tried.get(name) == path[-1]:
                    continue  # nothing else has changed since
                if (point := self.along(name, path[-1])) != path[-1]:
                    path.append(point)
                tried[name] = point
        return path

    def along(self, name: str, point: Point) -> Point:
        """Return the settings with the best value of one of them."""
        stands = point[name]
        left = [stands, *(value for value in self.values[name] if value != stands)]
        seen: dict[Value, list[Measured | None]] = {value: [] for value in left}
        seconds = self.seconds
        while len(left) > 2:
            for value in left:
                self.told(f"{name} {value}")
                seen[value].append(self.measure(point | {name: value}, seconds))
            left.sort(key=lambda value: self.goal.key(middle(seen[value])), reverse=True)
            left = left[: (len(left) + 1) // 2]
            if stands not in left:
                left[-1] = stands
            seconds *= 2
        if len(left) < 2:
            return point
        (challenger,) = (value for value in left if value != stands)
        self.told(f"{name} {stands} against {challenger}")
        return self.duel(point, point | {name: challenger}, seconds, PAIRS)[0]

    def prove(
        self, path: Sequence[Point], seconds: float
    ) -> tuple[Point, Measured | None, Measured | None]:
        """Return the last settings of a path that beat its first, as `duel` does; else the first.

        What short measurements thought best may miss the p99 in longer ones: then what they thought
        best before it is proven in its place.
        """
        for best in reversed(path[1:][-PROOFS:] or path):
            shown = self.duel(path[0], best, seconds, PROOF_PAIRS)
            if shown[0] is best:
                break
        return shown

    def duel(
        self, stands: Point, challenger: Point, seconds: float, pairs: int
    ) -> tuple[Point, Measured | None, Measured | None]:
        """Return the winner, and what was seen of both: medians of alternating pairs."""
        old: list[Measured | None] = []
        new: list[Measured | None] = []
        for pair in range(pairs):
            both = [(old, stands), (new, challenger)]
            for seen, point in both if pair % 2 == 0 else reversed(both):
                seen.append(self.measure(point, seconds))
        won = sum(self.goal.gain(n, o) > 0 for n, o in zip(new, old, strict=True))
        better = won > pairs / 2 and self.goal.gain(middle(new), middle(old)) > MARGIN
        return (challenger if better else stands), middle(old), middle(new)

"""A plan, and the JSON document that tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, tzinfo

__all__ = ["NotPlaced", "Placement", "Schedule", "document"]


@dataclass(frozen=True, slots=True)
class Placement:
    """When a task is done: starts and ends of its parts in seconds of the Unix epoch, in order."""

    task: str
    chunks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """A task that found no place, and why, as a word and as a sentence."""

    task: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan.

    Attributes:
        status: `optimal` if the gap is at most the tolerance and nothing was left out of the
            search, else `feasible`.
        objective: its worth in points.
        bound: no plan is worth more.
        gap: (bound − objective) as a share of the points that the starts could reach.
        placements: in the order of the tasks.
        not_placed: in the order of the tasks.
        solve_s: what it took.
    """

    status: str
    objective: int
    bound: float
    gap: float
    placements: tuple[Placement, ...]
    not_placed: tuple[NotPlaced, ...]
    solve_s: float


def document(schedule: Schedule, zone: tzinfo) -> str:
    """Return a plan as JSON, its moments in a time zone."""

    def span(first: int, last: int) -> dict[str, str]:
        start, end = (datetime.fromtimestamp(moment, zone) for moment in (first, last))
        return {"start": start.isoformat(), "end": end.isoformat()}

    placements = [
        {
            "task": one.task,
            **span(one.chunks[0][0], one.chunks[-1][1]),
            "chunks": [span(*chunk) for chunk in one.chunks],
        }
        for one in schedule.placements
    ]
    not_placed = [
        {"task": one.task, "reason": one.reason, "detail": one.detail}
        for one in schedule.not_placed
    ]
    rows = {
        "status": schedule.status,
        "objective": float(schedule.objective),
        "bound": schedule.bound,
        "gap": schedule.gap,
        "placements": placements,
        "not_placed": not_placed,
        "solve_s": round(schedule.solve_s, 6),
    }
    return json.dumps(rows)  # ASCII: an id may hold half a surrogate pair, which UTF-8 can't

"""Arithmetic of time spans: sorted `(start, end)` in seconds, start before end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Span", "gaps", "longest_gap", "merged", "overlapped", "parts", "total"]

Span: TypeAlias = tuple[float, float]


def merged(spans: Iterable[Span], *, tolerance: float = 0.0) -> list[Span]:
    """Return the union of spans, in order; gaps below the tolerance (or none at all) are closed."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and (start <= union[-1][1] or start - union[-1][1] < tolerance):
            if end > union[-1][1]:
                union[-1] = (union[-1][0], end)
        else:
            union.append((start, end))
    return union


def overlapped(spans: Iterable[Span]) -> list[Span]:
    """Return the time in which at least two of the spans run."""
    shared: list[Span] = []
    reach = float("-inf")
    for start, end in sorted(spans):
        # What reaches furthest began no later than this span: it runs from here to there.
        if start < reach:
            shared.append((start, min(end, reach)))
        reach = max(reach, end)
    return merged(shared)


def parts(union: Sequence[Span], windows: Sequence[Span]) -> list[list[Span]]:
    """Return what of a union lies in each window; windows are in order and do not overlap."""
    found: list[list[Span]] = [[] for _ in windows]
    first = 0
    for position, (opens, closes) in enumerate(windows):
        while first < len(union) and union[first][1] <= opens:
            first += 1
        for index in range(first, len(union)):
            start, end = union[index]
            if start >= closes:
                break
            found[position].append((max(start, opens), min(end, closes)))
    return found


def gaps(union: Sequence[Span]) -> list[float]:
    """Return how long the pauses between the spans of a union last."""
    return [start - end for (_, end), (start, _) in pairwise(union)]


def longest_gap(union: Sequence[Span], window: Span) -> float:
    """Return the longest time of a window that a union (within the window) leaves free."""
    opens, closes = window
    return max(gaps([(opens, opens), *union, (closes, closes)]))


def total(spans: Iterable[Span]) -> float:
    """Return how long the spans last together."""
    return sum(end - start for start, end in spans)

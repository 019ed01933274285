"""A plan at once: for the search to begin with, or the answer when there is no time to search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geulpi_calendar._schedule_core import Item, Use, worth_of
from geulpi_calendar._schedule_problem import Task

__all__ = ["one_by_one"]

_NEVER: Final = 1 << 60


def one_by_one(
    items: Sequence[Item], tasks: Sequence[Task], before: Sequence[tuple[int, int]]
) -> tuple[Use, ...]:
    """Return the best of some plans that place task after task.

    The more urgent goes first, by priority or by deadline, and what it waits for before it. Each
    takes its best free start; where that leaves out tasks, its earliest is tried, too.
    """
    waits: list[list[int]] = [[] for _ in tasks]
    for first, second in before:
        waits[second].append(first)
    limits = [_NEVER if task.deadline is None else task.deadline for task in tasks]
    by_priority = [(-task.priority, limit) for task, limit in zip(tasks, limits, strict=True)]
    by_deadline = [(limit, -task.priority) for task, limit in zip(tasks, limits, strict=True)]
    orders = [_order(keys, waits) for keys in (by_priority, by_deadline)]

    def best_of(*, early: bool) -> tuple[Use, ...]:
        plans = [_plan(items, order, waits, early=early) for order in orders]
        return max(plans, key=worth)

    def worth(uses: Sequence[Use]) -> int:
        return sum(map(worth_of, items, uses))

    best = best_of(early=False)
    if all(use or not item.parts for item, use in zip(items, best, strict=True)):
        return best
    return max(best, best_of(early=True), key=worth)


def _order(keys: Sequence[tuple[int, int]], waits: Sequence[Sequence[int]]) -> list[int]:
    """Return the places in the order of their keys, each after those that it waits for."""
    order: dict[int, None] = {}
    for place in sorted(range(len(keys)), key=lambda place: keys[place]):
        stack = [place]
        while stack:
            ahead = [first for first in waits[stack[-1]] if first not in order]
            if ahead:
                stack.append(min(ahead, key=lambda first: keys[first]))
            else:
                order[stack.pop()] = None
    return list(order)


def _plan(
    items: Sequence[Item], order: Sequence[int], waits: Sequence[Sequence[int]], *, early: bool
) -> tuple[Use, ...]:
    uses: list[Use] = [()] * len(items)
    taken = bytearray(max((part.end for item in items for part in item.parts), default=0))
    for place in order:
        item = items[place]
        if not all(uses[first] for first in waits[place]):
            continue
        ends = [items[first].parts[uses[first][-1]].end for first in waits[place]]
        uses[place] = _free_use(item, taken, max(ends, default=0), early=early)
        for chosen in uses[place]:
            start, end = item.parts[chosen].start, item.parts[chosen].end
            taken[start:end] = bytes([1]) * (end - start)
    return tuple(uses)


def _free_use(item: Item, taken: bytearray, after: int, *, early: bool) -> Use:
    """Return the best (or earliest) single part, else the earliest parts, else ()."""
    free = [
        place
        for place, part in enumerate(item.parts)
        if part.start >= after and taken.find(1, part.start, part.end) < 0
    ]
    whole = [place for place in free if item.parts[place].size == item.total]
    if whole and early:
        return (whole[0],)
    if whole:
        return (max(whole, key=lambda place: (item.parts[place].value, -place)),)
    return _earliest_parts(item, free)


def _earliest_parts(item: Item, free: Sequence[int]) -> Use:
    """Return the longest part at the earliest start, and so on until the item is done."""
    smallest = min((part.size for part in item.parts), default=0)
    left, spare, busy_until = item.total, item.spare, 0
    used: list[int] = []
    for place in sorted(free, key=lambda p: (item.parts[p].start, -item.parts[p].size)):
        part = item.parts[place]
        rest = left - part.size
        if (
            part.start >= busy_until
            and (rest == 0 or rest >= smallest)
            and part.lack <= spare
            and len(used) < item.most_parts
        ):
            used.append(place)
            left, spare, busy_until = rest, spare - part.lack, part.end
    return tuple(used) if left == 0 else ()

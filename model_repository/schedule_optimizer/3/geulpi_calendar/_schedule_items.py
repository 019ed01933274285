"""Tasks as the search takes them, and its answers as times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._schedule_core import Item, Part, Use
from geulpi_calendar._schedule_problem import Task
from geulpi_calendar._schedule_slots import Cells, Spans, TaskCalendar, ends_of
from geulpi_calendar._schedule_values import PART_COST, Values, placed_worth

_MOST_PARTS: Final = 300_000
"""Of all tasks together, which bounds the memory. With more, each task's are thinned out evenly."""
_MOST_SIZES: Final = 16
"""Of the parts of a split task, where they are thinned out."""

__all__ = ["Chunks", "chunks", "dependencies", "item_of", "may_split"]

Chunks: TypeAlias = tuple[tuple[int, int], ...]
"""Starts and ends of the parts of a placed task, in seconds of the Unix epoch."""


def may_split(task: Task) -> bool:
    """Return whether a task may be done in parts: it is long enough for two."""
    return task.splittable and task.seconds >= 2 * task.min_chunk


def item_of(task: Task, calendar: TaskCalendar, values: Values) -> Item:
    """Return a task as what takes cells.

    Parts begin at cells. They end where a cell or the free time does, but for what is more than the
    task needs. The buffer follows each.
    """
    problem = calendar.problem
    free = calendar.available(task)
    total = calendar.cells_for(task.seconds)
    placed = placed_worth(task.priority, len(problem.tasks))
    most = _MOST_PARTS // len(problem.tasks)
    if may_split(task):
        return _split_item(task, free, calendar, values, Item([], total, placed), most=most)
    every = calendar.starts_within(free, task.seconds)
    cells = _thinned(every, most)
    worth = values.of(task, calendar.begins(cells), task.seconds).tolist()
    length = calendar.cells_for(task.seconds + problem.buffer)
    parts = [Part(s, total, s + length, v) for s, v in zip(cells.tolist(), worth, strict=True)]
    return Item(parts, total, placed, complete=len(cells) == len(every))


def dependencies(tasks: Sequence[Task]) -> list[tuple[int, int]]:
    """Return the places of tasks that must be done before others, and of those others."""
    places = {task.id: place for place, task in enumerate(tasks)}
    return [
        (places[other], place)
        for place, task in enumerate(tasks)
        for other in dict.fromkeys(task.depends_on)
    ]


def chunks(task: Task, item: Item, use: Use, calendar: TaskCalendar) -> Chunks:
    """Return when the parts of a placed task begin and end."""
    step = calendar.problem.step
    parts = [item.parts[place] for place in use]
    begins = [calendar.origin + part.start * step for part in parts]
    if len(parts) == 1:
        return ((begins[0], begins[0] + task.seconds),)
    lengths = [part.size * step - part.lack for part in parts]
    surplus = sum(lengths) - task.seconds
    for place in reversed(range(len(parts))):
        cut = min(surplus, lengths[place] - task.min_chunk)
        lengths[place] -= cut
        surplus -= cut
    return tuple((b, b + length) for b, length in zip(begins, lengths, strict=True))


def _split_item(
    task: Task, free: Spans, calendar: TaskCalendar, values: Values, bare: Item, *, most: int
) -> Item:
    """Return a task that may be split: parts of any size that leaves enough for another."""
    problem, total = calendar.problem, bare.total
    spare = total * problem.step - task.seconds
    cells = calendar.starts_within(free, problem.step - spare)
    if len(cells) < total:
        return bare
    every_start = np.intersect1d(calendar.starts_within(free, task.min_chunk), cells)
    shortest = calendar.cells_for(task.min_chunk)
    every_size = np.array([*range(shortest, total - shortest + 1), total])
    starts, sizes = every_start, every_size
    if len(starts) * len(sizes) > most:
        ends = [shortest, total - shortest, total]  # these can always add up
        sizes = np.union1d(_thinned(sizes, _MOST_SIZES), ends)
        starts = _thinned(starts, most // len(sizes))
    return replace(
        bare,
        parts=list(_parts(task, free, calendar, values, (cells, starts, sizes))),
        most_parts=task.seconds // task.min_chunk,
        spare=spare,
        complete=len(starts) == len(every_start) and len(sizes) == len(every_size),
    )


def _parts(
    task: Task,
    free: Spans,
    calendar: TaskCalendar,
    values: Values,
    grid: tuple[Cells, Cells, NDArray[np.int64]],
) -> Iterator[Part]:
    """Yield parts, in order of start and size.

    Args:
        task: which may be split.
        free: the time that it may take.
        calendar, values: of the problem.
        grid: the cells that it may use, those of them where parts begin, their sizes.
    """
    step, buffer = calendar.problem.step, calendar.problem.buffer
    cells, starts, sizes = grid
    total = calendar.cells_for(task.seconds)
    whole, trail = calendar.cells_for(task.seconds + buffer), calendar.cells_for(buffer)
    moments = calendar.begins(cells)
    until = ends_of(free, moments)
    room = np.minimum(until - moments, step)
    # Each cell adds its share of the worth; rounded down, as the whole may add QUALITY at most.
    sums = [0.0, *accumulate((values.of(task, moments, room) / total).tolist())]
    ends, lacks = until.tolist(), (step - room).tolist()
    for cell, place in zip(starts.tolist(), np.searchsorted(cells, starts).tolist(), strict=True):
        for size in sizes.tolist():
            last = place + size - 1
            if last >= len(ends) or ends[last] != ends[place]:
                break
            value = int(sums[last + 1] - sums[place]) - PART_COST
            taken = whole if size == total else size + trail
            yield Part(cell, size, cell + taken, value, lacks[last])


def _thinned(cells: Cells, most: int) -> Cells:
    """Return about so many of some cells, evenly, with each that follows a gap."""
    if len(cells) <= most:
        return cells
    kept = np.diff(cells, prepend=-2) > 1
    kept[:: -(-len(cells) // max(most, 1))] = True
    return cells[kept]

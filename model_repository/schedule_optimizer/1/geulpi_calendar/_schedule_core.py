"""The search: a time-indexed model for OR-tools' CP-SAT.

Time is cut into cells; an item has a boolean for each cell that it may begin in, one that may be
split for each cell that it may use. What excludes what is said for each cell, which makes the
linear relaxation strong (Sousa & Wolsey 1992, "A time indexed formulation of non-preemptive single
machine scheduling problems"): 20 tasks of a week in quarters of an hour are proven in 0.06 s, where
interval variables alone take seconds. Where cells are so fine that this grows out of hand, interval
variables take its place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ortools.sat.python import cp_model

__all__ = ["Item", "Model", "Outcome", "SplitItem", "Use", "cells_used", "search"]


MOST_COVERED: Final = 100_000  # pairs of a start and a cell that it takes


@dataclass(frozen=True)
class Item:
    """Something that takes cells in a row.

    Attributes:
        starts: the cells that it may begin in, in order.
        values: what it is worth to begin there.
        length: how many cells it takes.
        placed: what it is worth to place it at all.
        needs: units of each resource.
    """

    starts: Sequence[int]
    values: Sequence[int]
    length: int
    placed: int
    needs: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class SplitItem:
    """Something that may be done in runs of cells.

    Attributes:
        cells: those that it may use, in order.
        values: what each is worth; the mean of those used counts.
        total: how many it takes.
        shortest: the fewest cells of a run.
        trail: cells after a run that nothing else may use.
        placed: what it is worth to place it at all.
        run_cost: what each run costs.
    """

    cells: Sequence[int]
    values: Sequence[int]
    total: int
    shortest: int
    trail: int
    placed: int
    run_cost: int


Use = tuple[int, ...]
"""The cells of a placed item: its first one, or all of a split item's; () is not placed."""


@dataclass(frozen=True)
class Outcome:
    """The best uses that were found, one for each item; their worth, and what none can exceed."""

    uses: tuple[Use, ...]
    objective: float
    bound: float
    proven: bool


@dataclass
class Model:
    """Items, one after the other where `before` says so, within what the resources hold.

    `starts` are the booleans of each item by cell, for what a caller wants to add.
    """

    items: Sequence[Item | SplitItem]
    before: Sequence[tuple[int, int]] = ()
    capacities: tuple[int, ...] = (1,)
    model: cp_model.CpModel = field(default_factory=cp_model.CpModel)
    starts: list[dict[int, Any]] = field(default_factory=list)
    placed: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the model."""
        self._terms: list[Any] = []
        self._weights: list[int] = []
        self._runs: list[dict[int, Any]] = []
        self._cover: dict[tuple[int, int], list[tuple[Any, int]]] = defaultdict(list)
        self._intervals: list[list[tuple[Any, int]]] = [[] for _ in self.capacities]
        covered = sum(len(i.starts) * i.length for i in self.items if isinstance(i, Item))
        self.fine = covered > MOST_COVERED
        for item in self.items:
            if isinstance(item, Item):
                self._add_item(item)
            else:
                self._add_split(item)
        if self.fine:
            self._exclude_by_intervals()
        else:
            self._exclude_by_cells()
        self._begun: dict[int, list[Any]] = {}
        for first, second in self.before:
            self._add_before(first, second)
        self.model.maximize(cp_model.LinearExpr.weighted_sum(self._terms, self._weights))

    def _exclude_by_cells(self) -> None:
        for (resource, _), uses in self._cover.items():
            capacity = self.capacities[resource]
            if all(need == capacity for _, need in uses):
                if len(uses) > 1:
                    self.model.add_at_most_one([literal for literal, _ in uses])
            elif sum(need for _, need in uses) > capacity:
                literals, needs = zip(*uses, strict=True)
                self.model.add(cp_model.LinearExpr.weighted_sum(literals, needs) <= capacity)

    def _exclude_by_intervals(self) -> None:
        for (resource, cell), uses in self._cover.items():  # those of split items
            self._intervals[resource] += [
                (self.model.new_optional_fixed_size_interval_var(cell, 1, literal, ""), need)
                for literal, need in uses
            ]
        for capacity, uses in zip(self.capacities, self._intervals, strict=True):
            if not uses:
                continue
            intervals, needs = zip(*uses, strict=True)
            if all(need == capacity for need in needs):
                self.model.add_no_overlap(intervals)
            else:
                self.model.add_cumulative(intervals, needs, capacity)

    def hint(self, uses: Sequence[Use]) -> None:
        """Tell the search of a solution."""
        for use, starts, runs, placed in zip(
            uses, self.starts, self._runs, self.placed, strict=True
        ):
            used = set(use)
            self.model.add_hint(placed, bool(use))
            for cell, literal in starts.items():
                self.model.add_hint(literal, cell in used)
            for cell, literal in runs.items():
                self.model.add_hint(literal, cell in used and cell - 1 not in used)

    def _worth(self, literal: Any, value: int) -> None:
        if value:
            self._terms.append(literal)
            self._weights.append(value)

    def _add_item(self, item: Item) -> None:
        placed = self.model.new_bool_var("")
        starts = {}
        for cell, value in zip(item.starts, item.values, strict=True):
            starts[cell] = literal = self.model.new_bool_var("")
            self._worth(literal, value)
            for resource, need in enumerate(item.needs):
                if need and not self.fine:
                    for covered in range(cell, cell + item.length):
                        self._cover[resource, covered].append((literal, need))
        self.model.add_exactly_one([*starts.values(), ~placed])
        self._worth(placed, item.placed)
        self.placed.append(placed)
        self.starts.append(starts)
        self._runs.append({})
        if self.fine and starts:
            self._add_interval(item, starts, placed)

    def _add_interval(self, item: Item, starts: Mapping[int, Any], placed: Any) -> None:
        domain = cp_model.Domain.from_values(list(starts))
        start = self.model.new_int_var_from_domain(domain, "")
        for cell, literal in starts.items():
            self.model.add(start == cell).only_enforce_if(literal)
        interval = self.model.new_optional_fixed_size_interval_var(start, item.length, placed, "")
        for resource, need in enumerate(item.needs):
            if need:
                self._intervals[resource].append((interval, need))

    def _add_split(self, item: SplitItem) -> None:
        model = self.model
        placed = model.new_bool_var("")
        cells = {cell: model.new_bool_var("") for cell in item.cells}
        runs = {}
        for cell, value in zip(item.cells, item.values, strict=True):
            self._worth(cells[cell], value // item.total)
            runs[cell] = begins = model.new_bool_var("")
            self._worth(begins, -item.run_cost)
            # A run begins where a cell is used and the one before it is not.
            earlier = cells.get(cell - 1)
            if earlier is None:
                model.add(begins == cells[cell])
            else:
                model.add_bool_or([~cells[cell], earlier, begins])
                model.add_implication(begins, cells[cell])
                model.add_implication(begins, ~earlier)
            for follower in range(cell + 1, cell + item.shortest):
                if follower not in cells:
                    model.add(begins == 0)
                    break
                model.add_implication(begins, cells[follower])
        model.add(cp_model.LinearExpr.sum(list(cells.values())) == item.total * placed)
        for cell in sorted({c + j for c in item.cells for j in range(item.trail + 1)}):
            near = [cells[c] for c in range(cell - item.trail, cell + 1) if c in cells]
            taken = near[0]
            if len(near) > 1:
                taken = model.new_bool_var("")
                for literal in near:
                    model.add_implication(literal, taken)
            self._cover[0, cell].append((taken, 1))
        self._worth(placed, item.placed)
        self.placed.append(placed)
        self.starts.append(cells)
        self._runs.append(runs)

    def _add_before(self, first: int, second: int) -> None:
        """Let `second` begin only when `first` has ended, and be placed only if it is."""
        self.model.add_implication(self.placed[second], self.placed[first])
        earlier = self.items[first]
        if isinstance(earlier, Item):
            begun = self._begun_by(first)
            for cell, literal in self._first_uses(second):
                at = bisect_right(earlier.starts, cell - earlier.length) - 1
                self.model.add_implication(literal, begun[at] if at >= 0 else False)
            return
        cells = self.starts[first]
        for cell, literal in self._first_uses(second):
            done = [used for c, used in cells.items() if c < cell]
            self.model.add(cp_model.LinearExpr.sum(done) >= earlier.total).only_enforce_if(literal)

    def _first_uses(self, place: int) -> list[tuple[int, Any]]:
        """Return literals that hold from the cell on where an item begins, by that cell."""
        item = self.items[place]
        if isinstance(item, Item):
            return list(zip(item.starts, self._begun_by(place), strict=True))
        return list(self.starts[place].items())

    def _begun_by(self, place: int) -> list[Any]:
        """Return for each start of an item whether it begins there or earlier."""
        if place not in self._begun:
            begun: list[Any] = []
            for literal in self.starts[place].values():
                now = self.model.new_bool_var("")
                self.model.add(now == (begun[-1] + literal if begun else literal))
                begun.append(now)
            self._begun[place] = begun
        return self._begun[place]


def search(
    built: Model,
    *,
    seconds: float,
    seed: int,
    absolute_gap: float = 0.0,
) -> Outcome | None:
    """Return the best that is found within a time; None if that is nothing.

    One worker: the same seed gives the same answer wherever the search ends by itself.
    """
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.random_seed = seed
    parameters.max_time_in_seconds = max(0.001, seconds)
    parameters.linearization_level = 1 if built.fine else 2
    parameters.absolute_gap_limit = absolute_gap
    solver.solve(built.model)
    status = solver.status_name()
    if status not in {"OPTIMAL", "FEASIBLE"}:
        return None
    uses = tuple(
        tuple(cell for cell, literal in starts.items() if solver.boolean_value(literal))
        for starts in built.starts
    )
    return Outcome(uses, solver.objective_value, solver.best_objective_bound, status == "OPTIMAL")


def cells_used(item: Item | SplitItem, use: Use) -> Mapping[int, None]:
    """Return the cells that a use takes from others, in order."""
    if isinstance(item, Item):
        return dict.fromkeys(range(use[0], use[0] + item.length)) if use else {}
    return dict.fromkeys(cell + j for cell in use for j in range(item.trail + 1))

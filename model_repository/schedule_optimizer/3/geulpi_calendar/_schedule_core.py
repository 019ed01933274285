"""The search: a time-indexed model for OR-tools' CP-SAT.

Time is cut into cells, and an item has a boolean for each run of cells that it may take. What
excludes what is said cell by cell, which makes the linear relaxation strong (Sousa & Wolsey 1992,
"A time indexed formulation of non-preemptive single machine scheduling problems"), and so is
precedence (Christofides, Alvarez-Valdes & Tamarit 1987, "Project scheduling with resource
constraints: a branch and bound approach").

The protobuf is written directly: `cp_model` would import pandas into each process that serves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from ortools.sat import cp_model_pb2, sat_parameters_pb2
from ortools.sat.python import cp_model_helper

__all__ = ["Item", "Model", "Outcome", "Part", "Use", "joined", "search", "thinned", "worth_of"]

Use: TypeAlias = tuple[int, ...]
"""The places of an item's chosen parts, in order of their starts; () is not placed."""

_FEW_BOOLEANS: Final = 2000
_FOUND: Final = (cp_model_pb2.OPTIMAL, cp_model_pb2.FEASIBLE)


class Part(NamedTuple):
    """Cells in a row that an item may take.

    Attributes:
        start: the first cell.
        size: how many cells of the item it does.
        end: the first cell that others may use again.
        value: what it is worth to take it.
        lack: seconds that are missing in the last of its cells.
    """

    start: int
    size: int
    end: int
    value: int
    lack: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be placed.

    Attributes:
        parts: what it may take, in order of start and size.
        total: the sizes of those taken add up to it.
        placed: what it is worth to place it at all.
        most_parts: so many at most.
        spare: the lacks of those taken add up to at most so many seconds.
        needs: units of each resource.
        complete: whether `parts` are all that it could take.
    """

    parts: Sequence[Part]
    total: int
    placed: int
    most_parts: int = 1
    spare: int = 0
    needs: tuple[int, ...] = (1,)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best uses that were found, one for each item, and the worth that none can exceed.

    `proven` says that they are as near to it as was asked for. `effort` is in CP-SAT's
    deterministic seconds.
    """

    uses: tuple[Use, ...]
    objective: int
    bound: float
    proven: bool
    effort: float


def worth_of(item: Item, use: Use) -> int:
    """Return what a use is worth."""
    return item.placed + sum(item.parts[place].value for place in use) if use else 0


def joined(item: Item, use: Use) -> Use:
    """Return a use with one part in place of those that follow each other without a pause."""
    if len(use) < 2:
        return use
    places = {(part.start, part.size): place for place, part in enumerate(item.parts)}
    found: list[int] = []
    for place in use:
        part = item.parts[place]
        if found:
            last = item.parts[found[-1]]
            both = places.get((last.start, last.size + part.size))
            if last.end == part.start == last.start + last.size and both is not None:
                found[-1] = both
                continue
        found.append(place)
    return tuple(found)


def thinned(items: Sequence[Item], uses: Sequence[Use], every: int) -> list[Item]:
    """Return items with every n-th of their parts, and those in use."""
    kept = []
    for item, use in zip(items, uses, strict=True):
        places = sorted({*range(0, len(item.parts), every), *use})
        kept.append(replace(item, parts=[item.parts[place] for place in places], complete=False))
    return kept


class Model:
    """Items, one after the other where `before` says so, within what the resources hold.

    Args:
        items: what may be placed.
        before: pairs of places in `items`; the second begins after the first has ended, and is
            placed only if the first is.
        capacities: units of each resource.
        hint: uses to begin the search with.
        required: whether every item must be placed.
    """

    def __init__(
        self,
        items: Sequence[Item],
        before: Sequence[tuple[int, int]] = (),
        *,
        capacities: tuple[int, ...] = (1,),
        hint: Sequence[Use] | None = None,
        required: bool = False,
    ) -> None:
        self.items = items
        self.proto: Any = cp_model_pb2.CpModelProto()
        self.parts: list[list[int]] = []
        """The literals of each item's parts."""
        self._placed: list[int] = []
        self._begun: dict[int, list[int]] = {}
        self._covers: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        self._hint = hint
        for place in range(len(items)):
            self._add(place)
        if required:
            for placed in self._placed:
                self._clause([placed])
        for (resource, _), covers in self._covers.items():
            self._exclude(covers, capacities[resource])
        for first, second in before:
            self._order(first, second)
        self.proto.objective.scaling_factor = -1.0  # CP-SAT minimises

    def at_most_one(self, literals: Sequence[int]) -> None:
        """Let at most one of some literals hold."""
        if len(literals) > 1:
            self.proto.constraints.add().at_most_one.literals.extend(literals)

    def _clause(self, literals: Sequence[int]) -> None:
        self.proto.constraints.add().bool_or.literals.extend(literals)

    def _linear(self, literals: Sequence[int], factors: Sequence[int], most: int) -> None:
        """Let a weighted sum be at most so much."""
        self._within(literals, factors, -(1 << 40), most)

    def _within(
        self, literals: Sequence[int], factors: Sequence[int], least: int, most: int
    ) -> None:
        linear = self.proto.constraints.add().linear
        linear.vars.extend(literals)
        linear.coeffs.extend(factors)
        linear.domain.extend((least, most))

    def _boolean(self, hinted: bool, worth: int = 0) -> int:
        literal = len(self.proto.variables)
        self.proto.variables.add().domain.extend((0, 1))
        if worth:
            self.proto.objective.vars.append(literal)
            self.proto.objective.coeffs.append(-worth)
        if self._hint is not None:
            self.proto.solution_hint.vars.append(literal)
            self.proto.solution_hint.values.append(int(hinted))
        return literal

    def _hinted(self, place: int) -> list[Part]:
        if self._hint is None:
            return []
        return [self.items[place].parts[part] for part in self._hint[place]]

    def _add(self, place: int) -> None:
        item, hinted = self.items[place], set(self._hinted(place))
        placed = self._boolean(bool(hinted), item.placed)
        needs = [(resource, need) for resource, need in enumerate(item.needs) if need]
        parts = []
        for part in item.parts:
            parts.append(literal := self._boolean(part in hinted, part.value))
            for resource, need in needs:
                for cell in range(part.start, part.end):
                    self._covers[resource, cell].append((literal, need))
        if item.most_parts == 1:
            self.proto.constraints.add().exactly_one.literals.extend([*parts, ~placed])
        else:
            sizes = [part.size for part in item.parts]
            self._within([*parts, placed], [*sizes, -item.total], 0, 0)
            ones = [1] * len(parts)
            self._linear([*parts, placed], [*ones, -item.most_parts], 0)
            lacks = [part.lack for part in item.parts]
            if sum(lacks) > item.spare:
                self._linear(parts, lacks, item.spare)
        self.parts.append(parts)
        self._placed.append(placed)

    def _exclude(self, covers: Sequence[tuple[int, int]], capacity: int) -> None:
        literals, needs = zip(*covers, strict=True)
        if all(2 * need > capacity for need in needs):
            self.at_most_one(literals)
        elif sum(needs) > capacity:
            self._linear(literals, needs, capacity)

    def _order(self, first: int, second: int) -> None:
        """Let an item begin only when another has ended."""
        if not self.parts[second]:
            return
        if self.items[second].most_parts == 1:
            starts = [part.start for part in self.items[second].parts]
            begun = [[literal] for literal in self._begun_by(second)]
        else:
            at: dict[int, list[int]] = defaultdict(list)
            for part, literal in zip(self.items[second].parts, self.parts[second], strict=True):
                at[part.start].append(literal)
            starts, begun = list(at), list(at.values())
        for literals, done in zip(begun, self._done_by(first, starts), strict=True):
            if done is None:
                for literal in literals:
                    self._clause([~literal])
            else:
                self.at_most_one([*literals, ~done])

    def _begun_by(self, place: int) -> list[int]:
        """Return for each part whether it or an earlier one is taken, of an item that takes one."""
        if place not in self._begun:
            hinted = self._hinted(place)
            begun = self.parts[place][:1]
            for part, literal in zip(
                self.items[place].parts[1:], self.parts[place][1:], strict=True
            ):
                now = self._boolean(bool(hinted) and hinted[0].start <= part.start)
                self._within([now, begun[-1], literal], [1, -1, -1], 0, 0)
                begun.append(now)
            self._begun[place] = begun
        return self._begun[place]

    def _done_by(self, place: int, cells: Sequence[int]) -> list[int | None]:
        """Return for cells in order a literal that holds only if an item has ended before it.

        None where it can't have.
        """
        item = self.items[place]
        ends = [part.end for part in item.parts]
        if item.most_parts == 1:
            begun = self._begun_by(place)
            found = [bisect_right(ends, cell) - 1 for cell in cells]
            return [begun[at] if at >= 0 else None for at in found]
        if not cells:
            return []
        hinted = self._hinted(place)
        done = [self._boolean(bool(hinted) and hinted[-1].end <= cell) for cell in cells]
        for earlier, later in zip(done, [*done[1:], self._placed[place]], strict=True):
            self._clause([~earlier, later])
        for end, literal in zip(ends, self.parts[place], strict=True):
            at = bisect_left(cells, end) - 1
            if at >= 0:
                self._clause([~literal, ~done[at]])
        return list(done)


def search(
    model: Model,
    *,
    seconds: float,
    seed: int = 0,
    absolute_gap: float = 0.0,
    effort: float | None = None,
) -> Outcome | None:
    """Return the best that is found; None if that is nothing.

    One worker, so the same model, seed and effort give the same answer unless the time runs out.

    Args:
        model: what to search.
        seconds: of the wall clock.
        seed: of CP-SAT's random choices.
        absolute_gap: a worth so near to the best is as good as it.
        effort: the limit in CP-SAT's deterministic seconds; None is no limit.
    """
    parameters = sat_parameters_pb2.SatParameters(
        num_workers=1,
        random_seed=seed,
        max_time_in_seconds=max(seconds, 0.001),
        linearization_level=2,
        # Of few booleans the relaxation tells all, and presolving costs more than it saves: 8 tasks
        # in a week take 10 ms without it for 16; 30 tasks (3,000 booleans) 270 for 120.
        cp_model_presolve=len(model.proto.variables) > _FEW_BOOLEANS,
        max_presolve_iterations=1,
        cp_model_probing_level=0,
        absolute_gap_limit=absolute_gap,
    )
    if effort is not None:
        parameters.max_deterministic_time = effort
    wrapper = cp_model_helper.SolveWrapper()
    wrapper.set_parameters(parameters)
    response: Any = wrapper.solve(model.proto)  # type: ignore[no-untyped-call]
    if response.status not in _FOUND:
        return None
    values = response.solution
    return Outcome(
        uses=tuple(
            tuple(place for place, literal in enumerate(parts) if values[literal])
            for parts in model.parts
        ),
        objective=round(response.objective_value),
        bound=response.best_objective_bound,
        proven=response.status == cp_model_pb2.OPTIMAL,
        effort=response.deterministic_time,
    )

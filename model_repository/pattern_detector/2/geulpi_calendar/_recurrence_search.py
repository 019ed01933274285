"""The rule that tells the days of a series best, for many series at once, in numpy arithmetic.

Each day of a series belongs to a class of every kind of rule: its weekday in weeks of its parity,
its day of the month, and so on. Within a class the rule's slots are numbered, so a missed slot is a
gap between two numbers, and the best span of a rule is the run of slots with the greatest surplus
of hits over misses (Kadane's algorithm), which thus always holds more hits than misses.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from math import comb, log
from typing import Final, NamedTuple

import numpy as np

from geulpi_calendar._recurrence_rules import LAST, Rule
from geulpi_calendar._recurrence_score import (
    Floats,
    Ints,
    ShortInts,
    gain_over_chance,
    gain_over_repulsion,
    span_cost,
)

__all__ = ["FEWEST", "KIND_COSTS", "Found", "best_rules"]

FEWEST: Final = 3
"""So many occurrences show a habit at least."""

_WEEK: Final = 7
_EPOCH: Final = 719163  # the day number of 1970-01-01, numpy's day 0
_LONGEST_SURE: Final = 28  # every month has this day
_MONTHLY: Final = frozenset({"nth", "last", "monthday", "month end"})
_SHORTEST_MONTHS: Final = (FEWEST - 1) * 28  # days from the first to the last of the fewest hits
_WORKDAYS: Final = 0b0011111
_EVERY_DAY: Final = 0b1111111
_CLASSES: Final = 512  # more than any kind of rule has
_FAR: Final = 1 << 24  # more than twice the days of the calendar


class Kind(NamedTuple):
    """A kind of rule: what of `Rule` is fixed, and its share of the habits before any is seen.

    The shares are guesses of how often people have such habits; they only break ties between rules
    that tell a short history about equally well.
    """

    mark: str
    interval: int
    share: float


_KINDS: Final = (
    Kind("weekday", 1, 0.24),
    Kind("weekday", 2, 0.12),
    Kind("weekday", 3, 0.02),
    Kind("weekday", 4, 0.03),
    *(Kind("weekday", interval, 0.005) for interval in (5, 6, 7, 8)),
    Kind("every day", 1, 0.08),
    Kind("workdays", 1, 0.07),
    Kind("weekdays", 1, 0.09),
    Kind("weekdays", 2, 0.02),
    *(Kind("day", interval, 0.006) for interval in (2, 3, 4, 5, 6)),
    Kind("nth", 1, 0.08),
    Kind("last", 1, 0.03),
    Kind("monthday", 1, 0.06),
    Kind("month end", 1, 0.01),
    *(
        Kind(mark, interval, 0.003)
        for mark in ("nth", "last", "monthday", "month end")
        for interval in (2, 3, 4, 6)
    ),
    Kind("nth", 12, 0.01),
    Kind("last", 12, 0.005),
    Kind("monthday", 12, 0.037),
)
KIND_COSTS: Final = np.array([-log(kind.share) for kind in _KINDS])
"""The code length of each kind of rule, in nats; Kraft's inequality holds over all of them."""

_SETS: Final = np.array([i for i, kind in enumerate(_KINDS) if kind.mark == "weekdays"])
# Which column of the weekday sets a kind reads: those of every week, or of every second one.
_WEEKS_OF_KIND: Final = np.array([int(kind.interval == 2) for kind in _KINDS])
# The code length of which weekdays are in a set of 2 to 6, the first one given.
_SET_COSTS: Final = np.array(
    [
        log(5 * comb(_WEEK - 1, mask.bit_count() - 1)) if mask.bit_count() else 0.0
        for mask in range(_EVERY_DAY + 1)
    ]
)
_BITS: Final = np.array([mask.bit_count() for mask in range(_EVERY_DAY + 1)])


class Found(NamedTuple):
    """A rule that tells some events of a series.

    `gain` compares rules of parts of one title; `evidence` is against chance within its own span.
    `members` are positions in the arrays that were searched, one for each slot that was hit.
    """

    series: int
    rule: Rule
    gain: float
    evidence: float
    members: Ints


class _Classes(NamedTuple):
    """Days by the class that they belong to under a kind of rule: `at` are their positions."""

    kind: int
    at: Ints
    label: ShortInts
    slot: ShortInts


def best_rules(series: Ints, day: Ints, log_weight: Floats, horizon: Ints) -> Iterator[Found]:
    """Yield the best rule of each series that has one, in the order of the series.

    Args:
        series: the number of each event's series, from 0, ascending.
        day: the day number of each event, ascending within a series.
        log_weight: log of how likely chance takes such a day, against a day on average.
        horizon: for each series, the days that its title spans.
    """
    if not len(day):
        return
    masks = _weekday_sets(series, day)
    # A batch has fewer than 2^15 series, and no class or slot needs more than 32 bits: half of the
    # memory is read and sorted that 64 would take.
    short, small_masks, of = (each.astype(np.int32) for each in (day, masks, series))
    classes = [part for part in _classes(short, small_masks, int(horizon.max())) if len(part.at)]
    at = np.concatenate([part.at for part in classes])
    slot = np.concatenate([part.slot for part in classes])
    key = np.concatenate(
        [(of[part.at] * len(_KINDS) + part.kind) * _CLASSES + part.label for part in classes]
    )
    # Days ascend within each kind, so a stable sort by class leaves the slots ascending.
    order = np.argsort(key, kind="stable")
    at, slot, key = at[order], slot[order], key[order]
    first_of_slot = np.ones(len(key), bool)
    first_of_slot[1:] = (key[1:] != key[:-1]) | (slot[1:] != slot[:-1])
    at, slot, key = _in_classes_of(FEWEST, *(row[first_of_slot] for row in (at, slot, key)))
    if not len(key):
        return
    begin, end = _best_spans(key, slot)

    enough = end - begin + 1 >= FEWEST
    begin, end = begin[enough], end[enough]
    if not len(begin):
        return
    owner, kind = np.divmod(key[begin].astype(np.int64) // _CLASSES, len(_KINDS))
    hits, slots = end - begin + 1, (slot[end] - slot[begin] + 1).astype(np.int64)
    first, last = day[at[begin]], day[at[end]]
    edges = np.searchsorted(series, np.stack([owner, owner + 1]))
    events = edges[1] - edges[0]
    moment = series * _FAR + day
    inside = np.searchsorted(moment, owner * _FAR + last, "right") - np.searchsorted(
        moment, owner * _FAR + first
    )
    running = np.concatenate([[0.0], np.cumsum(log_weight[at])])
    logs = running[end + 1] - running[begin + 1]
    whole = (first == day[edges[0]]) & (last == day[edges[1] - 1])
    cost = KIND_COSTS[kind] + span_cost(whole, events)
    cost += np.where(np.isin(kind, _SETS), _SET_COSTS[masks[at[begin], _WEEKS_OF_KIND[kind]]], 0.0)
    gain = gain_over_chance(hits, slots, events, horizon[owner], logs) - cost
    days = last - first + 1
    evidence = np.minimum(
        gain_over_chance(hits, slots, inside, days, logs),
        gain_over_repulsion(hits, slots, inside, days, logs),
    ) - cost  # fmt: skip

    ranked = np.lexsort((-hits, -gain, owner))
    best = ranked[np.flatnonzero(np.diff(owner[ranked], prepend=-1))]
    for one in best.tolist():
        members = at[begin[one] : end[one] + 1]
        mask = int(masks[members[0], _WEEKS_OF_KIND[kind[one]]])
        yield Found(
            series=int(owner[one]),
            rule=_rule(_KINDS[kind[one]], int(day[members[0]]), mask),
            gain=float(gain[one]),
            evidence=float(evidence[one]),
            members=members,
        )


def _weekday_sets(series: Ints, day: Ints) -> Ints:
    """Return for each event the weekdays that its series has, as bits: every week, every second.

    A weekday belongs to the set that has at least half as many events as the busiest one.
    """
    week, weekday = np.divmod(day - 1, _WEEK)
    columns = []
    for interval in (1, 2):
        block = series * interval + week % interval
        counts = np.bincount(block * _WEEK + weekday)
        counts.resize((-(-len(counts) // _WEEK), _WEEK), refcheck=False)
        busy = 2 * counts >= np.maximum(counts.max(axis=1, keepdims=True), 1)
        columns.append((busy @ (1 << np.arange(_WEEK)))[block])
    return np.stack(columns, axis=1)


def _classes(day: ShortInts, masks: ShortInts, horizon: int) -> Iterator[_Classes]:
    everyone = np.arange(len(day))
    week, weekday = np.divmod(day - 1, _WEEK)
    month = (day - _EPOCH).astype("M8[D]").astype("M8[M]")
    first = month.astype("M8[D]").astype(np.int32) + _EPOCH
    length = (month + 1).astype("M8[D]").astype(np.int32) + _EPOCH - first
    month_number, monthday = month.astype(np.int32), day - first + 1
    nth = (monthday - 1) // _WEEK
    ends, lasts = np.flatnonzero(monthday == length), np.flatnonzero(monthday + _WEEK > length)
    firsts, late = np.flatnonzero(nth < 4), np.flatnonzero(monthday > _LONGEST_SURE)
    for number, (mark, interval, _) in _kinds_within(horizon):
        match mark:
            case "weekday":
                slot, phase = np.divmod(week, interval)
                yield _Classes(number, everyone, phase * _WEEK + weekday, slot)
            case "day":
                slot, phase = np.divmod(day, interval)
                yield _Classes(number, everyone, phase, slot)
            case "every day":
                yield _Classes(number, everyone, np.zeros_like(day), day)
            case "workdays":
                at = np.flatnonzero(weekday < 5)
                yield _Classes(number, at, np.zeros(len(at), np.int32), week[at] * 5 + weekday[at])
            case "weekdays":
                mask = masks[:, interval - 1]
                size, rank = _BITS[mask], _BITS[mask & ((1 << weekday) - 1)]
                at = np.flatnonzero((mask >> weekday & 1) & (size > 1) & (size < _WEEK))
                slot, phase = np.divmod(week[at], interval)
                yield _Classes(number, at, phase, slot * size[at] + rank[at])
            case "nth" | "last":
                at = firsts if mark == "nth" else lasts
                slot, phase = np.divmod(month_number[at], interval)
                place = nth[at] if mark == "nth" else 0
                yield _Classes(number, at, (phase * 4 + place) * _WEEK + weekday[at], slot)
            case "month end":
                slot, phase = np.divmod(month_number[ends], interval)
                yield _Classes(number, ends, phase, slot)
            case _:
                slot, phase = np.divmod(month_number, interval)
                if len(late):
                    slot = slot.copy()
                    slot[late] = _long_months(month_number[late], monthday[late], interval)
                yield _Classes(number, everyone, phase * 32 + monthday, slot)


def _kinds_within(horizon: int) -> Iterator[tuple[int, Kind]]:
    """Yield the kinds, by their numbers, whose rules can hit `FEWEST` times in so many days."""
    for number, kind in enumerate(_KINDS):
        if kind.mark not in _MONTHLY or horizon >= _SHORTEST_MONTHS * kind.interval - _WEEK:
            yield number, kind


def _long_months(month: ShortInts, monthday: ShortInts, interval: int) -> ShortInts:
    """Return how many months of the same phase that have this day precede each month."""
    low = month.min() - month.min() % interval
    months = np.arange(low, month.max() + 1 + interval)
    months = months[: len(months) // interval * interval].astype("M8[M]")
    lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    slots = np.empty_like(month)
    for place in range(_LONGEST_SURE + 1, 32):
        here = monthday == place
        before = np.cumsum((lengths >= place).reshape(-1, interval), axis=0).ravel()
        slots[here] = before[month[here] - low]
    return slots


def _in_classes_of(
    fewest: int, at: Ints, slot: ShortInts, key: ShortInts
) -> tuple[Ints, ShortInts, ShortInts]:
    """Leave out the classes of fewer slots: most are, and none of them makes a rule."""
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    sizes = np.diff(starts, append=len(key))
    kept = np.repeat(sizes >= fewest, sizes)
    return at[kept], slot[kept], key[kept]


def _best_spans(key: ShortInts, slot: ShortInts) -> tuple[Ints, Ints]:
    """Return the first and last position of each class's run with most hits over misses.

    `key` ascends, and `slot` strictly within a class. Of equal runs the longest, then the earliest.
    """
    position = np.arange(len(key))
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    rank = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(key)))
    # From i to j there are j - i + 1 hits and slot[j] - slot[i] - (j - i) misses: the surplus is
    # value[j] - value[i] + 1. Each class lies lower than all before it, so that the running
    # minimum starts anew with each.
    value = 2 * position - (slot - slot[starts][rank]).astype(np.int64) - rank * _FAR
    lowest = np.minimum.accumulate(value)
    fresh = np.ones(len(value), bool)
    fresh[1:] = lowest[1:] < lowest[:-1]
    begin = np.maximum.accumulate(np.where(fresh, position, 0))
    surplus = value - lowest
    highest = np.maximum.reduceat(surplus, starts)
    at_best = np.flatnonzero(surplus == highest[rank])
    # Positions ascend, so the last write of a class wins: its latest best end.
    end = np.empty(len(starts), np.int64)
    end[rank[at_best]] = at_best
    return begin[end], end


def _rule(kind: Kind, anchor: int, mask: int) -> Rule:
    weekday, monthday = ((anchor - 1) % _WEEK,), date.fromordinal(anchor).day
    match kind.mark:
        case "weekday" | "workdays" | "weekdays":
            days = {"workdays": _WORKDAYS, "weekdays": mask}.get(kind.mark)
            return Rule("week", kind.interval, weekday if days is None else _weekdays(days))
        case "every day" | "day":
            return Rule("day", kind.interval)
        case "nth" | "last":
            nth = (monthday - 1) // _WEEK + 1
            return Rule("month", kind.interval, weekday, LAST if kind.mark == "last" else nth)
        case _:
            place = LAST if kind.mark == "month end" else monthday
            return Rule("month", kind.interval, place=place)


def _weekdays(mask: int) -> tuple[int, ...]:
    return tuple(day for day in range(_WEEK) if mask >> day & 1)

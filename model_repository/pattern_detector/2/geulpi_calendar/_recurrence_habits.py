"""The habits of titles: rules taken out one after another, each where it beats chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import log
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from geulpi_calendar._recurrence_rules import Rule
from geulpi_calendar._recurrence_score import Ints
from geulpi_calendar._recurrence_search import FEWEST, Found, best_rules
from geulpi_calendar._recurrence_times import Occasions

__all__ = ["Habit", "Series", "habits_of"]

_FALSE_PER_EVENT: Final = 0.01
"""Chance finds at most so many habits for each event of a title, by the bound of the score."""
_FALSE_PER_TITLE: Final = 0.2
"""Nor does it find one with a higher probability than this among the events of one title."""

_BATCH: Final = 8192  # events searched at a time, which bounds the memory
_WEEK: Final = 7
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Series:
    """Where the events of one title stand, and their wordings, numbered.

    `weekend` is how likely chance takes a day of the weekend, against a day on average.
    """

    occasions: Occasions
    wordings: Sequence[int]
    weekend: float


@dataclass(frozen=True, slots=True)
class Habit:
    """A rule, the days that it names from its first to its last hit, and its evidence in nats.

    `seen` has for each day that was hit the position of an event of the title.
    """

    rule: Rule
    days: tuple[int, ...]
    seen: Mapping[int, int]
    evidence: float


class _Part(NamedTuple):
    """Some events of a title, by their days, and their parts by hour and by wording."""

    title: int
    events: Ints
    by_hour: tuple[int, ...] = ()
    by_wording: tuple[int, ...] = ()


class _Table:
    """The events of all titles, one title after the other, and which of them are unexplained."""

    def __init__(self, titles: Sequence[Series]) -> None:
        sizes = [len(series.occasions.days) for series in titles]
        self.first = np.concatenate([[0], np.cumsum(sizes)])
        self.day = np.array([day for series in titles for day in series.occasions.days], np.int64)
        minutes = [minute for series in titles for minute in series.occasions.minutes]
        self.minute = np.array(minutes, np.float64)
        weekend = np.repeat([series.weekend for series in titles], sizes)
        weekday = (_WEEK - 2 * weekend) / (_WEEK - 2)
        on_weekend = (self.day - 1) % _WEEK >= _SATURDAY
        self.log_weight = np.log(np.where(on_weekend, weekend, weekday))
        self.left = np.ones(len(self.day), bool)


def habits_of(titles: Sequence[Series]) -> list[list[Habit]]:
    """Return the habits of each title; no event is in two."""
    if not titles:
        return []
    table = _Table(titles)
    parts = _parts(titles, table)
    of_title: dict[int, list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        of_title[part.title].append(number)
    found: dict[int, list[Found]] = defaultdict(list)
    active = list(of_title)
    while active:
        best: dict[int, Found] = {}
        for batch in _batches([number for title in active for number in of_title[title]], parts):
            best |= _significant(batch, parts, table, of_title)
        active = []
        for title in sorted({parts[number].title for number in best}):
            _, chosen = _choose(of_title[title][-1], parts, best)
            for one in chosen:
                table.left[one.members] = False
            found[title] += chosen
            if chosen:
                active.append(title)
    return [
        _filled([_habit(one, table, title) for one in found[title]], table, title)
        for title in range(len(titles))
    ]


def _parts(titles: Sequence[Series], table: _Table) -> list[_Part]:
    """Return the parts of all titles that have enough events; a title's last is the whole of it."""
    order = np.lexsort((table.minute, table.day))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    parts: list[_Part] = []

    def add(title: int, events: Sequence[int], levels: Sequence[Sequence[int]]) -> int:
        """Add some events of a title and, first, their parts by the first level that parts them."""
        by_hour: tuple[int, ...] = ()
        for depth, level in enumerate(levels):
            if divided := _divided(events, level):
                by_hour = tuple(add(title, some, levels[depth + 1 :]) for some in divided)
                break
        own = np.array(events) + table.first[title]
        parts.append(_Part(title, own[np.argsort(rank[own])], by_hour))
        return len(parts) - 1

    for title, series in enumerate(titles):
        everyone, hours = range(len(series.wordings)), series.occasions.hours
        divided = _divided(everyone, series.wordings)
        by_wording = tuple(add(title, some, hours) for some in divided)
        whole = add(title, everyone, hours)
        parts[whole] = parts[whole]._replace(by_wording=by_wording)
    return parts


def _divided(events: Iterable[int], labels: Sequence[int]) -> list[list[int]]:
    """Return the events by their labels, where they have several, each often enough for a habit."""
    divided: dict[int, list[int]] = defaultdict(list)
    for event in events:
        divided[labels[event]].append(event)
    if len(divided) == 1:
        return []
    return [some for some in divided.values() if len(some) >= FEWEST]


def _batches(numbers: Sequence[int], parts: Sequence[_Part]) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for number in numbers:
        if batch and size + len(parts[number].events) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += len(parts[number].events)
    if batch:
        yield batch


def _significant(
    batch: Sequence[int],
    parts: Sequence[_Part],
    table: _Table,
    of_title: Mapping[int, Sequence[int]],
) -> dict[int, Found]:
    """Return for some parts, by their numbers, the best rule where it beats chance."""
    remaining = [part.events[table.left[part.events]] for part in (parts[n] for n in batch)]
    events = np.concatenate(remaining)
    wholes = [parts[of_title[parts[number].title][-1]].events for number in batch]
    rules = best_rules(
        np.repeat(np.arange(len(batch)), [len(some) for some in remaining]),
        table.day[events],
        table.log_weight[events],
        np.array([int(table.day[whole[-1]] - table.day[whole[0]]) + 1 for whole in wholes]),
    )
    significant = {}
    for one in rules:
        number = batch[one.series]
        searched = of_title[parts[number].title]
        allowed = _FALSE_PER_EVENT * len(wholes[one.series])
        chance = min(allowed, _FALSE_PER_TITLE) / len(searched)
        if one.evidence >= -log(chance):
            significant[number] = one._replace(members=events[one.members])
    return significant


def _choose(
    number: int, parts: Sequence[_Part], best: Mapping[int, Found]
) -> tuple[float, list[Found]]:
    """Return the rule of a part, or those of its parts where they tell more together.

    A series that moved to another hour is better told as two, each in its own time. One that was
    renamed is not: by wording, rules have to tell more than that each keeps to its own time.
    """
    own = best.get(number)
    gain, chosen = (0.0, list[Found]()) if own is None else (own.gain, [own])
    finer = [_choose(part, parts, best) for part in parts[number].by_hour]
    if (told := sum(gained for gained, _ in finer)) > gain:
        gain, chosen = told, [one for _, rules in finer for one in rules]
    worded = [_choose(part, parts, best)[1] for part in parts[number].by_wording]
    evidence = sum(one.evidence for rules in worded for one in rules)
    if evidence > gain:
        gain, chosen = evidence, [one for rules in worded for one in rules]
    return gain, chosen


def _habit(found: Found, table: _Table, title: int) -> Habit:
    days = table.day[found.members].tolist()
    positions = (found.members - table.first[title]).tolist()
    return Habit(
        found.rule,
        tuple(takewhile(lambda day: day <= days[-1], found.rule.days(days[0]))),
        dict(zip(days, positions, strict=True)),
        found.evidence,
    )


def _filled(habits: Iterable[Habit], table: _Table, title: int) -> list[Habit]:
    """Count events that no rule explains where they fall on a day that lacks one.

    They are occurrences that were moved within their day.
    """
    begin, end = table.first[title : title + 2]
    left = np.flatnonzero(table.left[begin:end])
    if not len(left):
        return list(habits)
    minutes = table.minute[begin:end].tolist()
    spare: dict[int, list[int]] = defaultdict(list)
    for day, position in zip(table.day[begin + left].tolist(), left.tolist(), strict=True):
        spare[day].append(position)
    filled = []
    for habit in habits:
        usual = median(minutes[position] for position in habit.seen.values())
        seen = dict(habit.seen)
        for day in habit.days:
            if day not in seen and spare.get(day):
                nearest = min(spare[day], key=lambda at: abs(minutes[at] - usual))
                spare[day].remove(nearest)
                seen[day] = nearest
        filled.append(Habit(habit.rule, habit.days, dict(sorted(seen.items())), habit.evidence))
    return filled

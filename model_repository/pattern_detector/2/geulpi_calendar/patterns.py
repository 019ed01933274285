"""`pattern_detector`: which habits recur in a history of events, as RFC 5545 rules.

Tensors: `calendar` BYTES [N, 1], a document of `documents.py` per row, → `patterns` BYTES [N, 1], a
JSON list of habits per row, the most confident first (`Pattern.to_dict`).

Events of one title (`_recurrence_titles`) are parted by the hours at which they start
(`_recurrence_times`). The rule that tells the days of a part in the fewest nats is found
(`_recurrence_search`, `_recurrence_score`), its events are taken out, and what is left is searched
again until nothing beats chance (`_recurrence_habits`).

A series that moved to another day or hour is reported as two habits, the earlier with a low
confidence. An occurrence that was moved within its day is no exception.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from math import inf
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from geulpi_calendar._recurrence_confidence import PATIENCE, confidence
from geulpi_calendar._recurrence_habits import Habit, Series, habits_of
from geulpi_calendar._recurrence_search import FEWEST
from geulpi_calendar._recurrence_times import Clock, kept_clock, occasions
from geulpi_calendar._recurrence_titles import title_keys, wording
from geulpi_calendar.documents import CalendarDocument, CalendarEvent, parse_calendar

__all__ = ["NAME", "Pattern", "detect", "load"]

NAME: Final = "pattern_detector"
Moment: TypeAlias = datetime | date

_RECENT: Final = 12  # the usual start is that of so many latest occurrences
_ROUND: Final = 5  # minutes; a start that varies is told to these
_NEXT: Final = 3
_TO_SIGMA: Final = 1.4826  # of a normal distribution's median absolute deviation
_LAST_MINUTE: Final = 1439
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Pattern:
    """A habit. Moments are in `time_zone`; of an all-day habit they are dates.

    Attributes:
        title: the most usual spelling.
        rrule: the value of an RFC 5545 RRULE property.
        dtstart: the first occurrence, at the usual time of the latest ones.
        time_zone: whose wall clock the habit keeps; nearly always the calendar's.
        duration_minutes: the median.
        start_spread_minutes: robust standard deviation of the start around the usual one.
        support: occurrences seen.
        expected: occurrences by the rule from `dtstart` to `last_seen`.
        exceptions: expected, but not seen.
        extra: events of this title between `dtstart` and `last_seen` that no habit explains.
        confidence: the probability that the next expected occurrence happens.
        next: the next three by the rule, after the history's end or the document's `as_of`.
        last_seen: when the latest occurrence really started.
        category: the most frequent one given, None if none was.
    """

    title: str
    rrule: str
    dtstart: Moment
    time_zone: str
    all_day: bool
    duration_minutes: float
    start_spread_minutes: float
    support: int
    expected: int
    exceptions: tuple[Moment, ...]
    extra: int
    confidence: float
    next: tuple[Moment, ...]
    last_seen: Moment
    category: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: moments in ISO 8601."""
        row = {name: getattr(self, name) for name in _FIELDS}  # asdict would copy all of it
        for name in ("dtstart", "last_seen"):
            row[name] = row[name].isoformat()
        for name in ("exceptions", "next"):
            row[name] = [moment.isoformat() for moment in row[name]]
        return row


_FIELDS: Final = tuple(field.name for field in fields(Pattern))


def load(
    folder: Path,  # noqa: ARG001  # it holds no data of this model
    ask: Callable[[str, dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]],  # noqa: ARG001
) -> Callable[[Sequence[bytes]], Mapping[str, npt.NDArray[Any]]]:
    """Return the model as Triton's Python backend calls it: documents → tensors.

    The returned function raises `documents.InvalidDocument` for a document that can't be used.
    """

    def infer(documents: Sequence[bytes]) -> Mapping[str, npt.NDArray[Any]]:
        answers = np.empty((len(documents), 1), object)
        for row, document in enumerate(documents):
            found = detect(parse_calendar(document))
            answers[row, 0] = json.dumps([one.to_dict() for one in found], ensure_ascii=False)
        return {"patterns": answers}

    return infer


def detect(calendar: CalendarDocument) -> list[Pattern]:
    """Return the habits of a calendar, the most confident first.

    Events that start after `as_of` are plans and teach nothing. Equal calendars in another order
    have equal habits.
    """
    events = _history(calendar)
    if not events:
        return []
    titles = _titles(events, Clock(calendar.time_zone, calendar.zone_name))
    end = calendar.as_of or events[-1].start
    patterns = []
    for title, habits in zip(titles, habits_of([title.series for title in titles]), strict=True):
        explained = {position for habit in habits for position in habit.seen.values()}
        unexplained = [at for at in range(len(title.events)) if at not in explained]
        patterns += [_pattern(title, habit, unexplained, end) for habit in habits]
    return sorted(
        patterns,
        key=lambda one: (-one.confidence, -one.support, one.title, one.rrule, str(one.dtstart)),
    )


class _Title(NamedTuple):
    """The events of one title in the order of their starts, and the clock that they keep."""

    events: list[CalendarEvent]
    clock: Clock
    series: Series


def _history(calendar: CalendarDocument) -> list[CalendarEvent]:
    """Return the events up to the present in the order of their starts."""
    now = inf if calendar.as_of is None else calendar.as_of.timestamp()
    keyed = [
        (start, event.end.timestamp(), event.title, event.category or "", event)
        for event in calendar.events
        if (start := event.start.timestamp()) <= now
    ]
    return [row[-1] for row in sorted(keyed, key=itemgetter(0, 1, 2, 3))]


def _titles(events: Sequence[CalendarEvent], own: Clock) -> list[_Title]:
    """Return the titles with enough events to show a habit; of events that are there twice, one."""
    worded = {title: wording(title) for title in {event.title for event in events}}
    grouped: dict[tuple[str, bool], dict[tuple[float, str], CalendarEvent]] = defaultdict(dict)
    for key, event in zip(title_keys([event.title for event in events]), events, strict=True):
        moment = event.start.timestamp(), worded[event.title]
        grouped[key, event.all_day].setdefault(moment, event)
    weekends = sum(event.start.weekday() >= _SATURDAY for event in events)
    titles = []
    for (_, all_day), alike in sorted(grouped.items(), key=itemgetter(0)):
        if len(alike) < FEWEST:
            continue
        starts = [event.start for event in alike.values()]
        # How the other titles spread over the week is chance to this one; a week with an event on
        # each day is taken for granted.
        others = len(events) - len(alike) + 7
        at_weekends = weekends - sum(start.weekday() >= _SATURDAY for start in starts) + 2
        clock = own if all_day else kept_clock(starts, own)
        if clock is not own:
            starts = [start.astimezone(clock.zone) for start in starts]
        numbers: dict[str, int] = {}
        wordings = [numbers.setdefault(words, len(numbers)) for _, words in alike]
        series = Series(occasions(starts), wordings, max(at_weekends, 2) / others * 7 / 2)
        titles.append(_Title(list(alike.values()), clock, series))
    return titles


def _pattern(title: _Title, habit: Habit, unexplained: Sequence[int], end: datetime) -> Pattern:
    zone = title.clock.zone
    seen = [title.events[position] for position in habit.seen.values()]
    all_day = seen[0].all_day
    minutes = [title.series.occasions.minutes[position] for position in habit.seen.values()]
    usual = _usual(minutes[-_RECENT:])
    first, last = habit.days[0], habit.days[-1]

    def moment(day: int) -> datetime:
        at = datetime.combine(date.fromordinal(day), time(), zone) + timedelta(minutes=usual)
        return at.astimezone(UTC).astimezone(zone)  # an hour that the clocks leave out moves on

    def shown(at: datetime) -> Moment:
        return at.date() if all_day else at

    since = takewhile(lambda at: at <= end, map(moment, habit.rule.days(last, last + 1)))
    missed = list(islice(since, PATIENCE))
    ahead = map(moment, habit.rule.days(first, max(last, end.astimezone(zone).toordinal()) - 1))
    return Pattern(
        title=_most_common(event.title for event in seen),
        rrule=habit.rule.text(first),
        dtstart=shown(moment(first)),
        time_zone=title.clock.name,
        all_day=all_day,
        duration_minutes=float(median(event.minutes for event in seen)),
        start_spread_minutes=round(
            _TO_SIGMA * median(abs(minute - usual) for minute in minutes), 1
        ),
        support=len(seen),
        expected=len(habit.days),
        exceptions=tuple(shown(moment(day)) for day in habit.days if day not in habit.seen),
        extra=sum(
            first <= title.series.occasions.days[position] <= last for position in unexplained
        ),
        confidence=round(confidence(len(seen), len(habit.days), len(missed)), 4),
        next=tuple(map(shown, islice((at for at in ahead if at > end), _NEXT))),
        last_seen=shown(seen[-1].start.astimezone(zone)),
        category=_most_common(event.category for event in seen if event.category) or None,
    )


def _usual(minutes: Sequence[float]) -> float:
    """Return the most frequent minute, or the median, told to five minutes, where none is."""
    often, count = max(Counter(minutes).items(), key=lambda pair: (pair[1], -pair[0]))
    minute = often if 2 * count >= len(minutes) else _ROUND * round(median(minutes) / _ROUND)
    return min(max(minute, 0), _LAST_MINUTE)


def _most_common(texts: Iterable[str]) -> str:
    """Return the most frequent text, of equally frequent ones the first of the alphabet."""
    return min(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]), default=("", 0))[0]

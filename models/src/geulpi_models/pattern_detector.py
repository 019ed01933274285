"""`pattern_detector`: how well its habits agree with rules that are known.

Nothing is trained but the calibration of its confidence (`backtest`). The detector itself is
`geulpi_calendar.patterns`; its tensors are described there.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from geulpi_calendar._recurrence_titles import title_key
from geulpi_calendar.documents import CalendarDocument, CalendarEvent
from geulpi_calendar.patterns import NAME, Pattern, detect

from geulpi_models._errors import InvalidRows
from geulpi_models._made_calendars import (
    CHANCE,
    KINDS,
    Blur,
    chance_calendar,
    made_calendar,
)

__all__ = [
    "NAME",
    "Calibration",
    "Evaluation",
    "Score",
    "Series",
    "backtest",
    "evaluate",
    "expanded",
    "real_series",
]

_ZONE: Final = "America/New_York"  # of the real series
_NOISE: Final = Blur(jitter_minutes=15, missed=0.1)
_SEEDS: Final = 5
_CALENDARS: Final = 10  # made for each kind of rule, and for each kind of chance
_SIZES: Final = ((100, 365), (500, 365), (500, 100))  # events and days of calendars of chance
_COLUMNS: Final = {"series", "title", "start", "end", "repeating"}
_ZONES: Final = ("Asia/Seoul", "America/New_York", "Europe/London")


class Series(NamedTuple):
    """A series whose rule is known: its events, their days, and those that the rule names."""

    title: str
    events: tuple[CalendarEvent, ...]
    days: frozenset[date]
    by_rule: frozenset[date]


@dataclass(frozen=True, slots=True)
class Score:
    """F1 of days: of the pattern of a series' title that agrees best with it.

    A pattern stands for the days of its rule from `dtstart` to `last_seen`. `macro` is the mean
    over the series, `micro` counts days over all of them.
    """

    macro: float
    micro: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the confidence foretells the next expected occurrence of a history that was cut.

    `baseline_brier` is of always telling the mean; `error` is the expected calibration error in 10
    bins.
    """

    forecasts: int
    brier: float
    baseline_brier: float
    error: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well the habits agree with rules that are known.

    Attributes:
        series: real ones, all in one calendar; only titles, starts and ends are shown.
        days: against the days on which each series really was.
        written: against the days of its rule as written, from its first day to its last.
        noisy: as `days`, but with starts moved by up to 15 minutes and a tenth of the events left
            out; the mean over 5 draws.
        baseline: as `days`, for the rule "every so many days", the median gap of each title.
        baseline_noisy: the same as `noisy`.
        invented: patterns of the real calendar whose title has no series with a rule.
        made: macro F1 by kind of rule, of made series (without noise, with the same noise).
        false_per_100: patterns per 100 events of calendars made by chance, by kind.
        confidence: on the real calendar, cut at random times.
        confidence_made: on made ones, most of whose series have ended at the cut.
    """

    series: int
    days: Score
    written: Score
    noisy: Score
    baseline: Score
    baseline_noisy: Score
    invented: int
    made: Mapping[str, tuple[float, float]]
    false_per_100: Mapping[str, float]
    confidence: Calibration
    confidence_made: Calibration


class Forecast(NamedTuple):
    """What a pattern foretold of its next occurrence, and what came."""

    pattern: Pattern
    happened: bool


def evaluate(data: Path) -> Evaluation:
    """Judge the detector by real series and by made calendars.

    Args:
        data: the folder of real data, which holds `recurring_meetings/occurrences.csv`.

    Raises:
        InvalidRows: the file can't be read or lacks a column.
    """
    known, others = real_series(data / "recurring_meetings" / "occurrences.csv")
    calendar = _calendar([*others, *(event for one in known for event in one.events)])
    found = detect(calendar)
    noisy = [_blurred(known, others, Random(seed)) for seed in range(_SEEDS)]
    recurring = {title_key(one.title) for one in known}
    return Evaluation(
        series=len(known),
        days=_score(known, found),
        written=_score([one._replace(days=one.by_rule) for one in known], found),
        noisy=_mean_score([_score(known, detect(one)) for one in noisy]),
        baseline=_baseline(known, calendar),
        baseline_noisy=_mean_score([_baseline(known, one) for one in noisy]),
        invented=sum(title_key(one.title) not in recurring for one in found),
        made=_made(),
        false_per_100={
            **{how: _false_by_chance(how) for how in CHANCE},
            "real titles, any time": _false_by_shuffling(calendar),
        },
        confidence=_calibration(backtest(calendar, Random(8), cuts=20)),
        confidence_made=_calibration(_made_forecasts(Random(7))),
    )


def real_series(path: Path) -> tuple[list[Series], list[CalendarEvent]]:
    """Return the series with a rule of a file of occurrences, and the events without one.

    Raises:
        InvalidRows: the file can't be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidRows(path, str(error)) from error
    if not rows or not set(rows[0]) >= _COLUMNS:
        raise InvalidRows(path, f"the columns {sorted(_COLUMNS)} are expected")
    zone = ZoneInfo(_ZONE)
    by_series: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_series[row["series"]].append(row)
    known: list[Series] = []
    others: list[CalendarEvent] = []
    for alike in by_series.values():
        events = tuple(
            CalendarEvent(
                row["title"],
                datetime.fromisoformat(row["start"]).astimezone(zone),
                datetime.fromisoformat(row["end"]).astimezone(zone),
            )
            for row in alike
        )
        if rule := _rule_of(alike[0]["repeating"]):
            days = frozenset(event.start.date() for event in events)
            by_rule = _expand(rule, min(days), max(days))
            known.append(Series(events[0].title, events, days, frozenset(by_rule)))
        else:
            others += events
    return known, others


def expanded(pattern: Pattern) -> frozenset[date]:
    """Return the days of a pattern's rule from `dtstart` to `last_seen`."""
    last = pattern.last_seen
    return _expand(
        pattern.rrule,
        pattern.dtstart.date() if isinstance(pattern.dtstart, datetime) else pattern.dtstart,
        last.date() if isinstance(last, datetime) else last,
    )


def backtest(calendar: CalendarDocument, random: Random, *, cuts: int) -> list[Forecast]:
    """Cut a history at random times, and look which of the next expected occurrences came.

    One came if an event of the title starts on its day. What the calendar's end hides is left out.
    """
    if not calendar.events:
        return []
    first, last = calendar.events[0].start, calendar.events[-1].start
    forecasts = []
    for _ in range(cuts):
        cut = first + (last - first) * random.uniform(0.2, 1)
        for pattern in detect(replace(calendar, as_of=cut)):
            zone = ZoneInfo(pattern.time_zone)
            came = {
                event.start.astimezone(zone).date()
                for event in calendar.events
                if event.start > cut and title_key(event.title) == title_key(pattern.title)
            }
            awaited = pattern.next[0]
            day = awaited.date() if isinstance(awaited, datetime) else awaited
            if day < last.date():
                forecasts.append(Forecast(pattern, day in came))
    return forecasts


def _rule_of(cell: str) -> str:
    """Return the RRULE value of a cell, without UNTIL, which may be that of an earlier version."""
    rule = cell.strip('" ').removeprefix("RRULE:")
    return ";".join(part for part in rule.split(";") if not part.startswith("UNTIL="))


def _expand(rule: str, first: date, last: date) -> frozenset[date]:
    begin, end = (datetime.combine(day, time()) for day in (first, last))
    return frozenset(
        slot.date() for slot in rrulestr(rule, dtstart=begin).between(begin, end, inc=True)
    )


def _calendar(events: Iterable[CalendarEvent]) -> CalendarDocument:
    ordered = sorted(events, key=lambda event: (event.start.timestamp(), event.title))
    return CalendarDocument(ZoneInfo(_ZONE), _ZONE, tuple(ordered))


def _blurred(
    known: Sequence[Series], others: Sequence[CalendarEvent], random: Random
) -> CalendarDocument:
    events = list(others)
    for one in known:
        for event in one.events:
            if random.random() >= _NOISE.missed:
                moved = timedelta(minutes=round(random.uniform(-1, 1) * _NOISE.jitter_minutes))
                events.append(replace(event, start=event.start + moved, end=event.end + moved))
    return _calendar(events)


def _score(known: Sequence[Series], found: Iterable[Pattern]) -> Score:
    by_key: dict[str, list[frozenset[date]]] = defaultdict(list)
    for pattern in found:
        by_key[title_key(pattern.title)].append(expanded(pattern))
    return _agreement(
        [(one.days, by_key[title_key(one.title)] or [frozenset[date]()]) for one in known]
    )


def _agreement(pairs: Iterable[tuple[frozenset[date], list[frozenset[date]]]]) -> Score:
    best = [(true, max(candidates, key=partial(_f1, true))) for true, candidates in pairs]
    both = sum(len(true & days) for true, days in best)
    return Score(
        fmean(_f1(true, days) for true, days in best),
        2 * both / sum(len(true) + len(days) for true, days in best),
    )


def _f1(true: frozenset[date], days: frozenset[date]) -> float:
    return 2 * len(true & days) / (len(true) + len(days))


def _mean_score(scores: Sequence[Score]) -> Score:
    return Score(fmean(one.macro for one in scores), fmean(one.micro for one in scores))


def _baseline(known: Sequence[Series], calendar: CalendarDocument) -> Score:
    """Judge the rule "every median gap" from a title's first day to its last."""
    by_title: dict[str, set[date]] = defaultdict(set)
    for event in calendar.events:
        by_title[event.title].add(event.start.date())
    told = {}
    for title, days in by_title.items():
        ascending = sorted(days)
        gaps = [(b - a).days for a, b in pairwise(ascending)]
        step = round(median(gaps)) if gaps else 1
        told[title] = _expand(f"FREQ=DAILY;INTERVAL={step}", ascending[0], ascending[-1])
    return _agreement([(one.days, [told.get(one.title, frozenset())]) for one in known])


def _made() -> dict[str, tuple[float, float]]:
    scores: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for which, blur in enumerate((Blur(), _NOISE)):
        random = Random(which)
        for _ in range(_CALENDARS):
            calendar, series = made_calendar(KINDS, random.choice(_ZONES), blur, random)
            found = detect(calendar)
            for one in series:
                true = Series(one.title, one.events, one.days, one.days)
                scores[one.kind][which].append(_score([true], found).macro)
    return {kind: (fmean(plain), fmean(blurred)) for kind, (plain, blurred) in scores.items()}


def _false_by_chance(how: str) -> float:
    random = Random(how)
    found = [
        len(detect(chance_calendar(how, events, random.choice(_ZONES), random, days)))
        for events, days in _SIZES
        for _ in range(_CALENDARS)
    ]
    return 100 * sum(found) / (_CALENDARS * sum(events for events, _ in _SIZES))


def _false_by_shuffling(calendar: CalendarDocument) -> float:
    """Count the patterns where each real title is at random times of the same years."""
    first, last = calendar.events[0].start, calendar.events[-1].start
    random, found = Random(9), 0
    for _ in range(_CALENDARS):
        events = []
        for event in calendar.events:
            day = first.date() + timedelta(days=random.randrange((last - first).days))
            at = time(random.randrange(8, 20), random.choice((0, 30)))
            start = datetime.combine(day, at, first.tzinfo)
            events.append(CalendarEvent(event.title, start, start + timedelta(hours=1)))
        found += len(detect(_calendar(events)))
    return 100 * found / (_CALENDARS * len(calendar.events))


def _made_forecasts(random: Random) -> list[Forecast]:
    forecasts = []
    for _ in range(3 * _CALENDARS):
        blur = Blur(15, random.choice((0, 0.1, 0.2, 0.3)), random.choice((0, 0.1)))
        calendar, _ = made_calendar(KINDS, random.choice(_ZONES), blur, random)
        forecasts += backtest(calendar, random, cuts=3)
    return forecasts


def _calibration(forecasts: Sequence[Forecast]) -> Calibration:
    told = [(one.pattern.confidence, one.happened) for one in forecasts]
    mean = fmean(happened for _, happened in told)
    bins: dict[int, list[float]] = defaultdict(list)
    for share, happened in told:
        bins[min(int(share * 10), 9)].append(share - happened)
    return Calibration(
        forecasts=len(told),
        brier=fmean((share - happened) ** 2 for share, happened in told),
        baseline_brier=mean * (1 - mean),
        error=sum(abs(sum(some)) for some in bins.values()) / len(told),
    )

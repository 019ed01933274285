"""A week of categorised events → features and measures, for the balance and the burnout models.

A week runs from Monday 00:00 to the next in the calendar's time zone. A day is *seen* where an
event touches it; days without any event say nothing, for nobody knows whether they were free or
not written down, and no mean takes them in.

An all-day event, and any of 24 hours or more, makes its days seen and counts as no hours: a holiday
is no work of 24 hours. Events of one category that overlap count once. Where two categories overlap
each counts, and of rest the time is taken once.

Measures (`MEASURES`), over the whole week; work is `work` and `meeting` together:
    events                 events that touch the week
    days_with_events       days seen
    work_hours, meeting_hours, exercise_hours, social_hours, family_hours, travel_hours
    meeting_count          events of the category `meeting` that are no all-day ones
    after_hours_hours      work from Monday to Friday before 08:00 or after 18:00
    weekend_work_hours     work on Saturday and Sunday
    fragmentation          share of the gaps between a day's stretches of work that are shorter than
                           60 minutes; 0 without gaps
    longest_stretch_hours  longest run of work with no gap of 15 minutes or more
    breaks_per_day         gaps of 15 minutes or more within a day's work, per day that holds work
    sleep_window_hours     longest time without an event between 20:00 and 10:00, mean over the
                           nights between two days seen; 14, the whole, without such a night
    free_evenings          days seen without work, meeting or study from 18:00 to 22:00
    overlap_hours          time in which two events or more run

The diaries that the models learn from tell how long somebody did what, not when. So neither model
uses the measures of times of day: they describe a week and judge nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar._week_categories import Ask, Categories
from geulpi_calendar._week_clock import HOUR, WeekClock
from geulpi_calendar._week_measures import measures
from geulpi_calendar._week_spans import Span, merged, parts, total
from geulpi_calendar.documents import (
    EMPLOYMENTS,
    CalendarDocument,
    CalendarEvent,
    InvalidDocument,
    Person,
    parse_calendar,
)
from geulpi_calendar.week_days import (
    ACTIVITIES,
    DUTIES,
    balance_hours,
    balance_person,
    burnout_days,
    burnout_person,
)

__all__ = ["Week", "WeekFeatures", "load", "week_features", "week_of"]

_DAY: Final = timedelta(days=1)
_DAY_S: Final = 24 * HOUR
_WEEKEND: Final = np.arange(7) >= 5


@dataclass(frozen=True, slots=True)
class Week:
    """The events that touch a week.

    `timed` run by the hour, each with its seconds from Monday 00:00, which may reach beyond the
    week; their categories decide what they count for. `whole` fill days.
    """

    clock: WeekClock
    timed: tuple[CalendarEvent, ...]
    spans: tuple[Span, ...]
    whole: tuple[CalendarEvent, ...]


@dataclass(frozen=True, slots=True)
class WeekFeatures:
    """What the models take of a week, and what is told of it; FP32 vectors.

    Attributes:
        balance_features: by `BALANCE_FEATURES`.
        burnout_features: by `BURNOUT_FEATURES`, the mean over the days seen; NaN is unknown.
        days_seen: how many of the seven days an event touches, `[1]`.
        hours_per_day: by `BALANCE_DIMENSIONS`, the mean over the days seen.
        measures: by `MEASURES`.
    """

    balance_features: NDArray[np.float32]
    burnout_features: NDArray[np.float32]
    days_seen: NDArray[np.float32]
    hours_per_day: NDArray[np.float32]
    measures: NDArray[np.float32]


def load(folder: Path, ask: Ask) -> Callable[[Sequence[bytes]], Mapping[str, NDArray[Any]]]:
    """Return the model `calendar_features`: rows of `calendar` → the tensors of `WeekFeatures`.

    Args:
        folder: of the published version; nothing is read from it.
        ask: another model of the server; `event_classifier` is asked for the categories that
            nobody gave.
    """
    del folder
    categories = Categories(ask)

    def answer(rows: Sequence[bytes]) -> Mapping[str, NDArray[Any]]:
        documents = [parse_calendar(row) for row in rows]
        weeks = [week_of(document) for document in documents]
        given: Iterator[str] = categories.of([event for week in weeks for event in week.timed])
        features = [
            week_features(week, list(islice(given, len(week.timed))), document.person)
            for document, week in zip(documents, weeks, strict=True)
        ]
        names = WeekFeatures.__slots__
        return {name: np.stack([getattr(row, name) for row in features]) for name in names}

    return answer


def week_of(document: CalendarDocument) -> Week:
    """Return the week that a document asks about, or the last one in which an event begins.

    Raises:
        InvalidDocument: no event touches it.
    """
    if not document.events:
        raise InvalidDocument("events", [], "at least one event in the week")
    last = document.events[-1].start.date()
    last_monday = last - timedelta(days=last.weekday())
    monday = document.week or last_monday
    # Datetimes of one zone compare by wall clock, and so do the midnights that bound a week.
    opens, closes = (
        datetime.combine(day, time(0), document.time_zone) for day in (monday, monday + 7 * _DAY)
    )
    events = [
        event
        for event in document.events
        if event.start < closes and (event.end > opens or event.start >= opens)
    ]
    if not events:
        expected = f"a week that holds an event; the last one is that of '{last_monday}'"
        raise InvalidDocument("week", str(monday), expected)
    clock = WeekClock(monday, document.time_zone)
    spans = [clock.span(event.start, event.end) for event in events]
    whole = [
        event.all_day or end - start >= _DAY_S
        for event, (start, end) in zip(events, spans, strict=True)
    ]
    return Week(
        clock,
        timed=tuple(event for event, fills in zip(events, whole, strict=True) if not fills),
        spans=tuple(span for span, fills in zip(spans, whole, strict=True) if not fills),
        whole=tuple(event for event, fills in zip(events, whole, strict=True) if fills),
    )


def week_features(week: Week, categories: Sequence[str], person: Person) -> WeekFeatures:
    """Return the features and measures of a week.

    Args:
        week: with at least one event.
        categories: of its timed events, in order.
        person: whose week it is.
    """
    clock = week.clock
    inside = [(max(start, 0.0), min(end, clock.end)) for start, end in week.spans]
    spans: dict[str, list[Span]] = {}
    for (start, end), category in zip(inside, categories, strict=True):
        if start < end:
            spans.setdefault(category, []).append((start, end))
    unions = {category: merged(several) for category, several in spans.items()}
    seen = _seen(week)
    days, weekend = _hours_by_day(unions, clock)[seen], _WEEKEND[seen]
    hours = balance_hours(days)
    age, employment = _person(person)
    return WeekFeatures(
        balance_features=np.concatenate(
            [
                _mean(hours[~weekend]),
                _mean(hours[weekend]),
                [weekend.mean()],
                balance_person(age, employment)[0],
            ],
            dtype=np.float32,
        ),
        burnout_features=np.concatenate(
            [_mean(burnout_days(days, weekend)), burnout_person(age, employment)[0]],
            dtype=np.float32,
        ),
        days_seen=np.array([len(days)], dtype=np.float32),
        hours_per_day=_mean(hours).astype(np.float32),
        measures=np.array(
            measures(
                unions,
                clock,
                seen.tolist(),
                events=len(week.timed) + len(week.whole),
                meetings=sum(category == "meeting" for category in categories),
                spans=[span for several in spans.values() for span in several],
            ),
            dtype=np.float32,
        ),
    )


def _hours_by_day(unions: Mapping[str, Sequence[Span]], clock: WeekClock) -> NDArray[np.float64]:
    """Return the hours by `ACTIVITIES` of the seven days, `[7, 9]`."""
    several = {"work": ("work", "meeting"), "duty": DUTIES}
    columns = []
    for activity in ACTIVITIES:
        names = several.get(activity, (activity,))
        union = merged([span for name in names for span in unions.get(name, ())])
        columns.append([total(part) / HOUR for part in parts(union, clock.days)])
    return np.array(columns).T


def _seen(week: Week) -> NDArray[np.bool_]:
    """Return which of the seven days an event touches."""
    spans = [*week.spans, *(week.clock.span(event.start, event.end) for event in week.whole)]
    seen = np.zeros(7, dtype=np.bool_)
    for start, end in spans:
        # An event that lasts no time touches the day on which it stands.
        seen |= [
            (opens < end and start < closes) or opens <= start < closes
            for opens, closes in week.clock.days
        ]
    return seen


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean row; NaN of none."""
    return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1], np.nan)


def _person(person: Person) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return age and index of the employment, `[1]` each, NaN where unknown."""
    age = np.nan if person.age is None else person.age
    unknown = person.employment is None
    employment = np.nan if unknown else EMPLOYMENTS.index(str(person.employment))
    return np.array([age]), np.array([employment], dtype=np.float64)

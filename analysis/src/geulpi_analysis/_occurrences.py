"""Stored events to what happens within a period: repetition, exceptions and updates; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

from geulpi_client import Event

from geulpi_analysis._rules import is_yearly
from geulpi_analysis._stored import Moment, StoredEvent, Told

if TYPE_CHECKING:
    from icalendar import Event as Component

_INDEX = "X-GEULPI-INDEX"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """From a moment to before another, in a time zone."""

    start: datetime
    end: datetime
    zone: tzinfo

    def holds(self, start: datetime, end: datetime) -> bool:
        """Whether a part of that span lies within; one of no length counts where it begins."""
        first, last = self.start.timestamp(), self.end.timestamp()
        over = end.timestamp()
        return start.timestamp() < last and (over > first or over == start.timestamp() == first)


@dataclass(frozen=True)
class Occurrence:
    """Something that happens once: the event, in the calendar's zone, and whether it takes time.

    `yearly` is whether it is one of a birthday or anniversary, which says little about when a
    calendar was in use; `repeated` whether it is one of a series.
    """

    event: Event
    uid: str
    takes_time: bool
    repeated: bool
    yearly: bool

    @property
    def starts(self) -> datetime:
        """The start in UTC, so that it compares; of an all-day event, midnight in its zone."""
        return self.span[0]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Start and end in UTC; both the same where no end is known."""
        start, end = self.event.start, self.event.end
        if not isinstance(start, datetime):
            raise TypeError(f"{self.event} was not made by `in_period`")
        begins = start.astimezone(UTC)
        return begins, end.astimezone(UTC) if isinstance(end, datetime) else begins


def as_series(stored: Sequence[StoredEvent]) -> list[list[StoredEvent]]:
    """Return the events of one calendar by series: one that leads, then those that replace.

    Events share a UID where one updates or replaces others; some programs give all the same.
    """
    by_uid: dict[str, list[StoredEvent]] = {}
    alone = []
    for event in stored:
        if event.uid:
            by_uid.setdefault(event.uid, []).append(event)
        else:
            alone.append([event])
    series = [one for group in by_uid.values() for one in _series_of(group)]
    return series + alone


def in_period(series: Sequence[StoredEvent], period: Period, told: Told) -> Iterator[Occurrence]:
    """Yield what happens within a period; cancelled occurrences are left out.

    Args:
        series: one of `as_series`, without floating times.
        period: an event counts that begins before its end and is not over at its start.
        told: is told what could not be spelled out.
    """
    lead = series[0]
    if lead.cancelled and lead.replaces is None:
        return
    found = [(lead, lead.start, lead.end)]
    if len(series) > 1 or lead.repeats:
        try:
            found = list(_spelled_out(series, period))
        except Exception as error:  # noqa: BLE001 -- two libraries on foreign text: any may come
            told(f"its repetition can't be spelled out ({error}); read as one event")
    yearly = any(map(is_yearly, lead.rules))
    for stored, begins, ends in found:
        occurrence = None if stored.cancelled else _occurrence(stored, begins, ends, period)
        if occurrence:
            yield replace(occurrence, repeated=lead.repeats, yearly=yearly)


def without_doubles(occurrences: Iterable[Occurrence]) -> list[Occurrence]:
    """Return the occurrences in the order of their starts, each once.

    The same invitation often stands in several calendars of a folder.
    """
    unique: dict[object, Occurrence] = {}
    for one in occurrences:
        key = (one.uid, *one.span, one.event.title) if one.uid else id(one)
        unique.setdefault(key, one)
    return sorted(unique.values(), key=lambda one: (*one.span, one.event.title))


def _series_of(group: list[StoredEvent]) -> list[list[StoredEvent]]:
    leads: dict[Moment, StoredEvent] = {}
    newest = max((event.sequence for event in group if event.replaces is None), default=0)
    for event in group:
        if event.replaces is None and event.sequence == newest:
            leads[event.start] = event  # of the same start, the later line is the newer state
    replacing = [event for event in group if event.replaces is not None]
    if not leads:
        return [[replace(event, replaces=None, rules=())] for event in replacing]
    first, *others = sorted(leads.values(), key=lambda event: not event.repeats)
    return [[first, *replacing], *([other] for other in others)]


def _spelled_out(
    series: Sequence[StoredEvent], period: Period
) -> Iterator[tuple[StoredEvent, Moment, Moment | None]]:
    import icalendar  # noqa: PLC0415 -- every geulpi command would wait for it
    import recurring_ical_events  # type: ignore[import-untyped]  # noqa: PLC0415 -- likewise

    calendar = icalendar.Calendar()
    for index, stored in enumerate(series):
        calendar.add_component(_component(stored, index))
    # Dates have no zone: a day more on each side, and `_occurrence` cuts.
    for found in recurring_ical_events.of(calendar).between(period.start - _DAY, period.end + _DAY):
        stored = series[int(found[_INDEX])]
        ends = found["DTEND"].dt if "DTEND" in found else None
        begins = found["DTSTART"].dt
        yield stored, begins, None if stored.end is None and ends == begins else ends


def _component(stored: StoredEvent, index: int) -> Component:
    import icalendar  # noqa: PLC0415 -- every geulpi command would wait for it

    component = icalendar.Event()
    component.add("UID", stored.uid or "one")
    component.add(_INDEX, str(index))
    component.add("SEQUENCE", stored.sequence)
    component.add("DTSTART", stored.start)
    if stored.end is not None:
        component.add("DTEND", stored.end)
    for rule in stored.rules:
        component.add("RRULE", icalendar.vRecur.from_ical(rule))
    dates = [one for one in stored.added if not isinstance(one, tuple)]
    periods = [one for one in stored.added if isinstance(one, tuple)]
    for name, moments in (("RDATE", dates), ("RDATE", periods), ("EXDATE", stored.removed)):
        if moments:
            component.add(name, list(moments))
    if stored.replaces is not None:
        parameters = {"RANGE": "THISANDFUTURE"} if stored.and_later else {}
        component.add("RECURRENCE-ID", stored.replaces, parameters=parameters)
    return component


def _occurrence(
    stored: StoredEvent, begins: Moment, ends: Moment | None, period: Period
) -> Occurrence | None:
    all_day = not isinstance(begins, datetime)
    if all_day:
        ends = ends or begins + _DAY
    first = _in_zone(begins, period.zone)
    last = None if ends is None else _in_zone(ends, period.zone)
    occurrence = Occurrence(
        Event(stored.title, first, last, all_day=all_day),
        stored.uid,
        takes_time=stored.takes_time,
        repeated=stored.repeats,
        yearly=False,
    )
    return occurrence if period.holds(*occurrence.span) else None


def _in_zone(moment: date, zone: tzinfo) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(zone)
    return datetime.combine(moment, time(), zone)

"""One VEVENT as it is stored: its fields checked and mended, its repetition not spelled out; pure.

Only the lines that an analysis needs are read, so a broken alarm or description harms nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeAlias

from geulpi_analysis._rules import UnusableRule, checked_rule
from geulpi_analysis._text import Component, Property, plain_text, split_property
from geulpi_analysis._zones import known_zone

UNTITLED: Final = "(no title)"
MAX_TITLE_CHARACTERS: Final = 1000

Moment: TypeAlias = date | datetime
Told: TypeAlias = Callable[[str], None]
"""Takes what was mended, in words."""

_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time()
_MOMENT = re.compile(r"\d{8}(?:T\d{6}Z?)?")
_NO_SECONDS = re.compile(r"^(\d{8}T\d{4})(Z?)$")
_YEARS = range(2, 9999)  # another zone, or a week on, may lie outside datetime's range
_MANY: Final = ("RRULE", "RDATE", "EXDATE")
_SINGLE: Final = frozenset(
    {"UID", "SUMMARY", "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "SEQUENCE", "STATUS",
     "TRANSP", "X-MICROSOFT-CDO-ALLDAYEVENT"}
)  # fmt: skip


class UnusableEvent(ValueError):
    """An event that is left out; says why."""


@dataclass(frozen=True)
class StoredEvent:
    """A VEVENT. Its moments are dates (all-day), or datetimes with a zone, or floating ones.

    Attributes:
        replaces: the occurrence of the series that this event stands for (RECURRENCE-ID).
        and_later: whether it stands for all occurrences from there on.
        takes_time: false where others may still book the time (TRANSP:TRANSPARENT), and for days
            that are not explicitly taken: most of them are birthdays and reminders.
    """

    uid: str
    title: str
    start: Moment
    end: Moment | None
    rules: tuple[str, ...]
    added: tuple[Moment | tuple[Moment, timedelta], ...]
    removed: tuple[Moment, ...]
    replaces: Moment | None
    and_later: bool
    sequence: int
    cancelled: bool
    takes_time: bool
    line: int

    @property
    def all_day(self) -> bool:
        """Whether it belongs to days instead of hours."""
        return not isinstance(self.start, datetime)

    @property
    def repeats(self) -> bool:
        """Whether it can occur more than once."""
        return bool(self.rules or self.added)

    def in_zone(self, zone: tzinfo) -> StoredEvent:
        """Return the event with its floating times in that zone."""

        def fixed(moment: Moment) -> Moment:
            floating = isinstance(moment, datetime) and moment.tzinfo is None
            return moment.replace(tzinfo=zone) if floating else moment  # type: ignore[call-arg]

        return replace(
            self,
            start=fixed(self.start),
            end=None if self.end is None else fixed(self.end),
            added=tuple(
                (fixed(one[0]), one[1]) if isinstance(one, tuple) else fixed(one)
                for one in self.added
            ),
            removed=tuple(map(fixed, self.removed)),
            replaces=None if self.replaces is None else fixed(self.replaces),
        )


def stored_event(component: Component, zones: Mapping[str, tzinfo], told: Told) -> StoredEvent:
    """Return what a VEVENT says.

    Args:
        component: the VEVENT.
        zones: those that the file itself defines, by TZID.
        told: is told what was mended.

    Raises:
        UnusableEvent: it can't be placed in time.
    """
    single, many = _properties(component)
    read = _Reader(zones, told)
    if "DTSTART" not in single:
        raise UnusableEvent("it has no DTSTART; left out")
    start = _start(read, single)
    end = _end(read, single, start)
    added, removed = _additions(read, many["RDATE"], start), _removals(read, many["EXDATE"], start)
    replaces = single.get("RECURRENCE-ID")
    return StoredEvent(
        uid=single["UID"].value.strip() if "UID" in single else "",
        title=event_title(single.get("SUMMARY")),
        start=start,
        end=end,
        rules=_rules(many["RRULE"], told),
        added=added,
        removed=removed,
        replaces=None if replaces is None else _like(start, read.moment(replaces)),
        and_later=replaces is not None and replaces.parameters.get("RANGE") == "THISANDFUTURE",
        sequence=_whole(single.get("SEQUENCE")),
        cancelled=_word(single.get("STATUS")) == "CANCELLED",
        takes_time=_word(single.get("TRANSP")) != "TRANSPARENT"
        if isinstance(start, datetime)
        else _word(single.get("TRANSP")) == "OPAQUE",
        line=component.line,
    )


def event_title(summary: Property | None) -> str:
    """Return a title that models read: on one line, not blank, of bounded length."""
    text = "" if summary is None else plain_text(summary.value)
    if len(text) > MAX_TITLE_CHARACTERS:
        text = text[: MAX_TITLE_CHARACTERS - 1] + "…"
    return text or UNTITLED


@dataclass(frozen=True)
class _Reader:
    """Reads moments, each in the zone that its property names."""

    zones: Mapping[str, tzinfo]
    told: Told

    def moment(self, found: Property) -> Moment:
        """The moment of a property that holds one.

        Raises:
            UnusableEvent: it holds none.
        """
        return self.one(found, found.value)

    def one(self, found: Property, text: str) -> Moment:
        """A moment of a property that holds several."""
        text = _NO_SECONDS.sub(r"\g<1>00\2", text.strip().upper())
        if not _MOMENT.fullmatch(text):
            raise UnusableEvent(f"{found.name} is {text[:40]!r}, no date or time; left out")
        try:
            moment: Moment = _value(text)
        except ValueError as error:
            raise UnusableEvent(f"{found.name} is {text!r}, which no calendar has; left out") from (
                error
            )
        if moment.year not in _YEARS:
            raise UnusableEvent(f"{found.name} is {text!r}, outside the years 2 to 9998; left out")
        if isinstance(moment, datetime) and moment.tzinfo is None:
            return moment.replace(tzinfo=self._zone(found.parameters.get("TZID")))
        return moment

    def _zone(self, name: str | None) -> tzinfo | None:
        if not name:
            return None
        zone = self.zones.get(name) or known_zone(name)
        if zone is None:
            self.told(f"the time zone {name[:60]!r} is not known; read in the calendar's own")
        return zone


def _properties(component: Component) -> tuple[dict[str, Property], dict[str, list[Property]]]:
    single: dict[str, Property] = {}
    many: dict[str, list[Property]] = {name: [] for name in _MANY}
    for line in component.lines:
        found = split_property(line.text)
        if found is None:
            continue  # a line that is no property: its event is read by the others
        if found.name in many:
            many[found.name].append(found)
        elif found.name in _SINGLE:
            single.setdefault(found.name, found)
    return single, many


def _start(read: _Reader, single: Mapping[str, Property]) -> Moment:
    start = read.moment(single["DTSTART"])
    if not isinstance(start, datetime) or start.time() != _MIDNIGHT:
        return start
    # Outlook writes some days off as the hours from midnight to midnight.
    return start.date() if _word(single.get("X-MICROSOFT-CDO-ALLDAYEVENT")) == "TRUE" else start


def _end(read: _Reader, single: Mapping[str, Property], start: Moment) -> Moment | None:
    try:
        end = _stated_end(read, single, start)
    except UnusableEvent as error:
        read.told(str(error).replace("left out", "read without an end"))
        return None
    if end is None:
        return None
    if isinstance(start, datetime) and not isinstance(end, datetime):
        end = datetime.combine(end, _MIDNIGHT, start.tzinfo)
    end = _like(start, end)
    if isinstance(start, datetime) and isinstance(end, datetime):
        # A floating end belongs to its start's zone; neither, to the calendar's.
        if end.tzinfo is None or start.tzinfo is None:
            end = end.replace(tzinfo=start.tzinfo)
        before = _seconds(end) < _seconds(start)
    else:
        before = end < start
    if before:
        name = "DTEND" if "DTEND" in single else "DURATION"
        read.told(f"{name} lies before DTSTART; read without an end")
        return None
    return start + _DAY if end == start and not isinstance(start, datetime) else end


def _stated_end(read: _Reader, single: Mapping[str, Property], start: Moment) -> Moment | None:
    if "DTEND" in single:
        return read.moment(single["DTEND"])
    if "DURATION" not in single:
        return None
    text = single["DURATION"].value.strip().upper()
    try:
        duration = _value(text)
        if isinstance(duration, timedelta):
            end: Moment = start + duration
            if end.year in _YEARS:
                return end
    except (ValueError, OverflowError):
        pass
    raise UnusableEvent(f"DURATION is {text[:40]!r}, no duration; left out")


def _like(start: Moment, moment: Moment) -> Moment:
    """Return a moment as a date where the start is one, as a datetime where that is one."""
    if not isinstance(start, datetime):
        return moment.date() if isinstance(moment, datetime) else moment
    if not isinstance(moment, datetime):
        return datetime.combine(moment, start.timetz())
    return moment


def _additions(
    read: _Reader, lines: list[Property], start: Moment
) -> tuple[Moment | tuple[Moment, timedelta], ...]:
    added: list[Moment | tuple[Moment, timedelta]] = []
    for line in lines:
        for text in filter(None, line.value.split(",")):
            first, _, rest = text.partition("/")
            try:
                moment = _like(start, read.one(line, first))
                added.append((moment, _period(read, line, moment, rest)) if rest else moment)
            except UnusableEvent as error:
                read.told(str(error).replace("left out", "that occurrence is left out"))
    return tuple(added)


def _period(read: _Reader, line: Property, start: Moment, text: str) -> timedelta:
    try:
        length = _value(text.strip().upper())
    except (ValueError, OverflowError):
        length = None
    if not isinstance(length, timedelta):
        end = read.one(line, text)
        if not isinstance(start, datetime) or not isinstance(end, datetime):
            length = end - start if type(end) is type(start) else _DAY
        else:
            length = timedelta(seconds=_seconds(end) - _seconds(start))
    if length < timedelta():
        raise UnusableEvent(f"{line.name} holds a period that ends before it begins; left out")
    return length


def _removals(read: _Reader, lines: list[Property], start: Moment) -> tuple[Moment, ...]:
    removed = []
    for line in lines:
        for text in filter(None, line.value.split(",")):
            try:
                removed.append(_like(start, read.one(line, text)))
            except UnusableEvent as error:
                read.told(str(error).replace("left out", "that exception is ignored"))
    return tuple(removed)


def _rules(lines: list[Property], told: Told) -> tuple[str, ...]:
    rules = []
    for line in lines:
        if not line.value.strip():
            continue  # holiday calendars write an empty RRULE for "once"
        try:
            rules.append(checked_rule(line.value))
        except UnusableRule as error:
            told(f"RRULE: {error}; read as one event")
    return tuple(rules)


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=moment.tzinfo or known_zone("UTC")).timestamp()


def _value(text: str) -> Any:
    from icalendar.prop import vDDDTypes  # noqa: PLC0415 -- every geulpi command would wait for it

    return vDDDTypes.from_ical(text)  # type: ignore[no-untyped-call]


def _whole(found: Property | None) -> int:
    text = "" if found is None else found.value.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _word(found: Property | None) -> str:
    return "" if found is None else found.value.strip().upper()

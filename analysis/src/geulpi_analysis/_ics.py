"""iCalendar files, a folder of them or a stream, to the events of a calendar."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from geulpi_client import Event
from geulpi_client._constants import MAX_EVENTS

from geulpi_analysis._errors import FileUnreadable, NotICalendar, TooManyEvents
from geulpi_analysis._occurrences import (
    Occurrence,
    Period,
    as_series,
    in_period,
    without_doubles,
)
from geulpi_analysis._problem import Problem
from geulpi_analysis._stored import StoredEvent, UnusableEvent, stored_event
from geulpi_analysis._text import Component, components, content_lines, plain_text, split_property
from geulpi_analysis._zones import known_zone, own_zones, zone_name

STDIN: Final = "-"
MAX_FILE_BYTES: Final = 1 << 28

_TOO_LARGE: Final = f"it is larger than {MAX_FILE_BYTES >> 20} MiB."
_ENCODED: Final = "the text is not UTF-8; read as {}"


@dataclass(frozen=True)
class Series:
    """One event of a file with what replaces its occurrences; the first one leads."""

    file: str
    events: tuple[StoredEvent, ...]

    @property
    def lead(self) -> StoredEvent:
        """The event that repeats, or the only one."""
        return self.events[0]


@dataclass(frozen=True)
class Export:
    """What calendar files hold, repetition not yet spelled out.

    Attributes:
        name: the calendar's own name (X-WR-CALNAME), else that of its file or folder.
        source: the file or folder, as it was named.
        zone: the calendar's time zone: named by the caller, else by the file (X-WR-TIMEZONE), else
            that of most of its events, else UTC.
        series: the events.
        problems: what was wrong in the files.
    """

    name: str
    source: str
    zone: tzinfo
    series: tuple[Series, ...]
    problems: tuple[Problem, ...]

    @property
    def time_zone(self) -> str:
        """The name of the zone, as models know it."""
        return zone_name(self.zone)

    def between(self, start: datetime, end: datetime) -> Reading:
        """Return what happens from `start` to before `end`.

        Raises:
            TooManyEvents: more than the models take.
        """
        told: list[Problem] = []
        found: list[Occurrence] = []
        period = Period(start, end, self.zone)
        for series in self.series:
            found += in_period(series.events, period, _teller(told, series.file, series.lead))
            if len(found) > MAX_EVENTS:
                raise TooManyEvents(self.source, len(found), MAX_EVENTS)
        unique = tuple(without_doubles(found))
        return Reading(self.name, self.time_zone, start, end, unique, (*self.problems, *told))


@dataclass(frozen=True)
class Reading:
    """The events of a calendar within a period.

    Attributes:
        calendar_name: its own, or that of its file.
        time_zone: the name of the zone that the events' times are in.
        start, end: the period.
        occurrences: what happens, in the order of the starts.
        problems: what was wrong in the files, in their order.
    """

    calendar_name: str
    time_zone: str
    start: datetime
    end: datetime
    occurrences: tuple[Occurrence, ...]
    problems: tuple[Problem, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """What happens, as the models are asked about it."""
        return tuple(one.event for one in self.occurrences)


def read_export(source: str, *, time_zone: str | None = None) -> Export:
    """Read a calendar file, all `.ics` files of a folder, or the standard input (`-`).

    Args:
        source: the path, or `-`.
        time_zone: the calendar's zone by name, where its own is not the right one.

    Raises:
        FileUnreadable: it is not there, or can't be read.
        NotICalendar: nothing in it is an iCalendar file.
    """
    files, refused = [], None
    told: list[Problem] = []
    for name, data in _sources(source):
        try:
            files.append(_parsed(name, data, told))
        except NotICalendar as error:
            refused = error
            told.append(Problem(name, None, "", "it is no iCalendar file; left out"))
    if refused is not None and not files:
        raise refused
    zone = known_zone(time_zone) if time_zone else None
    zone = zone or _zone_of(files)
    own_name = next((file.name for file in files if file.name), "")
    return Export(
        name=own_name if len(files) == 1 and own_name else _named_for(source),
        source="stdin" if source == STDIN else source,
        zone=zone,
        series=tuple(_series(files, zone)),
        problems=tuple(told),
    )


@dataclass
class _File:
    """A calendar file, or one of several calendars in it."""

    file: str
    name: str = ""
    zone: tzinfo | None = None
    events: list[StoredEvent] = field(default_factory=list)


def _sources(source: str) -> Iterator[tuple[str, bytes]]:
    if source == STDIN:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise FileUnreadable("stdin", _TOO_LARGE)
        yield "stdin", data
        return
    path = Path(source)
    try:
        if not path.is_dir():
            yield path.name, _bytes_of(path)
            return
        inside = sorted(one for one in path.iterdir() if one.suffix.lower() == ".ics")
        if not inside:
            raise FileUnreadable(source, "the folder holds no .ics file.")
        for one in inside:
            yield one.name, _bytes_of(one)
    except (OSError, ValueError) as error:
        said = (getattr(error, "strerror", None) or str(error)).lower()
        raise FileUnreadable(source, f"{said}.") from error


def _bytes_of(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FileUnreadable(str(path), _TOO_LARGE)
    return path.read_bytes()


def _parsed(name: str, data: bytes, told: list[Problem]) -> _File:
    lines = content_lines(data)
    root = components(lines)
    calendars = list(root.of_kind("VCALENDAR"))
    if not calendars and not any(root.of_kind("VEVENT")):
        raise NotICalendar(name, lines[0].text.strip() if lines else "")
    guessed = next((line for line in lines if line.encoding != "utf-8"), None)
    if guessed is not None:
        told.append(Problem(name, guessed.number, "", _ENCODED.format(guessed.encoding)))
    parsed = _File(name)
    for calendar in [*calendars, root]:
        _add_calendar(parsed, calendar, told)
    if any(not calendar.closed for calendar in calendars):
        told.append(Problem(name, None, "", "END:VCALENDAR is missing: the file may be cut off"))
    return parsed


def _add_calendar(parsed: _File, calendar: Component, told: list[Problem]) -> None:
    for line in calendar.lines:
        found = split_property(line.text)
        if found and found.name == "X-WR-CALNAME" and not parsed.name:
            parsed.name = plain_text(found.value)[:200]
        elif found and found.name == "X-WR-TIMEZONE" and parsed.zone is None:
            parsed.zone = known_zone(found.value)
    zones = own_zones(calendar.of_kind("VTIMEZONE"))
    for component in calendar.of_kind("VEVENT"):
        tell = _teller_of(told, parsed.file, component)
        if not component.closed:
            if component is calendar.parts[-1]:
                tell("END:VEVENT is missing: the event may be cut off; left out")
                continue
            tell("END:VEVENT is missing; read up to the next event")
        try:
            parsed.events.append(stored_event(component, zones, tell))
        except UnusableEvent as error:
            tell(str(error))


def _teller_of(told: list[Problem], file: str, component: Component) -> Callable[[str], None]:
    names: dict[str, str] = {}
    for line in component.lines:
        found = split_property(line.text)
        if found is not None and found.name in {"UID", "SUMMARY"}:
            names.setdefault(found.name, plain_text(found.value)[:80])
    event = names.get("SUMMARY") or names.get("UID") or ""
    return _adder(told, file, component.line, event)


def _teller(told: list[Problem], file: str, lead: StoredEvent) -> Callable[[str], None]:
    return _adder(told, file, lead.line, lead.title)


def _adder(told: list[Problem], file: str, line: int, event: str) -> Callable[[str], None]:
    def tell(what: str) -> None:
        problem = Problem(file, line, event, what)
        if problem not in told[-4:]:  # DTSTART and DTEND are often wrong in the same way
            told.append(problem)

    return tell


def _zone_of(files: Sequence[_File]) -> tzinfo:
    """The zone that most events are in; a file that names its own speaks for all its events."""
    votes: Counter[str] = Counter()
    zones: dict[str, tzinfo] = {}
    for file in files:
        for event in file.events:
            zone = file.zone or (event.start.tzinfo if isinstance(event.start, datetime) else None)
            if zone is not None and (file.zone or zone_name(zone) != "UTC"):
                votes[zone_name(zone)] += 1
                zones.setdefault(zone_name(zone), zone)
    if not votes:
        return ZoneInfo("UTC")
    name = min(votes, key=lambda one: (-votes[one], one))
    zone = zones[name]
    return zone if isinstance(zone, ZoneInfo) else _fixed(name)


def _fixed(name: str) -> tzinfo:
    # A zone by a file's own rules has no name that the models know; its winter offset has.
    return known_zone(name) or UTC


def _series(files: Sequence[_File], zone: tzinfo) -> Iterator[Series]:
    for file in files:
        placed = [event.in_zone(file.zone or zone) for event in file.events]
        for events in as_series(placed):
            yield Series(file.file, tuple(events))


def _named_for(source: str) -> str:
    return "stdin" if source == STDIN else Path(source).resolve().stem or source

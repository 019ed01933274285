"""The time zones that calendar files name: IANA, Windows, paths, offsets, and their own rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from geulpi_analysis._text import Component, split_property

# Outlook: "(UTC+09:00) Seoul"; others: "GMT+0900", "UTC-5", "+09:00".
_OFFSET = re.compile(r"\(?\s*(?:UTC|GMT)?\s*([+-])(\d{1,2}):?(\d{2})?\)?(?:\s.*)?", re.IGNORECASE)
_ZERO = re.compile(r"\(?(?:UTC|GMT|Z|Etc/UTC)\)?(?:\s.*)?", re.IGNORECASE)
_PROBE = datetime(2020, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def known_zone(name: str) -> tzinfo | None:
    """Return the zone of an IANA or Windows name, of a path that ends in one, or of an offset.

    `None` where the name says nothing, such as Outlook's "Customized Time Zone".
    """
    name = name.strip().strip('"')
    from icalendar.timezone import windows_to_olson  # noqa: PLC0415 -- as the others: it is slow

    words = windows_to_olson.WINDOWS_TO_OLSON.get(name, name).split("/")
    # "/mozilla.org/20070129_1/Europe/Berlin", "/freeassociation.sourceforge.net/Asia/Seoul"
    for begin in range(len(words)):
        if found := _iana("/".join(words[begin:])):
            return found
    if _ZERO.fullmatch(name):
        return ZoneInfo("UTC")
    if offset := _OFFSET.fullmatch(name):
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    return None


def own_zones(timezones: Iterable[Component]) -> dict[str, tzinfo]:
    """Return the zones that VTIMEZONE components define, by TZID.

    A known name wins over the file's own rules, which are often cut or old; rules that can't be
    read are left out, and so is the zone.
    """
    zones = {}
    for component in timezones:
        named = {}
        for line in component.lines:
            if (found := split_property(line.text)) is not None:
                named[found.name] = found.value.strip()
        name = named.get("TZID", "").strip('"')
        zone = (
            known_zone(name)
            or known_zone(named.get("X-LIC-LOCATION", "no location"))
            or _by_rules(component)
        )
        if name and zone is not None:
            zones[name] = zone
    return zones


def zone_name(zone: tzinfo) -> str:
    """Return a name that models know: IANA, or the offset of the zone's winter as `+09:00`."""
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    offset = _PROBE.astimezone(zone).utcoffset() or timedelta()
    minutes = round(offset / timedelta(minutes=1))
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _iana(name: str) -> ZoneInfo | None:
    if not name or name.startswith("."):
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return None


def _by_rules(component: Component) -> tzinfo | None:
    import icalendar  # noqa: PLC0415 -- every geulpi command would wait for it

    for part in component.parts:
        for line in part.lines:
            found = split_property(line.text)
            # Clocks change once a year; a rule of every second would be counted through.
            if found and found.name == "RRULE" and "FREQ=YEARLY" not in found.value.upper():
                return None
    try:
        parsed = icalendar.Timezone.from_ical(component.source())
        zone = parsed.to_tz(lookup_tzid=False) if isinstance(parsed, icalendar.Timezone) else None
        _PROBE.astimezone(zone)  # broken rules show when they are used
    except Exception:  # noqa: BLE001 -- the rules are foreign text, read by two libraries
        return None
    return zone

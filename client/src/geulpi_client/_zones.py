"""The time zone of a question: the name that is sent, and the zone of the moments in its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from geulpi_client._errors import InvalidSetting

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Zone:
    """A time zone and how a document names it: `Asia/Seoul`, `UTC` or an offset as `+09:00`."""

    name: str
    tzinfo: tzinfo


UTC_ZONE = Zone("UTC", UTC)


def zone_for(name: str | None, moments: Iterable[object]) -> Zone:
    """Return the zone of that name; for `None` that of the first datetime, or UTC without one.

    Raises:
        InvalidSetting: there is no such zone, or the datetime's can't be named.
    """
    if name is not None:
        return named_zone(name)
    first = next((moment for moment in moments if isinstance(moment, datetime)), None)
    return UTC_ZONE if first is None else _zone_of(first)


def named_zone(name: str) -> Zone:
    """Return the zone of an IANA name or an offset.

    Raises:
        InvalidSetting: there is no such zone here.
    """
    if isinstance(name, str):
        try:
            if name[:1] in {"+", "-"}:
                return Zone(name, datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo or UTC)
            return Zone(name, ZoneInfo(name))
        except (ValueError, KeyError, OSError):
            pass
    raise InvalidSetting(
        "time_zone",
        name,
        "an IANA time zone such as 'Asia/Seoul' (pip install tzdata where the system has none), "
        "or an offset such as '+09:00'",
    )


def _zone_of(moment: datetime) -> Zone:
    zone = moment.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key:
        return Zone(zone.key, zone)
    offset = moment.utcoffset() or timedelta()
    if not offset:
        return UTC_ZONE
    minutes, rest = divmod(abs(offset), _MINUTE)
    if rest:
        raise InvalidSetting(
            "time_zone", str(offset), "a zone of whole minutes; give time_zone='Asia/Seoul' or such"
        )
    sign = "-" if offset < timedelta() else "+"
    return Zone(f"{sign}{minutes // 60:02}:{minutes % 60:02}", timezone(offset))

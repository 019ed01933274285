"""Rules, times and names as a person says them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from geulpi_client import WEEKDAYS

DAY_NAMES: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
MONTH_NAMES: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

_PLACES: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last",
                  -2: "last but one"}  # fmt: skip
_NAMES: Final = {
    "after_hours_hours": "work after hours",
    "longest_stretch_hours": "longest stretch of work",
    "sleep_window_hours": "time for sleep",
    "weekend": "work at the weekend",
    "long_days": "long days",
}


def rule_in_words(rule: str, start: date) -> str:
    """Return an RFC 5545 rule in words, such as `every 2nd Tuesday`.

    Args:
        rule: its value, without `RRULE:`.
        start: the first occurrence, which says what the rule leaves open.

    A rule of a kind that has no words here is returned as it is.
    """
    parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    try:
        interval = int(parts.get("INTERVAL", "1"))
        words = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}
        return words[parts["FREQ"]](parts, interval, start)
    except (KeyError, ValueError, IndexError):
        return rule


def name_in_words(name: str) -> str:
    """Return the name of a driver, dimension or measure in words."""
    return _NAMES.get(name) or name.removesuffix("_hours").replace("_", " ")


def duration_in_words(duration: timedelta) -> str:
    """Return a duration as `1 h 30 min`, or `2 days`."""
    minutes = round(duration / timedelta(minutes=1))
    days, rest = divmod(minutes, 24 * 60)
    if days and not rest:
        return f"{days} day" if days == 1 else f"{days} days"
    hours, minutes = divmod(minutes, 60)
    if hours and minutes:
        return f"{hours} h {minutes} min"
    return f"{hours} h" if hours else f"{minutes} min"


def hours_in_words(hours: float) -> str:
    """Return hours as `2.5 h`, below one as `25 min`."""
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def signed(number: float) -> str:
    """Return a number with its sign and two digits; one that rounds to 0 has no sign."""
    return f"{number:+.2f}".replace("-", "\u2212") if abs(number) >= 0.005 else "0.00"


def moment_in_words(moment: date, *, year: bool = False) -> str:
    """Return a date or time as `Tue 6 Jan, 10:00`; with its year where it matters."""
    day = f"{moment:%a} {moment.day} {moment:%b}" + (f" {moment.year}" if year else "")
    return f"{day}, {moment:%H:%M}" if isinstance(moment, datetime) else day


def day_in_words(day: date) -> str:
    """Return a date as `6 January 2026`."""
    return f"{day.day} {MONTH_NAMES[day.month - 1]} {day.year}"


def ordinal(number: int) -> str:
    """Return a number as `1st`, `2nd`, `23rd`."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def joined(words: Sequence[str]) -> str:
    """Return words as `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def _every(interval: int, unit: str) -> str:
    return f"every {unit}" if interval == 1 else f"every {ordinal(interval)} {unit}"


def _daily(parts: dict[str, str], interval: int, _start: date) -> str:
    if parts.keys() - {"FREQ", "INTERVAL"}:
        raise ValueError(parts)
    return _every(interval, "day")


def _weekly(parts: dict[str, str], interval: int, start: date) -> str:
    if parts.keys() - {"FREQ", "INTERVAL", "BYDAY", "WKST"}:
        raise ValueError(parts)
    days = sorted(
        WEEKDAYS.index(day) for day in parts.get("BYDAY", WEEKDAYS[start.weekday()]).split(",")
    )
    if len(days) == 1:
        return _every(interval, DAY_NAMES[days[0]])
    if interval == 1 and len(days) == 7:
        return "every day"
    if days == [0, 1, 2, 3, 4]:
        named = "Monday to Friday"
        return f"every {named}" if interval == 1 else f"{_every(interval, 'week')}, {named}"
    named = joined([DAY_NAMES[day] for day in days])
    return f"every {named}" if interval == 1 else f"{_every(interval, 'week')} on {named}"


def _monthly(parts: dict[str, str], interval: int, start: date) -> str:
    return f"on the {_day_of_month(parts, start)} of {_every(interval, 'month')}"


def _yearly(parts: dict[str, str], interval: int, start: date) -> str:
    if "," in parts.get("BYMONTH", ""):
        raise ValueError(parts)
    month = MONTH_NAMES[int(parts.get("BYMONTH", start.month)) - 1]
    if "BYDAY" in parts:
        return f"{_every(interval, 'year')} on the {_day_of_month(parts, start)} of {month}"
    day = int(parts.get("BYMONTHDAY", start.day))
    return f"{_every(interval, 'year')} on {day} {month}"


def _day_of_month(parts: dict[str, str], start: date) -> str:
    if "BYDAY" not in parts:
        days = [int(day) for day in parts.get("BYMONTHDAY", str(start.day)).split(",")]
        return joined([ordinal(day) if day > 0 else f"{_place(day)} day" for day in days])
    day = parts["BYDAY"]
    place = int(day[:-2] or parts["BYSETPOS"])
    return f"{_place(place)} {DAY_NAMES[WEEKDAYS.index(day[-2:])]}"


def _place(number: int) -> str:
    return _PLACES.get(number) or (ordinal(number) if number > 0 else f"{ordinal(-number)} last")

"""Repetition rules that can be counted through: what RFC 5545 allows, and a person means; pure."""

from __future__ import annotations

from calendar import monthrange
from typing import Final

_FREQUENCIES: Final = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY",
     "BYWEEKNO", "BYSETPOS", "BYHOUR", "BYMINUTE", "BYSECOND"}
)  # fmt: skip
_A_DAY = 24
_LEAP_YEAR = 2024


class UnusableRule(ValueError):
    """A rule that is not expanded; says why."""


def checked_rule(text: str) -> str:
    """Return a rule in capitals, without blanks and the experimental parts.

    Raises:
        UnusableRule: it is no rule, never comes true, or repeats more often than a day has hours.
    """
    parts: dict[str, str] = {}
    for part in filter(None, text.upper().replace(" ", "").split(";")):
        name, equals, value = part.partition("=")
        if name.startswith("X-"):
            continue
        if not equals or not value or name in parts:
            raise UnusableRule(f"{part[:40]} is no part of a rule")
        if name not in _PARTS:
            raise UnusableRule(f"{name[:40]} is not known in rules")
        parts[name] = value
    _check_frequency(parts)
    _check_days(parts)
    return ";".join(f"{name}={value}" for name, value in parts.items())


def is_yearly(rule: str) -> bool:
    """Whether a rule is that of birthdays and anniversaries."""
    return "FREQ=YEARLY" in rule


def _check_frequency(parts: dict[str, str]) -> None:
    frequency = parts.get("FREQ", "no FREQ")
    if frequency in {"SECONDLY", "MINUTELY"}:
        raise UnusableRule(f"FREQ={frequency} is more often than any calendar event recurs")
    if frequency not in _FREQUENCIES:
        raise UnusableRule(f"FREQ is {frequency}, none of {', '.join(_FREQUENCIES)}")
    for name in ("INTERVAL", "COUNT"):
        if name in parts and not (parts[name].isascii() and parts[name].isdigit()):
            if name == "COUNT" and parts[name] == "-1":
                del parts[name]  # some write it for "without end"
                continue
            raise UnusableRule(f"{name} is {parts[name]}, no whole number above 0")
    if "COUNT" in parts and "UNTIL" in parts:
        raise UnusableRule("COUNT and UNTIL exclude each other")
    interval = parts.get("INTERVAL", "1")
    if len(interval) > 4 or int(interval) == 0:
        raise UnusableRule(f"INTERVAL is {interval}, outside 1 to 9999")
    times = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        times *= len(parts.get(name, "0").split(","))
    if times > _A_DAY:
        raise UnusableRule(f"it recurs {times} times a day, more than {_A_DAY}")


def _check_days(parts: dict[str, str]) -> None:
    months, days = _numbers(parts, "BYMONTH"), _numbers(parts, "BYMONTHDAY")
    if any(not 1 <= month <= 12 for month in months):
        raise UnusableRule(f"BYMONTH is {parts['BYMONTH']}, outside 1 to 12")
    longest = max(monthrange(_LEAP_YEAR, month)[1] for month in months or [1])
    if days and all(not 1 <= abs(day) <= longest for day in days):
        raise UnusableRule(f"BYMONTHDAY is {parts['BYMONTHDAY']}, which never comes")
    if parts["FREQ"] in {"HOURLY", "DAILY", "WEEKLY"}:
        # Each of them is counted day by day until it comes true, which it may never do.
        for name in ("BYSETPOS", "BYWEEKNO", "BYYEARDAY"):
            if name in parts:
                raise UnusableRule(f"{name} says nothing with FREQ={parts['FREQ']}")


def _numbers(parts: dict[str, str], name: str) -> list[int]:
    try:
        return [int(number) for number in parts.get(name, "").split(",") if number]
    except ValueError as error:
        raise UnusableRule(f"{name} is {parts[name]}, no list of numbers") from error

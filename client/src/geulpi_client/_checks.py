"""Checks that several questions share; each raises the error class that it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from geulpi_client._constants import MAX_TITLE_CHARACTERS
from geulpi_client._errors import InvalidInput

Refused: TypeAlias = Callable[[str, object, str], InvalidInput]
"""Makes the error of a field, its value and what is expected instead."""


def checked_text(refused: Refused, field: str, text: object) -> str:
    """Return text that a model can read: not blank, valid Unicode, of bounded length."""
    if not isinstance(text, str):
        raise refused(field, text, "text (str)")
    if len(text) > MAX_TITLE_CHARACTERS:
        raise refused(field, text, f"at most {MAX_TITLE_CHARACTERS} characters")
    if not text.strip():
        raise refused(field, text, "text that is not blank")
    if "\0" in text:
        raise refused(field, text, "text without NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refused(field, text, "valid Unicode, without lone surrogates") from error
    return text


def utc_moment(refused: Refused, field: str, moment: object) -> datetime:
    """Return a moment in UTC: datetimes of one zone compare by wall clock, wrong over DST."""
    if not isinstance(moment, datetime):
        raise refused(field, moment, "a datetime with a time zone")
    if moment.utcoffset() is None:
        raise refused(
            field, str(moment), 'a time zone, such as .replace(tzinfo=ZoneInfo("Asia/Seoul"))'
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise refused(field, str(moment), "a moment within the years 1 to 9999") from error


def one_of(refused: Refused, field: str, value: object, names: tuple[str, ...]) -> None:
    """Refuse what is none of these names."""
    if value not in names:
        raise refused(field, value, f"one of {', '.join(names)}")


def checked_flag(refused: Refused, field: str, value: object) -> None:
    """Refuse what is not `True` or `False`."""
    if not isinstance(value, bool):
        raise refused(field, value, "True or False")


def checked_whole(refused: Refused, field: str, value: object, lowest: int, highest: int) -> int:
    """Return a whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise refused(field, value, f"a whole number from {lowest} to {highest}")
    return value


def checked_list(refused: Refused, field: str, values: object, expected: str) -> list[Any]:
    """Return a sequence as a list; a bare text is refused, it would be read letter by letter."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise refused(field, values, expected)
    return list(values)


def checked_names(refused: Refused, field: str, names: object, expected: str) -> tuple[str, ...]:
    """Return a sequence of texts as a tuple."""
    listed = checked_list(refused, field, names, expected)
    return tuple(checked_text(refused, f"{field}[{i}]", name) for i, name in enumerate(listed))


def checked_duration(refused: Refused, field: str, duration: object) -> timedelta:
    """Return a duration of 0 or more."""
    if not isinstance(duration, timedelta):
        raise refused(field, duration, "a timedelta, such as timedelta(minutes=30)")
    if duration < timedelta():
        raise refused(field, str(duration), "0 or more")
    return duration


def minutes_of(duration: timedelta) -> float:
    """Return a duration in minutes, as `int` where it is whole, so that JSON shows it short."""
    minutes = duration / timedelta(minutes=1)
    return int(minutes) if minutes.is_integer() else minutes

"""A calendar event, checked when it is made."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from geulpi_client._constants import MAX_TITLE_CHARACTERS
from geulpi_client._errors import InvalidEvent


@dataclass(frozen=True)
class Event:
    """A calendar event.

    Args:
        title: as its owner wrote it, Korean or English, at most 1000 characters.
        start, end: with a time zone; features such as the hour are those of the start's own zone.

    Raises:
        InvalidEvent: names the field, the value and what is expected.
    """

    title: str
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what no calendar holds."""
        _check_title(self.title)
        start = _instant("start", self.start)
        end = _instant("end", self.end)
        if end is not None and start is None:
            raise InvalidEvent("start", self.start, "a start, because the event has an end")
        if start is not None and end is not None and end < start:
            raise InvalidEvent("end", str(self.end), f"the start ({self.start}) or later")

    @property
    def normalized_title(self) -> str:
        """The title as models read it: Unicode NFC, runs of white space as one blank."""
        return " ".join(unicodedata.normalize("NFC", self.title).split())

    @property
    def duration(self) -> timedelta | None:
        """How long it lasts, over clock changes too; `None` without an end."""
        start, end = _instant("start", self.start), _instant("end", self.end)
        return None if start is None or end is None else end - start


def _check_title(title: object) -> None:
    if not isinstance(title, str):
        raise InvalidEvent("title", title, "text (str)")
    if len(title) > MAX_TITLE_CHARACTERS:
        raise InvalidEvent("title", title, f"at most {MAX_TITLE_CHARACTERS} characters")
    if not title.strip():
        raise InvalidEvent("title", title, "text that is not blank")
    if "\0" in title:
        raise InvalidEvent("title", title, "text without NUL characters")
    if any("\ud800" <= character <= "\udfff" for character in title):
        raise InvalidEvent("title", title, "valid Unicode, without lone surrogates")


def _instant(field: str, moment: object) -> datetime | None:
    """Return a moment in UTC: datetimes of one zone compare by wall clock, wrong over DST."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise InvalidEvent(field, moment, "a datetime with a time zone")
    if moment.utcoffset() is None:
        raise InvalidEvent(
            field, str(moment), 'a time zone, such as .replace(tzinfo=ZoneInfo("Asia/Seoul"))'
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidEvent(field, str(moment), "a moment within the years 1 to 9999") from error

"""The categories of events that nobody categorised, as the event classifier gives them."""

from __future__ import annotations

import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar.documents import CalendarEvent

__all__ = ["Ask", "Categories"]

Ask: TypeAlias = Callable[[str, dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]
_Row: TypeAlias = tuple[str, int, int, int]

CLASSIFIER: Final = "event_classifier"
CHUNK: Final = 256
REMEMBERED: Final = 10_000
REMEMBERED_S: Final = 300.0
UNKNOWN: Final = -1


class Categories:
    """Asks for categories, in chunks, and remembers them for some minutes.

    Not for use by threads at once: a Triton instance runs one execution after the other.
    """

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: OrderedDict[_Row, tuple[str, float]] = OrderedDict()

    def of(self, events: Sequence[CalendarEvent]) -> Iterator[str]:
        """Return each event's own category, else the classifier's; events have hours."""
        if all(event.category is not None for event in events):
            return iter([str(event.category) for event in events])
        rows = [None if event.category else classifier_row(event) for event in events]
        answers = self._answers(dict.fromkeys(row for row in rows if row is not None))
        return iter(
            [
                str(event.category) if row is None else answers[row]
                for event, row in zip(events, rows, strict=True)
            ]
        )

    def _answers(self, rows: dict[_Row, None]) -> dict[_Row, str]:
        now = self._clock()
        answers = {}
        for row in rows:
            known = self._known.get(row)
            if known is not None and known[1] > now:
                self._known.move_to_end(row)
                answers[row] = known[0]
        missing = [row for row in rows if row not in answers]
        for first in range(0, len(missing), CHUNK):
            chunk = missing[first : first + CHUNK]
            labels = self._ask(CLASSIFIER, _tensors(chunk))["label"][:, 0].tolist()
            for row, label in zip(chunk, labels, strict=True):
                answers[row] = label.decode() if isinstance(label, bytes) else label
                self._known[row] = (answers[row], now + REMEMBERED_S)
                self._known.move_to_end(row)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return answers


def classifier_row(event: CalendarEvent) -> _Row:
    """Return what the classifier is asked of an event, as its clients ask it.

    Title in Unicode NFC with single blanks, weekday and hour of the start in the calendar's zone,
    whole minutes. A document does not tell no end from an end at the start: both are unknown.
    """
    title = " ".join(unicodedata.normalize("NFC", event.title).split())
    minutes = int(event.minutes)
    if event.end == event.start:
        minutes = UNKNOWN
    return title, event.start.weekday(), event.start.hour, minutes


def _tensors(rows: Sequence[_Row]) -> dict[str, NDArray[Any]]:
    titles, *numbers = zip(*rows, strict=True)
    names = ("weekday", "hour", "duration_minutes")
    columns = {n: np.array(c, dtype=np.int64) for n, c in zip(names, numbers, strict=True)}
    return {
        "title": np.array(titles, dtype=np.object_)[:, np.newaxis],
        **{name: column[:, np.newaxis] for name, column in columns.items()},
    }

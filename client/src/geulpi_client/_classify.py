"""`event_classifier`: events to tensors, and its answer to categories; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geulpi_client._errors import InvalidEvent, Target, UnexpectedAnswer
from geulpi_client._event import Event
from geulpi_client._inference import InferResult
from geulpi_client._tensors import Array

MODEL: Final = "event_classifier"
CATEGORIES: Final = (
    "errand", "exercise", "family", "health", "meeting",
    "personal", "social", "study", "travel", "work",
)  # fmt: skip
"""What an event can be, in the order of the model's probabilities."""

_UNKNOWN = -1


@dataclass(frozen=True)
class Classification:
    """What kind of event this is: the category, how sure the model is (0 to 1), and the others.

    `cached` says whether the answer came from the cache.
    """

    title: str
    category: str
    confidence: float
    probabilities: dict[str, float]
    cached: bool


def checked_events(events: Sequence[Event]) -> list[Event]:
    """Return the events as a list.

    Raises:
        InvalidEvent: there is none, or something else among them.
    """
    if isinstance(events, Event | str) or not isinstance(events, Sequence):
        raise InvalidEvent("events", events, "a list of events, such as [Event(title='치과 예약')]")
    if not events:
        raise InvalidEvent("events", events, "at least one event")
    for position, event in enumerate(events):
        if not isinstance(event, Event):
            raise InvalidEvent(f"events[{position}]", event, "an Event, such as Event(title=…)")
    return list(events)


def event_tensors(events: Sequence[Event]) -> dict[str, Array]:
    """Return the inputs of the model, one row per event; what is unknown is −1."""
    durations = [event.duration for event in events]
    numbers = {
        "weekday": [e.start.weekday() if e.start else _UNKNOWN for e in events],
        "hour": [e.start.hour if e.start else _UNKNOWN for e in events],
        "duration_minutes": [
            _UNKNOWN if duration is None else int(duration.total_seconds() // 60)
            for duration in durations
        ],
    }
    titles = np.array([event.normalized_title for event in events], dtype=np.object_)
    columns = {name: np.array(column, dtype=np.int64) for name, column in numbers.items()}
    return {"title": titles[:, np.newaxis]} | {n: c[:, np.newaxis] for n, c in columns.items()}


def classifications(
    events: Sequence[Event], result: InferResult, target: Target
) -> list[Classification]:
    """Return the categories that an answer of the model means.

    Raises:
        UnexpectedAnswer: the answer is not that of this client's `event_classifier`.
    """
    labels, probabilities = result.outputs.get("label"), result.outputs.get("probabilities")
    rows = len(events)
    if labels is None or labels.shape != (rows, 1):
        raise UnexpectedAnswer(target, f"no output 'label' [{rows}, 1]")
    if probabilities is None or probabilities.shape != (rows, len(CATEGORIES)):
        raise UnexpectedAnswer(target, f"no output 'probabilities' [{rows}, {len(CATEGORIES)}]")
    answers = []
    for event, label, row, cached in zip(
        events, labels[:, 0], probabilities.tolist(), result.cached.tolist(), strict=True
    ):
        by_category = dict(zip(CATEGORIES, row, strict=True))
        # A model that orders its categories otherwise would be read wrong without a word.
        if not by_category.get(label, -1.0) >= max(row):
            raise UnexpectedAnswer(
                target, f"label '{label}' is not the likeliest of its probabilities {by_category}"
            )
        answers.append(Classification(event.title, label, by_category[label], by_category, cached))
    return answers

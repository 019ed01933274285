"""`event_classifier`: events to tensors, and its answer to categories; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from geulpi_client._answers import Answered
from geulpi_client._errors import UnexpectedAnswer
from geulpi_client._event import Event, some_events
from geulpi_client._names import CATEGORIES
from geulpi_client._question import Question
from geulpi_client._tensors import Array

MODEL: Final = "event_classifier"

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


def classify_question(events: Sequence[Event]) -> Question[list[Classification]]:
    """Return the question which categories these events have.

    Raises:
        InvalidEvent: there is none, or something else among them.
    """
    events = some_events(events)
    return Question(MODEL, event_tensors(events), partial(classifications, events))


def event_tensors(events: Sequence[Event]) -> dict[str, Array]:
    """Return the inputs of the model, one row per event; what is unknown is −1."""
    durations = [event.duration for event in events]
    numbers = {
        "weekday": [e.start.weekday() if e.start else _UNKNOWN for e in events],
        "hour": [_hour(event) for event in events],
        "duration_minutes": [
            _UNKNOWN if duration is None else int(duration.total_seconds() // 60)
            for duration in durations
        ],
    }
    titles = np.array([event.normalized_title for event in events], dtype=np.object_)
    columns = {name: np.array(column, dtype=np.int64) for name, column in numbers.items()}
    return {"title": titles[:, np.newaxis]} | {n: c[:, np.newaxis] for n, c in columns.items()}


def classifications(events: Sequence[Event], answered: Answered) -> list[Classification]:
    """Return the categories that an answer of the model means.

    Raises:
        UnexpectedAnswer: the answer is not that of this client's `event_classifier`.
    """
    result, target = answered.result, answered.target
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


def _hour(event: Event) -> int:
    # An all-day event's midnight is no hour that anybody chose.
    start = event.start
    return start.hour if isinstance(start, datetime) and not event.all_day else _UNKNOWN

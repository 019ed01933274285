"""Trains, converts and publishes the calendar models."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geulpi_conversion import Converted, convert, publish

from geulpi_models import event_classifier
from geulpi_models._errors import UnknownModel

__all__ = ["MODELS", "Built", "build", "evaluation_data"]


@dataclass(frozen=True)
class Built:
    """A model that was published, and how it was judged where there was data to judge it by."""

    name: str
    folder: Path
    converted: Converted
    training_rows: int
    evaluation: event_classifier.Evaluation | None


def build(name: str, repository: Path, *, keep: int | None = None) -> Built:
    """Train a calendar model, convert it with proven parity and publish it as the next version.

    Args:
        name: of the model.
        repository: the folder to publish into.
        keep: leave so many versions; None is all.

    Raises:
        UnknownModel: no calendar model has this name.
    """
    if name not in MODELS:
        raise UnknownModel(name, MODELS)
    return MODELS[name](repository, keep)


def evaluation_data() -> Path | None:
    """Return the folder of real data: `$GEULPI_DATA`, else `../shared/data`; None if not there."""
    folder = Path(os.environ.get("GEULPI_DATA", "../shared/data"))
    return folder if folder.is_dir() else None


def _build_event_classifier(repository: Path, keep: int | None) -> Built:
    events, categories = event_classifier.training_rows()
    estimator: Any = event_classifier.fit(events, categories)
    data = evaluation_data()
    titles = data and data / "event_titles" / "titles_labelled.csv"
    return Built(
        name=event_classifier.NAME,
        converted=(
            converted := convert(
                estimator, event_classifier.sample(events), name=event_classifier.NAME
            )
        ),
        folder=publish(converted, repository, keep=keep),
        training_rows=len(events),
        evaluation=event_classifier.evaluate(estimator, titles) if titles else None,
    )


MODELS: dict[str, Callable[[Path, int | None], Built]] = {
    event_classifier.NAME: _build_event_classifier
}

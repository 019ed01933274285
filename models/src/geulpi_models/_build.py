"""Trains, converts and publishes the calendar models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geulpi_conversion import Converted, PythonModel, ServingConfig, chained, convert, publish
from threadpoolctl import threadpool_limits

from geulpi_models import balance_analyzer, burnout_analyzer, event_classifier
from geulpi_models import schedule_optimizer as schedules
from geulpi_models._entries import (
    ENSEMBLES,
    burnout_index_model,
    calendar_features,
    pattern_detector,
    schedule_optimizer,
)
from geulpi_models._errors import DataNotFound, StepsMissing, UnknownModel

__all__ = ["MODELS", "Built", "build", "evaluation_data"]

DIARIES = Path("atus_wellbeing_2013", "days_2013.csv")


@dataclass(frozen=True)
class Built:
    """A calendar model that was published.

    Attributes:
        name: of the model.
        served: how Triton serves it: by which backend, or as an ensemble of which steps.
        training_rows: what it was trained on; 0 where nothing is learned.
        folders: the versions that were published, by entry.
    """

    name: str
    served: str
    training_rows: int
    folders: Mapping[str, Path]


@dataclass(frozen=True)
class _Parts:
    """What a calendar model is made of: entries in the order in which they are published."""

    parts: tuple[Converted | PythonModel, ...]
    training_rows: int = 0
    serving: Mapping[str, ServingConfig] = field(default_factory=dict)


def build(names: list[str] | None, repository: Path, *, keep: int | None = None) -> Iterator[Built]:
    """Train calendar models, prove their conversion and publish them as the next versions.

    Ensembles that use what was published get a new version too: a client keeps answers by the
    version of what it asked.

    Args:
        names: of the models; None is all.
        repository: the folder to publish into.
        keep: leave so many versions; None is all.

    Returns:
        One after the other, as they are asked for: what was built.

    Raises:
        UnknownModel: no calendar model has this name; nothing was done.
        DataNotFound: a model is trained on data that is not here; nothing was done.
        StepsMissing: an ensemble is to be built whose steps are not there.
    """
    wanted = list(dict.fromkeys(names or MODELS))
    for name in wanted:
        if name not in MODELS:
            raise UnknownModel(name, MODELS)
    if missing := [name for name in wanted if name in FROM_DIARIES and diaries() is None]:
        others = [name for name in MODELS if name not in FROM_DIARIES]
        raise DataNotFound.to_train(missing, others)
    return _built(wanted, repository, keep)


def _built(wanted: Sequence[str], repository: Path, keep: int | None) -> Iterator[Built]:
    published: set[str] = set()
    for name in wanted:
        # Rows are few and trees many: threads that wait for each other cost more than they give.
        with threadpool_limits(1):
            made = MODELS[name]()
        folders = {
            # What was measured on the machine that serves is better than what is said here.
            part.name: publish(
                part, repository, serving=made.serving.get(part.name), keep=keep, keep_tuned=True
            )
            for part in made.parts
            if part.name not in published  # balance and burnout share a step
        }
        published |= folders.keys()
        if name in ENSEMBLES:
            steps = [step.model for step in ENSEMBLES[name].steps]
            if absent := [step for step in steps if not (repository / step).is_dir()]:
                raise StepsMissing(name, absent, repository)
            folders[name] = publish(ENSEMBLES[name], repository, keep=keep)
            published.add(name)
            served = " → ".join(steps)
        else:
            served = made.parts[0].backend
        yield Built(name, served, made.training_rows, folders)
    for name, ensemble in ENSEMBLES.items():
        there = all((repository / step.model).is_dir() for step in ensemble.steps)
        if name not in wanted and there and published & {step.model for step in ensemble.steps}:
            yield Built(
                name,
                " → ".join(step.model for step in ensemble.steps),
                0,
                {name: publish(ensemble, repository, keep=keep)},
            )


def evaluation_data() -> Path | None:
    """Return the folder of real data: `$GEULPI_DATA`, else `../shared/data`; None if not there."""
    folder = Path(os.environ.get("GEULPI_DATA", "../shared/data"))
    return folder if folder.is_dir() else None


def diaries() -> Path | None:
    """Return the folder of real data if it holds the diaries of the time use survey."""
    data = evaluation_data()
    return data if data is not None and (data / DIARIES).is_file() else None


def _event_classifier() -> _Parts:
    events, categories = event_classifier.training_rows()
    estimator: Any = event_classifier.fit(events, categories)
    name = event_classifier.NAME
    converted = convert(estimator, event_classifier.sample(events), name=name)
    return _Parts((converted,), len(events))


def _schedule_optimizer() -> _Parts:
    # A search takes as long as its limit: each request has an instance to itself, and two run.
    serving = ServingConfig(
        max_batch_size=16, dynamic_batching=False, queue_delay_us=0, instances=2
    )
    # The table of the package was learned with real events, which may not be here.
    model = schedule_optimizer(schedules.preferences())
    return _Parts((model,), 0, {model.name: serving})


def _pattern_detector() -> _Parts:
    return _Parts((pattern_detector(),))


def _balance_analyzer() -> _Parts:
    data = _required_diaries()
    balance = balance_analyzer.train(data)
    parts = (
        calendar_features(),
        chained(balance.chain, balance_analyzer.percentile_sample(), name="balance_index"),
    )
    return _Parts(parts, balance.training_rows, _without_waiting(parts))


def _burnout_analyzer() -> _Parts:
    data = _required_diaries()
    burnout = burnout_analyzer.train(data)
    parts = (
        calendar_features(),
        convert(burnout.drivers, burnout_analyzer.sample(), name="burnout_drivers"),
        burnout_index_model(burnout.files),
    )
    return _Parts(parts, burnout.training_rows, _without_waiting(parts))


def _week_insights() -> _Parts:
    return _Parts(())


def _required_diaries() -> Path:
    data = diaries()
    if data is None:
        raise DataNotFound.to_train(FROM_DIARIES, ())
    return data


def _without_waiting(parts: tuple[Converted | PythonModel, ...]) -> dict[str, ServingConfig]:
    """Let the steps of an ensemble answer at once: each would wait anew for others to join."""
    return {part.name: ServingConfig.for_backend(part.backend, queue_delay_us=0) for part in parts}


MODELS: dict[str, Callable[[], _Parts]] = {
    "event_classifier": _event_classifier,
    "schedule_optimizer": _schedule_optimizer,
    "pattern_detector": _pattern_detector,
    "balance_analyzer": _balance_analyzer,
    "burnout_analyzer": _burnout_analyzer,
    "week_insights": _week_insights,
}
FROM_DIARIES = ("balance_analyzer", "burnout_analyzer")

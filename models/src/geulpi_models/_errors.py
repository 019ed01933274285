"""What can go wrong when the calendar models are built.

ModelError            base: something failed (exit code 1)
├── UnknownModel      misuse (exit code 2): no model of that name
├── DataNotFound      misuse (exit code 2): a model is trained on data that is not here
├── StepsMissing      misuse (exit code 2): an ensemble is to be built without its steps
└── InvalidRows       the training or evaluation rows are not what they must be
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = ["DataNotFound", "InvalidRows", "ModelError", "StepsMissing", "UnknownModel"]


class ModelError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class UnknownModel(ModelError):
    """No calendar model has this name."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"No calendar model is called '{name}'. There are: {', '.join(known)}.")


class DataNotFound(ModelError):
    """A model is trained, or is to be judged, on real data that is not here."""

    exit_code = 2

    @classmethod
    def to_train(cls, names: Iterable[str], others: Iterable[str]) -> DataNotFound:
        """Return the error for models that learn from the diaries, and the others' names."""
        return cls(
            f"The diaries that train {' and '.join(names)} are not here: those of the "
            "American Time Use Survey and its Well-Being Module 2013.\n"
            "Remedy: make atus_wellbeing_2013/days_2013.csv from the survey's public files at "
            "www.bls.gov/tus (models/README.md says how) and name its parent folder in "
            "$GEULPI_DATA. Serving needs no data: the built models are in model_repository/. "
            f"Without data can be built: {', '.join(others)}."
        )

    @classmethod
    def to_judge(cls) -> DataNotFound:
        """Return the error where there is nothing to judge models by."""
        return cls(
            "There is no real data here to judge models by.\n"
            "Remedy: name its folder in $GEULPI_DATA; models/README.md says what it holds. The "
            "figures of the built models are in docs/quality.md."
        )


class StepsMissing(ModelError):
    """An ensemble can't be served without its steps."""

    exit_code = 2

    def __init__(self, name: str, steps: Iterable[str], repository: object) -> None:
        super().__init__(
            f"{name} needs {', '.join(steps)}, which are not in {repository}.\n"
            "Remedy: build the models that it puts together as well: geulpi build"
        )


class InvalidRows(ModelError):
    """A file of titles that can't be learned from or judged by."""

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path}: {why}.")

"""What can go wrong when the calendar models are built.

ModelError            base: something failed (exit code 1)
├── UnknownModel      misuse (exit code 2): no model of that name
└── InvalidRows       the training or evaluation rows are not what they must be
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = ["InvalidRows", "ModelError", "UnknownModel"]


class ModelError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class UnknownModel(ModelError):
    """No calendar model has this name."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"No calendar model is called '{name}'. There are: {', '.join(known)}.")


class InvalidRows(ModelError):
    """A file of titles that can't be learned from or judged by."""

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path}: {why}.")

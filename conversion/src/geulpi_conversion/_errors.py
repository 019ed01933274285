"""What can go wrong with a conversion.

ConversionError                 base: something failed (exit code 1)
├── NoFaithfulRoute             no way of serving gives the estimator's own answers
├── RepositoryNotWritable       the model repository can't be written
├── UnreadableFile              a file of an estimator or a sample can't be read
│   (misuse, exit code 2)
├── InvalidName                 not a name for a model
├── NotFitted                   the estimator was never fitted
├── SampleMismatch              the sample is not what the estimator takes, or can't be sent
├── Unservable                  the estimator has no answer for new rows, or none that fits a tensor
├── UnsupportedFile             a kind of file that is not known here
└── UntrustedFile               loading the file could run code, and nobody vouched for it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "ConversionError",
    "InvalidName",
    "NoFaithfulRoute",
    "NotFitted",
    "RepositoryNotWritable",
    "SampleMismatch",
    "UnreadableFile",
    "Unservable",
    "UnsupportedFile",
    "UntrustedFile",
]


class ConversionError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class NoFaithfulRoute(ConversionError):
    """Neither ONNX nor the Python backend gives the answers that the estimator gives."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        listed = "".join(f"\n  {line}" for line in tried)
        super().__init__(
            f"No way of serving '{name}' gives the estimator's own answers on the sample:{listed}\n"
            "Remedy: fix what the last line names; an estimator that answers at random, or that "
            "holds functions or classes from a script or notebook, can't be served: move them "
            "into a module that the server can import."
        )


class RepositoryNotWritable(ConversionError):
    """The model repository, or a file of it, can't be written or understood."""

    def __init__(self, repository: Path, why: str) -> None:
        super().__init__(
            f"The model repository '{repository}' can't be written: {why}.\n"
            "Remedy: name a folder that this user may write, on a disk with room."
        )


class UnreadableFile(ConversionError):
    """A file that is missing, damaged or not what its suffix says."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"'{path}' can't be read: {why}.\nRemedy: check the path, or write the file again."
        )


class InvalidName(ConversionError):
    """A model name that is unsafe as a folder, a cache key or part of a URL."""

    exit_code = 2

    def __init__(self, name: object) -> None:
        super().__init__(
            f"{name!r} can't name a model: expected 1 to 64 of the characters A-Z a-z 0-9 _ -."
        )


class NotFitted(ConversionError):
    """The estimator, or a part of it, was never fitted."""

    exit_code = 2

    def __init__(self, estimator: Any) -> None:
        super().__init__(
            f"This {type(estimator).__name__} is not fitted.\n"
            "Remedy: call its fit method before converting it."
        )


class SampleMismatch(ConversionError):
    """The sample is not what the estimator takes, or can't travel as tensors."""

    exit_code = 2

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"The sample can't be used: {why}.\nRemedy: {remedy}.")


class Unservable(ConversionError):
    """The estimator has no answer for new rows, or none that fits a tensor."""

    exit_code = 2

    def __init__(self, estimator: Any, why: str, remedy: str) -> None:
        super().__init__(
            f"This {type(estimator).__name__} can't be served: {why}.\nRemedy: {remedy}."
        )


class UnsupportedFile(ConversionError):
    """A kind of file that is not known here."""

    exit_code = 2

    def __init__(self, path: Path, expected: str) -> None:
        super().__init__(f"'{path}' has an unknown kind of content: expected {expected}.")


class UntrustedFile(ConversionError):
    """Loading the file could run code that nobody vouched for."""

    exit_code = 2

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"'{path}' is not trusted: {why}.\n"
            "Remedy: if you know where the file comes from, pass --trust."
        )

"""What can go wrong on the way from an estimator to a repository entry.

ConversionError             base: something failed (exit code 1)
├── NotFitted               misuse (exit code 2): the estimator has not seen data
├── InvalidName             misuse: no name for a Triton model
├── SampleMismatch          misuse: the sample is not what the estimator takes
├── Unservable              misuse: the estimator has no answer for new rows
├── UntrustedFile           misuse: loading the file would run its code
├── UnreadableFile          the file can't be read as what its name says
├── ParityFailed            even the Python backend would not answer as the estimator does
└── RepositoryNotWritable   nothing can be published there
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

__all__ = [
    "ConversionError",
    "InvalidName",
    "NotFitted",
    "ParityFailed",
    "RepositoryNotWritable",
    "SampleMismatch",
    "UnreadableFile",
    "Unservable",
    "UntrustedFile",
]


class ConversionError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class NotFitted(ConversionError):
    """The estimator has not been fitted."""

    exit_code = 2

    def __init__(self, estimator: object) -> None:
        super().__init__(
            f"{type(estimator).__name__} is not fitted.\nRemedy: call fit on it before converting."
        )


class InvalidName(ConversionError):
    """A name that can't be a model's folder and address."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} can't be a model's name.\nRemedy: use 1 to 64 ASCII letters, digits, "
            "underscores and hyphens."
        )


class SampleMismatch(ConversionError):
    """The sample is not what the estimator takes."""

    exit_code = 2

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"The sample does not fit: {found}.\nRemedy: {remedy}.")


class Unservable(ConversionError):
    """The estimator has no answers for new rows, or none that a tensor can carry."""

    exit_code = 2

    def __init__(self, estimator: object, why: str, remedy: str) -> None:
        super().__init__(f"{type(estimator).__name__} can't be served: {why}.\nRemedy: {remedy}.")


class UntrustedFile(ConversionError):
    """Loading the file would run code that nobody vouched for."""

    exit_code = 2

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path}: {why}.\nRemedy: if you know where the file comes from, pass --trust; "
            "prefer files saved by skops, whose content can be audited."
        )


class UnreadableFile(ConversionError):
    """A file that is missing, damaged or of a kind that is not read."""

    exit_code = 2

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}.")


class ParityFailed(ConversionError):
    """No way of serving the estimator gives its own answers."""

    def __init__(self, name: str, tried: list[str]) -> None:
        listed = "\n".join(f"  {step}" for step in tried)
        super().__init__(
            f"No way of serving '{name}' gives the estimator's own answers:\n{listed}\n"
            "Remedy: make its predictions deterministic (set random_state), or report this case."
        )


class RepositoryNotWritable(ConversionError):
    """Nothing can be published there."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"The model repository '{path}' can't be written: {error.strerror or error}.\n"
            "Remedy: make the folder writable, or name another one with --repository."
        )

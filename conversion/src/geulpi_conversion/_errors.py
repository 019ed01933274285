"""What can go wrong with a conversion.

ConversionError                 base: something failed (exit code 1)
├── EntryDamaged                an entry of a model repository is not what was published
├── CannotDistill               no small student answers as the estimator does
├── LighterRefused              a smaller or faster form is not the estimator's any more
├── NoFaithfulRoute             no way of serving gives the estimator's own answers
├── NoSample                    an entry holds no rows to verify it by
├── RepositoryNotWritable       the model repository can't be written
├── TargetMismatch              the model can't be served by the container release that was named
├── UnreadableFile              a file of an estimator or a sample can't be read
│   (misuse, exit code 2)
├── EntryNotFound               the model repository has no such model
├── InvalidName                 not a name for a model
├── InvalidServing              a setting of serving that can't be
├── NotFitted                   the estimator was never fitted
├── SampleMismatch              the sample is not what the estimator takes, or can't be sent
├── UnknownTarget               no container release that is known
├── Unservable                  the estimator has no answer for new rows, or none that fits a tensor
├── UnsupportedFile             a kind of file that is not known here
└── UntrustedFile               loading the file could run code, and nobody vouched for it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "CannotDistill",
    "ConversionError",
    "EntryDamaged",
    "EntryNotFound",
    "InvalidName",
    "InvalidServing",
    "LighterRefused",
    "NoFaithfulRoute",
    "NoSample",
    "NotFitted",
    "RepositoryNotWritable",
    "SampleMismatch",
    "TargetMismatch",
    "UnknownTarget",
    "UnreadableFile",
    "Unservable",
    "UnsupportedFile",
    "UntrustedFile",
]


class ConversionError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class CannotDistill(ConversionError):
    """No small student can be trained that answers as the estimator does."""

    def __init__(self, estimator: Any, why: str) -> None:
        super().__init__(
            f"This {type(estimator).__name__} can't be distilled: {why}.\n"
            "Remedy: give a larger sample of ordinary rows, or convert without distilling."
        )


class LighterRefused(ConversionError):
    """What was asked for to make the model smaller or faster can't be done, or costs too much."""

    def __init__(self, name: str, what: str, why: str) -> None:
        super().__init__(
            f"'{name}' can't be {what}: {why}.\nRemedy: convert without it; nothing was published."
        )


class NoFaithfulRoute(ConversionError):
    """Neither ONNX nor the Python backend gives the answers that the estimator gives."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        listed = "".join(f"\n  {line}" for line in tried)
        super().__init__(
            f"No way of serving '{name}' gives the estimator's own answers on the sample:{listed}\n"
            "Remedy: fix what the last line names; an estimator that answers at random can't be "
            "served, unless a random_state makes its answers the same each time."
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


class EntryDamaged(ConversionError):
    """An entry of a model repository is not what was published."""

    def __init__(self, entry: Path, why: str) -> None:
        super().__init__(
            f"The entry '{entry}' is damaged: {why}.\n"
            "Remedy: restore the file, or publish the model again and remove the damaged version."
        )


class NoSample(ConversionError):
    """An entry holds no rows to verify it by."""

    def __init__(self, version: Path) -> None:
        super().__init__(
            f"'{version}' holds no sample.npz to verify it by: it was published with --no-sample, "
            "or by an earlier release.\n"
            "Remedy: convert and publish the model again, without --no-sample."
        )


class TargetMismatch(ConversionError):
    """The model can't be served by the container release that was named."""

    def __init__(self, target: str, why: str, remedy: str) -> None:
        super().__init__(f"Triton {target} can't serve this model: {why}.\nRemedy: {remedy}.")


class EntryNotFound(ConversionError):
    """The model repository has no such model."""

    exit_code = 2

    def __init__(self, repository: Path, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(
            f"There is no model '{name}' in the repository '{repository}'; there: {listed}.\n"
            "Remedy: name one of these, or another folder with --repository."
        )


class InvalidName(ConversionError):
    """A model name that is unsafe as a folder, a cache key or part of a URL."""

    exit_code = 2

    def __init__(self, name: object) -> None:
        super().__init__(
            f"{name!r} can't name a model: expected 1 to 64 of the characters A-Z a-z 0-9 _ -."
        )


class InvalidServing(ConversionError):
    """A setting of serving that can't be."""

    exit_code = 2

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} is {value!r}.\nRemedy: expected {expected}.")
        self.field = field


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


class UnknownTarget(ConversionError):
    """No release of Triton's container that is known here."""

    exit_code = 2

    def __init__(self, target: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{target!r} is no release of Triton's container that is known here.\n"
            f"Remedy: name one as year and month, such as {known[-1]}; known: {', '.join(known)}."
        )


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


def first_line(error: Exception) -> str:
    """Return the first line of an error's words; of one without words, its name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

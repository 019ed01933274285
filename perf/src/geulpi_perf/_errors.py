"""What can go wrong with a measurement.

PerfError              base: something failed (exit code 1)
├── UnusableOption     misuse (exit code 2): an option that can't be measured with
├── UntunableModel     misuse (exit code 2): a model that is not there or can't be tuned
├── ToolMissing        a program that measures is not to be had here
├── OutOfReach         no settings that were tried keep the latency that was asked for
├── AnswersDiffer      settings that were found to be best give other answers
├── ConfigNotWritable  a config that can't be written
├── ConfigChanged      somebody else wrote a config while it was being tuned
└── BenchFailed        the measurement itself failed
    └── Unstable       its windows did not agree, or the rate could not be kept
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

__all__ = [
    "AnswersDiffer",
    "BenchFailed",
    "ConfigChanged",
    "ConfigNotWritable",
    "OutOfReach",
    "PerfError",
    "ToolMissing",
    "Unstable",
    "UntunableModel",
    "UnusableOption",
]


class PerfError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class UnusableOption(PerfError):
    """An option of a measurement that makes no sense."""

    exit_code = 2

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"{option} {value!r} can't be used: expected {expected}.")


class ToolMissing(PerfError):
    """A program that measures is neither here nor could it be set up."""

    def __init__(self, tool: str, why: str, remedy: str) -> None:
        super().__init__(f"{tool} is not to be had here: {why}\nRemedy: {remedy}.")


class BenchFailed(PerfError):
    """A measurement that did not come to an end."""

    def __init__(self, what: str, said: str, remedy: str) -> None:
        super().__init__(f"Measuring {what} failed: {said.strip() or 'no word'}\nRemedy: {remedy}.")


class Unstable(BenchFailed):
    """A measurement whose windows did not agree, or a rate that could not be kept."""

    def __init__(self, what: str, concurrency: int | None, request_rate: float | None) -> None:
        if request_rate is None:
            said = f"at concurrency {concurrency} no three windows agreed within 25 %"
            super().__init__(what, said, "measure for longer (--seconds), on a machine less busy")
        else:
            said = f"{request_rate:g} requests a second were not kept, or their windows disagreed"
            super().__init__(what, said, "ask for a lower rate, or measure for longer (--seconds)")


class UntunableModel(PerfError):
    """A model that is not in the repository, or that can't be tuned."""

    exit_code = 2

    def __init__(self, model: str, why: str, remedy: str) -> None:
        super().__init__(f"Model '{model}' can't be tuned: {why}.\nRemedy: {remedy}.")


class OutOfReach(PerfError):
    """A latency that no settings kept, at any load that was tried."""

    def __init__(self, model: str, wanted_ms: float, lowest_ms: float | None) -> None:
        seen = "nothing was measured" if lowest_ms is None else f"the lowest was {lowest_ms:.2f} ms"
        super().__init__(
            f"No settings of '{model}' keep a p99 of {wanted_ms:g} ms on this machine: {seen}.\n"
            "Remedy: allow more with --p99-ms, make the model smaller, or tune where it is served. "
            "Its config is as it was."
        )


class AnswersDiffer(PerfError):
    """The best settings give other answers than those that the model has."""

    def __init__(self, model: str, output: str) -> None:
        super().__init__(
            f"The best settings of '{model}' give other answers: its output '{output}' differs on "
            "its own sample. They were refused, and its config is as it was.\n"
            "Remedy: leave out what changes answers (--parameter), or let the model answer a row "
            "whatever rows are beside it."
        )


class ConfigNotWritable(PerfError):
    """A config that can't be written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"'{path}' can't be written: {why}.\n"
            "Remedy: make it writable, or look at what would be written with --dry-run."
        )


class ConfigChanged(PerfError):
    """A config that is not what it was when the tuning began."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"'{path}' was changed by somebody else while its model was being tuned; it was left "
            "alone.\nRemedy: tune again."
        )

"""What can go wrong with a measurement.

PerfError              base: something failed (exit code 1)
├── UnusableOption     misuse (exit code 2): an option that can't be measured with
├── ToolMissing        a program that measures is not to be had here
└── BenchFailed        the measurement itself failed
    └── Unstable       its windows did not agree, or the rate could not be kept
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["BenchFailed", "PerfError", "ToolMissing", "Unstable", "UnusableOption"]


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

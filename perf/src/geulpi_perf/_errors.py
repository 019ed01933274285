"""What can go wrong with a measurement.

PerfError              base: something failed (exit code 1)
├── UnusableOption     misuse (exit code 2): an option that can't be measured with
├── ToolMissing        a program that measures is not to be had here
└── BenchFailed        the measurement itself failed
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["BenchFailed", "PerfError", "ToolMissing", "UnusableOption"]


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

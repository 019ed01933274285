"""What can go wrong with an analysis.

AnalysisError                   base: something failed (exit code 1)
├── NotICalendar                what was read is no iCalendar file
├── NoEvents                    the calendar holds no event in the period
├── TooManyEvents               more events than the models take at once
├── ReportNotWritable           the HTML report can't be written
│   (misuse, exit code 2)
├── FileUnreadable              a file or folder is not there, or can't be read
├── InvalidOption               an option that can't be
└── InvalidTasks                a tasks file with something in it that can't be used

What is wrong with single events is no error: such events are left out or mended, and listed as
`Problem`.
"""

from __future__ import annotations

from typing import ClassVar

from geulpi_client._errors import shortened

__all__ = [
    "AnalysisError",
    "FileUnreadable",
    "InvalidOption",
    "InvalidTasks",
    "NoEvents",
    "NotICalendar",
    "ReportNotWritable",
    "TooManyEvents",
]


class AnalysisError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class NotICalendar(AnalysisError):
    """What was read is no iCalendar file: where it is from, and how it begins."""

    def __init__(self, name: str, beginning: str) -> None:
        super().__init__(name, beginning)
        self.name = name

    def __str__(self) -> str:
        """Write the sentence."""
        name, beginning = self.args
        how = f"begins with {shortened(beginning)}" if beginning else "is empty"
        return (
            f"{name} is no iCalendar file: it has no line BEGIN:VCALENDAR and {how}.\n"
            "Remedy: export it as .ics (Google: Settings, Export; Outlook: Save Calendar)."
        )


class NoEvents(AnalysisError):
    """The calendar holds no event in the period: its name and the period, in words."""

    def __init__(self, name: str, period: str) -> None:
        super().__init__(name, period)

    def __str__(self) -> str:
        """Write the sentence."""
        name, period = self.args
        return (
            f"{name} holds no events {period}.\n"
            "Remedy: name other days with --from, --to or --week."
        )


class TooManyEvents(AnalysisError):
    """More events than the models take at once: how many there are, and the limit."""

    def __init__(self, name: str, count: int, limit: int) -> None:
        super().__init__(name, count, limit)

    def __str__(self) -> str:
        """Write the sentence."""
        name, count, limit = self.args
        return (
            f"{name} holds {count} or more events in the period; the models take {limit} at once.\n"
            "Remedy: name fewer days with --from and --to."
        )


class ReportNotWritable(AnalysisError):
    """The HTML report can't be written: the path, and what the system says."""

    def __init__(self, path: str, said: str) -> None:
        super().__init__(path, said)

    def __str__(self) -> str:
        """Write the sentence."""
        path, said = self.args
        return f"--html {path}: the report can't be written: {said}"


class FileUnreadable(AnalysisError):
    """A file or folder that can't be read: its name, and why."""

    exit_code = 2

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)

    def __str__(self) -> str:
        """Write the sentence."""
        name, why = self.args
        return f"{name} can't be read: {why}"


class InvalidOption(AnalysisError):
    """An option that can't be: its name, its value, what is expected."""

    exit_code = 2

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(option, value, expected)

    def __str__(self) -> str:
        """Write the sentence."""
        option, value, expected = self.args
        return f"{option} is {shortened(value)}; expected {expected}."


class InvalidTasks(AnalysisError):
    """A tasks file with something that can't be used: the field, its value, what is expected."""

    exit_code = 2

    def __init__(self, name: str, field: str, value: object, expected: str) -> None:
        super().__init__(name, field, value, expected)
        self.field = field

    def __str__(self) -> str:
        """Write the sentence."""
        name, field, value, expected = self.args
        what = f"{field} is {shortened(value)}" if field else value
        return f"{name}: {what}; expected {expected}."

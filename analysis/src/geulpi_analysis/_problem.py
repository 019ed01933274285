"""What was wrong in a calendar file, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something in a file that is not as it should be.

    Attributes:
        file: the file's name, or `stdin`.
        line: the line where its event, or itself, begins, from 1; `None` for the whole file.
        event: the title or the UID of the event, where there is one.
        what: what is wrong, and what was done: left out, or read how.
    """

    file: str
    line: int | None
    event: str
    what: str

    def __str__(self) -> str:
        """Write it as a compiler would: file, line, event, what."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.event}: {self.what}" if self.event else f"{where}: {self.what}"

"""What became of a case."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from breadth._baseline import Plain
from breadth._judge import Question


class Status(StrEnum):
    """How a case ended."""

    ONNX = "ONNX"
    MENDED = "ONNX with a fix"
    PYTHON = "Python backend"
    UNSERVABLE = "not servable"
    REFUSED = "REFUSED"
    WRONG = "WRONG"
    CRASH = "CRASH"

    @property
    def bad(self) -> bool:
        """Whether it must not be."""
        return self in {Status.REFUSED, Status.WRONG, Status.CRASH}

    @property
    def onnx(self) -> bool:
        """Whether ONNX serves it."""
        return self in {Status.ONNX, Status.MENDED}


@dataclass(frozen=True)
class Prepared:
    """A case that was fitted and converted.

    Attributes:
        model: its name in the repository; "" where nothing was published.
        status: how it ended, if the answers are right.
        reason: why it is not ONNX, or not served.
        plain: what plain skl2onnx reaches; None where that was not tried.
        fixes: what the ONNX graph does otherwise than skl2onnx would.
        seconds: what `convert` took.
        questions: what is to be asked, with the answers.
    """

    model: str
    status: Status
    reason: str = ""
    plain: Plain | None = None
    fixes: tuple[str, ...] = ()
    seconds: float = 0.0
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How a case ended, for the table and the JSON file; `requests` and `rows` were compared."""

    kind: str
    subject: str
    title: str
    status: Status
    reason: str
    plain: Plain
    fixes: tuple[str, ...]
    seconds: float
    requests: int
    rows: int

    @property
    def name(self) -> str:
        """The subject with what is special."""
        return f"{self.subject} ({self.title})" if self.title else self.subject

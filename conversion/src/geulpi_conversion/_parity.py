"""Whether two ways of computing the same outputs agree, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["OutputParity", "Parity", "compare"]

ABSOLUTE = 1e-5  # times max(1, the largest reference value)
RELATIVE = 1e-4
# Float32 can send a single row across a threshold of a tree; a wrong converter errs more often.
ROWS_ALLOWED_OVER = 0.001


@dataclass(frozen=True)
class OutputParity:
    """How one output compares.

    Attributes:
        max_abs, max_rel: the largest differences over all elements (labels: 0 or 1).
        rows_over: rows with a difference over the tolerance.
        worst_row: the row with the largest difference.
        ok: whether this output counts as equal.
    """

    name: str
    max_abs: float
    max_rel: float
    rows_over: int
    worst_row: int
    ok: bool


@dataclass(frozen=True)
class Parity:
    """How the served model's outputs compare with the estimator's own."""

    rows: int
    outputs: tuple[OutputParity, ...]

    @property
    def ok(self) -> bool:
        """Whether every output counts as equal: labels on all rows, floats on 99.9 %."""
        return all(output.ok for output in self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """Return what `parity.json` holds."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "tolerance": {
                "absolute": ABSOLUTE,
                "relative": RELATIVE,
                "rows_allowed_over": ROWS_ALLOWED_OVER,
            },
            "outputs": [asdict(output) for output in self.outputs],
        }

    def __str__(self) -> str:
        """Say in one line where the outputs differ."""
        return (
            "; ".join(
                f"{output.name} differs on {output.rows_over} of {self.rows} rows (by at most "
                f"{output.max_abs:.2g}, row {output.worst_row})"
                for output in self.outputs
                if not output.ok
            )
            or f"equal on {self.rows} rows"
        )


def compare(
    reference: Mapping[str, np.ndarray[Any, Any]], found: Mapping[str, np.ndarray[Any, Any]]
) -> Parity:
    """Compare outputs by name, `[rows, width]` each.

    Labels must agree on every row. Floats may differ by 1e-5·max(1, max|ref|) + 1e-4·|ref|, on
    all but 0.1 % of the rows; NaN equals NaN.
    """
    rows = len(next(iter(reference.values())))
    return Parity(
        rows, tuple(_compare_one(name, reference[name], found.get(name)) for name in reference)
    )


def _compare_one(
    name: str, reference: np.ndarray[Any, Any], found: np.ndarray[Any, Any] | None
) -> OutputParity:
    if found is None or found.shape != reference.shape:
        return OutputParity(name, np.inf, np.inf, len(reference), 0, ok=False)
    if reference.dtype.kind != "f":
        wrong = (reference != found).any(axis=1)
        worst = int(np.argmax(wrong))
        over = int(wrong.sum())
        return OutputParity(name, float(over > 0), float(over > 0), over, worst, ok=over == 0)
    ref, got = reference.astype(np.float64), found.astype(np.float64)
    same = (ref == got) | (np.isnan(ref) & np.isnan(got))  # infinities too
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(ref - got))
    difference = np.where(np.isnan(difference), np.inf, difference)
    size = np.where(np.isfinite(ref), np.abs(ref), 0.0)
    allowed = ABSOLUTE * max(1.0, float(size.max(initial=0.0))) + RELATIVE * size
    over = int((difference > allowed).any(axis=1).sum())
    return OutputParity(
        name,
        max_abs=float(difference.max(initial=0.0)),
        max_rel=float((difference / np.maximum(size, ABSOLUTE)).max(initial=0.0)),
        rows_over=over,
        worst_row=int(np.argmax(difference.max(axis=1, initial=0.0))),
        ok=over <= ROWS_ALLOWED_OVER * len(ref),
    )

"""Compares what would be served with what the estimator answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from geulpi_conversion._converted import OutputParity, Parity

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]

SINGLE_ROWS = 5
ABSOLUTE = 1e-5  # of the output's largest value, or of 1
RELATIVE = 1e-4  # of the element's own value
# float32 rounding moves single rows across a tree's thresholds.
ROWS_ALLOWED = 1e-3


def prove(reference: Tensors, tensors: Tensors, candidate: Callable[[Tensors], Tensors]) -> Parity:
    """Run the candidate on all rows as one batch and on the first few one by one; compare.

    Args:
        reference: the estimator's own answers, `[N, width]` by output.
        tensors: the sample as a request would bring it.
        candidate: what would be served.

    Raises:
        Exception: whatever the candidate raises.
    """
    rows = len(next(iter(reference.values())))
    singles = min(rows, SINGLE_ROWS)
    asked = [*range(rows), *range(singles)]
    batches = [tensors, *({n: t[i : i + 1] for n, t in tensors.items()} for i in range(singles))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the estimator's own, once for each answer
        answers = [candidate(batch) for batch in batches]
    return Parity(
        rows=rows,
        single_rows=singles,
        outputs=tuple(
            compare(name, values[asked], [batch[name] for batch in answers], rows=rows)
            for name, values in reference.items()
        ),
    )


def compare(name: str, reference: Array, batches: list[Array], *, rows: int) -> OutputParity:
    """Compare one output, row by row.

    Args:
        name: of the output.
        reference: `[M, width]`, the estimator's answers.
        batches: the served answers, M rows together.
        rows: rows of the sample; row i of the M is row `i % rows` of it.
    """
    labels = reference.dtype.kind in "iO"
    allowed = 0 if labels else int(rows * ROWS_ALLOWED)
    widths = {batch.shape[1:] for batch in batches}
    found = np.concatenate(batches) if len(widths) == 1 else np.empty(0)
    if found.shape != reference.shape:
        return OutputParity(name, rows, rows, allowed, np.inf, np.inf, 0)
    if labels:
        difference = (found != reference).astype(np.float64)
        over, relative = difference > 0, difference
    else:
        reference, found = reference.astype(np.float64), found.astype(np.float64)
        difference, relative = _differences(reference, found)
        finite = np.abs(reference[np.isfinite(reference)])
        largest = max(1.0, finite.max()) if finite.size else 1.0
        limit = ABSOLUTE * largest + RELATIVE * np.nan_to_num(np.abs(reference), posinf=0)
        over = difference > limit
    worst_of_row = difference.max(axis=1, initial=0)
    differs = bool(worst_of_row.max(initial=0) > 0)
    return OutputParity(
        name=name,
        rows=rows,
        rows_over=len(np.unique(np.flatnonzero(over.any(axis=1)) % rows)),
        rows_allowed=allowed,
        max_abs=float(difference.max(initial=0)),
        max_rel=float(relative.max(initial=0)),
        worst_row=int(worst_of_row.argmax()) % rows if differs else None,
    )


def _differences(reference: Array, found: Array) -> tuple[Array, Array]:
    same = (reference == found) | (np.isnan(reference) & np.isnan(found))
    with np.errstate(all="ignore"):  # inf − inf and x / 0 are settled below
        difference = np.abs(found - reference)
        relative = difference / np.abs(reference)
    # NaN here means that only one of both is NaN: as different as can be.
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    relative = np.where(reference == 0, 0.0, np.where(np.isnan(relative), np.inf, relative))
    return difference, np.where(same, 0.0, relative)

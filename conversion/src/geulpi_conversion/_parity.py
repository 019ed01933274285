"""Compares what would be served with what the estimator answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geulpi_conversion._converted import OutputParity, Parity, RefusalParity, Tolerance
from geulpi_conversion._reference import Case, Questions

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Answered = Tensors | str


EXACT = Tolerance()


def prove(
    questions: Questions, answers: Sequence[Answered], tolerance: Tolerance = EXACT
) -> Parity:
    """Compare the answers to all batches of the questions.

    Args:
        questions: what was asked, and what the estimator says.
        answers: one for each of `questions.batches`, in their order.
        tolerance: how far floats may differ.

    Raises:
        AnsweredWrong: a batch that the estimator answers was refused.
    """
    remaining = iter(answers)
    outputs: list[OutputParity] = []
    for case in questions.cases:
        found = [next(remaining) for _ in case.batches]
        refused = next((a for a in found if isinstance(a, str)), None)
        if refused is not None:
            raise NotAnswered(case.group, refused)
        outputs += compare_case(case, [a for a in found if not isinstance(a, str)], tolerance)
    counted: dict[str, list[bool]] = {}
    for group, _ in questions.refused:
        counted.setdefault(group, []).append(not isinstance(next(remaining), str))
    return Parity(
        rows=questions.cases[0].rows,
        single_rows=sum(case.rows for case in questions.cases if case.one_by_one),
        outputs=tuple(outputs),
        refusals=tuple(
            RefusalParity(group, len(answered), sum(answered))
            for group, answered in counted.items()
        ),
        tolerance=tolerance,
    )


class NotAnswered(ValueError):
    """Rows were refused that the estimator answers."""

    def __init__(self, group: str, why: str) -> None:
        super().__init__(f"it refuses rows of the group '{group}' ({why.splitlines()[0]})")


def compare_case(
    case: Case, answers: Sequence[Tensors], tolerance: Tolerance = EXACT
) -> list[OutputParity]:
    """Compare all outputs of a case; labels may be any of those that tie exactly."""
    ties = _tied(case.expected, case.classes)
    return [
        compare(
            name,
            values,
            [answer[name] for answer in answers],
            group=case.group,
            tolerance=tolerance,
            ties=ties if name == "label" else None,
        )
        for name, values in case.expected.items()
    ]


def compare(
    name: str,
    reference: Array,
    batches: Sequence[Array],
    *,
    group: str = "sample",
    tolerance: Tolerance = EXACT,
    ties: Mapping[int, frozenset[Any]] | None = None,
) -> OutputParity:
    """Compare one output, row by row.

    Args:
        name: of the output.
        reference: `[N, width]`, the estimator's answers.
        batches: the served answers, N rows together.
        group: what the rows are.
        tolerance: how far they may differ.
        ties: by row, the labels that the estimator's own scores put level.
    """
    rows = len(reference)
    texts = reference.dtype.kind == "O"
    labels = texts or reference.dtype.kind in "iu"
    allowed = int(rows * (tolerance.labels if labels else tolerance.rows))
    widths = {batch.shape[1:] for batch in batches}
    found = np.concatenate(batches) if len(widths) == 1 else np.empty(0)
    if found.shape != reference.shape or texts != (found.dtype.kind == "O"):
        return OutputParity(name, rows, rows, allowed, np.inf, np.inf, 0, group)
    forgiven = 0
    if labels:
        difference = (found != reference).astype(np.float64)
        for row in np.flatnonzero(difference.any(axis=1)):
            if ties is not None and found[row, 0] in ties.get(int(row), ()):
                difference[row], forgiven = 0.0, forgiven + 1
        over, relative = difference > 0, difference
    else:
        with np.errstate(over="ignore"):  # what no FP32 tensor holds is infinite in one
            reference = reference.astype(np.float32).astype(np.float64)
        found = found.astype(np.float64)
        difference, relative = _differences(reference, found)
        finite = np.abs(reference[np.isfinite(reference)])
        largest = max(1.0, finite.max()) if finite.size else 1.0
        own = np.nan_to_num(np.abs(reference), posinf=0)
        over = difference > tolerance.absolute * largest + tolerance.relative * own
    worst_of_row = difference.max(axis=1, initial=0)
    differs = bool(worst_of_row.max(initial=0) > 0)
    return OutputParity(
        name=name,
        rows=rows,
        rows_over=int(over.any(axis=1).sum()),
        rows_allowed=allowed,
        max_abs=float(difference.max(initial=0)),
        max_rel=float(relative.max(initial=0)),
        worst_row=int(worst_of_row.argmax()) if differs else None,
        group=group,
        ties=forgiven,
    )


def _tied(expected: Tensors, classes: Sequence[Any]) -> dict[int, frozenset[Any]]:
    """Return the rows whose best scores are exactly equal, and the labels of these."""
    scores = expected.get("probabilities", expected.get("decision"))
    if scores is None or not classes or "label" not in expected:
        return {}
    if scores.shape[1] == 1 and len(classes) == 2:
        scores = np.concatenate([-scores, scores], axis=1)
    if scores.shape[1] != len(classes):
        return {}
    best = scores == scores.max(axis=1, keepdims=True)
    level = np.flatnonzero(best.sum(axis=1) > 1)
    return {int(row): frozenset(np.array(classes, object)[best[row]]) for row in level}


def _differences(reference: Array, found: Array) -> tuple[Array, Array]:
    same = (reference == found) | (np.isnan(reference) & np.isnan(found))
    with np.errstate(all="ignore"):  # inf − inf and x / 0 are settled below
        difference = np.abs(found - reference)
        relative = difference / np.abs(reference)
    # NaN here means that only one of both is NaN: as different as can be.
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    relative = np.where(reference == 0, 0.0, np.where(np.isnan(relative), np.inf, relative))
    return difference, np.where(same, 0.0, relative)

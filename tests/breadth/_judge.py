"""Whether what was served is what the estimator says: a comparator of this suite's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from breadth._cases import Data
from breadth._rows import Array, answers_of, as_tensors, carried, count, special_rows, taken
from geulpi_conversion import Converted

METHODS = {
    "label": "predict",
    "prediction": "predict",
    "features": "transform",
    "probabilities": "predict_proba",
    "decision": "decision_function",
    "score": "decision_function",
    "log_density": "score_samples",
    "distances": "kneighbors",
    "indices": "kneighbors",
}
MOST_REFUSED = 3  # rows of a group: one reason is much like the other
SHARE_OVER = 1e-3  # of the rows of a group, on which floats may differ


@dataclass(frozen=True)
class Question:
    """A request, and the estimator's answer to it.

    Attributes:
        group: what the rows are.
        tensors: the request.
        expected: by output, `[N, k]`; None where the estimator refuses the rows.
        tied: by row, the labels that the estimator's scores put exactly level.
    """

    group: str
    tensors: dict[str, Array]
    expected: dict[str, Array] | None
    tied: dict[int, list[Any]]


def questions(estimator: Any, data: Data, converted: Converted) -> Iterator[Question]:
    """Yield the sample, fresh rows, single ones, and odd ones, each with the estimator's word."""
    single = any(spec.datatype == "FP32" for spec in converted.inputs)
    ordinary = {"sample": data.rows, "fresh": data.fresh}
    ordinary |= {f"row {place} alone": taken(data.fresh, [place]) for place in range(3)}
    odd = {group: carried(rows, single) for group, rows in special_rows(data).items()}
    for group, rows in (ordinary | odd).items():
        yield from _asked(estimator, group, rows, converted)


def _asked(estimator: Any, group: str, rows: Any, converted: Converted) -> Iterator[Question]:
    outputs = [spec.name for spec in converted.outputs]
    expected = answers(estimator, rows, outputs)
    if expected is not None:
        tied = ties(estimator, rows, expected)
        yield Question(group, as_tensors(rows, converted), expected, tied)
        return
    alone = [taken(rows, [place]) for place in range(count(rows))]
    heard = [answers(estimator, row, outputs) for row in alone]
    accepted = [place for place, answer in enumerate(heard) if answer is not None]
    if accepted:
        yield from _asked(estimator, group, taken(rows, accepted), converted)
    refused = [place for place, answer in enumerate(heard) if answer is None]
    for place in refused[:MOST_REFUSED]:
        yield Question(group, as_tensors(alone[place], converted), None, {})


def answers(estimator: Any, rows: Any, outputs: Sequence[str]) -> dict[str, Array] | None:
    """Return what the estimator says; None where it refuses."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return answers_of(estimator, rows, outputs, METHODS)
    except Exception:  # noqa: BLE001 -- estimators refuse rows in many ways
        return None


def ties(estimator: Any, rows: Any, expected: dict[str, Array]) -> dict[int, list[Any]]:
    """Return the rows whose best scores are exactly equal, and their labels."""
    classes = getattr(estimator, "classes_", None)
    scores = expected.get("probabilities", expected.get("decision"))
    if scores is None or classes is None or isinstance(classes, list) or "label" not in expected:
        return {}
    if scores.shape[1] == 1:
        scores = np.concatenate([-scores, scores], axis=1)
    if len(classes) != scores.shape[1] or expected["label"].shape[1] != 1:
        return {}
    best = scores == scores.max(axis=1, keepdims=True)
    return {
        int(row): np.asarray(classes)[best[row]].tolist()
        for row in np.flatnonzero(best.sum(axis=1) > 1)
    }


def lacking(estimator: Any, converted: Converted) -> str:
    """Return the output that the model should have and has not; "" where none lacks."""
    outputs = {spec.name: spec for spec in converted.outputs}
    if "label" not in outputs or outputs["label"].width > 1:
        return ""
    kind = getattr(estimator, "_estimator_type", None) or _kind(estimator)
    if kind == "outlier_detector":
        return "" if "score" in outputs else "score"
    if kind == "classifier":
        for name in ("probabilities", "decision"):
            if hasattr(estimator, METHODS[name]):
                return "" if name in outputs else name
    return ""


def _kind(estimator: Any) -> str | None:
    try:
        return estimator.__sklearn_tags__().estimator_type
    except AttributeError:
        return None


def difference(question: Question, found: dict[str, Array] | str) -> str:
    """Return what is wrong with an answer; "" where nothing is.

    Args:
        question: what was asked.
        found: the answer by output, or the words with which the request was refused.
    """
    where = f"{question.group}: "
    if isinstance(found, str):
        return "" if question.expected is None else f"{where}refused ({found[:150]})"
    if question.expected is None:
        return f"{where}answered, where the estimator refuses"
    for name, reference in question.expected.items():
        if name not in found:
            return f"{where}no {name}"
        why = _differs(name, reference, found[name], question.tied)
        if why:
            return f"{where}{name} {why}"
    return ""


def _differs(name: str, reference: Array, found: Array, tied: dict[int, list[Any]]) -> str:
    if reference.shape != found.shape:
        return f"has the shape {found.shape}, not {reference.shape}"
    if name == "label" or reference.dtype.kind in "OUS":
        return _labels_differ(reference, found, tied if name == "label" else {})
    # What is beyond float32 is infinite on the wire.
    with np.errstate(over="ignore"):
        reference, found = reference.astype(np.float32), found.astype(np.float32)
    reference, found = reference.astype(np.float64), found.astype(np.float64)
    finite = np.abs(reference[np.isfinite(reference)])
    allowed = 1e-5 * max(1.0, finite.max(initial=0)) + 1e-4 * np.nan_to_num(np.abs(reference))
    with np.errstate(invalid="ignore"):
        near = (reference == found) | (np.abs(found - reference) <= allowed)
    bad = ~(near | (np.isnan(reference) & np.isnan(found))).all(axis=1)
    if bad.sum() <= SHARE_OVER * len(bad):
        return ""
    row = int(np.argmax(bad))
    told = _told(found[row], reference[row])
    return f"differs on {bad.sum()} of {len(bad)} rows (row {row}: {told})"


def _labels_differ(reference: Array, found: Array, tied: dict[int, list[Any]]) -> str:
    text = reference.dtype.kind in "OUS"
    wanted = reference.astype(str if text else np.int64)
    given = found.astype(str if text else np.int64)
    wrong = [
        row
        for row in np.flatnonzero((wanted != given).any(axis=1))
        if found[row, 0] not in tied.get(int(row), ())
    ]
    if not wrong:
        return ""
    told = _told(found[wrong[0]], reference[wrong[0]])
    return f"differs on {len(wrong)} of {len(wanted)} rows (row {wrong[0]}: {told})"


def _told(found: Array, reference: Array) -> str:
    place = 0
    if reference.dtype.kind == "f":
        place = int(np.argmax(np.nan_to_num(np.abs(found - reference), nan=np.inf)))
    return f"{found[place]!s} for {reference[place]!s}"

"""Asks the estimator itself: about the sample, single rows of it, and rows that provoke."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geulpi_conversion._answers import Answers
from geulpi_conversion._backend.geulpi_served import answer
from geulpi_conversion._converted import TensorSpec
from geulpi_conversion._onnx._model import Refusals
from geulpi_conversion._probes import make_grid_probe, make_probes
from geulpi_conversion._sample import Sample, as_tensors

Tensors = dict[str, np.ndarray[Any, Any]]

MOST_REFUSED = 6  # of a group: one reason is much like the other
COLUMNS_TRIED = 32  # for NaN and infinity, where not all columns are alike


@dataclass(frozen=True)
class Case:
    """Rows, and what the estimator answers to them.

    Attributes:
        group: what the rows are.
        batches: the rows as they are asked: together, or one by one.
        expected: the estimator's answers `[N, width]`, in its own precision.
        classes: the labels in the order of the scores, where a row has one label.
    """

    group: str
    batches: tuple[Tensors, ...]
    expected: Tensors
    classes: Sequence[Any] = ()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.expected.values())))

    @property
    def one_by_one(self) -> bool:
        """Whether each row is a request of its own."""
        return len(self.batches) > 1


@dataclass(frozen=True)
class Questions:
    """Everything that a candidate is asked.

    Attributes:
        cases: rows that the estimator answers; the sample is first.
        refused: single rows that the estimator refuses, with their group.
    """

    cases: tuple[Case, ...]
    refused: tuple[tuple[str, Tensors], ...] = field(default=())

    @property
    def batches(self) -> list[Tensors]:
        """All batches in order: those of the cases, then the refused rows."""
        return [b for case in self.cases for b in case.batches] + [t for _, t in self.refused]


class Oracle:
    """A fitted estimator that is asked by tensors, as a server would be."""

    def __init__(self, estimator: Any, sample: Sample, answers: Answers) -> None:
        """Ask `estimator`, which gave `answers` to `sample`."""
        self._estimator = estimator
        self._sample = sample
        self._answers = answers
        self._outputs = [spec.name for spec in answers.outputs]

    def answer(self, tensors: Tensors) -> Tensors | None:
        """Return what the estimator says to rows; None where it refuses one of them."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                native = self._sample.layout.to_native(tensors)
                return answer(self._estimator, native, self._outputs)
        except Exception:  # noqa: BLE001 -- estimators refuse rows in many ways
            return None

    def questions(self, inputs: tuple[TensorSpec, ...]) -> Questions:
        """Return the sample and the rows that provoke differences, with the answers.

        The sample is asked as it was given, in its own precision; single rows of it too. The other
        rows are asked as the tensors carry them.
        """
        tensors = self._sample.tensors(inputs)
        classes = self._classes()
        cases = [Case("sample", (tensors,), self._answers.reference, classes)]
        rows = len(next(iter(self._answers.singles.values())))
        if rows > 1:
            singles = tuple(_rows(tensors, [row]) for row in range(rows))
            cases.append(Case("single rows", singles, self._answers.singles, classes))
        cases += self._rounded(inputs, classes)
        refused: list[tuple[str, Tensors]] = []
        for probe in make_probes(self._estimator, self._sample, inputs):
            made = as_tensors(probe.tensors, inputs)
            accepted, rejected = self._sorted(made)
            some = _rows(made, accepted)
            expected = self.answer(some) if accepted else None
            if expected is not None:
                cases.append(Case(probe.group, (some,), expected, classes))
            refused += [(probe.group, _rows(made, [row])) for row in rejected[:MOST_REFUSED]]
        return Questions(tuple(cases), tuple(refused))

    def _rounded(self, inputs: tuple[TensorSpec, ...], classes: Sequence[Any]) -> list[Case]:
        """Return rows of float64 at thresholds, which FP32 tensors may round to another side."""
        wide = self._sample.inputs("FP64")
        if wide == inputs or not self._sample.has_float64:
            return []
        probe = make_grid_probe(self._estimator, self._sample, wide)
        if probe is None:
            return []
        made = as_tensors(probe.tensors, wide)
        accepted, _ = self._sorted(made)
        expected = self.answer(_rows(made, accepted)) if accepted else None
        if expected is None:
            return []
        asked = _rows(as_tensors(probe.tensors, inputs), accepted)
        return [Case(probe.group, (asked,), expected, classes)]

    def refusals(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Refusals]:
        """Return for each input of floats the columns in which NaN or infinity are refused."""
        row = _rows(self._sample.tensors(inputs), [0])
        return {
            spec.name: Refusals(
                nan=self._refused_columns(row, spec, np.nan),
                infinite=self._refused_columns(row, spec, np.inf),
            )
            for spec in inputs
            if spec.datatype in {"FP32", "FP64"}
        }

    def _refused_columns(self, row: Tensors, spec: TensorSpec, bad: float) -> tuple[int, ...]:
        def refused(columns: Sequence[int]) -> bool:
            tensors = _rows(row, [0] * len(columns))
            tensors[spec.name][np.arange(len(columns)), columns] = bad
            return self.answer(tensors) is None

        every = range(spec.width)
        if not refused(every):
            return ()
        narrow = spec.width <= COLUMNS_TRIED
        tried = every if narrow else [0, spec.width // 2, spec.width - 1]
        found = [column for column in tried if refused([column])]
        if len(found) == len(tried):
            return tuple(every)
        return tuple(found if narrow else [column for column in every if refused([column])])

    def _sorted(self, tensors: Tensors) -> tuple[list[int], list[int]]:
        """Return the rows that the estimator answers and those that it refuses."""
        every = list(range(len(next(iter(tensors.values())))))
        if self.answer(tensors) is not None:
            return every, []
        accepted = [row for row in every if self.answer(_rows(tensors, [row])) is not None]
        return accepted, sorted(set(every) - set(accepted))

    def _classes(self) -> list[Any]:
        """Return the labels in the order of the scores; none where a row has several."""
        classes = getattr(self._estimator, "classes_", None)
        labels = self._answers.reference.get("label")
        if classes is None or isinstance(classes, list) or labels is None or labels.shape[1] != 1:
            return []
        array = np.asarray(classes)
        found: list[Any] = (array.astype(np.int64) if array.dtype.kind in "bf" else array).tolist()
        return found


def _rows(tensors: Tensors, rows: Sequence[int]) -> Tensors:
    return {name: values[list(rows)] for name, values in tensors.items()}

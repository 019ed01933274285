"""What a conversion hands over: a model ready to publish, and the proof that it is right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np  # takes a moment to import: not for `geulpi --help`

__all__ = [
    "Change",
    "Converted",
    "OutputParity",
    "Parity",
    "RefusalParity",
    "Step",
    "TensorSpec",
    "Tolerance",
]

# Rows that are the user's own.
OWN_GROUPS = frozenset({"sample", "single rows"})

Backend = Literal["onnxruntime", "python"]
Datatype = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the served model: `[N, width]` of a KServe v2 datatype."""

    name: str
    datatype: Datatype
    width: int


@dataclass(frozen=True)
class Tolerance:
    """How far a served float may be from the estimator's.

    Attributes:
        absolute: as a share of the output's largest value, or of 1.
        relative: as a share of the element's own value.
        rows: the share of rows on which it may be more; float32 rounding moves single rows across
            a tree's thresholds.
        labels: the share of rows on which a label may be another.
    """

    absolute: float = 1e-5
    relative: float = 1e-4
    rows: float = 1e-3
    labels: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """Return what JSON can hold."""
        return dict(vars(self))


@dataclass(frozen=True)
class OutputParity:
    """How one output of the served model compares with the estimator's own answer.

    Attributes:
        name: of the output.
        rows: rows compared.
        rows_over: rows with an element that differs by more than is allowed.
        rows_allowed: so many rows may; 0 for labels.
        max_abs: the largest difference; for labels 1.0 where any differs.
        max_rel: the largest difference as a share of the estimator's value.
        worst_row: row of the group with the largest difference; None where nothing differs.
        group: what the rows are: the sample, single rows of it, or rows made to provoke.
        ties: rows whose label is another one of those that the estimator's scores put level.
    """

    name: str
    rows: int
    rows_over: int
    rows_allowed: int
    max_abs: float
    max_rel: float
    worst_row: int | None
    group: str = "sample"
    ties: int = 0

    @property
    def ok(self) -> bool:
        """Whether the output may be served."""
        return self.rows_over <= self.rows_allowed

    def __str__(self) -> str:
        where = "" if self.worst_row is None else f" (worst: row {self.worst_row})"
        verb = "differ" if self.name.endswith("s") else "differs"
        group = "" if self.group == "sample" else f" of the group '{self.group}'"
        return f"{self.name} {verb} on {self.rows_over} of {self.rows} rows{group}{where}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: a difference that is no finite number becomes null."""
        return {
            "output": self.name,
            "group": self.group,
            "ok": self.ok,
            "rows": self.rows,
            "rows_over": self.rows_over,
            "rows_allowed": self.rows_allowed,
            "max_abs": self.max_abs if math.isfinite(self.max_abs) else None,
            "max_rel": self.max_rel if math.isfinite(self.max_rel) else None,
            "worst_row": self.worst_row,
            "ties": self.ties,
        }


@dataclass(frozen=True)
class RefusalParity:
    """Rows that the estimator refuses, and how many of them were answered all the same."""

    group: str
    rows: int
    answered: int

    @property
    def ok(self) -> bool:
        """Whether none was answered."""
        return self.answered == 0

    def __str__(self) -> str:
        return (
            f"{self.answered} of {self.rows} rows of the group '{self.group}' are answered that "
            "the estimator refuses"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"group": self.group, "ok": self.ok, "rows": self.rows, "answered": self.answered}


@dataclass(frozen=True)
class Parity:
    """The estimator's own answers against those of the model as it would be served.

    Attributes:
        rows: rows of the sample, all answered in one batch.
        single_rows: so many of them were answered one by one as well.
        outputs: one comparison for each output and group of rows; the sample's are first.
        refusals: for each group, the rows that the estimator refuses.
        tolerance: how far the answers may differ.
    """

    rows: int
    single_rows: int
    outputs: tuple[OutputParity, ...]
    refusals: tuple[RefusalParity, ...] = ()
    tolerance: Tolerance = Tolerance()

    @property
    def ok(self) -> bool:
        """Whether every output may be served."""
        return not self._bad

    @property
    def _bad(self) -> list[OutputParity | RefusalParity]:
        every: list[OutputParity | RefusalParity] = [*self.outputs, *self.refusals]
        return [one for one in every if not one.ok]

    def __str__(self) -> str:
        if self.ok:
            probes = {o.group: o.rows for o in self.outputs if o.group not in OWN_GROUPS}
            refused = sum(refusal.rows for refusal in self.refusals)
            told = f"equal on {self.rows} rows"
            return told + (
                f" and {sum(probes.values()) + refused} made to provoke" if probes else ""
            )
        return ", ".join(str(one) for one in self._bad)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "single_rows": self.single_rows,
            "tolerance": self.tolerance.to_dict(),
            "outputs": [output.to_dict() for output in self.outputs],
            "refusals": [refusal.to_dict() for refusal in self.refusals],
        }


@dataclass(frozen=True)
class Step:
    """A way of serving that was tried, and why it was left; "" for the one that was taken."""

    route: str
    why: str


@dataclass(frozen=True)
class Change:
    """What making a model smaller or faster on request has changed.

    Attributes:
        what: was done.
        bytes_before: of the artefact.
        bytes_after: of the artefact.
        rows_per_s_before: answered in batches by one thread, without a server around it.
        rows_per_s_after: the same, measured in turns with it.
        max_abs: the largest difference of a float from the estimator's own answer to the sample.
        fidelity: the share of held-out rows with the teacher's label, or the share of the variance
            of its predictions that is explained; None where there is no student.
    """

    what: str
    bytes_before: int
    bytes_after: int
    rows_per_s_before: float
    rows_per_s_after: float
    max_abs: float
    fidelity: float | None = None


@dataclass(frozen=True)
class Converted:
    """A model whose answers were proven equal to the estimator's, ready for `publish`.

    Attributes:
        name: name of the model in Triton.
        backend: the Triton backend that serves it.
        reason: why not ONNX: the routes tried and what was wrong with each; "" for ONNX.
        steps: the ways of serving that were tried, in order; the last one was taken.
        fixes: what the ONNX graph does other than skl2onnx would, in words.
        changes: what was done to make it smaller or faster, each measured.
        parity: what was compared, and the largest differences.
        inputs: the tensors that a request brings.
        outputs: the tensors of the answer.
        artefact: name of the file in `files` whose digest is pinned.
        files: the files of the version's folder, by name.
        rows: some rows of the sample as tensors, by input, `[N, width]`; BYTES as `bytes`.
        expected: the estimator's own answers to them, by output; BYTES as `str`.
        parameters: what config.pbtxt tells about the model beside its tensors.
        trusted: types that the artefact may hold beside those that skops knows to be safe.
    """

    name: str
    backend: Backend
    reason: str
    parity: Parity
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    artefact: str
    files: Mapping[str, bytes]
    rows: Mapping[str, np.ndarray[Any, Any]]
    expected: Mapping[str, np.ndarray[Any, Any]]
    parameters: Mapping[str, str]
    trusted: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    fixes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

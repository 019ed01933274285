"""What a conversion hands over: a model ready to publish, and the proof that it is right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Converted", "OutputParity", "Parity", "TensorSpec"]

Backend = Literal["onnxruntime", "python"]
Datatype = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the served model: `[N, width]` of a KServe v2 datatype."""

    name: str
    datatype: Datatype
    width: int


@dataclass(frozen=True)
class OutputParity:
    """How one output of the served model compares with the estimator's own answer.

    Attributes:
        rows: rows compared.
        rows_over: rows with an element that differs by more than is allowed.
        rows_allowed: so many rows may; 0 for labels.
        max_abs: the largest difference; for labels 1.0 where any differs.
        max_rel: the largest difference as a share of the estimator's value.
        worst_row: row of the sample with the largest difference; None where nothing differs.
    """

    name: str
    rows: int
    rows_over: int
    rows_allowed: int
    max_abs: float
    max_rel: float
    worst_row: int | None

    @property
    def ok(self) -> bool:
        """Whether the output may be served."""
        return self.rows_over <= self.rows_allowed

    def __str__(self) -> str:
        where = "" if self.worst_row is None else f" (worst: row {self.worst_row})"
        verb = "differ" if self.name.endswith("s") else "differs"
        return f"{self.name} {verb} on {self.rows_over} of {self.rows} rows{where}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: a difference that is no finite number becomes null."""
        return {
            "output": self.name,
            "ok": self.ok,
            "rows": self.rows,
            "rows_over": self.rows_over,
            "rows_allowed": self.rows_allowed,
            "max_abs": self.max_abs if math.isfinite(self.max_abs) else None,
            "max_rel": self.max_rel if math.isfinite(self.max_rel) else None,
            "worst_row": self.worst_row,
        }


@dataclass(frozen=True)
class Parity:
    """The estimator on the sample against the model as it would be served.

    Attributes:
        rows: rows of the sample, all answered in one batch.
        single_rows: so many of them were answered one by one as well.
        outputs: one comparison for each output.
    """

    rows: int
    single_rows: int
    outputs: tuple[OutputParity, ...]

    @property
    def ok(self) -> bool:
        """Whether every output may be served."""
        return all(output.ok for output in self.outputs)

    def __str__(self) -> str:
        if self.ok:
            return f"equal on {self.rows} rows"
        return ", ".join(str(output) for output in self.outputs if not output.ok)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "single_rows": self.single_rows,
            "outputs": [output.to_dict() for output in self.outputs],
        }


@dataclass(frozen=True)
class Converted:
    """A model whose answers were proven equal to the estimator's, ready for `publish`.

    Attributes:
        name: name of the model in Triton.
        backend: the Triton backend that serves it.
        reason: why not ONNX: the routes tried and what was wrong with each; "" for ONNX.
        parity: what was compared, and the largest differences.
        inputs: the tensors that a request brings.
        outputs: the tensors of the answer.
        artefact: name of the file in `files` whose digest is pinned.
        files: the files of the version's folder, by name.
        warmup: one row of the sample as raw tensors, by input.
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
    warmup: Mapping[str, bytes]
    parameters: Mapping[str, str]
    trusted: tuple[str, ...] = ()

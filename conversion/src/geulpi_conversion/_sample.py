"""Reads a sample: rows as the estimator takes them, and the same rows as tensors."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geulpi_conversion._backend.geulpi_served import Column, Layout
from geulpi_conversion._columns import read_array_values, read_series, to_bytes
from geulpi_conversion._converted import Datatype, TensorSpec
from geulpi_conversion._errors import SampleMismatch
from geulpi_conversion._names import tensor_names

Array = np.ndarray[Any, Any]

NUMPY_TYPES: dict[Datatype, type] = {
    "BOOL": np.bool_,
    "FP32": np.float32,
    "FP64": np.float64,
    "INT64": np.int64,
}
ACCEPTED = (
    "give a DataFrame, a 2-D array (or list of rows) of numbers or strings, a sparse matrix, a "
    "list of texts, or a list of dicts"
)


@dataclass(frozen=True)
class Sample:
    """Rows to convert by, as the estimator takes them and as tensors.

    Attributes:
        native: the rows as they were given.
        layout: how tensors become native rows again.
        columns: the values by name of tensor, `[N, width]`, in the sample's own precision.
        specs: the tensors by name, floats as FP32.
    """

    native: Any
    layout: Layout
    columns: Mapping[str, Array]
    specs: tuple[TensorSpec, ...]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def has_float64(self) -> bool:
        """Whether FP64 tensors would carry more than FP32 ones."""
        return any(values.dtype == np.float64 for values in self.columns.values())

    @property
    def missing(self) -> dict[str, str]:
        """By tensor, the text that stands for a missing string."""
        return {c.tensor: c.missing for c in self.layout.columns if c.missing is not None}

    @property
    def nones(self) -> frozenset[str]:
        """Tensors of strings in which a missing one was `None`, not NaN."""
        columns = self.layout.columns
        return frozenset(c.tensor for c in columns if c.none and c.missing is not None)

    def inputs(self, precision: Datatype) -> tuple[TensorSpec, ...]:
        """Return the tensors with floats of a precision, FP32 or FP64."""
        return tuple(
            TensorSpec(s.name, precision if s.datatype == "FP32" else s.datatype, s.width)
            for s in self.specs
        )

    def tensors(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Array]:
        """Return the rows as a request would bring them: BYTES as objects of `bytes`."""
        return as_tensors(self.columns, inputs)


def as_tensors(columns: Mapping[str, Array], inputs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Return values by name of tensor as a request brings them: BYTES as objects of `bytes`."""
    with np.errstate(over="ignore"):  # beyond float32 is infinity; parity sees it
        return {
            spec.name: to_bytes(columns[spec.name])
            if spec.datatype == "BYTES"
            else columns[spec.name].astype(NUMPY_TYPES[spec.datatype])
            for spec in inputs
        }


def read_sample(given: Any, reserved: Collection[str] = ()) -> Sample:
    """Read a DataFrame, an array of one type, a sparse matrix, texts, or dicts.

    Args:
        given: a DataFrame; an array or list of rows, `[N, …]`; a scipy sparse matrix; a list, 1-D
            array or Series of `str` or of numbers; a list of dicts, or of lists of `str`.
        reserved: names that no tensor may have.

    Raises:
        SampleMismatch: it is none of these, is empty, or holds values that no tensor can carry.
    """
    if isinstance(given, pd.DataFrame):
        return _read_frame(given, reserved)
    if hasattr(given, "toarray"):
        return _read_matrix(given, given.toarray(), "sparse")
    if isinstance(given, list | tuple) and given and _are_records(given):
        return _read_records(list(given))
    try:
        array = np.asarray(given)
        if array.dtype.kind in "US":  # numpy turns [1, "a"] into strings; see what they were
            array = np.asarray(given, dtype=np.object_)
    except ValueError as error:
        raise SampleMismatch(f"its rows are not alike ({error})", ACCEPTED) from error
    if array.ndim == 0 or array.dtype.names:
        raise SampleMismatch(f"it has the shape {array.shape}", ACCEPTED)
    if array.ndim > 1:
        return _read_matrix(given if hasattr(given, "dtype") else array, array, "array")
    sample = _read_matrix(given, array, "vector")
    if sample.specs[0].datatype != "BYTES":
        return sample
    native = given if hasattr(given, "dtype") else list(given)
    return Sample(native, Layout("text", sample.layout.columns), sample.columns, sample.specs)


def _read_matrix(native: Any, array: Array, kind: str) -> Sample:
    if array.size == 0:
        raise SampleMismatch("it holds no values", ACCEPTED)
    shape = array.shape[1:] if array.ndim > 2 else ()
    values, datatype, column = read_array_values(
        array.reshape(len(array), -1), text=kind == "vector"
    )
    return Sample(
        native=native,
        layout=Layout(kind, (column,), shape),
        columns={"X": values},
        specs=(TensorSpec("X", datatype, values.shape[1]),),
    )


def _are_records(rows: list[Any] | tuple[Any, ...]) -> bool:
    """Whether rows are dicts, or lists of texts of different lengths."""
    if all(isinstance(row, dict) for row in rows):
        return True
    listed = all(
        isinstance(row, list | tuple | set | frozenset) and all(isinstance(v, str) for v in row)
        for row in rows
    )
    return listed and len({len(row) for row in rows}) > 1


def _read_records(rows: list[Any]) -> Sample:
    try:
        texts = [json.dumps(sorted(r) if isinstance(r, set | frozenset) else r, ensure_ascii=False)
                 for r in rows]  # fmt: skip
    except TypeError as error:
        raise SampleMismatch(
            f"its rows hold what JSON can't carry ({error})", "give plain numbers and strings"
        ) from error
    values = np.empty((len(rows), 1), np.object_)
    values[:, 0] = texts
    return Sample(
        native=rows,
        layout=Layout("records", (Column("X", "X"),)),
        columns={"X": values},
        specs=(TensorSpec("X", "BYTES", 1),),
    )


def _read_frame(frame: pd.DataFrame, reserved: Collection[str]) -> Sample:
    names = [str(column) for column in frame.columns]
    odd = [c for c in frame.columns if not isinstance(c, str | int | np.integer) or str(c) == ""]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if odd or repeated or not names:
        what = f"the columns {odd or repeated} are {'no names' if odd else 'there twice'}"
        raise SampleMismatch(
            what if names else "it has no columns", "give every column a name of its own"
        )
    if len(frame) == 0:
        raise SampleMismatch("it has no rows", "give rows like those that will be asked")
    columns, specs, layout = {}, [], []
    tensors = tensor_names(names, reserved)
    for tensor, name in zip(tensors, frame.columns, strict=True):
        plain = name if isinstance(name, str) else int(name)
        values, datatype, column = read_series(frame[name], tensor, plain)
        columns[tensor] = values
        specs.append(TensorSpec(tensor, datatype, 1))
        layout.append(column)
    return Sample(frame, Layout("frame", tuple(layout)), columns, tuple(specs))

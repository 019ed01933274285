"""Reads a sample: rows as the estimator takes them, and the same rows as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pandas_types

from geulpi_conversion._converted import Datatype, TensorSpec
from geulpi_conversion._errors import SampleMismatch
from geulpi_conversion._served import Layout

Array = np.ndarray[Any, Any]

NUMPY_TYPES: dict[Datatype, type] = {
    "BOOL": np.bool_,
    "FP32": np.float32,
    "FP64": np.float64,
    "INT64": np.int64,
}
ACCEPTED = (
    "give a DataFrame, a 2-D array (or list of rows) of numbers or strings, or a list of texts"
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
    def has_float64(self) -> bool:
        """Whether FP64 tensors would carry more than FP32 ones."""
        return any(values.dtype == np.float64 for values in self.columns.values())

    def inputs(self, precision: Datatype) -> tuple[TensorSpec, ...]:
        """Return the tensors with floats of a precision, FP32 or FP64."""
        return tuple(
            TensorSpec(s.name, precision if s.datatype == "FP32" else s.datatype, s.width)
            for s in self.specs
        )

    def tensors(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Array]:
        """Return the rows as a request would bring them: BYTES as objects of `bytes`."""
        return {
            spec.name: _to_bytes(self.columns[spec.name])
            if spec.datatype == "BYTES"
            else self.columns[spec.name].astype(NUMPY_TYPES[spec.datatype])
            for spec in inputs
        }


def read_sample(given: Any) -> Sample:
    """Read a DataFrame, a 2-D array of one type, or raw text.

    Args:
        given: a DataFrame; an array or list of rows, `[N, width]`; or a list, 1-D array or Series
            of `str`.

    Raises:
        SampleMismatch: it is none of these, is empty, or holds values that no tensor can carry.
    """
    if isinstance(given, pd.DataFrame):
        sample = _read_frame(given)
    elif hasattr(given, "toarray"):
        raise SampleMismatch("it is a sparse matrix", "give a dense one: sample.toarray()")
    else:
        sample = _read_array(given)
    if len(sample.native) == 0:
        raise SampleMismatch("it has no rows", "give rows like those that will be asked")
    return sample


def _read_array(given: Any) -> Sample:
    try:
        array = np.asarray(given)
        if array.dtype.kind in "US":  # numpy turns [1, "a"] into strings; see what they were
            array = np.asarray(given, dtype=np.object_)
    except ValueError as error:
        raise SampleMismatch(f"its rows are not alike ({error})", ACCEPTED) from error
    if array.ndim not in {1, 2} or array.dtype.names or array.size == 0:
        what = "it holds no values" if array.size == 0 else f"it has the shape {array.shape}"
        raise SampleMismatch(what, ACCEPTED)
    datatype = _datatype(pd.Series(array.ravel()), "it")
    if array.ndim == 1 and datatype != "BYTES":
        raise SampleMismatch("it is a single column of numbers", "give it as 2-D: [[1], [2], …]")
    values = array.reshape(len(array), -1)
    return Sample(
        native=given if hasattr(given, "dtype") else array if array.ndim == 2 else list(given),
        layout=Layout("text" if array.ndim == 1 else "array"),
        columns={"X": _checked(values, datatype, "it")},
        specs=(TensorSpec("X", datatype, values.shape[1]),),
    )


def _read_frame(frame: pd.DataFrame) -> Sample:
    names = [str(column) for column in frame.columns]
    odd = [c for c in frame.columns if not isinstance(c, str | int | np.integer) or str(c) == ""]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if odd or repeated or not names:
        what = f"the columns {odd or repeated} are {'no names' if odd else 'there twice'}"
        raise SampleMismatch(
            what if names else "it has no columns", "give every column a name of its own"
        )
    columns, specs, categories = {}, [], {}
    for name, column in zip(names, frame.columns, strict=True):
        series = frame[column]
        where = f"column '{name}'"
        if isinstance(series.dtype, pd.CategoricalDtype):
            categories[name] = series.dtype.categories.tolist()
            series = series.astype(series.dtype.categories.dtype)
        datatype = _datatype(series, where)
        columns[name] = _checked(series.to_numpy().reshape(-1, 1), datatype, where)
        specs.append(TensorSpec(name, datatype, 1))
    plain = tuple(c if isinstance(c, str) else int(c) for c in frame.columns)
    return Sample(frame, Layout("frame", plain, categories), columns, tuple(specs))


def _datatype(values: pd.Series[Any], where: str) -> Datatype:
    if pandas_types.is_bool_dtype(values.dtype):
        return "BOOL"
    if pandas_types.is_integer_dtype(values.dtype):
        return "INT64"
    if pandas_types.is_float_dtype(values.dtype):
        return "FP32"
    if pandas_types.is_string_dtype(values.dtype) or values.dtype == np.object_:
        wrong = next((value for value in values if not isinstance(value, str)), None)
        missing = values.isna().any()
        if wrong is None and not missing:
            return "BYTES"
        if missing:
            raise SampleMismatch(
                f"{where} holds strings and missing values, which a tensor of strings can't carry",
                "fit and sample with a string in their place, such as '' (fillna(''))",
            )
        raise SampleMismatch(
            f"{where} holds {wrong!r} among its objects, not only strings",
            "give it one type: astype(float), astype(int), astype(bool) or astype(str)",
        )
    raise SampleMismatch(
        f"{where} is of the type {values.dtype}, which no tensor carries",
        "turn it into numbers or strings before the estimator sees it",
    )


def _checked(values: Array, datatype: Datatype, where: str) -> Array:
    """Return the values as a plain array, once they are found to fit their tensors."""
    if datatype == "FP32":  # pandas' own types may hold NA
        return values if values.dtype.kind == "f" else values.astype(np.float64)
    if datatype in {"INT64", "BOOL"}:
        if pd.isna(values).any():
            raise SampleMismatch(
                f"{where} holds integers or booleans and missing values",
                "turn it into floats, where NaN stands for missing: astype(float)",
            )
        if datatype == "INT64" and (values > np.iinfo(np.int64).max).any():
            raise SampleMismatch(f"{where} exceeds 64-bit integers", "turn it into floats")
        return values.astype(NUMPY_TYPES[datatype])
    try:
        _to_bytes(values)
    except UnicodeEncodeError as error:
        raise SampleMismatch(
            f"{where} holds text that UTF-8 can't encode ({error.reason})", "repair the text"
        ) from error
    return values.astype(np.object_)


def _to_bytes(values: Array) -> Array:
    encoded = np.empty(values.size, dtype=np.object_)
    encoded[:] = [value.encode() for value in values.ravel()]
    return encoded.reshape(values.shape)

"""What values of a column or an array become as a tensor, and what they were."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pandas_types

from geulpi_conversion._backend.geulpi_served import Column
from geulpi_conversion._converted import Datatype
from geulpi_conversion._errors import SampleMismatch

Array = np.ndarray[Any, Any]
# A column's values `[N, 1]`, the tensor's datatype (FP32 for any float), and the way back.
Read = tuple[Array, Datatype, Column]

# What may stand for a missing string: the first that is not a string of the column.
MISSING_TEXTS = ("", "NaN", "<missing>", "␀")
TO_TYPE = "give it one type: astype(float), astype(int), astype(bool) or astype(str)"


def read_series(series: pd.Series[Any], tensor: str, name: str | int) -> Read:
    """Read a column of a DataFrame.

    Raises:
        SampleMismatch: it holds nothing but missing values, or values that no tensor can carry.
    """
    where = f"column '{name}'"
    if series.isna().all():
        raise SampleMismatch(
            f"{where} holds only missing values, so that nothing would be proven about it",
            "give rows in which it has values, or leave it out when fitting",
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _read_categories(series, Column(tensor, name), where)
    kind = _kind(series, where)
    column = Column(tensor, name, dtype=_dtype(series, kind))
    if kind in {"datetime", "timedelta"}:
        return _read_moments(series, column)
    return _read_kind(series, kind, column, where)


def read_array_values(matrix: Array, *, text: bool) -> Read:
    """Read a 2-D array: one tensor X.

    Args:
        matrix: `[N, width]`.
        text: whether a row is one raw text, of which none may be missing.

    Raises:
        SampleMismatch: it holds a column of nothing but missing values, or values that no tensor
            can carry.
    """
    if matrix.dtype.kind == "M":
        raise SampleMismatch(
            f"it is of the type {matrix.dtype}, which no tensor carries",
            "give a DataFrame, whose columns may hold times",
        )
    if matrix.dtype.kind in "fO" and (empty := pd.isna(matrix).all(axis=0)).any():
        raise SampleMismatch(
            f"column {int(np.argmax(empty))} holds only missing values, so that nothing would be "
            "proven about it",
            "give rows in which it has values, or leave it out when fitting",
        )
    series = pd.Series(matrix.ravel())
    kind = _kind(series, "it")
    if text and kind == "string" and series.isna().any():
        raise SampleMismatch(
            "it holds texts and missing values, which raw text can't have",
            "fit and sample with a string in their place, such as ''",
        )
    wide = matrix.dtype == np.float64
    column = Column(
        "X",
        "X",
        dtype="float64"
        if wide
        else "object"
        if kind == "boolean" and matrix.dtype == np.object_
        else "",
    )
    values, datatype, column = _read_kind(series, kind, column, "it")
    return values.reshape(matrix.shape), datatype, column


def to_bytes(values: Array) -> Array:
    """Return texts as objects of `bytes`, UTF-8."""
    encoded = np.empty(values.size, dtype=np.object_)
    encoded[:] = [value.encode() for value in values.ravel()]
    return encoded.reshape(values.shape)


def _kind(series: pd.Series[Any], where: str) -> str:
    """Return `boolean`, `integer`, `floating`, `string`, `datetime` or `timedelta`."""
    dtype = series.dtype
    for kind, is_kind in {
        "boolean": pandas_types.is_bool_dtype,
        "integer": pandas_types.is_integer_dtype,
        "floating": pandas_types.is_float_dtype,
        "datetime": pandas_types.is_datetime64_any_dtype,
        "timedelta": pandas_types.is_timedelta64_dtype,
    }.items():
        if is_kind(dtype):
            return kind
    if not (pandas_types.is_string_dtype(dtype) or dtype == np.object_):
        raise SampleMismatch(
            f"{where} is of the type {dtype}, which no tensor carries",
            "turn it into numbers or strings before the estimator sees it",
        )
    inferred = pandas_types.infer_dtype(series, skipna=True)
    if inferred in {"string", "boolean", "integer", "floating"}:
        return inferred
    if inferred == "mixed-integer-float":
        return "floating"
    wrong = next(v for v in series.dropna() if not isinstance(v, str))
    raise SampleMismatch(f"{where} holds {wrong!r} among its objects, not only strings", TO_TYPE)


def _dtype(series: pd.Series[Any], kind: str) -> str:
    """Return what the estimator is given back: the column's type, where the tensor's is another."""
    own = str(series.dtype)
    if series.dtype == np.object_:
        return own if kind in {"string", "boolean"} else "float64" if series.isna().any() else ""
    # Integers of few bits would overflow silently.
    return "" if isinstance(series.dtype, np.dtype) and kind in {"integer", "boolean"} else own


def _read_kind(series: pd.Series[Any], kind: str, column: Column, where: str) -> Read:
    missing = series.isna()
    if kind == "string":
        return _read_texts(series, column, where)
    if kind == "floating" or missing.any():
        column = dataclasses.replace(
            column, none=_has_none(series), bools=kind == "boolean" and column.dtype != ""
        )
        narrow = series.dtype in {np.dtype(np.float32), np.dtype(np.float16)}
        return (
            _column(series.to_numpy(np.float32 if narrow else np.float64, na_value=np.nan)),
            "FP32",
            column,
        )
    if kind == "integer":
        values = series.to_numpy()
        if (values > np.iinfo(np.int64).max).any():
            raise SampleMismatch(f"{where} exceeds 64-bit integers", "turn it into floats")
        return _column(values.astype(np.int64)), "INT64", column
    return _column(series.to_numpy().astype(np.bool_)), "BOOL", column


def _read_texts(series: pd.Series[Any], column: Column, where: str) -> Read:
    missing = series.isna()
    values = series.astype(np.object_)
    if missing.any():
        known = set(values[~missing])
        text = next(text for text in MISSING_TEXTS if text not in known)
        column = dataclasses.replace(column, missing=text, none=_has_none(series))
        values = values.where(~missing, text)
    try:
        to_bytes(values.to_numpy())
    except UnicodeEncodeError as error:
        raise SampleMismatch(
            f"{where} holds text that UTF-8 can't encode ({error.reason})", "repair the text"
        ) from error
    return _column(values.to_numpy()), "BYTES", column


def _read_categories(series: pd.Series[Any], column: Column, where: str) -> Read:
    known = series.cat.categories
    kind = _kind(pd.Series(known), where)
    if kind in {"datetime", "timedelta"}:
        raise SampleMismatch(
            f"{where} has times as its categories, which no tensor carries",
            "turn them into strings before the estimator sees them",
        )
    column = dataclasses.replace(
        column, dtype="category", categories=known.tolist(), ordered=bool(series.cat.ordered)
    )
    return _read_kind(
        series.astype(np.object_ if series.isna().any() else known.dtype), kind, column, where
    )


def _read_moments(series: pd.Series[Any], column: Column) -> Read:
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return _column(series.to_numpy().view(np.int64)), "INT64", column


def _has_none(series: pd.Series[Any]) -> bool:
    return series.dtype == np.object_ and any(value is None for value in series)


def _column(values: Array) -> Array:
    return values.reshape(-1, 1)

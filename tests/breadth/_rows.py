"""Rows that conversion never sees: out of the ordinary, and as tensors bring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from breadth._cases import Data
from geulpi_conversion import Converted

Array = np.ndarray[Any, Any]
TYPES = {"BOOL": np.bool_, "FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
UNSEEN = "unseen 값"


def special_rows(data: Data) -> dict[str, Any]:
    """Return, by name, rows like the data's but odd: missing, extreme, unseen, at thresholds."""
    made: dict[str, Any] = dict(data.groups)
    if isinstance(data.fresh, pd.DataFrame):
        return made | _odd_frames(data.fresh)
    if not isinstance(data.fresh, np.ndarray) or data.fresh.ndim != 2:
        return made
    if data.fresh.dtype.kind == "f":
        return made | _odd_floats(data.rows, data.fresh)
    if data.fresh.dtype.kind == "i":
        made["unseen numbers"] = _with(data.fresh, [data.rows.max() + 1, -1, 10**9])
    return made


def carried(rows: Any, single: bool) -> Any:
    """Return rows as tensors bring them: floats rounded to FP32, if such is the model's input."""
    if not single:
        return rows
    if isinstance(rows, pd.DataFrame):
        floats = {c: np.float32 for c in rows if rows[c].dtype == np.float64}
        return rows.astype(floats).astype(dict.fromkeys(floats, np.float64))
    if hasattr(rows, "dtype") and rows.dtype == np.float64:
        return rows.astype(np.float32).astype(np.float64)
    return rows


def taken(rows: Any, places: Sequence[int]) -> Any:
    """Return some of the rows, as the same kind of thing."""
    if isinstance(rows, list):
        return [rows[place] for place in places]
    return rows.iloc[list(places)] if hasattr(rows, "iloc") else rows[list(places)]


def count(rows: Any) -> int:
    """Return the number of rows; a sparse matrix has no length."""
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


def as_tensors(rows: Any, converted: Converted) -> dict[str, Array]:
    """Return rows as a client sends them, by what config.pbtxt tells and no more."""
    missing = json.loads(converted.parameters.get("missing", "{}"))
    columns = json.loads(converted.parameters["columns"])
    tensors = {}
    for spec in converted.inputs:
        values = _values(rows, columns[spec.name])
        tensors[spec.name] = _tensor(values, spec.datatype, missing.get(spec.name))
    return tensors


def _values(rows: Any, column: Any) -> Array:
    if isinstance(rows, pd.DataFrame):
        series = rows[column]
        if isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype(object)
        if getattr(series.dtype, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        values = series.to_numpy()
        return (values.view(np.int64) if values.dtype.kind in "mM" else values).reshape(-1, 1)
    if hasattr(rows, "toarray"):
        return rows.toarray()
    if isinstance(rows, list) and not all(isinstance(row, str) for row in rows):
        rows = [json.dumps(row, ensure_ascii=False) for row in rows]
    array = np.asarray(rows, dtype=object) if isinstance(rows, list) else np.asarray(rows)
    return array.reshape(len(array), -1)


def _tensor(values: Array, datatype: str, missing: str | None) -> Array:
    if datatype == "BYTES":
        gone = pd.isna(values)
        return np.where(gone, missing, values) if gone.any() else values.astype(object)
    if values.dtype == object and datatype in {"FP32", "FP64"}:
        values = pd.to_numeric(pd.Series(values.ravel())).to_numpy(float).reshape(values.shape)
    return values.astype(TYPES[datatype])


def _with(rows: Array, values: Sequence[float], columns: int = 6) -> Array:
    """Return rows of which each has one value in one column."""
    made = []
    for column in range(min(columns, rows.shape[1])):
        for value in values:
            row = rows[len(made) % len(rows)].copy()
            row[column] = value
            made.append(row)
    return np.stack(made)


def _odd_floats(fitted: Array, fresh: Array) -> dict[str, Array]:
    missing = _with(fresh, [np.nan])
    missing[-1] = np.nan
    scaled = [fresh[:3] * factor for factor in (0.0, -1.0, 1e-6, 1e3, -1e4)]
    return {
        "missing": missing,
        "infinite": _with(fresh, [np.inf, -np.inf], columns=3),
        "magnitudes": np.concatenate([*scaled, _with(fresh, [1e6, -1e9], columns=4)]),
        "thresholds": _between(fitted, fresh),
    }


def _between(fitted: Array, fresh: Array) -> Array:
    """Return rows half-way between neighbouring values, where trees cut, and just beside."""
    rng = np.random.default_rng(99)
    made = []
    for column in range(min(6, fitted.shape[1])):
        known = np.unique(fitted[np.isfinite(fitted[:, column]), column])
        for place in rng.integers(len(known) - 1, size=4):
            middle = ((known[place].astype(float) + known[place + 1]) / 2).astype(np.float32)
            for value in (
                middle,
                *(np.nextafter(middle, np.float32(e)) for e in (-np.inf, np.inf)),
            ):
                row = fresh[len(made) % len(fresh)].copy()
                row[column] = value
                made.append(row)
    return np.stack(made)


def _odd_frames(fresh: pd.DataFrame) -> dict[str, pd.DataFrame]:
    kinds: dict[str, Callable[[pd.Series[Any]], list[Any]]] = {
        "missing": lambda s: [np.nan] if s.dtype.kind == "f" else [],
        "magnitudes": lambda s: [1e6, -1e3, 0.0] if s.dtype.kind == "f" else [],
    }
    # By column: xgboost refuses a frame for a category that it does not know, whichever row has it.
    made = {f"unseen {c}": _changed(fresh, [(c, v) for v in _unseen(fresh[c])]) for c in fresh}
    made = {group: frame for group, frame in made.items() if len(frame)}
    for group, values_of in kinds.items():
        changes = [(c, value) for c in fresh for value in values_of(fresh[c])]
        if changes:
            made[group] = _changed(fresh, changes)
    return made


def _unseen(series: pd.Series[Any]) -> list[Any]:
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = series.cat.categories.dtype == object
        return [UNSEEN] if texts else [int(max(series.cat.categories)) + 1]
    if series.dtype == object and all(isinstance(v, str) for v in series.dropna()):
        # Where strings are missing, an empty one may be what stands for them on the wire.
        return [UNSEEN] if series.isna().any() else [UNSEEN, ""]
    return [int(series.max()) + 1, -1] if series.dtype.kind == "i" else []


def _changed(fresh: pd.DataFrame, changes: Sequence[tuple[Any, Any]]) -> pd.DataFrame:
    frame = fresh.iloc[np.arange(len(changes)) % len(fresh)].reset_index(drop=True)
    for row, (column, value) in enumerate(changes):
        series = frame[column]
        if isinstance(series.dtype, pd.CategoricalDtype) and value not in series.cat.categories:
            frame[column] = series.cat.add_categories([value])
        frame.loc[row, column] = value
    return frame


def answers_of(
    estimator: Any, rows: Any, outputs: Sequence[str], methods: Mapping[str, str]
) -> dict[str, Array]:
    """Return the estimator's own answers `[N, k]` by output."""
    heard = {name: getattr(estimator, methods[name])(rows) for name in outputs}
    for place, name in enumerate(("distances", "indices")):
        if name in heard:
            heard[name] = heard[name][place]
    return {name: _matrix(values, count(rows)) for name, values in heard.items()}


def _matrix(values: Any, rows: int) -> Array:
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    return array.reshape(rows, -1)

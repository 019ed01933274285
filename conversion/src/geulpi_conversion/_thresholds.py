"""Finds the values at which the trees inside an estimator turn one way or the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

Array = np.ndarray[Any, Any]
# Column of what the tree is given, and the value there: `[K]` each.
Thresholds = tuple[Array, Array]


@dataclass(frozen=True)
class Placed:
    """A value that brings a row of the sample to a threshold: row, column, and the value."""

    row: int
    column: int
    value: float


def at_thresholds(estimator: Any, rows: Any, most: int, rng: np.random.Generator) -> list[Placed]:
    """Return changes of rows by which they come to stand at thresholds.

    A threshold behind scalers is brought back by their inverse; behind what has none it is not
    reached.

    Args:
        estimator: a fitted estimator.
        rows: an array `[N, columns]` or a DataFrame of N rows, as the estimator takes them.
        most: so many changes at the most.
        rng: chooses among the thresholds, and the rows.
    """
    found: list[Placed] = []
    trees = list(_trees(estimator, ()))
    for steps, (places, values) in trees:
        some = rng.permutation(len(values))[: max(1, most // len(trees))]
        chosen = rng.integers(len(rows), size=len(some))
        given = rows.iloc[chosen] if isinstance(rows, pd.DataFrame) else rows[chosen]
        try:
            made = _placed(steps, given, places[some], values[some])
        except Exception:  # noqa: BLE001, S112 -- these steps have no way back
            continue
        numbers = _numbers(made)
        columns = np.nan_to_num(np.abs(numbers - _numbers(given))).argmax(axis=1)
        found += [
            Placed(int(row), int(column), float(value))
            for row, column, value in zip(
                chosen, columns, numbers[np.arange(len(columns)), columns], strict=True
            )
            if np.isfinite(value)
        ]
    return found[:most]


def _numbers(rows: Any) -> Array:
    """Return rows as float64, NaN where there is no number."""
    if isinstance(rows, pd.DataFrame):
        columns = [pd.to_numeric(rows.iloc[:, i], errors="coerce") for i in range(rows.shape[1])]
        return np.column_stack([c.to_numpy(np.float64, na_value=np.nan) for c in columns])
    return np.asarray(rows, dtype=np.float64)


def _placed(steps: tuple[Any, ...], rows: Any, places: Array, values: Array) -> Any:
    given = [rows]
    for step in steps:
        made = step.transform(given[-1])
        given.append(made.toarray() if hasattr(made, "toarray") else made)
    wanted = np.array(given[-1], dtype=np.float64)
    wanted[np.arange(len(wanted)), places] = values
    for step, before in zip(reversed(steps), reversed(given[:-1]), strict=True):
        wanted = _inverse(step, wanted, before)
    return wanted


def _inverse(step: Any, wanted: Any, before: Any) -> Any:
    if not isinstance(step, ColumnTransformer):
        return step.inverse_transform(wanted)
    framed = isinstance(before, pd.DataFrame)
    restored: Any = before.copy() if framed else np.array(before, dtype=np.float64)
    for name, transformer, _ in step.transformers_:
        part = wanted[:, step.output_indices_[name]]
        columns = list(step._transformer_to_input_indices[name])  # noqa: SLF001 -- as fitted
        if not hasattr(transformer, "inverse_transform") or part.shape[1] != len(columns):
            continue
        numbers = np.asarray(transformer.inverse_transform(part))
        for place, column in enumerate(columns):
            if framed:
                restored.isetitem(column, numbers[:, place])
            else:
                restored[:, column] = numbers[:, place]
    return restored


def _trees(estimator: Any, steps: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Thresholds]]:
    """Yield the thresholds of each tree or forest inside, and the steps before it."""
    own = _own_thresholds(estimator)
    if own is not None:
        if len(own[0]):
            yield steps, own
        return
    if hasattr(estimator, "steps"):
        every = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
        if every:
            yield from _trees(every[-1], (*steps, *every[:-1]))
        return
    for value in vars(estimator).values() if hasattr(estimator, "__dict__") else ():
        for inner in value if isinstance(value, list | tuple) else [value]:
            if hasattr(inner, "get_params") and not isinstance(inner, type):
                yield from _trees(inner, steps)


def _own_thresholds(estimator: Any) -> Thresholds | None:
    if _is_tree(estimator):
        return _of_trees([estimator.tree_])
    inner = getattr(estimator, "estimators_", None)
    flat = list(inner.ravel() if isinstance(inner, np.ndarray) else inner or [])
    if flat and all(_is_tree(tree) for tree in flat):
        return _of_trees([tree.tree_ for tree in flat])
    if hasattr(estimator, "_predictors"):  # of gradient boosting by histograms
        nodes = np.concatenate([p.nodes for many in estimator._predictors for p in many])  # noqa: SLF001
        inside = ~nodes["is_leaf"].astype(bool) & ~nodes["is_categorical"].astype(bool)
        chosen = nodes[inside & np.isfinite(nodes["num_threshold"])]
        return chosen["feature_idx"].astype(np.int64), chosen["num_threshold"]
    return _of_booster(estimator)


def _is_tree(estimator: Any) -> bool:
    return hasattr(getattr(estimator, "tree_", None), "threshold")  # others are of neighbours


def _of_booster(estimator: Any) -> Thresholds | None:
    """Return the thresholds of xgboost or lightgbm; both have boosters that are no trees."""
    try:
        if hasattr(estimator, "get_booster"):
            return _of_frame(estimator.get_booster().trees_to_dataframe(), "Feature", "Split")
        if hasattr(estimator, "booster_"):
            return _of_frame(estimator.booster_.trees_to_dataframe(), "split_feature", "threshold")
    except Exception:  # noqa: BLE001 -- whatever they raise
        return None
    return None


def _of_trees(trees: list[Any]) -> Thresholds:
    places = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
    values = np.concatenate([tree.threshold for tree in trees])
    inside = (places >= 0) & np.isfinite(values)
    return places[inside], values[inside]


def _of_frame(frame: Any, feature: str, threshold: str) -> Thresholds:
    """Read what xgboost and lightgbm tell of their nodes; columns are named by their place."""
    values = frame[threshold]
    numbers = frame[feature].astype(str).str.extract(r"(\d+)$")[0]
    usable = numbers.notna() & values.map(lambda v: isinstance(v, float) and np.isfinite(v))
    return numbers[usable].astype(np.int64).to_numpy(), values[usable].astype(float).to_numpy()

"""Finds the values at which the trees inside an estimator turn one way or the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

Array = np.ndarray[Any, Any]
# Column of what the tree is given, and the value there: `[K]` each.
Thresholds = tuple[Array, Array]


def threshold_rows(
    estimator: Any, rows: Array, most: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return rows of numbers that stand at thresholds.

    A threshold behind scalers is brought back by their inverse; behind what has none it is not
    reached.

    Args:
        estimator: a fitted estimator.
        rows: `[N, columns]`, rows to put the values into.
        most: so many rows at the most.
        rng: chooses among the thresholds, and the rows.

    Returns:
        The rows `[K, columns]`, and of each the column in which it stands at a threshold `[K]`.
    """
    found, columns = [np.empty((0, rows.shape[1]))], [np.empty(0, np.int64)]
    trees = list(_trees(estimator, ()))
    for steps, (places, values) in trees:
        some = rng.permutation(len(values))[: max(1, most // len(trees))]
        chosen = rows[rng.integers(len(rows), size=len(some))].astype(np.float64)
        try:
            made = _placed(steps, chosen, places[some], values[some])
        except Exception:  # noqa: BLE001, S112 -- these steps have no way back
            continue
        found.append(made)
        columns.append(np.abs(made - chosen).argmax(axis=1))
    return np.concatenate(found)[:most], np.concatenate(columns)[:most]


def _placed(steps: tuple[Any, ...], rows: Array, places: Array, values: Array) -> Array:
    given = [rows]
    for step in steps:
        given.append(np.asarray(step.transform(given[-1]), dtype=np.float64))
    wanted = given[-1].copy()
    wanted[np.arange(len(wanted)), places] = values
    for step, before in zip(reversed(steps), reversed(given[:-1]), strict=True):
        wanted = _inverse(step, wanted, before)
    return wanted


def _inverse(step: Any, wanted: Array, before: Array) -> Array:
    if not isinstance(step, ColumnTransformer):
        return np.asarray(step.inverse_transform(wanted), dtype=np.float64)
    restored = before.copy()
    for name, transformer, _ in step.transformers_:
        part = wanted[:, step.output_indices_[name]]
        columns = step._transformer_to_input_indices[name]  # noqa: SLF001 -- as fitted
        if hasattr(transformer, "inverse_transform") and part.shape[1] == len(columns):
            restored[:, columns] = transformer.inverse_transform(part)
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
    if hasattr(estimator, "tree_"):
        return _of_trees([estimator.tree_])
    inner = getattr(estimator, "estimators_", None)
    if isinstance(inner, list | np.ndarray) and len(np.ravel(inner)):
        flat = list(np.ravel(np.asarray(inner, dtype=object)))
        if all(hasattr(tree, "tree_") for tree in flat):
            return _of_trees([tree.tree_ for tree in flat])
    if hasattr(estimator, "_predictors"):  # of gradient boosting by histograms
        nodes = np.concatenate([p.nodes for many in estimator._predictors for p in many])  # noqa: SLF001
        inside = ~nodes["is_leaf"].astype(bool) & ~nodes["is_categorical"].astype(bool)
        chosen = nodes[inside & np.isfinite(nodes["num_threshold"])]
        return chosen["feature_idx"].astype(np.int64), chosen["num_threshold"]
    if hasattr(estimator, "get_booster"):
        return _of_frame(estimator.get_booster().trees_to_dataframe(), "Feature", "Split")
    if hasattr(estimator, "booster_"):
        return _of_frame(estimator.booster_.trees_to_dataframe(), "split_feature", "threshold")
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

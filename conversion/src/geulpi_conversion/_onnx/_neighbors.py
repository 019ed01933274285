"""Finds the nearest of the fitted rows, whatever is then made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geulpi_conversion._onnx._algebra import (
    dense,
    differences,
    rows_of_length_1,
    squared_distances,
)
from geulpi_conversion._onnx._graph import Array, Graph, Untranslatable
from geulpi_conversion._onnx._tables import Value

# Numbers that a row may need at once where distances are no matrix product.
MOST_NUMBERS = 2**20
ROWS_TRIED = 256
NORMS = {"chebyshev": "ReduceMax", "manhattan": "ReduceSum"}
SAME = {"cityblock": "manhattan", "l1": "manhattan", "l2": "euclidean"}


@dataclass(frozen=True)
class Neighbors:
    """The nearest fitted rows of each row.

    Attributes:
        distances: `[N, k]`, of float64.
        index: which rows they are, INT64 `[N, k]`.
    """

    distances: Value
    index: str


def nearest(graph: Graph, estimator: Any, x: Value, count: int) -> Neighbors:
    """Return the nearest fitted rows; to be called in double."""
    points = fitted_rows(estimator)
    apart = distances(graph, estimator, x)
    held, index = graph.ops(
        "TopK", apart.name, np.array([count]), outputs=2, axis=1, largest=0, sorted=1
    )
    if _metric(estimator)[0] == "euclidean":
        # Of the few that are near, exactly: a twin's distance is 0 and no rounding.
        near = graph.op("Gather", points, index, axis=0)
        moved = graph.op("Sub", near, graph.op("Unsqueeze", x.name, np.array([1])))
        held = graph.op("Sqrt", graph.op("ReduceSumSquare", moved, np.array([2]), keepdims=0))
    return Neighbors(graph.value(held, count), index)


def distances(graph: Graph, estimator: Any, x: Value) -> Value:
    """Return the distances to all fitted rows, `[N, P]`; to be called in double.

    Raises:
        Untranslatable: the metric has no translation, or would take too much memory.
    """
    points = fitted_rows(estimator)
    metric, power = _metric(estimator)
    if metric == "euclidean":
        squares = squared_distances(graph, x, points)
        return graph.value(graph.op("Sqrt", squares.name), len(points))
    if metric == "cosine":
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        unit = points / np.where(lengths == 0, 1.0, lengths)
        likeness = graph.op("MatMul", rows_of_length_1(graph, x).name, unit.T)
        return graph.value(graph.op("Max", graph.op("Sub", 1.0, likeness), 0.0), len(points))
    if points.size > MOST_NUMBERS:
        raise Untranslatable(
            estimator, f"{metric} distances to {len(points)} rows would take too much memory"
        )
    apart = graph.op("Abs", differences(graph, x, points))
    if metric in NORMS:
        found = graph.op(NORMS[metric], apart, np.array([2]), keepdims=0)
    else:
        powers = graph.op("Pow", apart, power)
        summed = graph.op("ReduceSum", powers, np.array([2]), keepdims=0)
        found = graph.op("Pow", summed, 1.0 / power)
    return graph.value(found, len(points))


def fitted_rows(estimator: Any) -> Array:
    """Return the rows that an estimator keeps.

    Raises:
        Untranslatable: it keeps none, but distances.
    """
    if estimator.effective_metric_ == "precomputed":
        raise Untranslatable(estimator, "it is given distances")
    return dense(estimator._fit_X)  # noqa: SLF001 -- kept nowhere else


def refuse_ties(estimator: Any, count: int, told: Array) -> None:
    """Check that no row among the fitted ones has its last neighbour by chance.

    Which of equally far rows scikit-learn takes depends on its search tree and on rounding.

    Args:
        estimator: with fitted rows.
        count: how many neighbours are asked.
        told: for each fitted row what it is worth as a neighbour, `[P, …]`.

    Raises:
        Untranslatable: a tie decides an answer.
    """
    rows = fitted_rows(estimator)
    if len(rows) <= count:
        return
    step = max(1, len(rows) // ROWS_TRIED)
    apart, index = estimator.kneighbors(rows[::step], n_neighbors=count + 1)
    tied = np.isclose(apart[:, -1], apart[:, -2], rtol=1e-9, atol=0)
    worth = told.reshape(len(rows), -1)[index[:, -2:]]
    if (tied & (worth[:, 0] != worth[:, 1]).any(axis=1)).any():
        raise Untranslatable(
            estimator, "some rows have several neighbours equally far, taken by chance"
        )


def _metric(estimator: Any) -> tuple[str, float]:
    """Return the metric's name, and the power of a Minkowski one."""
    name = estimator.effective_metric_
    parameters = dict(estimator.effective_metric_params_ or {})
    power = float(parameters.pop("p", 2))
    if callable(name):
        raise Untranslatable(estimator, "its metric is a function of yours")
    name = SAME.get(name, name)
    known = name in {"chebyshev", "cosine", "euclidean", "manhattan", "minkowski"}
    if not known or any(value is not None for value in parameters.values()):
        raise Untranslatable(estimator, f"the metric {name!r} has no translation")
    return name, power

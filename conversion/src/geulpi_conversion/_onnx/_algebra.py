"""Matrix arithmetic that the translators of numeric estimators share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from geulpi_conversion._onnx._graph import Array, Graph
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value

Estimator = TypeVar("Estimator")
Translate = Callable[[Graph, Estimator, Table, str], Value]

# Numbers held at once for a row, so that a batch of a thousand stays within memory.
MOST_BROADCAST = 2**12


@contextmanager
def in_double(graph: Graph) -> Iterator[None]:
    """Compute in float64, whatever the graph's arithmetic: for what float32 can't tell apart."""
    kept = graph.dtype, graph.kind
    graph.dtype, graph.kind = np.dtype(np.float64), "double"
    try:
        yield
    finally:
        graph.dtype, graph.kind = kept


def always_double(translate: Translate[Estimator]) -> Translate[Estimator]:
    """Make a translator compute in float64, as its estimator does.

    For answers that are small differences of large numbers, or that hang on which of two near
    numbers is the larger: float32 may be right on all rows of a sample, and wrong on the next.
    """

    @wraps(translate)
    def translated(graph: Graph, estimator: Estimator, table: Table, method: str) -> Value:
        with in_double(graph):
            return translate(graph, estimator, table, method)

    return translated


def dense(array: Any) -> Array:
    """Return fitted numbers as a float64 array; they may be sparse."""
    held = array.toarray() if hasattr(array, "toarray") else array
    return np.asarray(held, dtype=np.float64)


def linear(graph: Graph, x: Value, weights: Array, bias: Any = 0.0) -> Value:
    """Return `x @ weights + bias`: weights `[width, k]`, bias a number or `[k]`."""
    product = graph.op("MatMul", x.name, weights)
    bias = np.asarray(bias, dtype=np.float64)
    if bias.any():
        product = graph.op("Add", product, bias.reshape(1, -1))
    return graph.value(product, weights.shape[1])


def affine(graph: Graph, x: Value, centre: Any, weights: Array, bias: Any = 0.0) -> Value:
    """Return `(x − centre) @ weights + bias`, right also far from the origin."""
    moved, left = _moved(graph, x, dense(centre))
    return linear(graph, moved, weights, np.asarray(bias) - left @ weights)


def _moved(graph: Graph, x: Value, centre: Array) -> tuple[Value, Array]:
    """Return `x − c` for the c nearest to the centre that is no rounding, and `centre − c`."""
    held = centre.astype(graph.dtype).astype(np.float64)
    if not held.any():
        return x, centre - held
    return graph.value(graph.op("Sub", x.name, held.reshape(1, -1)), x.width), centre - held


def squared_distances(graph: Graph, x: Value, points: Array) -> Value:
    """Return the squared Euclidean distances to points `[P, width]`, as `[N, P]`.

    Both are moved to the middle of the points first, so that float32 holds far data too.
    """
    middle = points.mean(axis=0)
    x, left = _moved(graph, x, middle)
    points = points - (middle - left)
    if points.size <= MOST_BROADCAST:
        apart = differences(graph, x, points)
        found = graph.op("ReduceSumSquare", apart, np.array([2]), keepdims=0)
        return graph.value(found, len(points))
    own = graph.op("ReduceSumSquare", x.name, np.array([1]), keepdims=1)
    mixed = graph.op("MatMul", x.name, -2.0 * points.T)
    theirs = np.square(points).sum(axis=1).reshape(1, -1)
    found = graph.op("Add", graph.op("Add", mixed, theirs), own)
    return graph.value(graph.op("Max", found, 0.0), len(points))


def manhattan_distances(graph: Graph, x: Value, points: Array) -> Value:
    """Return the sums of absolute differences to points `[P, width]`, as `[N, P]`."""
    # ONNX Runtime has ReduceL1 and ReduceL2 for float32 alone.
    apart = graph.op("Abs", differences(graph, x, points))
    return graph.value(graph.op("ReduceSum", apart, np.array([2]), keepdims=0), len(points))


def rows_of_length_1(graph: Graph, x: Value) -> Value:
    """Return the rows divided by their Euclidean length; a row of zeros stays."""
    length = graph.op("Sqrt", graph.op("ReduceSumSquare", x.name, np.array([1]), keepdims=1))
    divisor = graph.op("Where", graph.op("Equal", length, 0.0), 1.0, length)
    return graph.value(graph.op("Div", x.name, divisor), x.width)


def differences(graph: Graph, x: Value, points: Array) -> str:
    """Return `x − point` for each of the points `[P, width]`, as `[N, P, width]`."""
    return graph.op("Sub", graph.op("Unsqueeze", x.name, np.array([1])), points[np.newaxis])


def mahalanobis(graph: Graph, x: Value, means: Array, factors: Array) -> Value:
    """Return the squared lengths of `(x − mean_k) @ factor_k`, as `[N, K]`.

    Args:
        graph: where the nodes go.
        x: `[N, width]`.
        means: `[K, width]`.
        factors: of each mean, or one of all: matrices `[…, width, m]`, or diagonals
            `[…, 1, width]`.
    """
    if factors.shape[-2] == 1:
        moved = differences(graph, x, means)
        scaled = graph.op("Mul", moved, factors.reshape(1, -1, x.width))
        found = graph.op("ReduceSumSquare", scaled, np.array([2]), keepdims=0)
        return graph.value(found, len(means))
    moved = graph.op("Sub", graph.op("Unsqueeze", x.name, np.array([0])), means[:, np.newaxis])
    scaled = graph.op("MatMul", moved, factors)
    lengths = graph.op("ReduceSumSquare", scaled, np.array([2]), keepdims=0)
    return graph.value(graph.op("Transpose", lengths, perm=[1, 0]), len(means))


def softmax(graph: Graph, scores: Value) -> Value:
    """Return `exp(scores)` as shares of each row's sum."""
    return graph.value(graph.op("Softmax", scores.name, axis=1), scores.width)


def shares(graph: Graph, values: Value) -> Value:
    """Return values as shares of each row's sum."""
    total = graph.op("ReduceSum", values.name, np.array([1]), keepdims=1)
    return graph.value(graph.op("Div", values.name, total), values.width)


def shares_or_even(graph: Graph, values: Value) -> Value:
    """Return values as shares of each row's sum; even ones where all are 0."""
    total = graph.op("ReduceSum", values.name, np.array([1]), keepdims=1)
    nothing = graph.op("Equal", total, 0.0)
    shared = graph.op("Div", values.name, total)
    return graph.value(graph.op("Where", nothing, 1.0 / values.width, shared), values.width)


def both(graph: Graph, second: Value) -> Value:
    """Return the probabilities of two classes, of which the second's is given."""
    first = graph.op("Sub", 1.0, second.name)
    return graph.value(graph.op("Concat", first, second.name, axis=1), 2)


def inlier(graph: Graph, score: Value, *, at_zero: int = 1) -> Value:
    """Return 1 where a score is above 0 and −1 below: an outlier detector's label."""
    zero = graph.constant(np.zeros(1, np.float64 if score.kind == "double" else np.float32))
    comparison = "GreaterOrEqual" if at_zero == 1 else "Greater"
    index = graph.op("Cast", graph.op(comparison, score.name, zero), to=ELEMENT_TYPES["int64"])
    return graph.labels(index, np.array([-1, 1]))


def first_smallest(graph: Graph, values: Value, labels: Any) -> Value:
    """Return the label with the smallest value; of equal ones the first, as numpy's argmin."""
    index = graph.op("ArgMin", values.name, axis=1, keepdims=1, select_last_index=0)
    return graph.labels(index, labels)

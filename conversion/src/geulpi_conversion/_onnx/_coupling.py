"""Writes libsvm's probabilities: of each two classes by Platt, of all by pairwise coupling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from geulpi_conversion._onnx._graph import Array, Graph
from geulpi_conversion._onnx._loops import until_settled
from geulpi_conversion._onnx._tables import Value

# libsvm's own.
LEAST = 1e-7
PRECISION = 0.005
MOST_ROUNDS = 100


def coupled(graph: Graph, estimator: Any, pairs: Value) -> Value:
    """Return the probabilities of the classes; to be called in double.

    libsvm stops before its rounds have converged, so each round is as it has it.

    Args:
        graph: where the nodes go.
        estimator: an SVC or NuSVC with `probability`.
        pairs: libsvm's decisions between each two classes.
    """
    count = len(estimator.classes_)
    first = _platt(graph, estimator, pairs)
    products, squares = _matrix(graph, first, count)

    def step(state: Sequence[str]) -> tuple[list[str], str]:
        return _round(graph, state[0], products, squares, count)

    rows = graph.op("Shape", first, start=0, end=1)
    shape = graph.op("Concat", rows, np.array([count]), axis=0)
    even = graph.op("Expand", 1.0 / count, shape)
    return graph.value(until_settled(graph, [even], step, max(MOST_ROUNDS, count))[0], count)


def _platt(graph: Graph, estimator: Any, pairs: Value) -> str:
    """Return the probability of the first of each two classes, `[N, pairs]`."""
    slope, shift = estimator._probA.reshape(1, -1), estimator._probB.reshape(1, -1)  # noqa: SLF001 -- the public names warn
    exponent = graph.op("Add", graph.op("Mul", pairs.name, slope), shift)
    found = graph.op("Div", 1.0, graph.op("Add", graph.op("Exp", exponent), 1.0))
    return graph.op("Min", graph.op("Max", found, LEAST), 1.0 - LEAST)


def _matrix(graph: Graph, first: str, count: int) -> tuple[str, str]:
    """Return libsvm's Q, `[N, k, k]`, and its diagonal, `[N, k]`."""
    upper = np.zeros((count * (count - 1) // 2, count, count))
    for place, (one, other) in enumerate(combinations(range(count), 2)):
        upper[place, one, other] = 1.0
    lower = upper.transpose(0, 2, 1)
    second = graph.op("Sub", 1.0, first)
    each = [
        graph.op("MatMul", given, side.reshape(len(side), -1))
        for given, side in ((first, upper), (second, lower))
    ]
    against = graph.op("Reshape", graph.op("Add", *each), np.array([-1, count, count]))
    turned = graph.op("Transpose", against, perm=[0, 2, 1])
    squares = graph.op("ReduceSumSquare", against, np.array([1]), keepdims=0)
    diagonal = graph.op("Mul", graph.op("Unsqueeze", squares, np.array([1])), np.eye(count))
    return graph.op("Sub", diagonal, graph.op("Mul", against, turned)), squares


def _round(
    graph: Graph, last: str, products: str, squares: str, count: int
) -> tuple[list[str], str]:
    column = graph.op("Unsqueeze", last, np.array([2]))
    steep = graph.op("Squeeze", graph.op("MatMul", products, column), np.array([2]))
    level = graph.op("ReduceSum", graph.op("Mul", last, steep), np.array([1]), keepdims=1)
    error = graph.op("Abs", graph.op("Sub", steep, level))
    worst = graph.op("ReduceMax", error, np.array([1]), keepdims=1)
    settled = graph.op("Less", worst, PRECISION / count)
    found = last
    for place in range(count):
        at = np.array([place])
        row = graph.op("Gather", products, np.array(place), axis=1)
        own = graph.op("Gather", squares, at, axis=1)
        here = graph.op("Gather", steep, at, axis=1)
        moved = graph.op("Div", graph.op("Sub", level, here), own)
        grown = graph.op("Add", moved, 1.0)
        risen = graph.op("Add", graph.op("Mul", moved, own), graph.op("Mul", here, 2.0))
        level = graph.op("Add", level, graph.op("Mul", moved, risen))
        level = graph.op("Div", graph.op("Div", level, grown), grown)
        steep = graph.op("Div", graph.op("Add", steep, graph.op("Mul", row, moved)), grown)
        changed = graph.op("Add", found, graph.op("Mul", moved, _unit(place, count)))
        found = graph.op("Div", changed, grown)
    # Whether a row has settled is seen before it is changed.
    return [graph.op("Where", settled, last, found)], settled


def _unit(place: int, count: int) -> Array:
    return np.eye(count)[place : place + 1]

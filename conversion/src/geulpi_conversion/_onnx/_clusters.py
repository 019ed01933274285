"""Translates clusterers that know new rows: by the nearest of their centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import (
    AffinityPropagation,
    Birch,
    BisectingKMeans,
    KMeans,
    MeanShift,
    MiniBatchKMeans,
)

from geulpi_conversion._onnx._algebra import (
    always_double,
    dense,
    first_smallest,
    squared_distances,
)
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def centred(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Label by the nearest centre; transform to the distances from each."""
    centres = dense(estimator.cluster_centers_)
    if len(centres) == 0:
        raise Untranslatable(estimator, "it found no centres")
    return _nearest(graph, table, centres, np.arange(len(centres)), method)


@always_double
def birch(graph: Graph, estimator: Birch, table: Table, method: str) -> Value:
    """Label by the nearest subcluster; transform to the distances from each."""
    centres = dense(estimator.subcluster_centers_)
    return _nearest(graph, table, centres, estimator.subcluster_labels_, method)


def _nearest(graph: Graph, table: Table, centres: Array, labels: Array, method: str) -> Value:
    squares = squared_distances(graph, graph.matrix(table), centres)
    if method == "transform":
        return graph.value(graph.op("Sqrt", squares.name), squares.width)
    return first_smallest(graph, squares, labels)


@always_double
def bisecting(graph: Graph, estimator: BisectingKMeans, table: Table, method: str) -> Value:
    """Label by going down the tree of halved clusters to the nearer side."""
    if method == "transform":
        return centred(graph, estimator, table, method)
    mean = getattr(estimator, "_X_mean", 0.0)
    x = graph.matrix(table)
    return Value(_side(graph, x, estimator._bisecting_tree, mean), "int64", 1)  # noqa: SLF001


def _side(graph: Graph, x: Value, node: Any, mean: Any) -> str:
    if node.left is None:
        return graph.constant([[node.label]], np.int64)
    centres = np.stack([node.left.center, node.right.center]) + mean
    near = first_smallest(graph, squared_distances(graph, x, centres), np.array([0, 1]))
    right = graph.op("Equal", near.name, 1)
    sides = [_side(graph, x, side, mean) for side in (node.right, node.left)]
    return graph.op("Where", right, *sides)


TRANSLATORS: dict[type, Translator] = {
    AffinityPropagation: centred,
    Birch: birch,
    BisectingKMeans: bisecting,
    KMeans: centred,
    MeanShift: centred,
    MiniBatchKMeans: centred,
}

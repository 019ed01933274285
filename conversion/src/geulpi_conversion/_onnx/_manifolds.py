"""Translates manifolds that place a new row among the neighbours that it has in the fitted ones."""

from __future__ import annotations

import numpy as np
from sklearn.manifold import Isomap, LocallyLinearEmbedding

from geulpi_conversion._onnx._algebra import always_double
from geulpi_conversion._onnx._elimination import solve
from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._neighbors import fitted_rows, nearest, refuse_ties
from geulpi_conversion._onnx._tables import Table, Value

MOST_NEIGHBORS = 32  # a system of as many equations is written out


@always_double
def isomap(graph: Graph, estimator: Isomap, table: Table, _method: str) -> Value:
    """Measure the ways to all fitted rows over the nearest, and project these."""
    if estimator.n_neighbors is None:
        raise Untranslatable(estimator, "it was fitted with a radius")
    count = int(estimator.n_neighbors)
    refuse_ties(estimator.nbrs_, count, np.arange(estimator.nbrs_.n_samples_fit_))
    found = nearest(graph, estimator.nbrs_, graph.matrix(table), count)
    ways = graph.op("Gather", estimator.dist_matrix_, found.index, axis=0)
    first = graph.op("Unsqueeze", found.distances.name, np.array([2]))
    shortest = graph.op("ReduceMin", graph.op("Add", ways, first), np.array([1]), keepdims=0)
    kernel = graph.op("Mul", graph.op("Mul", shortest, shortest), -0.5)
    near = graph.value(kernel, len(estimator.dist_matrix_))
    return graph.call(estimator.kernel_pca_, Table.of(near), "transform")


@always_double
def locally_linear(
    graph: Graph, estimator: LocallyLinearEmbedding, table: Table, _method: str
) -> Value:
    """Write a row as a mean of its nearest, and take the same mean of where these came to lie."""
    count = int(estimator.n_neighbors)
    if count > MOST_NEIGHBORS:
        raise Untranslatable(estimator, f"it solves a system of {count} equations for each row")
    refuse_ties(estimator.nbrs_, count, np.arange(estimator.nbrs_.n_samples_fit_))
    x = graph.matrix(table)
    index = nearest(graph, estimator.nbrs_, x, count).index
    theirs = graph.op("Gather", fitted_rows(estimator.nbrs_), index, axis=0)
    apart = graph.op("Sub", theirs, graph.op("Unsqueeze", x.name, np.array([1])))
    weights = _barycentre(graph, apart, count, float(estimator.reg))
    places = graph.op("Gather", estimator.embedding_, index, axis=0)
    placed = graph.op("ReduceSum", graph.op("Mul", places, weights), np.array([1]), keepdims=0)
    return graph.value(placed, estimator.embedding_.shape[1])


def _barycentre(graph: Graph, apart: str, count: int, regular: float) -> str:
    """Return the weights of neighbours `[N, k, 1]` whose mean is nearest to the row."""
    products = graph.op("MatMul", apart, graph.op("Transpose", apart, perm=[0, 2, 1]))
    trace = graph.op("ReduceSumSquare", apart, np.array([1, 2]), keepdims=1)
    given = graph.op("Where", graph.op("Greater", trace, 0.0), trace, 1.0)
    ridge = graph.op("Mul", graph.op("Mul", given, regular), np.eye(count)[np.newaxis])
    rows = graph.op("Shape", apart, start=0, end=1)
    shape = graph.op("Concat", rows, np.array([count, 1]), axis=0)
    ones = graph.op("Expand", 1.0, shape)
    weights, _ = solve(graph, graph.op("Add", products, ridge), ones, count)
    return graph.op("Div", weights, graph.op("ReduceSum", weights, np.array([1]), keepdims=1))


TRANSLATORS: dict[type, Translator] = {
    Isomap: isomap,
    LocallyLinearEmbedding: locally_linear,
}

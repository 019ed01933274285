"""Translates label propagation: labels spread from the fitted rows that are near."""

from __future__ import annotations

import numpy as np
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

from geulpi_conversion._onnx._algebra import always_double, dense, linear, shares
from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._kernels import Kernel
from geulpi_conversion._onnx._neighbors import nearest, refuse_ties
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def propagated(
    graph: Graph, estimator: LabelPropagation | LabelSpreading, table: Table, method: str
) -> Value:
    """Weigh the fitted rows' distributions of labels by how near they are."""
    known = dense(estimator.label_distributions_)
    x = graph.matrix(table)
    if estimator.kernel == "rbf":
        kernel = Kernel("rbf", estimator.gamma)
        near = kernel.between(graph, x, dense(estimator.X_), estimator)
        summed = linear(graph, near, known)
    elif estimator.kernel == "knn":
        count = int(estimator.n_neighbors)
        refuse_ties(estimator.nn_fit, count, known)
        found = nearest(graph, estimator.nn_fit, x, count)
        theirs = graph.op("Gather", known, found.index, axis=0)
        name = graph.op("ReduceSum", theirs, np.array([1]), keepdims=0)
        summed = graph.value(name, known.shape[1])
    else:
        raise Untranslatable(estimator, "its kernel is a function of yours")
    probabilities = shares(graph, summed)
    if method == "predict":
        return graph.best(probabilities, estimator.classes_)
    return probabilities


TRANSLATORS: dict[type, Translator] = {
    LabelPropagation: propagated,
    LabelSpreading: propagated,
}

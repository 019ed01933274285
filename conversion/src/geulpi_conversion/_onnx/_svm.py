"""Translates support vector machines: libsvm's decisions, votes and tie breaks."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from geulpi_conversion._onnx._algebra import always_double, dense, inlier, linear
from geulpi_conversion._onnx._coupling import coupled
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._kernels import Kernel
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def regressor(graph: Graph, estimator: SVR | NuSVR, table: Table, _method: str) -> Value:
    """Predict by the kernel with each support vector."""
    return linear(
        graph, _kernel(graph, estimator, table), dense(estimator.dual_coef_).T, estimator.intercept_
    )


@always_double
def one_class(graph: Graph, estimator: OneClassSVM, table: Table, method: str) -> Value:
    """Tell outliers by the kernel with each support vector."""
    scores = regressor(graph, estimator, table, method)
    return inlier(graph, scores, at_zero=-1) if method == "predict" else scores


@always_double
def classifier(graph: Graph, estimator: SVC | NuSVC, table: Table, method: str) -> Value:
    """Decide between each two classes, and let the decisions vote."""
    pairs = _decisions(graph, estimator, table)
    if method == "predict_proba":
        return coupled(graph, estimator, pairs)
    many = len(estimator.classes_) > 2
    one_for_each = estimator.decision_function_shape == "ovr" and many
    if method == "predict":
        if estimator.break_ties and one_for_each:
            return graph.best(_confidences(graph, estimator, pairs), estimator.classes_)
        return graph.best(_votes(graph, estimator, pairs, at_zero=1), estimator.classes_)
    if one_for_each:
        return _confidences(graph, estimator, pairs)
    # Of two classes scikit-learn turns libsvm's sign around.
    return pairs if many else graph.value(graph.op("Neg", pairs.name), 1)


def _kernel(graph: Graph, estimator: Any, table: Table) -> Value:
    """Return the kernel with each support vector."""
    if callable(estimator.kernel):
        raise Untranslatable(estimator, "its kernel is a function of yours")
    if estimator.kernel == "precomputed":
        chosen = graph.select(table, [int(place) for place in estimator.support_])
        return graph.matrix(chosen)
    gamma = estimator._gamma  # noqa: SLF001 -- the number behind gamma="scale"
    kernel = Kernel(estimator.kernel, gamma, estimator.degree, estimator.coef0)
    return kernel.between(graph, graph.matrix(table), dense(estimator.support_vectors_), estimator)


def _decisions(graph: Graph, estimator: SVC | NuSVC, table: Table) -> Value:
    """Return libsvm's decision for the first of each two classes, where it is above 0."""
    coefficients = dense(estimator._dual_coef_)  # with libsvm's own signs
    ends = np.cumsum(estimator.n_support_)
    weights = np.zeros((coefficients.shape[1], len(estimator.intercept_)))
    for pair, (first, second) in enumerate(combinations(range(len(ends)), 2)):
        for own, other in ((first, second - 1), (second, first)):
            held = slice(ends[own] - estimator.n_support_[own], ends[own])
            weights[held, pair] = coefficients[other, held]
    return linear(graph, _kernel(graph, estimator, table), weights, estimator._intercept_)


def _votes(graph: Graph, estimator: SVC | NuSVC, pairs: Value, *, at_zero: int) -> Value:
    """Count for each class the decisions for it; those of 0 go to the first (0) or second (1)."""
    for_first, for_second = _sides(len(estimator.classes_))
    comparison = "Greater" if at_zero else "GreaterOrEqual"
    won = Value(graph.op(comparison, pairs.name, 0.0), "bool", pairs.width)
    first = graph.cast(won, graph.kind)
    return linear(graph, first, for_first - for_second, for_second.sum(axis=0))


def _confidences(graph: Graph, estimator: SVC | NuSVC, pairs: Value) -> Value:
    """Return votes, with the decisions themselves as less than half a vote."""
    for_first, for_second = _sides(len(estimator.classes_))
    votes = _votes(graph, estimator, pairs, at_zero=0)
    sums = linear(graph, pairs, for_first - for_second)
    size = graph.op("Mul", graph.op("Add", graph.op("Abs", sums.name), 1.0), 3.0)
    return graph.value(graph.op("Add", votes.name, graph.op("Div", sums.name, size)), votes.width)


def _sides(classes: int) -> tuple[Array, Array]:
    """Return which class is the first and which the second of each pair, as `[pairs, classes]`."""
    pairs = np.array(list(combinations(range(classes), 2)))
    unit = np.eye(classes)
    return unit[pairs[:, 0]], unit[pairs[:, 1]]


TRANSLATORS: dict[type, Translator] = {
    NuSVC: classifier,
    NuSVR: regressor,
    OneClassSVM: one_class,
    SVC: classifier,
    SVR: regressor,
}

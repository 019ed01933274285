"""Translates discriminants: each class is a Gaussian, or just its centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.covariance import EllipticEnvelope
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.neighbors import NearestCentroid

from geulpi_conversion._onnx._algebra import (
    affine,
    always_double,
    first_smallest,
    inlier,
    linear,
    mahalanobis,
    manhattan_distances,
    softmax,
    squared_distances,
)
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._linear import logistic
from geulpi_conversion._onnx._tables import Table, Value


def linear_discriminant(
    graph: Graph, estimator: LinearDiscriminantAnalysis, table: Table, method: str
) -> Value:
    """Classify as logistic regression does, or project to where the classes lie apart."""
    if method != "transform":
        return logistic(graph, estimator, table, method)
    scalings = estimator.scalings_[:, : estimator._max_components]  # noqa: SLF001 -- as it does
    if estimator.solver == "svd":
        return affine(graph, graph.matrix(table), estimator.xbar_, scalings)
    return linear(graph, graph.matrix(table), scalings)


@always_double
def quadratic_discriminant(
    graph: Graph, estimator: QuadraticDiscriminantAnalysis, table: Table, method: str
) -> Value:
    """Classify by the likelihood of each class's own Gaussian."""
    factors = np.stack(
        [
            rotation / np.sqrt(scaling)
            for rotation, scaling in zip(estimator.rotations_, estimator.scalings_, strict=True)
        ]
    )
    lengths = mahalanobis(graph, graph.matrix(table), estimator.means_, factors)
    spread = np.array([np.log(scaling).sum() for scaling in estimator.scalings_])
    constant = np.log(estimator.priors_) - 0.5 * spread
    scores = graph.op("Add", graph.op("Mul", lengths.name, -0.5), constant.reshape(1, -1))
    return _answered(graph, estimator, graph.value(scores, lengths.width), method)


@always_double
def nearest_centroid(graph: Graph, estimator: NearestCentroid, table: Table, method: str) -> Value:
    """Classify by the nearest centre, weighed by the classes' shares where they differ."""
    if estimator.metric not in {"euclidean", "manhattan"}:
        raise Untranslatable(estimator, f"the metric {estimator.metric!r} has no translation")
    centres = np.asarray(estimator.centroids_, np.float64)
    priors = estimator.class_prior_
    x = graph.matrix(table)
    if method == "predict" and np.isclose(priors, 1 / len(priors)).all():
        return first_smallest(graph, _apart(graph, estimator, x, centres), estimator.classes_)
    deviation = np.where(estimator.within_class_std_dev_ == 0, 1.0, estimator.within_class_std_dev_)
    x = graph.value(graph.op("Div", x.name, deviation.reshape(1, -1)), x.width)
    squares = _apart(graph, estimator, x, centres / deviation)
    if estimator.metric == "manhattan":
        squares = graph.value(graph.op("Mul", squares.name, squares.name), squares.width)
    constant = 2.0 * np.log(priors).reshape(1, -1)
    scores = graph.value(graph.op("Sub", constant, squares.name), squares.width)
    return _answered(graph, estimator, scores, method)


def _apart(graph: Graph, estimator: NearestCentroid, x: Value, centres: Array) -> Value:
    if estimator.metric == "euclidean":
        return squared_distances(graph, x, centres)
    return manhattan_distances(graph, x, centres)


def _answered(graph: Graph, estimator: Any, scores: Value, method: str) -> Value:
    if method == "predict":
        return graph.best(scores, estimator.classes_)
    if method == "predict_proba":
        return softmax(graph, scores)
    if scores.width != 2:
        return scores
    first, second = graph.ops("Split", scores.name, outputs=2, axis=1, num_outputs=2)
    return graph.value(graph.op("Sub", second, first), 1)


@always_double
def elliptic_envelope(
    graph: Graph, estimator: EllipticEnvelope, table: Table, method: str
) -> Value:
    """Tell outliers by their Mahalanobis distance from the middle."""
    middle = estimator.location_.reshape(1, -1)
    moved = graph.op("Sub", graph.matrix(table).name, middle)
    turned = graph.op("MatMul", moved, estimator.get_precision())
    squares = graph.op("ReduceSum", graph.op("Mul", turned, moved), np.array([1]), keepdims=1)
    scores = graph.value(graph.op("Sub", -float(estimator.offset_), squares), 1)
    if method == "predict":
        return inlier(graph, scores)
    return scores


TRANSLATORS: dict[type, Translator] = {
    EllipticEnvelope: elliptic_envelope,
    LinearDiscriminantAnalysis: linear_discriminant,
    NearestCentroid: nearest_centroid,
    QuadraticDiscriminantAnalysis: quadratic_discriminant,
}

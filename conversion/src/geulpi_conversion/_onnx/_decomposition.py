"""Translates decompositions that are a linear map of each row, or nearly so."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    MiniBatchSparsePCA,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.linear_model import ridge_regression
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import BernoulliRBM

from geulpi_conversion._onnx._algebra import affine, linear
from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._tables import Table, Value


def principal(graph: Graph, estimator: PCA | IncrementalPCA, table: Table, _method: str) -> Value:
    """Project to the principal components, of variance 1 where they are whitened."""
    weights = estimator.components_.T
    if estimator.whiten:
        scale = np.sqrt(estimator.explained_variance_)
        weights = weights / np.maximum(scale, np.finfo(scale.dtype).eps)
    return affine(graph, graph.matrix(table), estimator.mean_, weights)


def components(graph: Graph, estimator: Any, table: Table, _method: str) -> Value:
    """Project to components, without centring."""
    return linear(graph, graph.matrix(table), estimator.components_.T)


def factors(graph: Graph, estimator: FactorAnalysis, table: Table, _method: str) -> Value:
    """Return the expected factors behind each row."""
    weighed = estimator.components_ / estimator.noise_variance_
    covariance = np.linalg.inv(np.eye(len(weighed)) + weighed @ estimator.components_.T)
    return affine(graph, graph.matrix(table), estimator.mean_, weighed.T @ covariance)


def independent(graph: Graph, estimator: FastICA, table: Table, method: str) -> Value:
    """Unmix the sources."""
    if not estimator.whiten:
        return components(graph, estimator, table, method)
    return affine(graph, graph.matrix(table), estimator.mean_, estimator.components_.T)


def sparse(
    graph: Graph, estimator: SparsePCA | MiniBatchSparsePCA, table: Table, _method: str
) -> Value:
    """Return the ridge regression of each row on the components."""
    weights = ridge_regression(
        estimator.components_.T,
        np.eye(table.width),
        estimator.ridge_alpha,
        solver="cholesky",
    )
    return affine(graph, graph.matrix(table), estimator.mean_, weights.reshape(table.width, -1))


def partial_least_squares(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Predict the targets, or project to the components that tell most of them."""
    x, centre = graph.matrix(table), estimator._x_mean  # noqa: SLF001 -- as it does
    if method == "predict":
        return affine(graph, x, centre, estimator.coef_.T, estimator.intercept_)
    rotations = getattr(estimator, "x_rotations_", None)
    if rotations is None:
        rotations = estimator.x_weights_
    return affine(graph, x, centre, rotations / estimator._x_std.reshape(-1, 1))  # noqa: SLF001


def boltzmann(graph: Graph, estimator: BernoulliRBM, table: Table, _method: str) -> Value:
    """Return the probabilities that the hidden units are on."""
    hidden = linear(
        graph, graph.matrix(table), estimator.components_.T, estimator.intercept_hidden_
    )
    return graph.value(graph.op("Sigmoid", hidden.name), hidden.width)


TRANSLATORS: dict[type, Translator] = {
    BernoulliRBM: boltzmann,
    CCA: partial_least_squares,
    FactorAnalysis: factors,
    FastICA: independent,
    IncrementalPCA: principal,
    MiniBatchSparsePCA: sparse,
    NeighborhoodComponentsAnalysis: components,
    PCA: principal,
    PLSCanonical: partial_least_squares,
    PLSRegression: partial_least_squares,
    PLSSVD: partial_least_squares,
    SparsePCA: sparse,
    TruncatedSVD: components,
}

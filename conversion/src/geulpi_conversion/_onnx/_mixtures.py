"""Translates mixtures of Gaussians."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import digamma
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from geulpi_conversion._onnx._algebra import always_double, mahalanobis, softmax
from geulpi_conversion._onnx._graph import Array, Graph, Translator
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def mixture(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Tell which Gaussian a row is from, or with what probability."""
    width = table.width
    factors, log_det = _precision(estimator, width)
    constant = estimator._estimate_log_weights() + log_det  # noqa: SLF001 -- a constant of the fit
    if isinstance(estimator, BayesianGaussianMixture):
        constant = constant + _uncertainty(estimator, width)
    lengths = mahalanobis(graph, graph.matrix(table), estimator.means_, factors)
    weighed = graph.op("Mul", lengths.name, -0.5)
    scores = graph.value(graph.op("Add", weighed, constant.reshape(1, -1)), lengths.width)
    if method == "predict":
        return graph.best(scores, np.arange(scores.width))
    return softmax(graph, scores)


def _precision(estimator: Any, width: int) -> tuple[Array, Array]:
    """Return what stretches each Gaussian to a round one, and the logarithm of how much."""
    factors = np.asarray(estimator.precisions_cholesky_)
    if estimator.covariance_type in {"full", "tied"}:
        factors = factors.reshape(-1, width, width)
        return factors, np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    diagonals = factors.reshape(len(factors), -1) * np.ones((1, width))
    return diagonals[:, np.newaxis], np.log(diagonals).sum(axis=1)


def _uncertainty(estimator: BayesianGaussianMixture, width: int) -> Array:
    """Return what the uncertainty of the parameters takes off the logarithms."""
    freedom = np.asarray(estimator.degrees_of_freedom_)
    spread = width * np.log(2.0) + digamma(0.5 * (freedom - np.arange(width)[:, np.newaxis])).sum(0)
    taken: Array = 0.5 * (
        spread - width / np.asarray(estimator.mean_precision_) - width * np.log(freedom)
    )
    return taken


TRANSLATORS: dict[type, Translator] = {
    BayesianGaussianMixture: mixture,
    GaussianMixture: mixture,
}

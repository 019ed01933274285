"""Translates Gaussian processes: their kernels, recursively, and a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.gaussian_process._gpc import (
    COEFS,
    LAMBDAS,
    _BinaryGaussianProcessClassifierLaplace,
)

from geulpi_conversion._onnx._algebra import always_double, both, linear, squared_distances
from geulpi_conversion._onnx._erf import erf
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value

# A kernel of rows and of points `[P, width]`, as `[N, P]`.
Covariance = Callable[[Graph, Any, Value, Array], str]


def covariance(graph: Graph, kernel: Any, x: Value, points: Array) -> Value:
    """Return the kernel of each row and each of the points.

    Raises:
        Untranslatable: there is no translation of a kernel in it.
    """
    if type(kernel) not in COVARIANCES:
        raise Untranslatable(kernel, "this kernel has no translation")
    return graph.value(COVARIANCES[type(kernel)](graph, kernel, x, points), len(points))


def _both_sides(op_type: str) -> Covariance:
    def combined(graph: Graph, kernel: Any, x: Value, points: Array) -> str:
        sides = [covariance(graph, side, x, points).name for side in (kernel.k1, kernel.k2)]
        return graph.op(op_type, *sides)

    return combined


def _power(graph: Graph, kernel: kernels.Exponentiation, x: Value, points: Array) -> str:
    inner = covariance(graph, kernel.kernel, x, points)
    return graph.op("Pow", inner.name, float(kernel.exponent))


def _level(height: Callable[[Any], float]) -> Covariance:
    def constant(graph: Graph, kernel: Any, x: Value, points: Array) -> str:
        rows = graph.op("Shape", x.name, start=0, end=1)
        shape = graph.op("Concat", rows, np.array([len(points)]), axis=0)
        return graph.op("Expand", float(height(kernel)), shape)

    return constant


def _dot(graph: Graph, kernel: kernels.DotProduct, x: Value, points: Array) -> str:
    return graph.op("Add", graph.op("MatMul", x.name, points.T), float(kernel.sigma_0) ** 2)


def _stretched(graph: Graph, kernel: Any, x: Value, points: Array) -> Value:
    """Return squared distances, where the length scale is 1."""
    scale = np.asarray(kernel.length_scale, np.float64).reshape(1, -1)
    shrunk = graph.value(graph.op("Div", x.name, scale), x.width)
    return squared_distances(graph, shrunk, points / scale)


def _rbf(graph: Graph, kernel: Any, x: Value, points: Array) -> str:
    squares = _stretched(graph, kernel, x, points)
    return graph.op("Exp", graph.op("Mul", squares.name, -0.5))


def _matern(graph: Graph, kernel: kernels.Matern, x: Value, points: Array) -> str:
    if kernel.nu == np.inf:
        return _rbf(graph, kernel, x, points)
    if kernel.nu not in {0.5, 1.5, 2.5}:
        raise Untranslatable(kernel, f"with nu={kernel.nu} it needs Bessel functions")
    squares = graph.op("Mul", _stretched(graph, kernel, x, points).name, 2.0 * kernel.nu)
    apart = graph.op("Sqrt", squares)
    faded = graph.op("Exp", graph.op("Neg", apart))
    if kernel.nu == 0.5:
        return faded
    raised = graph.op("Add", apart, 1.0)
    if kernel.nu == 2.5:
        raised = graph.op("Add", raised, graph.op("Div", squares, 3.0))
    return graph.op("Mul", raised, faded)


def _rational(graph: Graph, kernel: kernels.RationalQuadratic, x: Value, points: Array) -> str:
    scale = 2.0 * kernel.alpha * kernel.length_scale**2
    squares = graph.op("Div", squared_distances(graph, x, points).name, float(scale))
    return graph.op("Pow", graph.op("Add", squares, 1.0), -float(kernel.alpha))


def _periodic(graph: Graph, kernel: kernels.ExpSineSquared, x: Value, points: Array) -> str:
    apart = graph.op("Sqrt", squared_distances(graph, x, points).name)
    wave = graph.op("Sin", graph.op("Mul", apart, np.pi / kernel.periodicity))
    height = graph.op("Div", wave, float(kernel.length_scale))
    return graph.op("Exp", graph.op("Mul", graph.op("Mul", height, height), -2.0))


COVARIANCES: dict[type, Covariance] = {
    kernels.ConstantKernel: _level(lambda kernel: kernel.constant_value),
    kernels.DotProduct: _dot,
    kernels.ExpSineSquared: _periodic,
    kernels.Exponentiation: _power,
    kernels.Matern: _matern,
    kernels.Product: _both_sides("Mul"),
    kernels.RBF: _rbf,
    kernels.RationalQuadratic: _rational,
    kernels.Sum: _both_sides("Add"),
    kernels.WhiteKernel: _level(lambda _kernel: 0.0),
}


@always_double
def regressor(
    graph: Graph, estimator: GaussianProcessRegressor, table: Table, _method: str
) -> Value:
    """Predict the mean of the process, given the fitted rows."""
    if not hasattr(estimator, "X_train_"):
        raise Untranslatable(estimator, "it was not fitted")
    near = covariance(graph, estimator.kernel_, graph.matrix(table), estimator.X_train_)
    weights = estimator.alpha_.reshape(near.width, -1)
    deviation = np.asarray(estimator._y_train_std).reshape(1, -1)  # noqa: SLF001 -- as it does
    return linear(graph, near, weights * deviation, estimator._y_train_mean)  # noqa: SLF001


def classifier(
    graph: Graph, estimator: GaussianProcessClassifier, table: Table, method: str
) -> Value:
    """Classify by one process, or by one for each class or pair."""
    return graph.call(estimator.base_estimator_, table, method)


@always_double
def binary_classifier(
    graph: Graph, estimator: _BinaryGaussianProcessClassifierLaplace, table: Table, method: str
) -> Value:
    """Classify by a process: Laplace's approximation of its posterior."""
    x = graph.matrix(table)
    near = covariance(graph, estimator.kernel_, x, estimator.X_train_)
    mean = linear(graph, near, (estimator.y_train_ - estimator.pi_).reshape(-1, 1))
    if method == "predict":
        return graph.positive(mean, estimator.classes_)
    return both(graph, _averaged(graph, mean.name, _variance(graph, estimator, x, near)))


def _variance(graph: Graph, estimator: Any, x: Value, near: Value) -> str:
    solved = np.linalg.solve(estimator.L_, np.diag(estimator.W_sr_))
    known = graph.op("MatMul", near.name, solved.T)
    told = graph.op("ReduceSumSquare", known, np.array([1]), keepdims=1)
    return graph.op("Sub", _diagonal(graph, estimator.kernel_, x), told)


def _diagonal(graph: Graph, kernel: Any, x: Value) -> str:
    """Return the kernel of each row with itself, `[N, 1]`, or `[1, 1]` where it is constant."""
    if isinstance(kernel, kernels.Sum | kernels.Product):
        op_type = "Add" if isinstance(kernel, kernels.Sum) else "Mul"
        return graph.op(op_type, *(_diagonal(graph, side, x) for side in (kernel.k1, kernel.k2)))
    if isinstance(kernel, kernels.Exponentiation):
        return graph.op("Pow", _diagonal(graph, kernel.kernel, x), float(kernel.exponent))
    if isinstance(kernel, kernels.DotProduct):
        squares = graph.op("ReduceSumSquare", x.name, np.array([1]), keepdims=1)
        return graph.op("Add", squares, float(kernel.sigma_0) ** 2)
    return graph.constant(kernel.diag(np.zeros((1, x.width))).reshape(1, 1), np.float64)


def _averaged(graph: Graph, mean: str, variance: str) -> Value:
    """Return the logistic function averaged over a Gaussian, as a sum of error functions."""
    lambdas, coefs = LAMBDAS.reshape(1, -1), COEFS.reshape(1, -1)
    alpha = graph.op("Div", 0.5, variance)
    ratio = graph.op("Div", alpha, graph.op("Add", alpha, np.square(lambdas)))
    risen = erf(graph, graph.op("Mul", graph.op("Mul", mean, lambdas), graph.op("Sqrt", ratio)))
    # What scikit-learn divides by is twice sqrt(pi / alpha).
    summed = graph.op("MatMul", risen, 0.5 * coefs.T)
    return graph.value(graph.op("Add", summed, 0.5 * float(coefs.sum())), 1)


TRANSLATORS: dict[type, Translator] = {
    GaussianProcessClassifier: classifier,
    GaussianProcessRegressor: regressor,
    _BinaryGaussianProcessClassifierLaplace: binary_classifier,
}

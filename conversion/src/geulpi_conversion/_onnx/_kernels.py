"""Kernels between rows and fitted points, and the estimators that are a kernel and a product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge

from geulpi_conversion._onnx._algebra import (
    always_double,
    dense,
    linear,
    manhattan_distances,
    rows_of_length_1,
    squared_distances,
)
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value


@dataclass(frozen=True)
class Kernel:
    """A kernel by scikit-learn's name for it, with its numbers."""

    name: str
    gamma: float
    degree: float = 3
    coef0: float = 1

    @classmethod
    def of(cls, estimator: Any, gamma: float | None, width: int) -> Kernel:
        """Return the kernel of an estimator with these parameters.

        Raises:
            Untranslatable: the kernel is a function, or has parameters of its own.
        """
        if callable(estimator.kernel):
            raise Untranslatable(estimator, "its kernel is a function of yours")
        if estimator.kernel_params:
            raise Untranslatable(estimator, "its kernel_params have no translation")
        degree = 3 if estimator.degree is None else estimator.degree
        coef0 = 1 if estimator.coef0 is None else estimator.coef0
        return cls(estimator.kernel, 1.0 / width if gamma is None else gamma, degree, coef0)

    def between(self, graph: Graph, x: Value, points: Array, estimator: Any) -> Value:
        """Return the kernel of each row and each of the points `[P, width]`, as `[N, P]`.

        Raises:
            Untranslatable: there is no translation of this kernel.
        """
        if self.name == "precomputed":
            return x
        compute = KERNELS.get(self.name)
        if compute is None:
            raise Untranslatable(estimator, f"the kernel {self.name!r} has no translation")
        return graph.value(compute(self, graph, x, points), len(points))


def _product(_kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    return graph.op("MatMul", x.name, points.T)


def _cosine(_kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / np.where(lengths == 0, 1.0, lengths)
    return graph.op("MatMul", rows_of_length_1(graph, x).name, unit.T)


def _scaled(kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    return graph.op("Add", graph.op("MatMul", x.name, kernel.gamma * points.T), float(kernel.coef0))


def _polynomial(kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    return graph.op("Pow", _scaled(kernel, graph, x, points), float(kernel.degree))


def _sigmoid(kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    return graph.op("Tanh", _scaled(kernel, graph, x, points))


def _rbf(kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    apart = squared_distances(graph, x, points)
    return graph.op("Exp", graph.op("Mul", apart.name, -float(kernel.gamma)))


def _laplacian(kernel: Kernel, graph: Graph, x: Value, points: Array) -> str:
    apart = manhattan_distances(graph, x, points)
    return graph.op("Exp", graph.op("Mul", apart.name, -float(kernel.gamma)))


KERNELS = {
    "cosine": _cosine,
    "laplacian": _laplacian,
    "linear": _product,
    "poly": _polynomial,
    "polynomial": _polynomial,
    "rbf": _rbf,
    "sigmoid": _sigmoid,
}


@always_double
def ridge(graph: Graph, estimator: KernelRidge, table: Table, _method: str) -> Value:
    """Predict by the kernel with each fitted row."""
    kernel = Kernel.of(estimator, estimator.gamma, table.width)
    found = kernel.between(graph, graph.matrix(table), dense(estimator.X_fit_), estimator)
    return linear(graph, found, estimator.dual_coef_.reshape(found.width, -1))


@always_double
def principal(graph: Graph, estimator: KernelPCA, table: Table, _method: str) -> Value:
    """Project the centred kernel with each fitted row."""
    kernel = Kernel.of(estimator, estimator.gamma_, table.width)
    points = dense(estimator.X_fit_)
    found = kernel.between(graph, graph.matrix(table), points, estimator)
    centerer = estimator._centerer  # noqa: SLF001 -- as it was fitted
    mean = graph.op("ReduceMean", found.name, np.array([1]), keepdims=1)
    centred = graph.op("Sub", graph.op("Sub", found.name, mean), _row(centerer.K_fit_rows_))
    values, vectors = estimator.eigenvalues_, estimator.eigenvectors_
    weights = np.where(values == 0, 0.0, vectors / np.sqrt(np.where(values == 0, 1.0, values)))
    bias = centerer.K_fit_all_ * weights.sum(axis=0)
    return linear(graph, graph.value(centred, found.width), weights, bias)


@always_double
def nystroem(graph: Graph, estimator: Nystroem, table: Table, _method: str) -> Value:
    """Project the kernel with each chosen row."""
    kernel = Kernel.of(estimator, estimator.gamma, table.width)
    found = kernel.between(graph, graph.matrix(table), dense(estimator.components_), estimator)
    return linear(graph, found, estimator.normalization_.T)


def _row(values: Array) -> Array:
    return np.asarray(values).reshape(1, -1)


TRANSLATORS: dict[type, Translator] = {
    KernelPCA: principal,
    KernelRidge: ridge,
    Nystroem: nystroem,
}

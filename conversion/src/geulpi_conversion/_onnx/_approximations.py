"""Random projections and approximations of kernels."""

from __future__ import annotations

import numpy as np
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._numpy import cos, float64, narrow, wide
from geulpi_conversion._onnx._tables import Table, Value

# scikit-learn's, by the number of steps.
INTERVALS = {1: 0.8, 2: 0.5, 3: 0.4}


def project(
    graph: Graph,
    estimator: GaussianRandomProjection | SparseRandomProjection,
    table: Table,
    _method: str,
) -> Value:
    """Multiply by the random matrix."""
    components = estimator.components_
    dense = components.toarray() if hasattr(components, "toarray") else components
    value = graph.matrix(table)
    return graph.value(graph.op("MatMul", value.name, dense.T), len(dense))


def rbf(graph: Graph, estimator: RBFSampler, table: Table, _method: str) -> Value:
    """Return cosines of random phases."""
    return _phases(graph, estimator, wide(graph, table))


def skewed_chi2(graph: Graph, estimator: SkewedChi2Sampler, table: Table, _method: str) -> Value:
    """Return cosines of random phases of the logarithms; values below -skewedness are refused."""
    value = graph.matrix(table)
    skew = float(estimator.skewedness)
    bad = graph.op("LessOrEqual", value.name, -skew)
    value = graph.refuse_where(bad, value, f"values must be above {-skew}")
    shifted = graph.op("Add", value.name, skew)  # in X's own type, as scikit-learn does
    log = graph.op("Log", wide(graph, Table.of(graph.value(shifted, value.width))))
    return _phases(graph, estimator, log)


def _phases(graph: Graph, estimator: RBFSampler | SkewedChi2Sampler, x: str) -> Value:
    """Return scaled cosines; phases may be large, so they are computed in float64."""
    weights = float64(graph, estimator.random_weights_)
    phase = graph.op("MatMul", x, weights)
    phase = graph.op("Add", phase, float64(graph, estimator.random_offset_))
    scale = float64(graph, np.sqrt(2.0 / estimator.n_components))
    return narrow(graph, graph.op("Mul", cos(graph, phase), scale), int(estimator.n_components))


def additive_chi2(
    graph: Graph, estimator: AdditiveChi2Sampler, table: Table, _method: str
) -> Value:
    """Return roots, cosines and sines of the logarithms of each value; 0 stays 0.

    Raises:
        Untranslatable: of integers, whose results scikit-learn cuts off.
    """
    if table.kinds <= {"int64", "bool"}:
        raise Untranslatable(
            estimator, "scikit-learn cuts its results for integers off to integers"
        )
    value = graph.joined(table, "double")
    zero = float64(graph, 0.0)
    negative = graph.op("Less", value.name, zero)
    x = graph.refuse_where(negative, value, "values must not be negative").name
    interval = estimator.sample_interval or INTERVALS[estimator.sample_steps]
    none = graph.op("Equal", x, zero)
    log = graph.op("Log", graph.op("Where", none, float64(graph, 1.0), x))
    phase = graph.op("Mul", log, float64(graph, interval))
    parts = [graph.op("Sqrt", graph.op("Mul", x, float64(graph, interval)))]
    for step in range(1, estimator.sample_steps):
        weight = 2 * interval / np.cosh(np.pi * step * interval)
        size = graph.op("Sqrt", graph.op("Mul", x, float64(graph, weight)))  # 0 where x is
        turn = graph.op("Mul", phase, float64(graph, step))
        parts += [graph.op("Mul", size, wave) for wave in (cos(graph, turn), graph.op("Sin", turn))]
    joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    return narrow(graph, joined, len(parts) * value.width)


def count_sketch(
    graph: Graph, estimator: PolynomialCountSketch, table: Table, _method: str
) -> Value:
    """Multiply the sketches' Fourier transforms; both transforms are matrices here."""
    count = int(estimator.n_components)
    x = wide(graph, table)
    real = imaginary = ""
    for degree in range(estimator.degree):
        transformed, constant = _sketch(estimator, degree, table.width)
        parts = [
            graph.op(
                "Add",
                graph.op("MatMul", x, float64(graph, part(transformed))),
                float64(graph, part(constant)),
            )
            for part in (np.real, np.imag)
        ]
        if degree == 0:
            real, imaginary = parts
        else:
            real, imaginary = _multiplied(graph, (real, imaginary), (parts[0], parts[1]))
    back = np.eye(count // 2 + 1)
    found = graph.op(
        "Add",
        graph.op("MatMul", real, float64(graph, np.fft.irfft(back, count))),
        graph.op("MatMul", imaginary, float64(graph, np.fft.irfft(1j * back, count))),
    )
    return narrow(graph, found, count)


def _sketch(estimator: PolynomialCountSketch, degree: int, width: int) -> tuple[Array, Array]:
    """Return the Fourier transform of a sketch: a matrix for the columns, and a constant row."""
    hashes, signs = estimator.indexHash_[degree], estimator.bitHash_[degree]
    matrix = np.zeros((len(hashes), int(estimator.n_components)))
    matrix[np.arange(len(hashes)), hashes] = signs
    transformed = np.fft.rfft(matrix, axis=1)
    constant = np.sqrt(estimator.coef0) * transformed[width:].sum(axis=0)
    return np.sqrt(estimator.gamma) * transformed[:width], constant


def _multiplied(graph: Graph, left: tuple[str, str], right: tuple[str, str]) -> tuple[str, str]:
    """Return the product of two complex matrices, element by element."""
    (a, b), (c, d) = left, right
    real = graph.op("Sub", graph.op("Mul", a, c), graph.op("Mul", b, d))
    return real, graph.op("Add", graph.op("Mul", a, d), graph.op("Mul", b, c))


TRANSLATORS: dict[type, Translator] = {
    AdditiveChi2Sampler: additive_chi2,
    GaussianRandomProjection: project,
    PolynomialCountSketch: count_sketch,
    RBFSampler: rbf,
    SkewedChi2Sampler: skewed_chi2,
    SparseRandomProjection: project,
}

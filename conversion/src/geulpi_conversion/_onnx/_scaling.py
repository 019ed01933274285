"""Scalers, normalisation and thresholds: what each value, or row, becomes by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import (
    Binarizer,
    KernelCenterer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._numpy import in_place
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value


def standard(graph: Graph, estimator: StandardScaler, table: Table, _method: str) -> Value:
    """Subtract the means and divide by the deviations, which scikit-learn rounds to X's type."""
    value = graph.matrix(table)
    name = value.name
    if estimator.with_mean:
        name = graph.op("Sub", name, estimator.mean_)
    if estimator.with_std:
        name = graph.op("Div", name, estimator.scale_)
    return graph.value(name, value.width)


def min_max(graph: Graph, estimator: MinMaxScaler, table: Table, _method: str) -> Value:
    """Multiply and add, then keep to the range if asked to."""
    value = in_place(graph, "Mul", graph.matrix(table), estimator.scale_)
    value = in_place(graph, "Add", value, estimator.min_)
    low, high = estimator.feature_range
    return _clipped(graph, value, low, high) if estimator.clip else value


def max_abs(graph: Graph, estimator: MaxAbsScaler, table: Table, _method: str) -> Value:
    """Divide by the largest magnitudes, then keep to -1 and 1 if asked to."""
    value = in_place(graph, "Div", graph.matrix(table), estimator.scale_)
    return _clipped(graph, value, -1.0, 1.0) if estimator.clip else value


def robust(graph: Graph, estimator: RobustScaler, table: Table, _method: str) -> Value:
    """Subtract the medians and divide by the ranges."""
    value = graph.matrix(table)
    if estimator.with_centering:
        value = in_place(graph, "Sub", value, estimator.center_)
    if estimator.with_scaling:
        value = in_place(graph, "Div", value, estimator.scale_)
    return value


def normalize(graph: Graph, estimator: Normalizer, table: Table, _method: str) -> Value:
    """Divide each row by its norm; one of almost 0 counts as 1, as in scikit-learn."""
    value = graph.matrix(table)
    if estimator.norm == "l2":
        squares = graph.op("ReduceSum", graph.op("Mul", value.name, value.name), np.array([1]))
        norm = graph.op("Sqrt", squares)
    else:
        reduce = "ReduceMax" if estimator.norm == "max" else "ReduceSum"
        norm = graph.op(reduce, graph.op("Abs", value.name), np.array([1]))
    zero = graph.op("Less", norm, 10 * float(np.finfo(graph.dtype).eps))
    divisor = graph.op("Where", zero, 1.0, norm)
    return graph.value(graph.op("Div", value.name, divisor), value.width)


def binarize(graph: Graph, estimator: Binarizer, table: Table, _method: str) -> Value:
    """Return 1 above the threshold, else 0."""
    value = graph.matrix(table)
    above = graph.op("Greater", value.name, float(estimator.threshold))
    return graph.value(graph.op("Cast", above, to=ELEMENT_TYPES[graph.kind]), value.width)


def center_kernel(graph: Graph, estimator: KernelCenterer, table: Table, _method: str) -> Value:
    """Subtract the means of fitting and those of the row."""
    value = graph.matrix(table)
    total = graph.op("ReduceSum", value.name, np.array([1]))
    mean = graph.op("Div", total, float(estimator.K_fit_rows_.shape[0]))
    centred = graph.op("Sub", graph.op("Sub", value.name, estimator.K_fit_rows_), mean)
    return graph.value(graph.op("Add", centred, float(estimator.K_fit_all_)), value.width)


def _clipped(graph: Graph, value: Value, low: Any, high: Any) -> Value:
    return graph.value(graph.op("Clip", value.name, float(low), float(high)), value.width)


TRANSLATORS: dict[type, Translator] = {
    Binarizer: binarize,
    KernelCenterer: center_kernel,
    MaxAbsScaler: max_abs,
    MinMaxScaler: min_max,
    Normalizer: normalize,
    RobustScaler: robust,
    StandardScaler: standard,
}

"""Translates isotonic regression: a line through fitted points."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import IsotonicRegression

from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._interpolation import interpolated
from geulpi_conversion._onnx._numpy import float64
from geulpi_conversion._onnx._tables import Table, Value


def isotonic(graph: Graph, estimator: IsotonicRegression, table: Table, _method: str) -> Value:
    """Interpolate; beyond the points clip, answer NaN or refuse, as was chosen."""
    x = graph.joined(table, "double")
    thresholds = np.asarray(estimator.X_thresholds_, np.float64)
    found = interpolated(graph, x, thresholds, estimator.y_thresholds_)
    # Of a single point scikit-learn knows no beyond.
    if estimator.out_of_bounds == "clip" or len(thresholds) == 1:
        return found
    below = graph.op("Less", x.name, float64(graph, thresholds[0]))
    above = graph.op("Greater", x.name, float64(graph, thresholds[-1]))
    beyond = graph.op("Or", below, above)
    if estimator.out_of_bounds == "raise":
        return graph.refuse_where(beyond, found, "a value is beyond those that were fitted")
    return Value(graph.op("Where", beyond, float64(graph, np.nan), found.name), "double", 1)


TRANSLATORS: dict[type, Translator] = {IsotonicRegression: isotonic}

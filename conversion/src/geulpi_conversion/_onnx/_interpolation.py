"""Interpolates between points, as numpy's `interp` does."""

from __future__ import annotations

import numpy as np

from geulpi_conversion._onnx._graph import Array, Graph
from geulpi_conversion._onnx._numpy import float64, searchsorted, take
from geulpi_conversion._onnx._tables import Value


def interpolated(graph: Graph, value: Value, xs: Array, ys: Array) -> Value:
    """Return the height at each x of a curve through points; level beyond the outer ones.

    Args:
        graph: to write into.
        value: `[N, 1]`; NaN stays NaN.
        xs: `[k]`, ascending; of equal ones the last counts from there on.
        ys: `[k]`.

    Returns:
        Double, `[N, 1]`.
    """
    xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    runs = np.diff(xs)
    rises = np.divide(np.diff(ys), runs, out=np.zeros_like(runs), where=runs > 0)
    x = graph.op("Max", graph.cast(value, "double").name, float64(graph, xs[0]))
    x = graph.op("Min", x, float64(graph, xs[-1]))
    piece = graph.op("Sub", searchsorted(graph, x, [xs], "right"), 1)
    start, height, rise = (
        take(graph, [part], piece, np.float64) for part in (xs, ys, np.append(rises, 0.0))
    )
    risen = graph.op("Mul", graph.op("Sub", x, start), rise)
    return Value(graph.op("Add", risen, height), "double", 1)

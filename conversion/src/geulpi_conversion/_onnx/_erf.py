"""The error function in float64, which ONNX Runtime has for float32 alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from geulpi_conversion._onnx._graph import Array, Graph
from geulpi_conversion._onnx._numpy import float64, horner

DEGREE = 27  # leaves errors of 1e-15


def erf(graph: Graph, x: str) -> str:
    """Return the error function of a double.

    With t = 2 / (2 + |x|), erfc(|x|) is t · exp(f(t) − x²), where f is nearly a polynomial.
    """
    size = graph.op("Abs", x)
    t = graph.op("Div", float64(graph, 2.0), graph.op("Add", size, float64(graph, 2.0)))
    place = graph.op("Sub", graph.op("Mul", t, float64(graph, 2.0)), float64(graph, 1.0))
    smooth = horner(graph, place, _coefficients())
    faded = graph.op("Exp", graph.op("Sub", smooth, graph.op("Mul", x, x)))
    risen = graph.op("Sub", float64(graph, 1.0), graph.op("Mul", t, faded))
    return graph.op("Mul", graph.op("Sign", x), risen)


@cache
def _coefficients() -> tuple[float, ...]:
    """Return f as a polynomial of 2t − 1, the highest power first."""

    def smooth(place: Array) -> Array:
        t = np.maximum((place + 1.0) / 2.0, 1e-300)
        found: Array = np.log(erfcx(2.0 / t - 2.0) / t)
        return found

    nearly = chebyshev.chebinterpolate(smooth, DEGREE)  # type: ignore[no-untyped-call]
    found: Array = chebyshev.cheb2poly(nearly)  # type: ignore[no-untyped-call]
    return tuple(float(coefficient) for coefficient in found[::-1])

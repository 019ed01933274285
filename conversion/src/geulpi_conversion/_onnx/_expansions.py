"""Transformers that make several columns of one: polynomials and splines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, combinations_with_replacement
from math import factorial
from typing import Any

import numpy as np
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._numpy import (
    float64,
    narrow,
    searchsorted,
    take,
    wide,
)
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import repeated


def polynomial(graph: Graph, estimator: PolynomialFeatures, table: Table, _method: str) -> Value:
    """Multiply each product of one degree less by a column, in scikit-learn's order."""
    value = graph.matrix(table)
    combine: Callable[..., Any] = (
        combinations if estimator.interaction_only else combinations_with_replacement
    )
    lowest, highest = estimator._min_degree, estimator._max_degree  # noqa: SLF001 -- as fitted
    parts = [repeated(graph, np.ones(1, graph.dtype), table)] if estimator.include_bias else []
    products = value.name
    places = {(column,): column for column in range(value.width)}
    for degree in range(1, highest + 1):
        if degree > 1:
            terms = list(combine(range(value.width), degree))
            if not terms:
                break
            rest = np.array([places[term[1:]] for term in terms], np.int64)
            first = np.array([term[0] for term in terms], np.int64)
            products = graph.op(
                "Mul",
                graph.op("Gather", products, rest, axis=1),
                graph.op("Gather", value.name, first, axis=1),
            )
            places = {term: place for place, term in enumerate(terms)}
        if degree >= lowest:
            parts.append(products)
    joined = graph.op("Concat", *parts, axis=1)
    return graph.value(joined, int(estimator.n_output_features_))


def splines(graph: Graph, estimator: SplineTransformer, table: Table, _method: str) -> Value:
    """Evaluate the polynomials of the piece that a value falls into, as scipy's BSpline would.

    Raises:
        Untranslatable: knots coincide, or a constant is to continue splines of degree 0.
    """
    found = estimator.bsplines_
    if estimator.extrapolation == "constant" and estimator.degree == 0:
        raise Untranslatable(estimator, "scikit-learn can't continue splines of degree 0")
    value = graph.matrix(table)
    missing = graph.op("IsNaN", value.name)
    extents = _extents(estimator)
    knots = [
        spline.t[margin : len(spline.t) - margin]
        for spline, (margin, _) in zip(found, extents, strict=True)
    ]
    if any(len(edges) < 2 or (np.diff(edges) <= 0).any() for edges in knots):
        raise Untranslatable(estimator, "its knots leave a piece without width")
    if estimator.extrapolation == "periodic":
        value = _into_period(graph, value, knots)
    x = wide(graph, Table.of(value))
    if estimator.extrapolation == "error":
        x = _refusing(graph, x, knots)
    pieces = [
        _pieces(spline, edges, estimator.extrapolation, reach)
        for spline, edges, (_, reach) in zip(found, knots, extents, strict=True)
    ]
    index = searchsorted(graph, x, knots, "right")
    starts = take(graph, [start for start, _ in pieces], index, np.float64)
    coefficients = take(graph, [powers for _, powers in pieces], index, np.float64)
    offset = graph.op("Unsqueeze", graph.op("Sub", x, starts), np.array([2]))
    result = _polynomials(graph, coefficients, offset, pieces[0][1].shape[1])
    if estimator.handle_missing == "zeros":
        result = graph.op(
            "Where", graph.op("Unsqueeze", missing, np.array([2])), float64(graph, 0.0), result
        )
    count = found[0].c.shape[1]
    if not estimator.include_bias:
        count -= 1
        result = graph.op("Slice", result, np.array([0]), np.array([count]), np.array([2]))
    width = len(found) * count
    return narrow(graph, graph.op("Reshape", result, np.array([-1, width])), width)


def _extents(estimator: SplineTransformer) -> list[tuple[int, int]]:
    """Return by column the knots outside its range at either end, and the splines that go on there.

    Both are the degree; but for lines of degree 0 and 1 scikit-learn counts the degree up as it
    goes from column to column, and so do we.
    """
    found = []
    degree = estimator.degree
    for _ in estimator.bsplines_:
        margin = degree
        if estimator.extrapolation == "linear" and degree <= 1:
            degree += 1
        found.append((margin, degree))
    return found


def _into_period(graph: Graph, value: Value, knots: list[Array]) -> Value:
    """Return `start + (x - start) % period`, in X's own type as scikit-learn does."""
    start = np.array([edges[0] for edges in knots])
    period = np.array([edges[-1] for edges in knots]) - start
    rest = graph.op("Mod", graph.op("Sub", value.name, start), period, fmod=1)
    # ONNX has C's remainder, of the dividend's sign; numpy's has the divisor's.
    below = graph.op("Less", rest, 0.0)
    rest = graph.op("Where", below, graph.op("Add", rest, period), rest)
    return graph.value(graph.op("Add", rest, start), value.width)


def _refusing(graph: Graph, x: str, knots: list[Array]) -> str:
    low = graph.op("Less", x, float64(graph, [edges[0] for edges in knots]))
    high = graph.op("Greater", x, float64(graph, [edges[-1] for edges in knots]))
    value = Value(x, "double", len(knots))
    message = "a value lies beyond the knots of the splines"
    return graph.refuse_where(graph.op("Or", low, high), value, message).name


def _pieces(spline: Any, edges: Array, extrapolation: str, reach: int) -> tuple[Array, Array]:
    """Return where each piece starts, `[pieces]`, and its coefficients.

    The first piece is below all knots, the last above them. The coefficients are
    `[pieces, powers, splines]`, the lowest power first, of the distance from the start.
    """
    degree = spline.k
    starts = edges[:-1]
    powers = max(degree, 1) + 1  # a line has two
    inner = np.zeros((len(starts), powers, spline.c.shape[1]))
    for power in range(degree + 1):
        inner[:, power] = spline(starts, nu=power) / factorial(power)
    if extrapolation not in {"constant", "linear"}:
        ends = inner[:1], inner[-1:]
        first, last = starts[0], starts[-1]
    else:
        first, last = edges[0], edges[-1]
        linear = extrapolation == "linear"
        ends = (
            _end(spline, first, slice(0, reach), powers, linear=linear),
            _end(spline, last, slice(-reach, None), powers, linear=linear),
        )
    return np.concatenate([[first], starts, [last]]), np.concatenate([ends[0], inner, ends[1]])


def _end(spline: Any, edge: float, kept: slice, powers: int, *, linear: bool) -> Array:
    """Return the piece that goes on from an outermost knot: only the splines next to it do."""
    piece = np.zeros((1, powers, spline.c.shape[1]))
    piece[0, 0, kept] = spline(edge)[kept]
    if linear:
        piece[0, 1, kept] = spline(edge, nu=1)[kept]
    return piece


def _polynomials(graph: Graph, coefficients: str, x: str, powers: int) -> str:
    """Return polynomials at x `[N, columns, 1]` by coefficients `[N, columns, powers, splines]`."""
    parts = graph.ops("Split", coefficients, outputs=powers, axis=2, num_outputs=powers)
    parts = [graph.op("Squeeze", part, np.array([2])) for part in parts]
    found = parts[-1]
    for part in reversed(parts[:-1]):
        found = graph.op("Add", graph.op("Mul", found, x), part)
    return found


TRANSLATORS: dict[type, Translator] = {
    PolynomialFeatures: polynomial,
    SplineTransformer: splines,
}

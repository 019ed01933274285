"""Transformers that bend each column's distribution: powers, quantiles, bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.preprocessing import KBinsDiscretizer, PowerTransformer, QuantileTransformer

from geulpi_conversion._onnx._graph import Array, Graph, Translator
from geulpi_conversion._onnx._numpy import (
    expm1,
    float64,
    horner,
    log1p,
    narrow,
    one_hot,
    searchsorted,
    take,
    wide,
)
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value

NEAR_BOUNDS = 1e-7  # scikit-learn's BOUNDS_THRESHOLD
# Wichura's AS 241: the quantiles of the normal distribution by |p - 0.5| <= 0.425, and beyond.
MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
TAILS = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip


def power(graph: Graph, estimator: PowerTransformer, table: Table, _method: str) -> Table:
    """Apply Yeo-Johnson or Box-Cox by the fitted exponents, then standardise."""
    width = table.width
    lambdas = float64(graph, np.reshape(estimator.lambdas_, (1, -1)))
    if estimator.method == "box-cox":
        table = Table.of(_positive(graph, table))
        found = _power(graph, graph.op("Log", wide(graph, table)), lambdas)
    else:
        x = wide(graph, table)
        positive = graph.op("GreaterOrEqual", x, float64(graph, 0.0))
        mirrored = float64(graph, 2 - np.reshape(estimator.lambdas_, (1, -1)))
        exponent = graph.op("Where", positive, lambdas, mirrored)
        size = _power(graph, log1p(graph, graph.op("Abs", x)), exponent)
        found = graph.op("Where", positive, size, graph.op("Neg", size))
    result = Table.of(narrow(graph, found, width))
    return graph.transform(estimator._scaler, result) if estimator.standardize else result  # noqa: SLF001 -- as fitted


def _positive(graph: Graph, table: Table) -> Value:
    value = graph.joined(table, "double")
    bad = graph.op("LessOrEqual", value.name, float64(graph, 0.0))
    return graph.refuse_where(bad, value, "Box-Cox takes only values above 0")


def _power(graph: Graph, log: str, exponent: str) -> str:
    """Return (exp(log · exponent) - 1) / exponent; where the exponent is 0, its limit: the log."""
    eps = float64(graph, np.finfo(np.float64).eps)
    none = graph.op("Less", graph.op("Abs", exponent), eps)
    divisor = graph.op("Where", none, float64(graph, 1.0), exponent)
    powers = graph.op("Div", expm1(graph, graph.op("Mul", divisor, log)), divisor)
    return graph.op("Where", none, log, powers)


def quantile(graph: Graph, estimator: QuantileTransformer, table: Table, _method: str) -> Value:
    """Interpolate among the quantiles from below and from above; the mean of both."""
    value = graph.matrix(table)
    quantiles = list(estimator.quantiles_.T.astype(np.float64))
    x = graph.joined(table, "double").name
    references = estimator.references_
    below = _interpolated(graph, x, quantiles, [_rising(q, references) for q in quantiles], "right")
    above = _interpolated(graph, x, quantiles, [_falling(q, references) for q in quantiles], "left")
    mean = graph.op("Mul", graph.op("Add", below, above), float64(graph, 0.5))
    normal = estimator.output_distribution == "normal"
    share = _bounded(graph, value, narrow(graph, mean, value.width), estimator, normal=normal)
    share = Value(
        graph.op("Where", graph.op("IsNaN", value.name), value.name, share.name),
        share.kind,
        share.width,
    )
    if not normal:
        return share
    return narrow(graph, _normal_quantile(graph, graph.cast(share, "double").name), value.width)


def _interpolated(
    graph: Graph, x: str, quantiles: list[Array], pieces: list[Array], side: Any
) -> str:
    """Return base + slope · (x - start) by the piece that x falls into."""
    index = searchsorted(graph, x, quantiles, side)
    start, base, slope = (
        take(graph, [piece[:, part] for piece in pieces], index, np.float64) for part in range(3)
    )
    return graph.op("Add", graph.op("Mul", slope, graph.op("Sub", x, start)), base)


def _rising(x: Array, y: Array) -> Array:
    """Return start, base and slope by the number of edges <= x, as np.interp(x, ...) takes them."""
    slopes = np.append(_slopes(x, y), 0.0)
    inner = np.column_stack([x, y, slopes])
    return np.vstack([[0.0, y[0], 0.0], inner])


def _falling(x: Array, y: Array) -> Array:
    """Return the same by the number of edges < x, as -np.interp(-x, ...) takes them."""
    slopes = np.insert(_slopes(x, y), 0, 0.0)
    inner = np.column_stack([x, y, slopes])
    return np.vstack([inner, [0.0, y[-1], 0.0]])


def _slopes(x: Array, y: Array) -> Array:
    steps = np.diff(x)
    return np.divide(np.diff(y), steps, out=np.zeros_like(steps), where=steps > 0)


def _bounded(
    graph: Graph, value: Value, share: Value, estimator: QuantileTransformer, *, normal: bool
) -> Value:
    """Set what lies at the lowest and highest quantile to 0 and 1, compared in X's own type."""
    lowest, highest = estimator.quantiles_[:1], estimator.quantiles_[-1:]
    if normal:
        low = graph.op("Less", graph.op("Sub", value.name, NEAR_BOUNDS), lowest)
        high = graph.op("Greater", graph.op("Add", value.name, NEAR_BOUNDS), highest)
    else:
        low = graph.op("Equal", value.name, lowest)
        high = graph.op("Equal", value.name, highest)
    name = graph.op("Where", high, 1.0, share.name)
    return graph.value(graph.op("Where", low, 0.0, name), share.width)


def _normal_quantile(graph: Graph, share: str) -> str:
    """Return the normal distribution's quantiles, no further out than scikit-learn goes."""
    bound = NEAR_BOUNDS - np.spacing(1)
    share = graph.op("Clip", share, float64(graph, bound), float64(graph, 1 - bound))
    one = float64(graph, 1.0)
    offset = graph.op("Sub", share, float64(graph, 0.5))
    squares = graph.op("Sub", float64(graph, 0.180625), graph.op("Mul", offset, offset))
    middle = graph.op("Mul", offset, _ratio(graph, squares, MIDDLE))
    tail = graph.op("Min", share, graph.op("Sub", one, share))
    root = graph.op("Sqrt", graph.op("Neg", graph.op("Log", tail)))
    outer = _ratio(graph, graph.op("Sub", root, float64(graph, 1.6)), TAILS)
    signed = graph.op("Mul", graph.op("Sign", offset), outer)
    inside = graph.op("LessOrEqual", graph.op("Abs", offset), float64(graph, 0.425))
    found = graph.op("Where", inside, middle, signed)
    return graph.op(
        "Clip", found, float64(graph, norm.ppf(bound)), float64(graph, norm.ppf(1 - bound))
    )


def _ratio(graph: Graph, x: str, polynomials: tuple[tuple[float, ...], ...]) -> str:
    above, below = (horner(graph, x, coefficients) for coefficients in polynomials)
    return graph.op("Div", above, below)


def bins(graph: Graph, estimator: KBinsDiscretizer, table: Table, _method: str) -> Value:
    """Number the bins, or give a column to each."""
    if estimator.dtype == np.float32:
        table = Table.of(graph.joined(table, "float"))
    edges = [edges[1:-1] for edges in estimator.bin_edges_]
    index = searchsorted(graph, wide(graph, table), edges, "right")
    if estimator.encode != "ordinal":
        return one_hot(graph, index, [int(count) for count in estimator.n_bins_])
    return graph.value(graph.op("Cast", index, to=ELEMENT_TYPES[graph.kind]), table.width)


TRANSLATORS: dict[type, Translator] = {
    KBinsDiscretizer: bins,
    PowerTransformer: power,
    QuantileTransformer: quantile,
}

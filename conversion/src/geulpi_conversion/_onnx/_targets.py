"""Translates regressors of a transformed target: the inverse of the transformation, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.preprocessing._data import BOUNDS_THRESHOLD

from geulpi_conversion._onnx._erf import erf
from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._interpolation import interpolated
from geulpi_conversion._onnx._numpy import float64
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._ufuncs import UFUNCS
from geulpi_conversion._onnx._values import beside, column

Inverse = Callable[[Graph, Any, Value], Value]


def transformed_target(
    graph: Graph, estimator: TransformedTargetRegressor, table: Table, _method: str
) -> Value:
    """Predict, then transform back."""
    predicted = graph.call(estimator.regressor_, table, "predict")
    return inverse(graph, estimator.transformer_, graph.cast(predicted, "double"))


def inverse(graph: Graph, transformer: Any, value: Value) -> Value:
    """Return what `transformer.inverse_transform` makes of a value; double.

    Raises:
        Untranslatable: its inverse is not known here.
    """
    known = INVERSES.get(type(transformer))
    if known is None:
        raise Untranslatable(transformer, "its inverse has no ONNX form")
    return known(graph, transformer, value)


def _scaled(graph: Graph, value: Value, scale: Any, shift: Any) -> Value:
    """Return value · scale + shift; None leaves a part out."""
    name = value.name
    if scale is not None:
        name = graph.op("Mul", name, float64(graph, scale))
    if shift is not None:
        name = graph.op("Add", name, float64(graph, shift))
    return Value(name, "double", value.width)


def _standard(graph: Graph, scaler: StandardScaler, value: Value) -> Value:
    return _scaled(graph, value, scaler.scale_, scaler.mean_ if scaler.with_mean else None)


def _robust(graph: Graph, scaler: RobustScaler, value: Value) -> Value:
    return _scaled(graph, value, scaler.scale_, scaler.center_)


def _max_abs(graph: Graph, scaler: MaxAbsScaler, value: Value) -> Value:
    return _scaled(graph, value, scaler.scale_, None)


def _min_max(graph: Graph, scaler: MinMaxScaler, value: Value) -> Value:
    name = graph.op("Sub", value.name, float64(graph, scaler.min_))
    name = graph.op("Div", name, float64(graph, scaler.scale_))
    return Value(name, "double", value.width)


def _pipeline(graph: Graph, pipeline: Pipeline, value: Value) -> Value:
    for _, step in reversed(pipeline.steps):
        if step is not None and step != "passthrough":
            value = inverse(graph, step, value)
    return value


def _power(graph: Graph, transformer: PowerTransformer, value: Value) -> Value:
    if transformer.standardize:
        value = _standard(graph, transformer._scaler, value)  # noqa: SLF001 -- as fitted
    back = _box_cox if transformer.method == "box-cox" else _yeo_johnson
    columns = [
        Value(back(graph, column(graph, value, place).name, float(power)), "double", 1)
        for place, power in enumerate(transformer.lambdas_)
    ]
    return beside(graph, columns)


def _box_cox(graph: Graph, x: str, power: float) -> str:
    if power == 0:
        return graph.op("Exp", x)
    return _root(graph, x, power)


def _yeo_johnson(graph: Graph, x: str, power: float) -> str:
    one, mirrored = float64(graph, 1), graph.op("Neg", x)
    above = graph.op("Exp", x) if abs(power) < np.spacing(1.0) else _root(graph, x, power)
    other = 2 - power
    below = (
        _root(graph, mirrored, other) if abs(other) > np.spacing(1.0) else graph.op("Exp", mirrored)
    )
    positive = graph.op("GreaterOrEqual", x, float64(graph, 0))
    above, below = graph.op("Sub", above, one), graph.op("Sub", one, below)
    return graph.op("Where", positive, above, below)


def _root(graph: Graph, x: str, power: float) -> str:
    """Return (x · power + 1) ** (1 / power); NaN where the base is negative, as in numpy."""
    base = graph.op("Mul", x, float64(graph, power))
    base = graph.op("Add", base, float64(graph, 1))
    return graph.op("Pow", base, float64(graph, 1 / power))


def _quantiles(graph: Graph, transformer: QuantileTransformer, value: Value) -> Value:
    normal = transformer.output_distribution == "normal"
    columns = []
    for place, quantiles in enumerate(transformer.quantiles_.T):
        share = column(graph, value, place)
        if normal:
            share = Value(_normal_share(graph, share.name), "double", 1)
        columns.append(interpolated(graph, share, transformer.references_, quantiles))
    return beside(graph, columns)


def _normal_share(graph: Graph, x: str) -> str:
    """Return the share of the normal distribution below x; 0 or 1 where it is all but that."""
    half, least = float64(graph, 0.5), float64(graph, BOUNDS_THRESHOLD)
    share = erf(graph, graph.op("Div", x, float64(graph, np.sqrt(2.0))))
    share = graph.op("Add", graph.op("Mul", share, half), half)
    low = graph.op("Less", graph.op("Sub", share, least), float64(graph, 0.0))
    high = graph.op("Greater", graph.op("Add", share, least), float64(graph, 1.0))
    share = graph.op("Where", high, float64(graph, 1.0), share)
    return graph.op("Where", low, float64(graph, 0.0), share)


def _function(graph: Graph, transformer: FunctionTransformer, value: Value) -> Value:
    function = transformer.inverse_func
    if function is None:
        return value
    known = UFUNCS.get(function)
    if known is None or transformer.inv_kw_args:
        name = getattr(function, "__name__", repr(function))
        raise Untranslatable(transformer, f"inverse_func={name} has no ONNX form")
    return Value(known(graph, value.name), "double", value.width)


INVERSES: dict[type, Inverse] = {
    FunctionTransformer: _function,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    Pipeline: _pipeline,
    PowerTransformer: _power,
    QuantileTransformer: _quantiles,
    RobustScaler: _robust,
    StandardScaler: _standard,
}

TRANSLATORS: dict[type, Translator] = {TransformedTargetRegressor: transformed_target}

"""Which functions of numpy and scipy are known in ONNX, on float64 tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit, logit

from geulpi_conversion._onnx._graph import Graph
from geulpi_conversion._onnx._numpy import cos, expm1, float64, log1p

Ufunc = Callable[[Graph, str], str]


def _operator(op_type: str) -> Ufunc:
    return lambda graph, x: graph.op(op_type, x)


def _base(base: float) -> Ufunc:
    """Return the power of a base."""
    return lambda graph, x: graph.op("Pow", float64(graph, base), x)


def _logarithm(base: float) -> Ufunc:
    return lambda graph, x: graph.op("Div", graph.op("Log", x), float64(graph, np.log(base)))


def _square(graph: Graph, x: str) -> str:
    return graph.op("Mul", x, x)


def _cbrt(graph: Graph, x: str) -> str:
    root = graph.op("Pow", graph.op("Abs", x), float64(graph, 1 / 3))
    return graph.op("Mul", graph.op("Sign", x), root)


def _expit(graph: Graph, x: str) -> str:
    power = graph.op("Exp", graph.op("Neg", x))
    return graph.op("Reciprocal", graph.op("Add", power, float64(graph, 1)))


def _logit(graph: Graph, x: str) -> str:
    odds = graph.op("Div", x, graph.op("Sub", float64(graph, 1), x))
    return graph.op("Log", odds)


UFUNCS: Mapping[Any, Ufunc] = {
    expit: _expit,
    logit: _logit,
    np.abs: _operator("Abs"),
    np.cbrt: _cbrt,
    np.ceil: _operator("Ceil"),
    np.cos: cos,
    np.exp2: _base(2),
    np.exp: _operator("Exp"),
    np.expm1: expm1,
    np.fabs: _operator("Abs"),
    np.floor: _operator("Floor"),
    np.log10: _logarithm(10),
    np.log1p: log1p,
    np.log2: _logarithm(2),
    np.log: _operator("Log"),
    np.negative: _operator("Neg"),
    np.reciprocal: _operator("Reciprocal"),
    np.rint: _operator("Round"),
    np.sign: _operator("Sign"),
    np.sin: _operator("Sin"),
    np.sqrt: _operator("Sqrt"),
    np.square: _square,
    np.tanh: _operator("Tanh"),
}

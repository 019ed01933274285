"""Sums, columns and constants that several families of translators make of values.

What estimators answer together is added up in float64, one after the other, whatever the graph's
own arithmetic: votes tie where scikit-learn's tie, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geulpi_conversion._onnx._graph import Array, Graph
from geulpi_conversion._onnx._numpy import float64
from geulpi_conversion._onnx._tables import Kind, Table, Value

NUMPY_TYPES: dict[Kind, type] = {"double": np.float64, "float": np.float32}


def number(graph: Graph, value: Value) -> Value:
    """Return a value as floats: as it is, or whole numbers in the arithmetic's type."""
    return value if value.kind in NUMPY_TYPES else graph.cast(value, graph.kind)


def like(graph: Graph, constant: Any, value: Value) -> str:
    """Return a constant of the type of a value of floats."""
    return graph.constant(constant, NUMPY_TYPES[value.kind])


def column(graph: Graph, value: Value, place: int) -> Value:
    """Return one column, `[N, 1]`."""
    return graph.select(Table.of(value), [place]).values[0]


def beside(graph: Graph, values: Sequence[Value]) -> Value:
    """Return values side by side as floats, of float64 where one of them is."""
    kind: Kind = "double" if any(value.kind == "double" for value in values) else graph.kind
    return graph.joined(Table.of(*values), kind)


def total(graph: Graph, values: Sequence[Value], weights: Sequence[float] | None = None) -> Value:
    """Return the sum, weighted or not, of values of one width; float64."""
    widths = {value.width for value in values}
    if len(widths) != 1:
        raise ValueError(f"answers of the widths {sorted(widths)} can't be added")
    names = [graph.cast(value, "double").name for value in values]
    if weights is not None:
        names = [
            graph.op("Mul", name, float64(graph, weight))
            for name, weight in zip(names, weights, strict=True)
        ]
    return Value(graph.op("Sum", *names), "double", widths.pop())


def average(graph: Graph, values: Sequence[Value], weights: Sequence[float] | None = None) -> Value:
    """Return the average, as numpy's; float64."""
    count = len(values) if weights is None else np.sum(weights)
    summed = total(graph, values, weights)
    name = graph.op("Div", summed.name, float64(graph, count))
    return Value(name, "double", summed.width)


def repeated(graph: Graph, row: Array, table: Table) -> str:
    """Return a constant row `[k]` for each row of a table, `[N, k]`."""
    rows = graph.op("Shape", table.values[0].name, start=0, end=1)
    index = graph.op("Expand", graph.constant([0], np.int64), rows)
    return graph.op("Gather", graph.constant(row.reshape(1, -1)), index, axis=0)

"""Functions of numpy that ONNX has no operator for, on float64 tensors where not said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, numpy_helper

from geulpi_conversion._onnx._graph import ML, Array, Graph
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Kind, Table, Value

# By side, how a node of a search tree asks: `True` leads to the lower edges.
ASKS = {"left": "BRANCH_LEQ", "right": "BRANCH_LT"}


def wide(graph: Graph, table: Table) -> str:
    """Return a table of numbers as one float64 matrix, whatever the arithmetic's type."""
    return graph.joined(table, "double").name


def narrow(graph: Graph, name: str, width: int) -> Value:
    """Return a float64 matrix in the arithmetic's type."""
    return graph.cast(Value(name, "double", width), graph.kind)


def float64(graph: Graph, value: Any) -> str:
    """Return the name of a float64 constant."""
    return graph.constant(value, np.float64)


def in_place(graph: Graph, op_type: str, value: Value, by: Array) -> Value:
    """Return `value op= by` of numpy: computed in the wider type of the two, rounded to value's."""
    kind: Kind = "double" if by.dtype == np.float64 else value.kind
    operand = graph.constant(by, np.float64 if kind == "double" else np.float32)
    found = graph.op(op_type, graph.cast(value, kind).name, operand)
    return graph.cast(Value(found, kind, value.width), value.kind)


def log1p(graph: Graph, x: str) -> str:
    """Return log(1 + x), precise where x is small."""
    one = float64(graph, 1.0)
    above = graph.op("Add", x, one)
    rounded = graph.op("Sub", above, one)  # what 1 + x kept of x
    small = graph.op("Equal", rounded, float64(graph, 0.0))
    log = graph.op("Log", above)
    # Kahan: the error of the sum is taken out by the ratio of x to what the sum kept of it.
    ratio = graph.op("Div", x, graph.op("Where", small, one, rounded))
    tiny = graph.op("Less", graph.op("Abs", x), one)
    mended = graph.op("Where", tiny, graph.op("Mul", log, ratio), log)
    return graph.op("Where", small, x, mended)


def expm1(graph: Graph, x: str) -> str:
    """Return exp(x) - 1, precise where x is small."""
    one, zero = float64(graph, 1.0), float64(graph, 0.0)
    near = graph.op("Less", graph.op("Abs", x), float64(graph, 0.5))
    plain = graph.op("Sub", graph.op("Exp", x), one)
    power = graph.op("Exp", graph.op("Where", near, x, zero))
    log = graph.op("Log", power)
    none = graph.op("Equal", log, zero)
    kept = graph.op("Div", x, graph.op("Where", none, one, log))
    mended = graph.op("Mul", graph.op("Sub", power, one), kept)
    small = graph.op("Where", none, x, mended)
    return graph.op("Where", near, small, plain)


def cos(graph: Graph, x: str) -> str:
    """Return the cosine: ONNX Runtime has it for float32 only, the sine for both."""
    return graph.op("Sin", graph.op("Add", x, float64(graph, np.pi / 2)))


def horner(graph: Graph, x: str, coefficients: Sequence[float]) -> str:
    """Return the polynomial of these coefficients, the highest power first."""
    found = float64(graph, coefficients[0])
    for coefficient in coefficients[1:]:
        found = graph.op("Add", graph.op("Mul", found, x), float64(graph, coefficient))
    return found


def searchsorted(
    graph: Graph, matrix: str, edges: Sequence[Array], side: Literal["left", "right"]
) -> str:
    """Return `np.searchsorted(edges[c], matrix[:, c], side)` of each column: INT64, `[N, columns]`.

    A tree ensemble of one search tree for each column: one node, and few steps among many edges.
    NaN comes after all edges.
    """
    nodes: list[tuple[int, int, int, str, float, int, int]] = []
    leaves: list[tuple[int, int, int]] = []
    for column, known in enumerate(edges):
        _grow(column, np.asarray(known, np.float64), ASKS[side], nodes, leaves)
    trees, ids, features, modes, thresholds, lower, upper = zip(*nodes, strict=True)
    leaf_trees, leaf_ids, counts = zip(*leaves, strict=True)
    found = graph.op(
        "TreeEnsembleRegressor",
        matrix,
        domain=ML,
        n_targets=len(edges),
        nodes_treeids=trees,
        nodes_nodeids=ids,
        nodes_featureids=features,
        nodes_modes=modes,
        nodes_values_as_tensor=numpy_helper.from_array(np.array(thresholds), "thresholds"),
        nodes_truenodeids=lower,
        nodes_falsenodeids=upper,
        nodes_missing_value_tracks_true=[0] * len(nodes),
        target_treeids=leaf_trees,
        target_nodeids=leaf_ids,
        target_ids=leaf_trees,
        target_weights_as_tensor=numpy_helper.from_array(np.array(counts, float), "counts"),
    )
    return graph.op("Cast", found, to=TensorProto.INT64)


def _grow(
    column: int,
    edges: Array,
    ask: str,
    nodes: list[tuple[int, int, int, str, float, int, int]],
    leaves: list[tuple[int, int, int]],
) -> None:
    """Append the search tree of one column, children after their parents."""
    spans = [(0, len(edges))]  # by node, the counts of edges that are still possible
    for node, (low, high) in enumerate(spans):
        if low == high:
            nodes.append((column, node, column, "LEAF", 0.0, 0, 0))
            leaves.append((column, node, low))
            continue
        middle = (low + high) // 2
        below = len(spans)
        spans += [(low, middle), (middle + 1, high)]
        nodes.append((column, node, column, ask, float(edges[middle]), below, below + 1))


def take(graph: Graph, tables: Sequence[Array], index: str, dtype: Any) -> str:
    """Return `tables[c][index[:, c]]` of each column c: `[N, columns, ...]`.

    Args:
        graph: to add to.
        tables: alike but for their numbers of rows.
        index: INT64, `[N, columns]`.
        dtype: of the result, of numpy.
    """
    starts = np.cumsum([0, *(len(table) for table in tables[:-1])], dtype=np.int64)
    rows = graph.constant(np.concatenate(tables), dtype)
    return graph.op("Gather", rows, graph.op("Add", index, starts.reshape(1, -1)), axis=0)


def one_hot(graph: Graph, index: str, widths: Sequence[int]) -> Value:
    """Return a column of 0 and 1 for each value that an index may have; others give only zeros.

    Args:
        graph: to add to.
        index: INT64, `[N, columns]`.
        widths: by column, the number of values: 0 to width - 1.
    """
    columns = np.repeat(np.arange(len(widths)), widths)
    values = np.concatenate([np.arange(width) for width in widths])
    spread = graph.op("Gather", index, columns.astype(np.int64), axis=1)
    same = graph.op("Equal", spread, values.astype(np.int64).reshape(1, -1))
    return graph.value(graph.op("Cast", same, to=ELEMENT_TYPES[graph.kind]), len(values))

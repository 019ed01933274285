"""Writes decision trees as one ONNX node, and sums what their leaves say.

ONNX's tree ensembles add up leaf values in float32, in an order of their own. Here a
`TreeEnsembleRegressor` only finds the leaf of every tree; what stands in the leaves is looked up
and added in float64, tree after tree. So sums and ties are, to the bit, those of scikit-learn, at
the same speed. This is our own writer rather than onnxmltools' or skl2onnx': it works on whole
arrays, where they walk node by node, and serves trees of every maker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto

from geulpi_conversion._onnx._attributes import add_floats, add_integers, add_texts
from geulpi_conversion._onnx._graph import ML, Graph
from geulpi_conversion._onnx._tables import Kind, Value

Array = np.ndarray[Any, Any]

LEAF = -1  # a child that is none
MOST_LEAVES = 2**24  # that float32, the type of the node's answer, can count


@dataclass(frozen=True)
class Trees:
    """Trees as flat arrays, one entry for each node, tree after tree; the root is a tree's first.

    Attributes:
        sizes: `[T]`, the number of nodes of each tree.
        left: the left child's place within its tree; of a leaf, `LEAF`.
        right: the right child's place.
        feature: the column that is compared.
        threshold: float64; what is no more than that goes left.
        missing_left: whether NaN goes left.
        below: whether what equals the threshold goes right.
    """

    sizes: Array
    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    below: bool = False

    @property
    def is_leaf(self) -> Array:
        """Which nodes are leaves."""
        found: Array = self.left == LEAF
        return found

    @property
    def tree(self) -> Array:
        """The tree of each node."""
        return np.repeat(np.arange(len(self.sizes), dtype=np.int32), self.sizes)

    @property
    def place(self) -> Array:
        """The place of each node within its tree."""
        first = np.cumsum(self.sizes) - self.sizes
        places: Array = np.arange(len(self.left)) - np.repeat(first, self.sizes)
        return places


def summed(
    graph: Graph, trees: Trees, values: Array, matrix: Value, *, interleaved: int = 1
) -> Value:
    """Return the sum over all trees of what stands in the leaves reached.

    Args:
        graph: to write into.
        trees: the trees.
        values: `[leaves, k]` in the order of the leaf nodes; float32 ones are added in float32.
        matrix: float or double, in which the thresholds are compared.
        interleaved: into how many sums the trees go in turn; k is 1 then.

    Returns:
        Float or double as the values are, `[N, k]` or `[N, interleaved]`.
    """
    found = looked_up(graph, trees, values, matrix)
    kind: Kind = "float" if values.dtype == np.float32 else "double"
    axis = graph.constant([0], np.int64)
    if interleaved == 1:
        return Value(graph.op("ReduceSum", found, axis, keepdims=0), kind, values.shape[1])
    turns = len(trees.sizes) // interleaved
    # The number of rows is what is left over: of `[T, N, 1]` becomes `[turns, interleaved, N]`.
    found = graph.op("Reshape", found, np.array([turns, interleaved, -1]))
    found = graph.op("ReduceSum", found, axis, keepdims=0)
    return Value(graph.op("Transpose", found, perm=[1, 0]), kind, interleaved)


def started(trees: Trees, values: Array, start: Array) -> Array:
    """Add where the sums start to the leaves of the first trees, as the first additions would.

    Args:
        trees: the trees, of as many interleaved sums as `start` has values.
        values: `[leaves, 1]`.
        start: of the values' type.
    """
    tree = trees.tree[trees.is_leaf]
    first = tree < len(start)
    values = values.copy()
    values[first, 0] = start[tree[first]] + values[first, 0]
    return values


def looked_up(graph: Graph, trees: Trees, values: Array, matrix: Value) -> str:
    """Return what stands in the leaf that each tree comes to: `[T, N, k]` of the values' type."""
    rows, places = distinct(values)
    tree = trees.tree[trees.is_leaf]
    found = ensemble(graph, trees, matrix, targets=tree, weights=places, width=len(trees.sizes))
    # Summing over the first axis is what ONNX Runtime does one after the other.
    index = graph.op("Transpose", graph.op("Cast", found, to=TensorProto.INT64), perm=[1, 0])
    return graph.op("Gather", graph.constant(rows, rows.dtype), index, axis=0)


def ensemble(
    graph: Graph, trees: Trees, matrix: Value, *, targets: Array, weights: Array, width: int
) -> str:
    """Return the sums, by target, of the weights of the leaves reached: FLOAT `[N, width]`.

    Args:
        graph: to write into.
        trees: the trees.
        matrix: float or double.
        targets: `[leaves]`, the column to which a leaf counts.
        weights: `[leaves]`, whole numbers that float32 can hold.
        width: the number of columns.
    """
    if weights.max(initial=0) >= MOST_LEAVES:
        raise ValueError(f"its trees have more than {MOST_LEAVES} leaves, too many to number")
    double = matrix.kind == "double"
    leaf, tree, node = trees.is_leaf, trees.tree, trees.place
    thresholds = np.where(leaf, 0.0, trees.threshold)
    if not double:
        thresholds = thresholds.astype(np.float32) if trees.below else floor32(thresholds)
    name = graph.fresh("trees")
    proto = NodeProto(
        op_type="TreeEnsembleRegressor", domain=ML, name=name, input=[matrix.name], output=[name]
    )
    add_integers(proto, "n_targets", width)
    add_integers(proto, "nodes_treeids", tree)
    add_integers(proto, "nodes_nodeids", node)
    add_integers(proto, "nodes_truenodeids", np.where(leaf, 0, trees.left))
    add_integers(proto, "nodes_falsenodeids", np.where(leaf, 0, trees.right))
    add_integers(proto, "nodes_featureids", np.where(leaf, 0, trees.feature))
    add_floats(proto, "nodes_values", thresholds, double=double)
    branch = b"BRANCH_LT" if trees.below else b"BRANCH_LEQ"
    add_texts(proto, "nodes_modes", (branch, b"LEAF"), leaf)
    add_integers(proto, "target_treeids", tree[leaf])
    add_integers(proto, "target_nodeids", node[leaf])
    add_integers(proto, "target_ids", targets)
    add_floats(proto, "target_weights", weights, double=double)
    missing_left = trees.missing_left & ~leaf
    if missing_left.any():
        add_integers(proto, "nodes_missing_value_tracks_true", missing_left)
    graph.nodes.append(proto)
    return name


def distinct(values: Array) -> tuple[Array, Array]:
    """Return the different rows of a matrix, and the place of each row among them.

    Rows are told apart by a hash: sorting whole rows takes many times the time and memory.
    """
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    factors = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64) * 2 + 1
    hashes = (bits * factors).sum(axis=1) if bits.shape[1] > 1 else bits[:, 0]
    _, first, places = np.unique(hashes, return_index=True, return_inverse=True)
    rows, places = values[first], places.ravel()
    same = all(np.array_equal(rows[places, k], values[:, k]) for k in range(values.shape[1]))
    return (rows, places) if same else (values, np.arange(len(values)))


def floor32(values: Array) -> Array:
    """Return the greatest float32 that is no more: `x <= t` stays the same for every float32 x."""
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        near = values.astype(np.float32)
        return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def with_memberships(
    graph: Graph, matrix: Value, features: Array, left: Array
) -> tuple[Value, Array]:
    """Append a column for each set of categories: 0 for a row of the set, which goes left, else 1.

    A split by a set becomes an ordinary one, at 1/2, on the new column; the look-up can't lose the
    way of missing and unknown categories, as chains of equalities do.

    Args:
        graph: to write into.
        matrix: category codes, 0 and up, in some columns.
        features: `[S]`, the column that the split looks at.
        left: bool `[S, codes + 2]`, the set; its last columns are for NaN and for any other value.

    Returns:
        The wider matrix, and the columns `[S]` to compare instead.
    """
    codes = left.shape[1] - 2
    dtype = np.float64 if matrix.kind == "double" else np.float32
    known, columns = np.unique(np.column_stack([features, left]), axis=0, return_inverse=True)
    parts = [matrix.name]
    # They are sorted by feature, so that the columns of one stand side by side.
    for feature in np.unique(known[:, 0]):
        sets = known[known[:, 0] == feature, 1:].astype(bool)
        code = graph.op("Gather", matrix.name, np.array(feature), axis=1)
        # Fractions are cut off; a comparison with NaN is false.
        above = graph.op("Greater", code, graph.constant(-1, dtype))
        below = graph.op("Less", code, graph.constant(codes, dtype))
        other = graph.op(
            "Where",
            graph.op("IsNaN", code),
            graph.constant(codes, dtype),
            graph.constant(codes + 1, dtype),
        )
        code = graph.op("Where", graph.op("And", above, below), code, other)
        index = graph.op("Cast", code, to=TensorProto.INT64)
        parts.append(graph.op("Gather", graph.constant(~sets.T, dtype), index, axis=0))
    wider = graph.op("Concat", *parts, axis=1)
    return Value(wider, matrix.kind, matrix.width + len(known)), matrix.width + columns.ravel()

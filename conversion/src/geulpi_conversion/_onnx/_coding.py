"""Translates sparse coding by a dictionary: by thresholds, or by orthogonal matching pursuit."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning, SparseCoder

from geulpi_conversion._onnx._algebra import always_double, linear
from geulpi_conversion._onnx._elimination import solve
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value

MOST_ATOMS = 12  # of a code: as many rounds are written out
SMALLEST = float(np.finfo(np.float64).eps)


@always_double
def coded(graph: Graph, estimator: Any, table: Table, _method: str) -> Value:
    """Code each row by few atoms of the dictionary."""
    found = estimator.dictionary if isinstance(estimator, SparseCoder) else estimator.components_
    atoms = np.asarray(found, np.float64)
    algorithm = estimator.transform_algorithm
    if algorithm not in {"omp", "threshold"}:
        raise Untranslatable(estimator, f"by {algorithm} it fits each row until it has settled")
    products = linear(graph, graph.matrix(table), atoms.T)
    if algorithm == "omp":
        code = _pursued(graph, estimator, products, atoms, _atoms_of_code(estimator, atoms))
    else:
        code = _shrunk(graph, estimator, products)
    if not estimator.split_sign:
        return code
    negative = graph.op("Max", graph.op("Neg", code.name), 0.0)
    both = graph.op("Concat", graph.op("Max", code.name, 0.0), negative, axis=1)
    return graph.value(both, 2 * code.width)


def _shrunk(graph: Graph, estimator: Any, products: Value) -> Value:
    """Return the products with the atoms, moved towards 0."""
    alpha = estimator.transform_alpha
    if alpha is None:
        alpha = getattr(estimator, "alpha", 1.0)
    above = graph.op("Max", graph.op("Sub", products.name, float(alpha)), 0.0)
    if estimator.positive_code:
        return graph.value(above, products.width)
    below = graph.op("Min", graph.op("Add", products.name, float(alpha)), 0.0)
    return graph.value(graph.op("Add", above, below), products.width)


def _atoms_of_code(estimator: Any, atoms: Array) -> int:
    count = estimator.transform_n_nonzero_coefs
    count = int(min(max(atoms.shape[1] / 10, 1), len(atoms)) if count is None else count)
    if count > MOST_ATOMS:
        raise Untranslatable(estimator, f"a pursuit of {count} atoms makes too large a graph")
    return count


def _pursued(graph: Graph, estimator: Any, products: Value, atoms: Array, count: int) -> Value:
    """Add the atom nearest to what is left, one at a time; stop where none tells anything new."""
    gram = atoms @ atoms.T
    if count > 1 and _has_twins(atoms):
        raise Untranslatable(estimator, "two of its atoms are the same, and taken by chance")
    left, chosen, code, over = products.name, "", graph.op("Mul", products.name, 0.0), ""
    column = graph.op("Unsqueeze", products.name, np.array([2]))
    for size in range(1, count + 1):
        best = graph.op("ArgMax", graph.op("Abs", left), axis=1, keepdims=1, select_last_index=0)
        atom = graph.op("Gather", np.eye(len(atoms)), best, axis=0)  # [N, 1, atoms]
        chosen = graph.op("Concat", chosen, atom, axis=1) if chosen else atom
        across = graph.op("Transpose", chosen, perm=[0, 2, 1])
        among = graph.op("MatMul", graph.op("MatMul", chosen, gram), across)
        weights, pivot = solve(graph, among, graph.op("MatMul", chosen, column), size)
        found = graph.op("Squeeze", graph.op("MatMul", across, weights), np.array([2]))
        size_left = graph.op("ReduceMax", graph.op("Abs", left), np.array([1]), keepdims=1)
        nothing = graph.op("Less", graph.op("Mul", size_left, size_left), SMALLEST)
        # An atom that was chosen before, or is a sum of such, has a pivot of 0.
        known = graph.op("LessOrEqual", graph.op("Squeeze", pivot, np.array([2])), SMALLEST)
        stops = graph.op("Or", nothing, known)
        over = graph.op("Or", over, stops) if over else stops
        code = graph.op("Where", over, code, found)
        left = graph.op("Sub", products.name, graph.op("MatMul", code, gram))
    return graph.value(code, len(atoms))


def _has_twins(atoms: Array) -> bool:
    known = np.concatenate([atoms, -atoms[np.any(atoms != 0, axis=1)]])
    return len(np.unique(known, axis=0)) < len(known)


TRANSLATORS: dict[type, Translator] = {
    DictionaryLearning: coded,
    MiniBatchDictionaryLearning: coded,
    SparseCoder: coded,
}

"""Solves a small system of equations for each row of a request."""

from __future__ import annotations

import numpy as np

from geulpi_conversion._onnx._graph import Graph


def solve(graph: Graph, matrix: str, right: str, size: int) -> tuple[str, str]:
    """Solve `matrix @ x = right` by Gauss and Jordan, without pivoting.

    Args:
        graph: where the nodes go.
        matrix: positive definite, `[N, size, size]`.
        right: `[N, size, 1]`.
        size: of the system, a small number.

    Returns:
        x, `[N, size, 1]`, and the last pivot, `[N, 1, 1]`: how far the last row of the matrix is
        from being a sum of the others.
    """
    system = graph.op("Concat", matrix, right, axis=2)
    pivot = ""
    for place in range(size):
        at = np.array([place])
        row = graph.op("Gather", system, at, axis=1)
        pivot = graph.op("Gather", row, at, axis=2)
        row = graph.op("Div", row, pivot)
        column = graph.op("Gather", system, at, axis=2)
        cleared = graph.op("Sub", system, graph.op("Mul", column, row))
        own = np.arange(size).reshape(1, -1, 1) == place
        system = graph.op("Where", graph.constant(own), row, cleared)
    return graph.op("Gather", system, np.array([size]), axis=2), pivot

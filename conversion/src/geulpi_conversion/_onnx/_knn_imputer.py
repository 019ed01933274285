"""KNNImputer: averages of the nearest fitted rows that know a value."""

from __future__ import annotations

import numpy as np
from sklearn.impute import KNNImputer
from sklearn.metrics.pairwise import nan_euclidean_distances

from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._imputers import indicator, missing_mask
from geulpi_conversion._onnx._numpy import float64, narrow
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value
from geulpi_conversion._onnx._values import column, repeated

ROWS_TRIED = 256


def nearest(graph: Graph, estimator: KNNImputer, table: Table, _method: str) -> Table:
    """Impute each missing value by the nearest fitted rows that have it.

    Raises:
        Untranslatable: the metric or the weights are functions, or ties decide an answer.
    """
    if estimator.metric != "nan_euclidean" or callable(estimator.weights):
        raise Untranslatable(estimator, "its metric or weights are a function of yours")
    given = graph.matrix(table)
    mask = missing_mask(graph, given, estimator.missing_values)
    if mask is None:
        raise Untranslatable(estimator, f"{estimator.missing_values!r} is no missing number")
    apart = _distances(graph, estimator, given, mask)
    parts = []
    for place, known in enumerate(estimator._valid_mask):  # noqa: SLF001 -- as fitted
        if known:
            found = narrow(graph, _imputed(graph, estimator, apart, place), 1)
            missing = column(graph, Value(mask, "bool", given.width), place)
            own = column(graph, given, place)
            name = graph.op("Where", missing.name, found.name, own.name)
            parts.append(graph.value(name, 1))
        elif estimator.keep_empty_features:
            parts.append(graph.value(repeated(graph, np.zeros(1, graph.dtype), table), 1))
    filled = graph.joined(Table(tuple(parts)), graph.kind)
    return Table.of(filled, *indicator(graph, estimator, table))


def _distances(graph: Graph, estimator: KNNImputer, value: Value, mask: str) -> str:
    """Return the distances to all fitted rows by what both rows know; infinite if that is nothing.

    Float64, `[N, P]`, as `nan_euclidean_distances` computes them.
    """
    zero, one = float64(graph, 0.0), float64(graph, 1.0)
    absent = estimator._mask_fit_X  # noqa: SLF001 -- as fitted
    points = np.where(absent, 0.0, estimator._fit_X).astype(np.float64)  # noqa: SLF001 -- as fitted
    lacks = graph.op("Cast", mask, to=ELEMENT_TYPES["double"])
    has = graph.op("Sub", one, lacks)
    x = graph.op("Where", mask, zero, graph.cast(value, "double").name)
    squares = graph.op("Mul", x, x)
    # Of both rows only the columns that the other knows too count.
    own = graph.op("MatMul", squares, float64(graph, (~absent).T))
    theirs = graph.op("MatMul", has, float64(graph, (points**2).T))
    mixed = graph.op("MatMul", x, float64(graph, -2.0 * points.T))
    apart = graph.op("Max", graph.op("Add", graph.op("Add", own, theirs), mixed), zero)
    shared = graph.op("MatMul", has, float64(graph, (~absent).T))
    share = graph.op("Div", float64(graph, value.width), graph.op("Max", shared, one))
    apart = graph.op("Sqrt", graph.op("Mul", apart, share))
    return graph.op("Where", graph.op("Equal", shared, zero), float64(graph, np.inf), apart)


def _imputed(graph: Graph, estimator: KNNImputer, apart: str, place: int) -> str:
    """Return what a column would be imputed with, float64 `[N, 1]`."""
    zero = float64(graph, 0.0)
    donors = np.flatnonzero(~estimator._mask_fit_X[:, place])  # noqa: SLF001 -- as fitted
    values = estimator._fit_X[donors, place].astype(np.float64)  # noqa: SLF001 -- as fitted
    count = min(estimator.n_neighbors, len(donors))
    _refuse_ties(estimator, place, donors, count)
    near, index = graph.ops(
        "TopK",
        graph.op("Gather", apart, donors, axis=1),
        np.array([count]),
        outputs=2,
        axis=1,
        largest=0,
    )
    if estimator.weights == "distance":
        same = graph.op("Cast", graph.op("Equal", near, zero), to=ELEMENT_TYPES["double"])
        twins = graph.op("Greater", graph.op("ReduceMax", same, np.array([1])), zero)
        weights = graph.op("Where", twins, same, graph.op("Reciprocal", near))
    else:
        known = graph.op("Not", graph.op("IsInf", near))
        weights = graph.op("Cast", known, to=ELEMENT_TYPES["double"])
    chosen = graph.op("Gather", float64(graph, values), index)
    total = graph.op("ReduceSum", weights, np.array([1]))
    summed = graph.op("ReduceSum", graph.op("Mul", weights, chosen), np.array([1]))
    none = graph.op("Equal", total, zero)
    average = graph.op("Div", summed, graph.op("Where", none, float64(graph, 1.0), total))
    return graph.op("Where", none, float64(graph, values.mean()), average)


def _refuse_ties(estimator: KNNImputer, place: int, donors: Array, count: int) -> None:
    """Check that no fitted row, were it to lack this column, had its last donor by chance.

    Raises:
        Untranslatable: it had; which of equally far rows numpy takes is not told.
    """
    if count == len(donors):
        return
    rows = np.array(estimator._fit_X, np.float64)  # noqa: SLF001 -- as fitted
    rows[estimator._mask_fit_X] = np.nan  # noqa: SLF001 -- as fitted
    asked = rows[:: max(1, len(rows) // ROWS_TRIED)].copy()
    asked[:, place] = np.nan
    apart = np.nan_to_num(nan_euclidean_distances(asked, rows[donors]), nan=np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, count - 1 : count + 1]
    ends = np.take_along_axis(apart, order, axis=1)
    tied = np.isclose(ends[:, 0], ends[:, 1], rtol=1e-9, atol=0) & np.isfinite(ends[:, 0])
    worth = rows[donors, place][order]
    if (tied & (worth[:, 0] != worth[:, 1])).any():
        raise Untranslatable(estimator, "some rows have several neighbours equally far")


TRANSLATORS: dict[type, Translator] = {KNNImputer: nearest}

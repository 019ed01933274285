"""Selection and pooling of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.cluster import FeatureAgglomeration
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value


def select(graph: Graph, estimator: Any, table: Table, method: str) -> Table | Value:
    """Keep the columns that were chosen; a selector with an estimator asks it about them.

    Raises:
        Untranslatable: no column was chosen.
    """
    columns = np.flatnonzero(estimator.get_support()).tolist()
    if not columns:
        raise Untranslatable(estimator, "it chose no column")
    chosen = graph.select(table, columns)
    return chosen if method == "transform" else graph.call(estimator.estimator_, chosen, method)


def agglomerate(graph: Graph, estimator: FeatureAgglomeration, table: Table, _method: str) -> Value:
    """Pool the columns of each cluster.

    Raises:
        Untranslatable: the pooling is a function without an ONNX form.
    """
    value = graph.matrix(table)
    labels = estimator.labels_
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    pool = POOLINGS.get(estimator.pooling_func)
    if pool is None:
        name = getattr(estimator.pooling_func, "__name__", repr(estimator.pooling_func))
        raise Untranslatable(estimator, f"the pooling function '{name}' has no ONNX form")
    parts = [
        pool(graph, graph.op("Gather", value.name, columns, axis=1), len(columns))
        for columns in members
    ]
    return graph.value(graph.op("Concat", *parts, axis=1), len(parts))


def _reduced(op_type: str) -> Callable[[Graph, str, int], str]:
    return lambda graph, name, _: graph.op(op_type, name, np.array([1]))


def _median(graph: Graph, name: str, width: int) -> str:
    top, _ = graph.ops("TopK", name, np.array([width // 2 + 1]), outputs=2, axis=1)
    middle = [width // 2] if width % 2 else [width // 2 - 1, width // 2]
    chosen = graph.op("Gather", top, np.array(middle), axis=1)
    return graph.op("ReduceMean", chosen, np.array([1]))


POOLINGS: Mapping[Any, Callable[[Graph, str, int], str]] = {
    np.max: _reduced("ReduceMax"),
    np.mean: _reduced("ReduceMean"),
    np.median: _median,
    np.min: _reduced("ReduceMin"),
    np.sum: _reduced("ReduceSum"),
}

SELECTORS: tuple[type, ...] = (
    GenericUnivariateSelect,
    RFE,
    RFECV,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)

TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys(SELECTORS, select),
    FeatureAgglomeration: agglomerate,
}

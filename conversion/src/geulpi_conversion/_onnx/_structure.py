"""Translates what puts estimators together: pipelines, column transformers, unions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from sklearn.utils import get_tags

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._rules import parts


def ask(graph: Graph, estimator: Any, table: Table, method: str) -> Table | Value:
    """Return what an inner estimator answers; transformed columns keep their own types."""
    if method == "transform":
        return graph.transform(estimator, table)
    return graph.call(estimator, table, method)


def pipeline(graph: Graph, estimator: Pipeline, table: Table, method: str) -> Table | Value:
    """Transform by each step but the last, then ask the last; passthrough steps do nothing."""
    *steps, last = [step for _, step in estimator.steps if not _passes(step)] or [None]
    unsure = False
    for step, following in pairwise([*steps, last]):
        table = _transformed(graph, step, table)
        unsure |= _may_leave_numbers(step)
        if unsure and "string" not in table.kinds:
            table = _refusing(graph, following, table)
            unsure = _takes_nan(following)  # and may hand it on
    return table if _passes(last) else ask(graph, last, table, method)


def column_transformer(
    graph: Graph, estimator: ColumnTransformer, table: Table, _method: str
) -> Table:
    """Transform some columns by each transformer and put the results side by side."""
    if table.width != estimator.n_features_in_:
        raise Untranslatable(
            estimator,
            f"it was fitted on {estimator.n_features_in_} columns and is given {table.width}",
        )
    weights = estimator.transformer_weights or {}
    parts = []
    for name, transformer, _ in estimator.transformers_:
        # scikit-learn has resolved names, masks, slices, functions and negative numbers.
        columns = estimator._transformer_to_input_indices[name]  # noqa: SLF001 -- as fitted
        if len(columns) == 0 or _drops(transformer):
            continue
        chosen = graph.select(table, [int(column) for column in columns])
        parts.append(_weighted(graph, _transformed(graph, transformer, chosen), weights.get(name)))
    return _side_by_side(estimator, parts)


def feature_union(graph: Graph, estimator: FeatureUnion, table: Table, _method: str) -> Table:
    """Transform by each transformer and put the results side by side."""
    weights = estimator.transformer_weights or {}
    parts = [
        _weighted(graph, _transformed(graph, transformer, table), weights.get(name))
        for name, transformer in estimator.transformer_list
        if not _drops(transformer)
    ]
    return _side_by_side(estimator, parts)


def _transformed(graph: Graph, step: Any, table: Table) -> Table:
    return table if _passes(step) else graph.transform(step, table)


def _weighted(graph: Graph, table: Table, weight: float | None) -> Table:
    if weight is None:
        return table
    matrix = graph.matrix(table)
    return Table.of(graph.value(graph.op("Mul", matrix.name, float(weight)), matrix.width))


def _side_by_side(estimator: Any, parts: Sequence[Table]) -> Table:
    table = Table.of(*parts)
    if not table.values:
        raise Untranslatable(estimator, "it leaves no columns")
    if "string" in table.kinds and isinstance(estimator, FeatureUnion):
        # numpy makes numbers texts where it puts both side by side.
        _check_texts_alone(estimator, table)
    return table


def _check_texts_alone(estimator: Any, table: Table) -> None:
    if table.kinds != {"string"}:
        raise Untranslatable(estimator, "it puts texts and numbers side by side")


# Boosters take infinity as a number like any other.
ANYTHING = ("HistGradientBoosting", "XGB", "LGBM")


def _may_leave_numbers(step: Any) -> bool:
    """Whether finite numbers may become NaN or infinity there: logarithms, powers, …"""
    return any(isinstance(part, FunctionTransformer | PolynomialFeatures) for part in parts(step))


def _refusing(graph: Graph, estimator: Any, table: Table) -> Table:
    """Return a table that is refused where it holds what the estimator would refuse."""
    matrix = graph.matrix(table)
    holder = f"what {type(estimator).__name__} is given holds"
    if type(estimator).__name__.startswith(ANYTHING):
        return table
    if _takes_nan(estimator):
        infinite = graph.op("IsInf", matrix.name)
        return Table.of(graph.refuse_where(infinite, matrix, f"{holder} infinity"))
    return Table.of(graph.refuse_not_finite(matrix, matrix.name, f"{holder} NaN or infinity"))


def _takes_nan(estimator: Any) -> bool:
    return bool(get_tags(estimator).input_tags.allow_nan)


def _passes(step: Any) -> bool:
    """Whether a step leaves everything as it is; fitted, "passthrough" is a function of none."""
    if isinstance(step, FunctionTransformer):
        return step.func is None and not step.validate
    return step is None or (isinstance(step, str) and step == "passthrough")


def _drops(transformer: Any) -> bool:
    return isinstance(transformer, str) and transformer == "drop"


TRANSLATORS: dict[type, Translator] = {
    ColumnTransformer: column_transformer,
    FeatureUnion: feature_union,
    Pipeline: pipeline,
}

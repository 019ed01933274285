"""Imputers and the marking of missing values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 -- makes the class known
from sklearn.impute import IterativeImputer, MissingIndicator, SimpleImputer
from sklearn.utils._missing import is_scalar_nan

from geulpi_conversion._onnx._categories import is_missing
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value


def simple(graph: Graph, estimator: SimpleImputer, table: Table, _method: str) -> Table:
    """Put each column's statistic where a value is missing; columns without one are dropped."""
    statistics = np.asarray(estimator.statistics_)
    columns = [
        column
        for column, statistic in enumerate(statistics)
        if estimator.keep_empty_features or not is_scalar_nan(statistic)
    ]
    chosen = graph.select(_numbers_joined(graph, table), columns)
    filled = _all_filled(graph, estimator, chosen, statistics[columns])
    return Table.of(filled, *indicator(graph, estimator, table))


def _numbers_joined(graph: Graph, table: Table) -> Table:
    """Return a table of numbers as one matrix; one with strings as it is."""
    return table if "string" in table.kinds else Table.of(graph.matrix(table))


def _all_filled(graph: Graph, estimator: SimpleImputer, table: Table, fill: Array) -> Table:
    starts = np.cumsum([0, *(value.width for value in table.values)])
    return Table.of(
        *(
            _filled(graph, estimator, value, fill[start : start + value.width])
            for value, start in zip(table.values, starts, strict=False)
        )
    )


def _filled(graph: Graph, estimator: SimpleImputer, value: Value, fill: Array) -> Value:
    missing = missing_mask(graph, value, estimator.missing_values)
    if missing is None:
        return value
    if value.kind == "string":
        texts = [fill_value if isinstance(fill_value, str) else None for fill_value in fill]
        if None in texts:
            raise Untranslatable(estimator, f"it puts {fill.tolist()} among strings")
        name = graph.op("Where", missing, graph.constant([texts]), value.name)
        left = None if is_missing(estimator.missing_values) else value.missing
        return dataclasses.replace(value, name=name, missing=left)
    value = graph.cast(value, graph.kind)
    try:
        numbers = fill.astype(np.float64).reshape(1, -1)
    except ValueError:
        raise Untranslatable(estimator, f"it puts {fill.tolist()} among numbers") from None
    return graph.value(graph.op("Where", missing, numbers, value.name), value.width)


def indicator(graph: Graph, estimator: Any, table: Table) -> list[Value]:
    """Return what an imputer adds to its columns: which values were missing, or nothing."""
    if not estimator.add_indicator or len(estimator.indicator_.features_) == 0:
        return []
    graph.note("imputers keep their indicators of missing values")
    return [_marked(graph, table, estimator.missing_values, estimator.indicator_.features_)]


def indicate(graph: Graph, estimator: MissingIndicator, table: Table, _method: str) -> Value:
    """Mark what is missing; a column in which nothing was at fitting is refused, if so set."""
    known = [int(column) for column in estimator.features_]
    if not known:
        raise Untranslatable(estimator, "it answers no column")
    found = _marked(graph, table, estimator.missing_values, known)
    others = [column for column in range(table.width) if column not in known]
    if estimator.features == "missing-only" and estimator.error_on_new and others:
        bad = _marked(graph, table, estimator.missing_values, others)
        message = "a value is missing in a column in which none was at fitting"
        found = graph.refuse_where(bad.name, found, message)
    return found


def _marked(graph: Graph, table: Table, missing_values: Any, columns: Any) -> Value:
    """Return which values of some columns are missing: BOOL, `[N, columns]`."""
    chosen = graph.select(table, [int(column) for column in columns])
    return graph.joined(_masks(graph, chosen, missing_values), "bool")


def _masks(graph: Graph, table: Table, missing_values: Any) -> Table:
    parts = []
    for value in table.values:
        mask = missing_mask(graph, value, missing_values)
        if mask is None:  # nothing is missing: a comparison that is false for each value
            mask = graph.op("Not", graph.op("Equal", value.name, value.name))
        parts.append(Value(mask, "bool", value.width))
    return Table(tuple(parts))


def missing_mask(graph: Graph, value: Value, missing_values: Any) -> str | None:
    """Return which values are missing, BOOL `[N, width]`; None where none of this type can be.

    Args:
        graph: to add to.
        value: to look at.
        missing_values: what an imputer takes as missing: NaN, None, pd.NA, a number or a text.
    """
    if is_missing(missing_values):
        if value.kind == "string":
            # To scikit-learn None is a string like any other, unless it is what is looked for.
            if value.missing is None or value.none != (missing_values is None):
                return None
            return graph.op("Equal", value.name, graph.constant(value.missing))
        return graph.op("IsNaN", value.name) if value.kind in {"float", "double"} else None
    if isinstance(missing_values, str) != (value.kind == "string"):
        return None
    if value.kind == "string":
        return graph.op("Equal", value.name, graph.constant(missing_values))
    value = graph.cast(value, graph.kind)
    return graph.op("Equal", value.name, float(missing_values))


def iterative(graph: Graph, estimator: IterativeImputer, table: Table, _method: str) -> Table:
    """Impute by simple statistics, then by the fitted estimators, round after round.

    Raises:
        Untranslatable: values are drawn at random.
    """
    if estimator.sample_posterior:
        raise Untranslatable(estimator, "sample_posterior=True draws values at random")
    initial = estimator.initial_imputer_
    given = graph.matrix(table)
    filled = graph.matrix(simple(graph, initial, Table.of(given), "transform"))
    empty = estimator._is_empty_feature  # noqa: SLF001 -- as fitted
    kept = np.arange(given.width) if estimator.keep_empty_features else np.flatnonzero(~empty)
    chosen = graph.matrix(graph.select(Table.of(given), kept.tolist()))
    mask = missing_mask(graph, chosen, estimator.missing_values)
    if mask is None:
        raise Untranslatable(estimator, f"{estimator.missing_values!r} is no missing number")
    if estimator.keep_empty_features:
        mask = graph.op("And", mask, graph.constant(~empty.reshape(1, -1)))
    found = _rounds(graph, estimator, filled, mask)
    return Table.of(found, *indicator(graph, estimator, table))


def _rounds(graph: Graph, estimator: IterativeImputer, filled: Value, mask: str) -> Value:
    """Predict each column in its turn from the others as they are by then."""
    if estimator.n_iter_ == 0:
        return filled
    width = filled.width
    columns = graph.ops("Split", filled.name, outputs=width, axis=1, num_outputs=width)
    masks = graph.ops(
        "Split",
        graph.op("Cast", mask, to=ELEMENT_TYPES["int64"]),
        outputs=width,
        axis=1,
        num_outputs=width,
    )
    masks = [graph.op("Cast", part, to=ELEMENT_TYPES["bool"]) for part in masks]
    for column, neighbours, inner in estimator.imputation_sequence_:
        others = [columns[int(neighbour)] for neighbour in neighbours]
        name = others[0] if len(others) == 1 else graph.op("Concat", *others, axis=1)
        rows = Table.of(graph.value(name, len(others)))
        found = graph.cast(graph.call(inner, rows, "predict"), graph.kind).name
        low, high = estimator._min_value[column], estimator._max_value[column]  # noqa: SLF001 -- as fitted
        if np.isfinite([low, high]).any():
            found = graph.op("Clip", found, float(low), float(high))
        columns[column] = graph.op("Where", masks[column], found, columns[column])
    joined = graph.op("Concat", *columns, axis=1)
    # scikit-learn stops early where nothing at all is known, in a batch as a whole.
    known = graph.op("ReduceMin", graph.op("Cast", mask, to=ELEMENT_TYPES["int64"]), keepdims=0)
    nothing = graph.op("Cast", known, to=ELEMENT_TYPES["bool"])
    return graph.value(graph.op("Where", nothing, filled.name, joined), width)


TRANSLATORS: dict[type, Translator] = {
    IterativeImputer: iterative,
    MissingIndicator: indicate,
    SimpleImputer: simple,
}

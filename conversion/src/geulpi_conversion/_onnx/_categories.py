"""Finds the values of columns among the categories that an encoder was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils._missing import is_pandas_na, is_scalar_nan

from geulpi_conversion._onnx._graph import ML, Array, Graph, Untranslatable
from geulpi_conversion._onnx._numpy import searchsorted, take, wide
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import column as column_of

UNKNOWN = -1
Sort = Literal["float", "integer", "string"]


@dataclass(frozen=True)
class Categories:
    """The categories of a column, of one sort.

    Attributes:
        sort: how they are compared.
        known: those that are not missing.
        places: of `known`, in the encoder's order.
        missing: the place of the missing category, `UNKNOWN` where there is none.
    """

    sort: Sort
    known: Array
    places: Array
    missing: int


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None, NaN or pandas' NA."""
    return value is None or bool(is_scalar_nan(value)) or bool(is_pandas_na(value))


def read_categories(estimator: Any, column: int, values: Array) -> Categories:
    """Read an item of `categories_`.

    Raises:
        Untranslatable: they are of several sorts, or of one that no tensor carries.
    """
    values = np.asarray(values)
    missing = np.array([is_missing(value) for value in values.tolist()], bool)
    if missing.sum() > 1:
        raise Untranslatable(estimator, f"column {column} knows both None and NaN as categories")
    kept = values[~missing]
    known = np.array(kept.tolist()) if kept.dtype == np.object_ else kept
    sorts: dict[str, Sort] = {"U": "string", "b": "integer", "i": "integer", "f": "float"}
    if len(known) == 0:
        sort: Sort | None = "float"
    else:
        sort = sorts.get("i" if known.dtype.kind == "u" else known.dtype.kind)
        texts = [isinstance(value, str) for value in kept]
        if any(texts) and not all(texts):
            sort = None  # numpy made strings of numbers
    if sort is None:
        what = (
            f"categories of the type {known.dtype}" if not len(known) else "mixed or odd categories"
        )
        raise Untranslatable(estimator, f"column {column} has {what}")
    place = int(np.flatnonzero(missing)[0]) if missing.any() else UNKNOWN
    return Categories(sort, known, np.flatnonzero(~missing), place)


def find_places(graph: Graph, estimator: Any, table: Table, categories: Sequence[Array]) -> str:
    """Return the place of each value among its column's categories: INT64, `[N, columns]`.

    A value that is no category gets the place `UNKNOWN`. Numbers are compared as numpy does: a
    float32 value and a float64 category as float64. Missing values are found where the encoder
    has a category for them.

    Raises:
        Untranslatable: a column's values and its categories are of kinds that are never equal.
    """
    read = [read_categories(estimator, column, known) for column, known in enumerate(categories)]
    held = table.places(range(table.width))
    floats = [
        column
        for column, ((value, _), known) in enumerate(zip(held, read, strict=True))
        if value.kind in {"float", "double"} or (value.kind != "string" and known.sort == "float")
    ]
    parts = []
    if floats:
        chosen = wide(graph, graph.select(table, floats))
        parts.append(
            _among_floats(graph, estimator, chosen, [read[column] for column in floats], floats)
        )
    for column, known in enumerate(read):
        if column not in floats:
            value = column_of(graph, *held[column])
            parts.append(_by_hash(graph, estimator, value, known, column))
    order = floats + [column for column in range(table.width) if column not in floats]
    joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    if order == list(range(table.width)):
        return joined
    return graph.op("Gather", joined, np.argsort(order).astype(np.int64), axis=1)


def _among_floats(
    graph: Graph, estimator: Any, x: str, read: Sequence[Categories], columns: Sequence[int]
) -> str:
    """Search sorted numbers, all columns at once."""
    for known, column in zip(read, columns, strict=True):
        if known.sort == "string":
            _refuse_kinds(estimator, column, "numbers", "strings")
    orders = [np.argsort(known.known, kind="stable") for known in read]
    edges = [
        known.known[order].astype(np.float64) for known, order in zip(read, orders, strict=True)
    ]
    # A place beyond the last category holds NaN, which equals nothing.
    padded = [np.append(values, np.nan) for values in edges]
    places = [
        np.append(known.places[order], UNKNOWN) for known, order in zip(read, orders, strict=True)
    ]
    index = searchsorted(graph, x, edges, "left")
    same = graph.op("Equal", take(graph, padded, index, np.float64), x)
    missing = graph.constant([[known.missing for known in read]], np.int64)
    other = graph.op("Where", graph.op("IsNaN", x), missing, graph.constant(UNKNOWN, np.int64))
    return graph.op("Where", same, take(graph, places, index, np.int64), other)


def _by_hash(graph: Graph, estimator: Any, value: Value, known: Categories, column: int) -> str:
    """Look strings or integers up in a hash table, one column."""
    if value.kind == "string":
        if known.sort != "string":
            _refuse_kinds(estimator, column, "strings", "numbers")
        keys, places = _texts(known, value.missing)
        return graph.op(
            "LabelEncoder", value.name, domain=ML,
            keys_strings=keys, values_int64s=places, default_int64=UNKNOWN,
        )  # fmt: skip
    if known.sort == "string":
        _refuse_kinds(estimator, column, "numbers", "strings")
    return graph.op(
        "LabelEncoder", graph.cast(value, "int64").name, domain=ML,
        keys_int64s=known.known.astype(np.int64).tolist(), values_int64s=known.places.tolist(),
        default_int64=UNKNOWN,
    )  # fmt: skip


def _texts(known: Categories, missing: str | None) -> tuple[list[str], list[int]]:
    """Return texts and their places; the text for missing ones stands for nothing else."""
    pairs = {str(text): int(place) for text, place in zip(known.known, known.places, strict=True)}
    if missing is not None:
        pairs[missing] = known.missing
    return list(pairs), list(pairs.values())


def _refuse_kinds(estimator: Any, column: int, given: str, fitted: str) -> None:
    raise Untranslatable(estimator, f"column {column} holds {given}, its categories are {fitted}")


def refuse_unknown(graph: Graph, places: str, messages: Sequence[str]) -> str:
    """Return the places, of a graph that refuses an unknown value in any column.

    Args:
        graph: to add to.
        places: INT64, `[N, columns]`.
        messages: by column, the sentence that the request's sender reads.
    """
    value = Value(places, "int64", len(messages))
    unknown = graph.op("Equal", places, graph.constant(UNKNOWN, np.int64))
    for column, message in enumerate(messages):
        bad = graph.op("Gather", unknown, np.array([column]), axis=1)
        value = graph.refuse_where(bad, value, message)
    return value.name


def coded(
    graph: Graph, places: str, tables: Sequence[Array], columns: Array | None = None
) -> Value:
    """Return the number that stands for each place, in the arithmetic's type.

    Args:
        graph: to add to.
        places: INT64, `[N, columns]`.
        tables: by column of the result, the number for `UNKNOWN`, then those for the places.
        columns: by column of the result, the column of places; without it one of each.
    """
    if columns is not None:
        places = graph.op("Gather", places, columns.astype(np.int64), axis=1)
    index = graph.op("Sub", places, graph.constant(UNKNOWN, np.int64))
    return graph.value(take(graph, tables, index, graph.dtype), len(tables))

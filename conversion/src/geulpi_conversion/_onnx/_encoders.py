"""Encoders of categories and of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import (
    LabelBinarizer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)

from geulpi_conversion._onnx._categories import (
    UNKNOWN,
    coded,
    find_places,
    read_categories,
    refuse_unknown,
)
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._numpy import one_hot, take
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import repeated

UNKNOWN_CATEGORY = "column {!r}: a category that the encoder was not fitted with"
UNKNOWN_LABEL = "a label that the encoder was not fitted with"


def one_hot_encode(graph: Graph, estimator: OneHotEncoder, table: Table, _method: str) -> Value:
    """Give a column to each category, but for dropped ones; infrequent ones share one."""
    places = find_places(graph, estimator, table, estimator.categories_)
    if estimator.handle_unknown == "error":
        places = refuse_unknown(graph, places, _messages(estimator))
    tables = [_kept(estimator, column) for column in range(table.width)]
    index = take(graph, tables, graph.op("Add", places, 1), np.int64)
    widths = [int(width) for width in estimator._n_features_outs]  # noqa: SLF001 -- as fitted
    return one_hot(graph, index, widths)


def _messages(estimator: Any) -> list[str]:
    names = getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))
    return [UNKNOWN_CATEGORY.format(name) for name in names]


def _kept(estimator: OneHotEncoder, column: int) -> Array:
    """Return the output column of the unknown and of each category; `UNKNOWN` has none."""
    codes = _grouped(estimator, column)
    unknown = UNKNOWN
    if (
        estimator.handle_unknown in {"infrequent_if_exist", "warn"}
        and estimator._infrequent_enabled  # noqa: SLF001 -- as fitted
    ):
        infrequent = estimator._infrequent_indices[column]  # noqa: SLF001 -- as fitted
        unknown = UNKNOWN if infrequent is None else int(codes[infrequent[0]])
    codes = np.insert(codes, 0, unknown)
    dropped = estimator._drop_idx_after_grouping  # noqa: SLF001 -- as fitted
    if dropped is None or dropped[column] is None:
        return codes
    place = int(dropped[column])
    return np.where(codes == place, UNKNOWN, codes - (codes > place))


def _grouped(estimator: Any, column: int) -> Array:
    """Return the codes of a column's categories, after the infrequent ones became one."""
    codes = np.arange(len(estimator.categories_[column]))
    if estimator._infrequent_enabled:  # noqa: SLF001 -- as fitted
        mapping = estimator._default_to_infrequent_mappings[column]  # noqa: SLF001 -- as fitted
        if mapping is not None:  # of all but a missing category, which is the last
            codes[: len(mapping)] = mapping
    return codes


def ordinal_encode(graph: Graph, estimator: OrdinalEncoder, table: Table, _method: str) -> Value:
    """Number the categories; missing and unknown ones get the numbers set for them."""
    places = find_places(graph, estimator, table, estimator.categories_)
    unknown = estimator.unknown_value
    if estimator.handle_unknown == "error":
        places = refuse_unknown(graph, places, _messages(estimator))
        unknown = 0  # never looked up
    tables = []
    for column in range(table.width):
        codes = np.append(float(unknown), _grouped(estimator, column))
        missing = estimator._missing_indices.get(column)  # noqa: SLF001 -- as fitted
        if missing is not None:
            codes[missing + 1] = estimator.encoded_missing_value
        tables.append(codes)
    return coded(graph, places, tables)


def target_encode(graph: Graph, estimator: TargetEncoder, table: Table, _method: str) -> Value:
    """Return the target's mean by category; of each class where there are several."""
    places = find_places(graph, estimator, table, estimator.categories_)
    means = np.atleast_1d(estimator.target_mean_)  # for unknown categories
    outputs = len(estimator.encodings_)
    tables = [
        np.append(means[output % len(means)], encoding)
        for output, encoding in enumerate(estimator.encodings_)
    ]
    return coded(graph, places, tables, np.arange(outputs) // (outputs // table.width))


def label_encode(graph: Graph, estimator: LabelEncoder, table: Table, _method: str) -> Value:
    """Return the place of a label."""
    places = _label_places(graph, estimator, table)
    return Value(refuse_unknown(graph, places, [UNKNOWN_LABEL]), "int64", 1)


def label_binarize(graph: Graph, estimator: LabelBinarizer, table: Table, _method: str) -> Value:
    """Give a column to each label, of two only to the second; unknown labels are in none."""
    if estimator.y_type_ not in {"binary", "multiclass"}:
        raise Untranslatable(estimator, f"it binarises {estimator.y_type_} targets")
    count = len(estimator.classes_)
    places = _label_places(graph, estimator, table)
    if count == 1:
        row = np.array([estimator.neg_label], graph.dtype)
        return graph.value(repeated(graph, row, table), 1)
    if count == 2:
        places, count = graph.op("Sub", places, 1), 1
    hot = graph.op("Equal", one_hot(graph, places, [count]).name, 1.0)
    found = graph.op("Where", hot, float(estimator.pos_label), float(estimator.neg_label))
    return graph.value(found, count)


def _label_places(graph: Graph, estimator: Any, table: Table) -> str:
    """Return the places of labels among `classes_`: `[N, 1]`.

    Raises:
        Untranslatable: scikit-learn would turn the labels into another type first.
    """
    if table.width != 1:
        raise Untranslatable(estimator, f"it takes one column of labels, not {table.width}")
    floats = bool(table.kinds & {"float", "double"})
    if floats != (read_categories(estimator, 0, estimator.classes_).sort == "float"):
        raise Untranslatable(estimator, "its labels are of another type than those it was given")
    return find_places(graph, estimator, table, [estimator.classes_])


TRANSLATORS: dict[type, Translator] = {
    LabelBinarizer: label_binarize,
    LabelEncoder: label_encode,
    OneHotEncoder: one_hot_encode,
    OrdinalEncoder: ordinal_encode,
    TargetEncoder: target_encode,
}

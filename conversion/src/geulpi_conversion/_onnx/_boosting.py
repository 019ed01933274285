"""Translates scikit-learn's gradient boosting, of plain and of histogram trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tree_nodes import (
    LEAF,
    Array,
    Trees,
    started,
    summed,
    with_memberships,
)
from geulpi_conversion._onnx._trees import RAW, leaf_values, matrix_of_floats, read_trees

EPSILON = np.finfo(np.float64).eps


def gradient_boosting(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Translate `GradientBoosting*`; its binary classifier takes a raw value of 0 as positive."""
    if method == RAW:
        return _gradient_boosting_raw(graph, estimator, table)
    raw = graph.call(estimator, table, RAW)
    if not is_classifier(estimator):
        return graph.cast(raw, graph.kind)
    if method == "predict" and raw.width == 1:
        zero = graph.constant(0, np.float64)
        index = graph.op("Cast", graph.op("GreaterOrEqual", raw.name, zero), to=TensorProto.INT64)
        return graph.labels(index, estimator.classes_)
    # The exponential loss has half the log-odds.
    scale = 2.0 if estimator.loss == "exponential" else 1.0
    return classified_raw(graph, raw, estimator.classes_, method, scale=scale)


def classified_raw(
    graph: Graph, raw: Value, classes: Any, method: str, *, scale: float = 1.0
) -> Value:
    """Answer a classifier's method from its raw values: log-odds of the second class, or of each.

    Args:
        graph: to write into.
        raw: double, `[N, 1]` for two classes, else `[N, classes]`.
        classes: the labels.
        method: `predict`, `predict_proba` or `decision_function`.
        scale: by what the raw values of two classes are multiplied.
    """
    if method == "decision_function":
        return graph.cast(raw, graph.kind)
    if method == "predict":
        return graph.positive(raw, classes) if raw.width == 1 else graph.best(raw, classes)
    if raw.width > 1:
        return graph.cast(
            Value(graph.op("Softmax", raw.name, axis=1), "double", raw.width), graph.kind
        )
    one = graph.constant(1, np.float64)
    scaled = graph.op("Mul", raw.name, graph.constant(scale, np.float64))
    positive = graph.op("Sigmoid", scaled)
    both = graph.op("Concat", graph.op("Sub", one, positive), positive, axis=1)
    return graph.cast(Value(both, "double", 2), graph.kind)


def _gradient_boosting_raw(graph: Graph, estimator: Any, table: Table) -> Value:
    width = estimator.estimators_.shape[1]
    members = estimator.estimators_.ravel()  # of a stage, a tree for each class
    values = leaf_values(members) * estimator.learning_rate
    matrix = matrix_of_floats(graph, table)
    read = read_trees(members, nan=False)  # it refuses NaN
    if isinstance(estimator.init_, str | DummyClassifier | DummyRegressor):
        row = np.zeros((1, estimator.n_features_in_), np.float32)
        start = estimator._raw_predict_init(row)[0]  # noqa: SLF001 -- the same for every row
        values = started(read, values, start)
        return summed(graph, read, values, matrix, interleaved=width)
    grown = summed(graph, read, values, matrix, interleaved=width)
    first = _first_guess(graph, estimator, Table.of(matrix))
    return Value(graph.op("Add", first.name, grown.name), "double", width)


def _first_guess(graph: Graph, estimator: Any, table: Table) -> Value:
    """Return what another estimator guesses, in the scale of the raw values; double."""
    if not is_classifier(estimator):
        return graph.cast(graph.call(estimator.init_, table, "predict"), "double")
    found = graph.cast(graph.call(estimator.init_, table, "predict_proba"), "double")
    limits = [graph.constant(limit, np.float64) for limit in (EPSILON, 1 - EPSILON)]
    clipped = Value(graph.op("Clip", found.name, *limits), "double", found.width)
    logs = graph.op("Log", clipped.name)
    if estimator.n_trees_per_iteration_ > 1:
        mean = graph.op("ReduceMean", logs, np.array([1]), keepdims=1)
        return Value(graph.op("Sub", logs, mean), "double", found.width)
    second = graph.select(Table.of(clipped), [1]).values[0].name
    odds = graph.op("Div", second, graph.op("Sub", graph.constant(1, np.float64), second))
    half = graph.constant(0.5 if estimator.loss == "exponential" else 1, np.float64)
    return Value(graph.op("Mul", graph.op("Log", odds), half), "double", 1)


# --- histogram trees ---


def hist_gradient_boosting(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Translate `HistGradientBoosting*`, which compares in float64, categories too."""
    if method == RAW:
        return _hist_raw(graph, estimator, table)
    raw = graph.call(estimator, table, RAW)
    if is_classifier(estimator):
        return classified_raw(graph, raw, estimator.classes_, method)
    if estimator.loss in {"gamma", "poisson"}:
        raw = Value(graph.op("Exp", raw.name), "double", 1)
    return graph.cast(raw, graph.kind)


def _hist_raw(graph: Graph, estimator: Any, table: Table) -> Value:
    predictors = [tree for stage in estimator._predictors for tree in stage]  # noqa: SLF001
    start = np.ravel(estimator._baseline_prediction)  # noqa: SLF001
    nodes = np.concatenate([predictor.nodes for predictor in predictors])
    sizes = np.array([len(predictor.nodes) for predictor in predictors])
    leaf = nodes["is_leaf"].astype(bool)
    matrix = graph.matrix(_preprocessed(graph, estimator, table))
    feature, threshold = nodes["feature_idx"].copy(), nodes["num_threshold"].copy()
    split = np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf)
    if split.size:
        sets = _left_categories(predictors, nodes, sizes, split)
        matrix, columns = with_memberships(graph, matrix, feature[split], sets)
        feature[split], threshold[split] = columns, 0.5
        graph.note("splits by sets of categories are looked up")
    trees = Trees(
        sizes=sizes,
        left=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        right=nodes["right"].astype(np.int64),
        feature=feature,
        threshold=threshold,
        missing_left=nodes["missing_go_to_left"].astype(bool),
    )
    values = started(trees, nodes["value"][leaf].reshape(-1, 1), start)
    return summed(graph, trees, values, matrix, interleaved=len(start))


def _preprocessed(graph: Graph, estimator: Any, table: Table) -> Table:
    """Return the columns in the order of the trees: categories come first, as codes."""
    preprocessor = estimator._preprocessor  # noqa: SLF001
    if preprocessor is None:
        return table
    columns = preprocessor._transformer_to_input_indices  # noqa: SLF001
    codes = graph.transform(
        preprocessor.named_transformers_["encoder"],
        graph.select(table, [int(column) for column in columns["encoder"]]),
    )
    numbers = graph.select(table, [int(column) for column in columns["numerical"]])
    return Table.of(codes, numbers)


def _left_categories(predictors: Any, nodes: Array, sizes: Array, split: Array) -> Array:
    """Return for each split by categories which go left: bool, as `with_memberships` wants."""
    bits = [predictor.raw_left_cat_bitsets for predictor in predictors]
    first = np.cumsum([0, *(len(some) for some in bits[:-1])])
    tree = np.repeat(np.arange(len(sizes)), sizes)[split]
    chosen = np.concatenate(bits)[first[tree] + nodes["bitset_idx"][split]]
    left = np.unpackbits(chosen.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    missing = nodes["missing_go_to_left"][split].reshape(-1, 1)
    return np.hstack([left, missing, missing]).astype(bool)  # unknown categories go as missing ones


TRANSLATORS: dict[type, Translator] = {
    GradientBoostingClassifier: gradient_boosting,
    GradientBoostingRegressor: gradient_boosting,
    HistGradientBoostingClassifier: hist_gradient_boosting,
    HistGradientBoostingRegressor: hist_gradient_boosting,
}

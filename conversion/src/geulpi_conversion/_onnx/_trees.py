"""Translates scikit-learn's trees, forests and isolation forests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.ensemble._iforest import _average_path_length
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tree_nodes import Array, Trees, ensemble, summed

# A method that only translators ask for: the sum over the trees, in float64, shared by the others.
RAW = "raw sums of leaves"
SINGLE = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)


def read_trees(
    estimators: Sequence[Any], features: Sequence[Array] | None = None, *, nan: bool = True
) -> Trees:
    """Return the trees of fitted tree estimators.

    Args:
        estimators: tree estimators.
        features: for each, which columns of the ensemble's input it was given; all by default.
        nan: whether NaN can reach them.
    """
    trees = [estimator.tree_ for estimator in estimators]
    columns = [tree.feature.astype(np.int32) for tree in trees]
    if features is not None:
        # Of a leaf the feature is negative, and whatever it finds there is not looked at.
        columns = [np.asarray(own)[column] for own, column in zip(features, columns, strict=True)]
    missing = [tree.missing_go_to_left.astype(bool) & nan for tree in trees]
    return Trees(
        sizes=np.array([tree.node_count for tree in trees]),
        left=np.concatenate([tree.children_left.astype(np.int32) for tree in trees]),
        right=np.concatenate([tree.children_right.astype(np.int32) for tree in trees]),
        feature=np.concatenate(columns),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        missing_left=np.concatenate(missing),
    )


def leaf_values(estimators: Sequence[Any]) -> Array:
    """Return what stands in the leaves: `[leaves, k]`, of several targets side by side."""
    found = [estimator.tree_.value[estimator.tree_.children_left < 0] for estimator in estimators]
    values: Array = np.concatenate(found).reshape(sum(map(len, found)), -1)
    return values


def matrix_of_floats(graph: Graph, table: Table, *, finite: bool = True) -> Value:
    """Return a table as float32, to which scikit-learn's trees round what they are given.

    Args:
        graph: to write into.
        table: of numbers.
        finite: whether a double beyond float32 is refused, as most of them do.
    """
    matrix = graph.matrix(table)
    floats = graph.cast(matrix, "float")
    if finite and matrix.kind == "double":
        message = "a value is too large for float32, and the estimator's trees refuse it"
        return graph.refuse_where(graph.op("IsInf", floats.name), floats, message)
    return floats


# --- trees and forests ---


def trees(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Translate single trees and forests, of one target or several."""
    members = [estimator] if isinstance(estimator, SINGLE) else estimator.estimators_
    if method == RAW:
        matrix = matrix_of_floats(graph, table)
        mean = summed(graph, read_trees(members), leaf_values(members), matrix)
        if len(members) == 1:
            return mean
        count = graph.constant(len(members), np.float64)
        return Value(graph.op("Div", mean.name, count), "double", mean.width)
    graph.note("trees keep their way of missing values, and add in float64")
    mean = graph.call(estimator, table, RAW)
    if not is_classifier(estimator):
        return graph.cast(mean, graph.kind)
    if estimator.n_outputs_ == 1:
        return classified(graph, mean, estimator.classes_, method)
    if method != "predict":
        raise Untranslatable(estimator, f"{method} of several targets is no single matrix")
    return _labels_of_targets(graph, estimator, mean)


def classified(graph: Graph, mean: Value, classes: Any, method: str) -> Value:
    """Return probabilities, or the label of the largest."""
    return graph.best(mean, classes) if method == "predict" else graph.cast(mean, graph.kind)


def _labels_of_targets(graph: Graph, estimator: Any, mean: Value) -> Value:
    """Return a label for each target; the classes of each are padded to the same number."""
    targets = estimator.n_outputs_
    width = mean.width // targets
    labels = []
    for target, classes in enumerate(estimator.classes_):
        own = range(target * width, target * width + len(classes))
        chosen = graph.select(Table.of(mean), own).values[0]
        # scikit-learn puts all labels into an array of the first target's type.
        labels.append(graph.best(chosen, np.asarray(classes).astype(estimator.classes_[0].dtype)))
    return graph.joined(Table(tuple(labels)), labels[0].kind)


def embedding(graph: Graph, estimator: RandomTreesEmbedding, table: Table, _method: str) -> Value:
    """Mark the leaf of every tree: each leaf of the encoder has a column of its own."""
    members = read_trees(estimator.estimators_)
    widths = [len(found) for found in estimator.one_hot_encoder_.categories_]
    leaves = np.add.reduceat(members.is_leaf, np.cumsum(members.sizes) - members.sizes)
    if not np.array_equal(leaves, widths):
        raise Untranslatable(estimator, "no row of the training data came to some of its leaves")
    width = sum(widths)
    found = ensemble(
        graph,
        members,
        matrix_of_floats(graph, table),
        targets=np.arange(width),
        weights=np.ones(width),
        width=width,
    )
    return graph.cast(Value(found, "float", width), graph.kind)


# --- isolation forests ---


def isolation_forest(graph: Graph, estimator: IsolationForest, table: Table, method: str) -> Value:
    """Score by the mean depth of the leaves; see `_least_inlier_depth` for the labels."""
    if method == RAW:
        return _depth(graph, estimator, table)
    depth = graph.call(estimator, table, RAW)
    if method == "predict":
        least = graph.constant(_least_inlier_depth(estimator), np.float64)
        inlier = graph.op("GreaterOrEqual", depth.name, least)
        index = graph.op("Cast", inlier, to=TensorProto.INT64)
        return graph.labels(index, np.array([-1, 1]))
    share = graph.op("Div", depth.name, graph.constant(_full_depth(estimator), np.float64))
    score = graph.op("Neg", graph.op("Pow", graph.constant(2, np.float64), graph.op("Neg", share)))
    if method == "decision_function":
        score = graph.op("Sub", score, graph.constant(estimator.offset_, np.float64))
    return graph.cast(Value(score, "double", 1), graph.kind)


def _depth(graph: Graph, estimator: IsolationForest, table: Table) -> Value:
    members = estimator.estimators_
    features = estimator.estimators_features_
    depths = [
        (own + average - 1.0)[member.tree_.children_left < 0]
        for member, own, average in zip(
            members,
            estimator._decision_path_lengths,  # noqa: SLF001 -- as scikit-learn scores
            estimator._average_path_length_per_tree,  # noqa: SLF001
            strict=True,
        )
    ]
    values = np.concatenate(depths).reshape(-1, 1)
    matrix = matrix_of_floats(graph, table, finite=False)
    return summed(graph, read_trees(members, features), values, matrix)


def _full_depth(estimator: IsolationForest) -> float:
    """Return the depth by which scikit-learn divides."""
    average = float(_average_path_length([estimator._max_samples])[0])  # noqa: SLF001
    if average == 0:
        raise Untranslatable(estimator, "its trees were fitted on one row each")
    return len(estimator.estimators_) * average


def _least_inlier_depth(estimator: IsolationForest) -> float:
    """Return the smallest depth of an inlier, by asking scikit-learn's own formula.

    `offset_` is often the score of a row of the training data: an ONNX power that is off by one
    bit would flip its label. Depths are exact.
    """
    full = _full_depth(estimator)

    def inlier(depth: float) -> bool:
        score = -(2 ** -np.divide(np.array([depth]), full))
        return bool((score - estimator.offset_ >= 0)[0])

    least, most = 0.0, 2.0**40
    if not inlier(most):
        return float(np.inf)
    while not inlier(least) and (middle := (least + most) / 2) not in {least, most}:
        least, most = (least, middle) if inlier(middle) else (middle, most)
    return least if inlier(least) else most


TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys(
        (
            *SINGLE,
            ExtraTreesClassifier,
            ExtraTreesRegressor,
            RandomForestClassifier,
            RandomForestRegressor,
        ),
        trees,
    ),
    IsolationForest: isolation_forest,
    RandomTreesEmbedding: embedding,
}

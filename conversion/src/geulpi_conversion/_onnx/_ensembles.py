"""Translates AdaBoost and bagging, of trees as one set of trees and of any other estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.base import is_classifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
)

from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tree_nodes import looked_up, summed
from geulpi_conversion._onnx._trees import (
    RAW,
    SINGLE,
    classified,
    leaf_values,
    matrix_of_floats,
    read_trees,
)


def all_trees(estimators: Any) -> bool:
    """Whether these are trees, all of one target."""
    return all(type(member) in SINGLE and member.n_outputs_ == 1 for member in estimators)


# --- bagging ---


def bagging(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Average what estimators of some of the columns answer."""
    if not is_classifier(estimator):
        return graph.cast(_mean(graph, estimator, table, "predict"), graph.kind)
    if method == "decision_function":
        return graph.cast(_mean(graph, estimator, table, method), graph.kind)
    if method == RAW:
        return _mean(graph, estimator, table, "predict_proba")
    mean = graph.call(estimator, table, RAW)
    return classified(graph, mean, estimator.classes_, method)


def _mean(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    members = estimator.estimators_
    features = [np.asarray(own) for own in estimator.estimators_features_]
    # A member may not have seen every class.
    width = estimator.n_classes_ if is_classifier(estimator) else 1
    if all_trees(members) and all(member.tree_.max_n_classes == width for member in members):
        matrix = matrix_of_floats(graph, table)
        total = summed(graph, read_trees(members, features), leaf_values(members), matrix)
    else:
        parts = [
            _member(graph, estimator, member, graph.select(table, own.tolist()), method)
            for member, own in zip(members, features, strict=True)
        ]
        total = Value(graph.op("Sum", *(part.name for part in parts)), "double", parts[0].width)
    count = graph.constant(estimator.n_estimators, np.float64)
    return Value(graph.op("Div", total.name, count), "double", total.width)


def _member(graph: Graph, estimator: Any, member: Any, table: Table, method: str) -> Value:
    """Return what one member answers, in float64; its labels are places of classes."""
    if method == "predict_proba" and not hasattr(member, "predict_proba"):
        places = np.arange(estimator.n_classes_)
        votes = graph.op("Equal", graph.call(member, table, "predict").name, places)
        return Value(graph.op("Cast", votes, to=TensorProto.DOUBLE), "double", len(places))
    answer = graph.cast(graph.call(member, table, method), "double")
    if method != "predict_proba" or answer.width == estimator.n_classes_:
        return answer
    spread = np.zeros((answer.width, estimator.n_classes_))
    spread[np.arange(answer.width), np.asarray(member.classes_, np.int64)] = 1
    name = graph.op("MatMul", answer.name, graph.constant(spread, np.float64))
    return Value(name, "double", estimator.n_classes_)


# --- AdaBoost ---


def ada_boost_classifier(
    graph: Graph, estimator: AdaBoostClassifier, table: Table, method: str
) -> Value:
    """Let weighted members vote; those that vote for another class count against one."""
    classes = estimator.classes_
    if method == RAW:
        return _votes(graph, estimator, table)
    decision = graph.call(estimator, table, RAW)
    if method == "decision_function":
        return graph.cast(decision, graph.kind)
    if method == "predict":
        best = graph.positive if decision.width == 1 else graph.best
        return best(decision, classes)
    scale = graph.constant(2 if decision.width == 1 else estimator.n_classes_ - 1, np.float64)
    if decision.width == 1:
        opposite = graph.op("Neg", decision.name)
        scores = graph.op("Concat", opposite, decision.name, axis=1)
    else:
        scores = decision.name
    found = graph.op("Softmax", graph.op("Div", scores, scale), axis=1)
    return graph.cast(Value(found, "double", len(classes)), graph.kind)


def _votes(graph: Graph, estimator: AdaBoostClassifier, table: Table) -> Value:
    members, count = estimator.estimators_, estimator.n_classes_
    weights = estimator.estimator_weights_[: len(members)]
    places = np.arange(count)
    if all_trees(members):
        parts = []
        for member, weight in zip(members, weights, strict=True):
            best = np.searchsorted(
                estimator.classes_, member.classes_[leaf_values([member]).argmax(axis=1)]
            )
            parts.append(np.where(best[:, None] == places, weight, -1 / (count - 1) * weight))
        matrix = matrix_of_floats(graph, table)
        total = summed(graph, read_trees(members), np.concatenate(parts), matrix)
    else:
        votes = [
            graph.op(
                "Where",
                _is_class(graph, graph.call(member, table, "predict"), estimator.classes_),
                graph.constant([weight], np.float64),
                graph.constant([-1 / (count - 1) * weight], np.float64),
            )
            for member, weight in zip(members, weights, strict=True)
        ]
        total = Value(graph.op("Sum", *votes), "double", count)
    whole = graph.constant(estimator.estimator_weights_.sum(), np.float64)
    share = graph.op("Div", total.name, whole)
    if count > 2:
        return Value(share, "double", count)
    signs = graph.constant([[-1.0], [1.0]], np.float64)
    return Value(graph.op("MatMul", share, signs), "double", 1)


def _is_class(graph: Graph, labels: Value, classes: Any) -> str:
    """Return where a label is which class: BOOL `[N, classes]`."""
    dtype = None if labels.kind == "string" else np.int64
    return graph.op("Equal", labels.name, graph.constant(np.asarray(classes), dtype))


def ada_boost_regressor(
    graph: Graph, estimator: AdaBoostRegressor, table: Table, _method: str
) -> Value:
    """Return the weighted median of what the members predict."""
    members = estimator.estimators_
    weights = estimator.estimator_weights_[: len(members)]
    if all_trees(members):
        matrix = matrix_of_floats(graph, table)
        found = looked_up(graph, read_trees(members), leaf_values(members), matrix)
        found = graph.op("Transpose", graph.op("Squeeze", found, np.array([2])), perm=[1, 0])
    else:
        answers = [graph.cast(graph.call(m, table, "predict"), "double") for m in members]
        found = graph.op("Concat", *(answer.name for answer in answers), axis=1)
    # Of no rows ONNX Runtime 1.19 would divide by zero: one more is sorted, and left out again.
    found = graph.op("Concat", found, graph.constant(np.zeros((1, len(members)))), axis=0)
    ordered, order = graph.ops(
        "TopK", found, np.array([len(members)]), outputs=2, axis=1, largest=0, sorted=1
    )
    summed_weights = graph.op(
        "CumSum", graph.op("Gather", graph.constant(weights, np.float64), order), np.array(1)
    )
    last = graph.op("Gather", summed_weights, np.array([-1]), axis=1)
    half = graph.op("Mul", last, graph.constant(0.5, np.float64))
    above = graph.op("Cast", graph.op("GreaterOrEqual", summed_weights, half), to=TensorProto.INT32)
    first = graph.op("ArgMax", above, axis=1, keepdims=1, select_last_index=0)
    median = graph.op("GatherElements", ordered, first, axis=1)
    median = graph.op("Slice", median, np.array([0]), np.array([-1]), np.array([0]))
    return graph.cast(Value(median, "double", 1), graph.kind)


TRANSLATORS: dict[type, Translator] = {
    AdaBoostClassifier: ada_boost_classifier,
    AdaBoostRegressor: ada_boost_regressor,
    BaggingClassifier: bagging,
    BaggingRegressor: bagging,
}

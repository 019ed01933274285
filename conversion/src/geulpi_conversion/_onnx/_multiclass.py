"""Translates classifiers made of many classifiers of two classes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.base import is_regressor
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
    _ConstantPredictor,
    _threshold_for_binary_predict,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._numpy import float64
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import beside, column, like, number, repeated, total


def one_vs_rest(graph: Graph, estimator: OneVsRestClassifier, table: Table, method: str) -> Value:
    """Ask one classifier for each class, or for each label of a multi-label problem."""
    if method == "predict_proba":
        return _shares(graph, estimator, table)
    if method == "decision_function":
        return beside(graph, [graph.call(e, table, method) for e in estimator.estimators_])
    scores = beside(graph, [_score(graph, inner, table) for inner in estimator.estimators_])
    if estimator.label_binarizer_.y_type_ == "multiclass":
        return graph.best(scores, estimator.classes_)
    chosen = _above(graph, scores, estimator)
    if estimator.multilabel_:
        return chosen
    if len(estimator.classes_) == 1:
        label = np.zeros(1, np.int64)
        return graph.labels(repeated(graph, label, table), estimator.classes_)
    return graph.labels(chosen.name, estimator.classes_)


def _shares(graph: Graph, estimator: OneVsRestClassifier, table: Table) -> Value:
    """Return the probabilities, as shares of the row's sum unless several labels may hold."""
    columns = [
        column(graph, graph.call(inner, table, "predict_proba"), 1)
        for inner in estimator.estimators_
    ]
    found = beside(graph, columns)
    if found.width == 1:
        other = graph.op("Sub", like(graph, 1, found), found.name)
        found = beside(graph, [Value(other, found.kind, 1), found])
    if estimator.multilabel_:
        return found
    sums = graph.op("ReduceSum", found.name, graph.constant([1], np.int64), keepdims=1)
    none = graph.op("Equal", sums, like(graph, 0, found))
    shares = graph.op("Div", found.name, graph.op("Where", none, like(graph, 1, found), sums))
    return Value(shares, found.kind, found.width)


def one_vs_one(graph: Graph, estimator: OneVsOneClassifier, table: Table, method: str) -> Value:
    """Let one classifier for each pair of classes vote; their scores decide between equal ones."""
    if estimator.pairwise_indices_ is not None:
        raise Untranslatable(estimator, "it takes a kernel matrix")
    if method == "decision_function":
        votes = _pair_votes(graph, estimator, table)
        return column(graph, votes, 1) if estimator.n_classes_ == 2 else votes
    if method != "predict":
        raise Untranslatable(estimator, f"it has no {method}")
    scores = graph.call(estimator, table, "decision_function")
    if estimator.n_classes_ == 2:
        return graph.labels(_above(graph, scores, estimator).name, estimator.classes_)
    return graph.best(scores, estimator.classes_)


def _pair_votes(graph: Graph, estimator: OneVsOneClassifier, table: Table) -> Value:
    """Return scikit-learn's votes plus a score within ±1/3, in float64 as there."""
    width = estimator.n_classes_
    votes: list[list[Value]] = [[] for _ in range(width)]
    scores: list[list[Value]] = [[] for _ in range(width)]
    pairs = combinations(range(width), 2)
    for inner, (first, second) in zip(estimator.estimators_, pairs, strict=True):
        score = graph.cast(_score(graph, inner, table), "double")
        scores[first].append(Value(graph.op("Neg", score.name), "double", 1))
        scores[second].append(score)
        label = graph.call(inner, table, "predict")
        for place, voted in ((first, 0), (second, 1)):
            hit = graph.op("Equal", label.name, _same_kind(graph, voted, label))
            hit = graph.op("Cast", hit, to=TensorProto.DOUBLE)
            votes[place].append(Value(hit, "double", 1))
    counted = beside(graph, [total(graph, some) for some in votes])
    scored = beside(graph, [total(graph, some) for some in scores])
    size = graph.op("Add", graph.op("Abs", scored.name), float64(graph, 1))
    size = graph.op("Mul", size, float64(graph, 3))
    name = graph.op("Add", counted.name, graph.op("Div", scored.name, size))
    return Value(name, "double", width)


def output_code(graph: Graph, estimator: OutputCodeClassifier, table: Table, method: str) -> Value:
    """Return the class whose code is nearest to the scores."""
    if method != "predict":
        raise Untranslatable(estimator, f"it has no {method}")
    scores = beside(graph, [_score(graph, inner, table) for inner in estimator.estimators_])
    codes = np.asarray(estimator.code_book_, np.float64)
    # The nearest has the largest 2·s·c − c·c: what is left of the distance is the same for all.
    name = graph.op("MatMul", graph.cast(scores, "double").name, graph.constant(2 * codes.T))
    name = graph.op("Sub", name, graph.constant((codes**2).sum(axis=1)))
    return graph.best(Value(name, "double", len(codes)), estimator.classes_)


def constant_predictor(
    graph: Graph, estimator: _ConstantPredictor, table: Table, method: str
) -> Value:
    """Say of every row that it is of the only class there was."""
    only = np.asarray(estimator.y_, np.int64)
    if method != "predict_proba":
        return Value(repeated(graph, only, table), "int64", 1)
    row = np.hstack([1 - only, only]).astype(graph.dtype)
    return graph.value(repeated(graph, row, table), 2)


def _score(graph: Graph, inner: Any, table: Table) -> Value:
    """Return the score of the second of two classes, `[N, 1]`."""
    if is_regressor(inner):
        return number(graph, graph.call(inner, table, "predict"))
    if hasattr(inner, "decision_function"):
        return number(graph, graph.call(inner, table, "decision_function"))
    return column(graph, graph.call(inner, table, "predict_proba"), 1)


def _above(graph: Graph, scores: Value, estimator: Any) -> Value:
    """Return 1 where a score is above the one that parts two classes, else 0."""
    middle = _threshold_for_binary_predict(estimator.estimators_[0])
    above = graph.op("Greater", scores.name, like(graph, middle, scores))
    return Value(graph.op("Cast", above, to=TensorProto.INT64), "int64", scores.width)


def _same_kind(graph: Graph, label: int, value: Value) -> str:
    return graph.constant(label, np.int64) if value.kind == "int64" else like(graph, label, value)


TRANSLATORS: dict[type, Translator] = {
    _ConstantPredictor: constant_predictor,
    OneVsOneClassifier: one_vs_one,
    OneVsRestClassifier: one_vs_rest,
    OutputCodeClassifier: output_code,
}

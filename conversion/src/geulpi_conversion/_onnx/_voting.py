"""Translates voting and stacking."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import average, column, total


def voting_classifier(
    graph: Graph, estimator: VotingClassifier, table: Table, method: str
) -> Value | Table:
    """Average probabilities, or count votes; of equal classes the first wins."""
    soft = estimator.voting == "soft"
    if method == "transform":
        if soft and not estimator.flatten_transform:
            raise Untranslatable(estimator, "flatten_transform=False gives no matrix")
        return _asked(graph, estimator, table, "predict_proba" if soft else "predict")
    weights = estimator._weights_not_none  # noqa: SLF001 -- without those of dropped estimators
    if method == "predict_proba":
        answers = _asked(graph, estimator, table, "predict_proba")
        return average(graph, answers.values, weights)
    if method != "predict":
        raise Untranslatable(estimator, f"it has no {method}")
    if soft:
        scores = graph.call(estimator, table, "predict_proba")
    else:
        if weights is not None and min(weights) < 0:
            raise Untranslatable(estimator, "votes of negative weight")
        labels = _asked(graph, estimator, table, "predict").values
        scores = total(graph, [_vote(graph, estimator, label) for label in labels], weights)
    return graph.best(scores, estimator.classes_)


def voting_regressor(
    graph: Graph, estimator: VotingRegressor, table: Table, method: str
) -> Value | Table:
    """Average what the regressors predict."""
    predicted = _asked(graph, estimator, table, "predict")
    if method == "transform":
        return predicted
    return average(graph, predicted.values, estimator._weights_not_none)  # noqa: SLF001


def _asked(graph: Graph, estimator: Any, table: Table, method: str) -> Table:
    return Table(tuple(graph.call(member, table, method) for member in estimator.estimators_))


def _vote(graph: Graph, estimator: VotingClassifier, label: Value) -> Value:
    """Return 1 for the class that is voted for: the members were fitted on places of classes."""
    if label.kind == "string":
        raise Untranslatable(estimator, "a member was fitted on other labels")
    width = len(estimator.classes_)
    voted = graph.op("Equal", graph.cast(label, "int64").name, np.arange(width).reshape(1, -1))
    return Value(graph.op("Cast", voted, to=TensorProto.DOUBLE), "double", width)


def stacking(graph: Graph, estimator: Any, table: Table, method: str) -> Value | Table:
    """Give the members' answers, and the input with passthrough, to the last estimator."""
    if method == "transform":
        return _stacked(graph, estimator, table)
    several = isinstance(estimator, StackingClassifier) and isinstance(estimator.classes_, list)
    if several and method != "predict":
        raise Untranslatable(estimator, f"{method} of several targets is no single matrix")
    answer = graph.call(estimator.final_estimator_, graph.transform(estimator, table), method)
    if method != "predict" or isinstance(estimator, StackingRegressor):
        return answer
    if answer.kind == "string":
        raise Untranslatable(estimator, "its final estimator was fitted on other labels")
    # The final estimator was fitted on places of classes.
    places = graph.cast(answer, "int64")
    if not several:
        return graph.labels(places.name, estimator.classes_)
    return Table(
        tuple(
            graph.labels(column(graph, places, target).name, classes)
            for target, classes in enumerate(estimator.classes_)
        )
    )


def _stacked(graph: Graph, estimator: Any, table: Table) -> Table:
    parts = []
    for member, method in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        answer = graph.call(member, table, method)
        if answer.kind == "string":
            raise Untranslatable(estimator, "it stacks labels that are texts")
        if method == "predict_proba":
            answer = _without_first(graph, estimator, member, answer)
        parts.append(answer)
    return Table.of(*parts, table) if estimator.passthrough else Table(tuple(parts))


def _without_first(graph: Graph, estimator: Any, member: Any, answer: Value) -> Value:
    """Drop the first class of two, whose probability says nothing more."""
    if isinstance(member.classes_, list):
        raise Untranslatable(member, "its probabilities of several targets are no single matrix")
    if len(estimator.classes_) != 2:
        return answer
    return graph.select(Table.of(answer), range(1, answer.width)).values[0]


TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys((StackingClassifier, StackingRegressor), stacking),
    VotingClassifier: voting_classifier,
    VotingRegressor: voting_regressor,
}

"""Translates estimators of several targets: one estimator for each, side by side or in a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import column


def side_by_side(graph: Graph, estimator: Any, table: Table, method: str) -> Table:
    """Ask an estimator for each target."""
    if method != "predict":
        raise Untranslatable(estimator, f"{method} of several targets is no single matrix")
    return Table(tuple(graph.call(inner, table, method) for inner in estimator.estimators_))


def chain(graph: Graph, estimator: Any, table: Table, method: str) -> Table:
    """Ask an estimator for each target, each told what those before it said."""
    linking = getattr(estimator, "chain_method_", "predict")
    answers = []
    for inner in estimator.estimators_:
        answers.append(_answer(graph, inner, table, method))
        table = Table.of(table, _answer(graph, inner, table, linking))
    return Table(tuple(answers[place] for place in np.argsort(estimator.order_)))


def _answer(graph: Graph, inner: Any, table: Table, method: str) -> Value:
    """Return one column: of two classes the second's probability."""
    answer = graph.call(inner, table, method)
    if method == "predict_proba" and is_classifier(inner) and len(inner.classes_) == 2:
        answer = column(graph, answer, 1)
    if answer.width != 1 or answer.kind == "string":
        raise Untranslatable(inner, f"its {method} is not one number, which a chain takes")
    return answer


TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys((ClassifierChain, RegressorChain), chain),
    **dict.fromkeys((MultiOutputClassifier, MultiOutputRegressor), side_by_side),
}

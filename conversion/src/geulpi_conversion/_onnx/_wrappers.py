"""Translates estimators that ask one inner estimator: searches, frozen ones, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)

# From where it is: the public name is there only for who has imported sklearn.experimental's.
from sklearn.model_selection._search_successive_halving import (
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._structure import ask
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import column, like, number


def delegate(attribute: str) -> Translator:
    """Return a translator of estimators that pass everything on to one inner estimator."""

    def translate(graph: Graph, estimator: Any, table: Table, method: str) -> Table | Value:
        return ask(graph, getattr(estimator, attribute), table, method)

    return translate


def first_of(estimator: Any, methods: Sequence[str]) -> str:
    """Return the first method that an estimator has, as scikit-learn chooses.

    Raises:
        AttributeError: it has none of them.
    """
    found = next((method for method in methods if hasattr(estimator, method)), None)
    if found is None:
        raise AttributeError(f"{type(estimator).__name__} has none of {', '.join(methods)}")
    return found


def threshold_classifier(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Compare the score of the positive label with the threshold that was set, or found."""
    inner = getattr(estimator, "estimator_", estimator.estimator)
    if method != "predict":
        return graph.call(inner, table, method)
    allowed = estimator._get_response_method()  # noqa: SLF001 -- "auto" resolved
    response = first_of(inner, [allowed] if isinstance(allowed, str) else allowed)
    threshold, label = _threshold(estimator, response)
    classes = estimator.classes_
    positive = 1 if label is None else int(np.flatnonzero(classes == label)[0])
    score = _positive_score(graph, inner, table, response, positive)
    # In the score's own precision: what is equal in scikit-learn's float64 is equal here.
    above = graph.op("GreaterOrEqual", score.name, like(graph, threshold, score))
    return graph.labels(graph.op("Where", above, positive, 1 - positive), classes)


def _threshold(estimator: Any, response: str) -> tuple[float, Any]:
    """Return the threshold and the positive label, None for the second."""
    if isinstance(estimator, TunedThresholdClassifierCV):
        label = estimator._curve_scorer._get_pos_label()  # noqa: SLF001 -- as it predicts
        return estimator.best_threshold_, label
    if estimator.threshold == "auto":
        return (0.5 if response == "predict_proba" else 0.0), estimator.pos_label
    return estimator.threshold, estimator.pos_label


def _positive_score(graph: Graph, inner: Any, table: Table, response: str, positive: int) -> Value:
    score = number(graph, graph.call(inner, table, response))
    if response == "predict_proba":
        return column(graph, score, positive)
    return score if positive else Value(graph.op("Neg", score.name), score.kind, 1)


TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys(
        (GridSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV),
        delegate("best_estimator_"),
    ),
    **dict.fromkeys((FixedThresholdClassifier, TunedThresholdClassifierCV), threshold_classifier),
    FrozenEstimator: delegate("estimator"),
    SelfTrainingClassifier: delegate("estimator_"),
}

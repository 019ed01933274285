"""Translates calibrated classifiers. Calibrators compute in float64: they are short, and steep."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.preprocessing import LabelEncoder

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._interpolation import interpolated
from geulpi_conversion._onnx._numpy import float64
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import average, beside, column, repeated
from geulpi_conversion._onnx._wrappers import first_of

LEAST_PROBABILITY = 1e-12  # added by scikit-learn before the logarithm


def calibrated_classifier(
    graph: Graph, estimator: CalibratedClassifierCV, table: Table, method: str
) -> Value:
    """Average the calibrated probabilities of the classifiers of all folds."""
    if method == "predict":
        return graph.best(graph.call(estimator, table, "predict_proba"), estimator.classes_)
    if method != "predict_proba":
        raise Untranslatable(estimator, f"it has no {method}")
    return average(
        graph, [_probabilities(graph, pair, table) for pair in estimator.calibrated_classifiers_]
    )


def _probabilities(graph: Graph, pair: Any, table: Table) -> Value:
    inner = pair.estimator
    if not is_classifier(inner) or len(inner.classes_) < 2:
        raise Untranslatable(inner, "only a classifier of two labels or more is calibrated")
    response = first_of(inner, ("decision_function", "predict_proba"))
    scores = graph.cast(graph.call(inner, table, response), "double")
    if pair.method == "temperature":
        return _tempered(graph, pair, scores, response)
    if response == "predict_proba" and len(inner.classes_) == 2:
        scores = column(graph, scores, 1)
    columns = _calibrated_columns(graph, pair, table, scores)
    if len(pair.classes) == 2:
        name = graph.op("Sub", float64(graph, 1), columns[1].name)
        return beside(graph, [Value(name, "double", 1), columns[1]])
    return _normalised(graph, beside(graph, [columns[k] for k in range(len(pair.classes))]))


def _calibrated_columns(graph: Graph, pair: Any, table: Table, scores: Value) -> dict[int, Value]:
    """Return a column for each class: 0 for those that the fold's classifier never saw."""
    unseen = Value(repeated(graph, np.zeros(1), table), "double", 1)
    found = dict.fromkeys(range(len(pair.classes)), unseen)
    known = LabelEncoder().fit(pair.classes).transform(pair.estimator.classes_)
    shift = int(len(pair.classes) == 2)  # the one column of two classes is the second's
    for place, (known_class, calibrator) in enumerate(
        zip(known, pair.calibrators, strict=False)  # two classes have one calibrator
    ):
        score = column(graph, scores, place)
        found[int(known_class) + shift] = _CALIBRATED[pair.method](graph, calibrator, score)
    return found


def _sigmoid(graph: Graph, calibrator: Any, score: Value) -> Value:
    # Not ONNX's Sigmoid: ONNX Runtime cuts off far from 0, where the classes' shares still differ.
    slope = graph.op("Mul", score.name, float64(graph, calibrator.a_))
    power = graph.op("Exp", graph.op("Add", slope, float64(graph, calibrator.b_)))
    name = graph.op("Reciprocal", graph.op("Add", power, float64(graph, 1)))
    return Value(name, "double", 1)


def _isotonic(graph: Graph, calibrator: Any, score: Value) -> Value:
    steps, heights = calibrator.X_thresholds_, calibrator.y_thresholds_
    if steps.dtype == np.float32:
        score = graph.cast(score, "float")  # as scikit-learn does
    return interpolated(graph, score, steps, heights)


_CALIBRATED = {"isotonic": _isotonic, "sigmoid": _sigmoid}


def _normalised(graph: Graph, columns: Value) -> Value:
    """Return shares of the row's sum; of a sum of 0 all classes have the same."""
    total = graph.op("ReduceSum", columns.name, graph.constant([1], np.int64), keepdims=1)
    empty = graph.op("Equal", total, float64(graph, 0))
    one, share = float64(graph, 1), float64(graph, 1 / columns.width)
    shares = graph.op("Div", columns.name, graph.op("Where", empty, one, total))
    return Value(graph.op("Where", empty, share, shares), "double", columns.width)


def _tempered(graph: Graph, pair: Any, scores: Value, response: str) -> Value:
    """Scale logits by the inverse temperature."""
    if scores.width == 1:
        scores = beside(graph, [Value(graph.op("Neg", scores.name), "double", 1), scores])
    logits = scores.name
    if response == "predict_proba":
        # The first of two classes has its own column: 1 − the second's loses what the log needs.
        least = float64(graph, LEAST_PROBABILITY)
        logits = graph.op("Log", graph.op("Add", logits, least))
    inverse = float64(graph, pair.calibrators[0].beta_)
    name = graph.op("Softmax", graph.op("Mul", logits, inverse), axis=1)
    return Value(name, "double", scores.width)


TRANSLATORS: dict[type, Translator] = {CalibratedClassifierCV: calibrated_classifier}

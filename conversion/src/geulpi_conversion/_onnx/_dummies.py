"""Translates the estimators that answer every row alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._values import repeated


def dummy_classifier(graph: Graph, estimator: DummyClassifier, table: Table, method: str) -> Value:
    """Answer the commonest label, or the one that was set."""
    strategy = estimator._strategy  # noqa: SLF001 -- "strategy" may have been set since
    if strategy == "stratified" or (strategy == "uniform" and method == "predict"):
        raise Untranslatable(estimator, f"strategy={strategy!r} answers at random")
    if method == "predict":
        labels = _labels(estimator, strategy)
        texts = labels.dtype == np.object_
        return Value(repeated(graph, labels, table), "string" if texts else "int64", len(labels))
    if method != "predict_proba" or estimator.n_outputs_ > 1:
        raise Untranslatable(estimator, f"its {method} is no single matrix")
    row = estimator.predict_proba(np.zeros((1, 1)))[0].astype(graph.dtype)
    return graph.value(repeated(graph, row, table), len(row))


def _labels(estimator: DummyClassifier, strategy: str) -> Any:
    """Return the label of each target: all texts, or all whole numbers."""
    if strategy == "constant":
        labels = np.ravel(np.asarray(estimator.constant))
    else:
        several = estimator.n_outputs_ > 1
        classes = estimator.classes_ if several else [estimator.classes_]
        priors = estimator.class_prior_ if several else [estimator.class_prior_]
        labels = np.array([c[p.argmax()] for c, p in zip(classes, priors, strict=True)])
    return labels.astype(np.object_ if labels.dtype.kind in "UO" else np.int64)


def dummy_regressor(graph: Graph, estimator: DummyRegressor, table: Table, _method: str) -> Value:
    """Answer the mean, the median, or whatever was taken of the training data."""
    row = np.ravel(estimator.constant_).astype(graph.dtype)
    return graph.value(repeated(graph, row, table), len(row))


TRANSLATORS: dict[type, Translator] = {
    DummyClassifier: dummy_classifier,
    DummyRegressor: dummy_regressor,
}

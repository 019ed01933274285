"""Translates linear models: a matrix product, and what each makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import linear_model
from sklearn.svm import LinearSVC, LinearSVR

from geulpi_conversion._onnx._algebra import (
    both,
    dense,
    in_double,
    inlier,
    linear,
    shares_or_even,
    softmax,
)
from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value


def regressor(graph: Graph, estimator: Any, table: Table, _method: str) -> Value:
    """Predict by coefficients of one target or of several."""
    coef = dense(estimator.coef_).reshape(-1, table.width)
    return linear(graph, graph.matrix(table), coef.T, estimator.intercept_)


def generalized(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Predict through a link function: the identity or the logarithm."""
    predictor = regressor(graph, estimator, table, method)
    link = type(estimator._base_loss.link).__name__  # noqa: SLF001 -- chosen as it was fitted
    if link == "IdentityLink":
        return predictor
    if link != "LogLink":
        raise Untranslatable(estimator, f"its link function {link} is unknown")
    return graph.value(graph.op("Exp", predictor.name), predictor.width)


def consensus(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Predict as the regressor that was fitted on the inliers does."""
    return graph.call(estimator.estimator_, table, method)


def decision(graph: Graph, estimator: Any, table: Table) -> Value:
    """Return the decision values: `[N, 1]` of two classes, else one column for each class."""
    coef = dense(estimator.coef_).reshape(-1, table.width)
    return linear(graph, graph.matrix(table), coef.T, estimator.intercept_)


def labelled(graph: Graph, estimator: Any, scores: Value) -> Value:
    """Return the labels that decision values stand for."""
    if scores.width == 1:
        return graph.positive(scores, estimator.classes_)
    return graph.best(scores, estimator.classes_)


def classifier(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Decide by coefficients, without probabilities."""
    scores = decision(graph, estimator, table)
    return labelled(graph, estimator, scores) if method == "predict" else scores


def ridge_classifier(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Decide by coefficients; of several labels each by its own."""
    scores = decision(graph, estimator, table)
    if method != "predict":
        return scores
    if not estimator._label_binarizer.y_type_.startswith("multilabel"):  # noqa: SLF001 -- as it does
        return labelled(graph, estimator, scores)
    given = graph.op("Cast", graph.op("Greater", scores.name, 0.0), to=ELEMENT_TYPES["int64"])
    return Value(given, "int64", scores.width)


def logistic(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Decide by coefficients, with the probabilities of one multinomial model."""
    scores = decision(graph, estimator, table)
    if method == "predict":
        return labelled(graph, estimator, scores)
    if method == "decision_function":
        return scores
    if scores.width > 1:
        return softmax(graph, scores)
    return both(graph, graph.value(graph.op("Sigmoid", scores.name), 1))


def stochastic(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Decide by coefficients, with probabilities of each class against the rest."""
    scores = decision(graph, estimator, table)
    if method == "predict":
        return labelled(graph, estimator, scores)
    if method == "decision_function":
        return scores
    # Shares of very small values: ONNX Runtime's float32 has no sigmoid below 1e-8.
    with in_double(graph):
        scores = graph.cast(scores, "double")
        if estimator.loss == "log_loss":
            each = _logistic(graph, scores, estimator.coef_.dtype)
        else:  # modified_huber: the others have no probabilities
            clipped = graph.op("Min", graph.op("Max", scores.name, -1.0), 1.0)
            each = graph.value(graph.op("Mul", graph.op("Add", clipped, 1.0), 0.5), scores.width)
        return both(graph, each) if each.width == 1 else shares_or_even(graph, each)


def _logistic(graph: Graph, scores: Value, dtype: np.dtype[Any]) -> Value:
    """Return 1 / (1 + exp(−x)), which is 0 where exp overflows the estimator's own precision."""
    raised = graph.op("Exp", graph.op("Neg", scores.name))
    found = graph.op("Div", 1.0, graph.op("Add", raised, 1.0))
    overflows = graph.op("Greater", raised, float(np.finfo(dtype).max))
    return graph.value(graph.op("Where", overflows, 0.0, found), scores.width)


def one_class(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Tell outliers by a line around the origin."""
    coef = dense(estimator.coef_).reshape(-1, table.width)
    scores = linear(graph, graph.matrix(table), coef.T, -np.asarray(estimator.offset_))
    return inlier(graph, scores) if method == "predict" else scores


REGRESSORS = (
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LarsCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.LassoLars,
    linear_model.LassoLarsCV,
    linear_model.LassoLarsIC,
    linear_model.LinearRegression,
    linear_model.MultiTaskElasticNet,
    linear_model.MultiTaskElasticNetCV,
    linear_model.MultiTaskLasso,
    linear_model.MultiTaskLassoCV,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.OrthogonalMatchingPursuitCV,
    linear_model.PassiveAggressiveRegressor,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.SGDRegressor,
    linear_model.TheilSenRegressor,
    LinearSVR,
)
CLASSIFIERS = (linear_model.PassiveAggressiveClassifier, linear_model.Perceptron, LinearSVC)

TRANSLATORS: dict[type, Translator] = {
    **dict.fromkeys(REGRESSORS, regressor),
    **dict.fromkeys(CLASSIFIERS, classifier),
    linear_model.GammaRegressor: generalized,
    linear_model.LogisticRegression: logistic,
    linear_model.LogisticRegressionCV: logistic,
    linear_model.PoissonRegressor: generalized,
    linear_model.RANSACRegressor: consensus,
    linear_model.RidgeClassifier: ridge_classifier,
    linear_model.RidgeClassifierCV: ridge_classifier,
    linear_model.SGDClassifier: stochastic,
    linear_model.SGDOneClassSVM: one_class,
    linear_model.TweedieRegressor: generalized,
}

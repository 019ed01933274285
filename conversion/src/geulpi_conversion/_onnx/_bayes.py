"""Translates naive Bayes: a sum of what each feature says for each class."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)

from geulpi_conversion._onnx._algebra import always_double, linear, mahalanobis, softmax
from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def gaussian(graph: Graph, estimator: GaussianNB, table: Table, method: str) -> Value:
    """Take each feature for Gaussian within a class."""
    factors = 1.0 / np.sqrt(estimator.var_[:, np.newaxis])
    lengths = mahalanobis(graph, graph.matrix(table), estimator.theta_, factors)
    spread = np.log(2.0 * np.pi * estimator.var_).sum(axis=1)
    constant = np.log(estimator.class_prior_) - 0.5 * spread
    scores = graph.op("Add", graph.op("Mul", lengths.name, -0.5), constant.reshape(1, -1))
    return _answered(graph, estimator, graph.value(scores, lengths.width), method)


@always_double
def multinomial(graph: Graph, estimator: MultinomialNB, table: Table, method: str) -> Value:
    """Take the features for counts."""
    weights = estimator.feature_log_prob_.T
    scores = linear(graph, graph.matrix(table), weights, estimator.class_log_prior_)
    return _answered(graph, estimator, scores, method)


@always_double
def complement(graph: Graph, estimator: ComplementNB, table: Table, method: str) -> Value:
    """Take the features for counts, and ask how little a row looks like the other classes."""
    prior = estimator.class_log_prior_ if len(estimator.classes_) == 1 else 0.0
    scores = linear(graph, graph.matrix(table), estimator.feature_log_prob_.T, prior)
    return _answered(graph, estimator, scores, method)


@always_double
def bernoulli(graph: Graph, estimator: BernoulliNB, table: Table, method: str) -> Value:
    """Take the features for truth values."""
    x = graph.matrix(table)
    if estimator.binarize is not None:
        above = graph.op("Greater", x.name, float(estimator.binarize))
        x = graph.cast(Value(above, "bool", x.width), graph.kind)
    absent = np.log(1.0 - np.exp(estimator.feature_log_prob_))
    constant = estimator.class_log_prior_ + absent.sum(axis=1)
    scores = linear(graph, x, (estimator.feature_log_prob_ - absent).T, constant)
    return _answered(graph, estimator, scores, method)


@always_double
def categorical(graph: Graph, estimator: CategoricalNB, table: Table, method: str) -> Value:
    """Take the features for the numbers of categories; others than the known are refused."""
    index = graph.joined(table, "int64")
    counts = [table.shape[1] for table in estimator.feature_log_prob_]
    below = graph.op("Less", index.name, 0)
    above = graph.op("GreaterOrEqual", index.name, np.array([counts]))
    unknown = graph.op("Or", below, above)
    index = graph.refuse_where(unknown, index, "a category is beyond those that were fitted")
    starts = np.array([[0, *accumulate(counts[:-1])]])
    known = np.concatenate(estimator.feature_log_prob_, axis=1).T
    found = graph.op("Gather", known, graph.op("Add", index.name, starts), axis=0)
    summed = graph.op("ReduceSum", found, np.array([1]), keepdims=0)
    scores = graph.op("Add", summed, estimator.class_log_prior_.reshape(1, -1))
    return _answered(graph, estimator, graph.value(scores, known.shape[1]), method)


def _answered(graph: Graph, estimator: Any, scores: Value, method: str) -> Value:
    if method == "predict":
        return graph.best(scores, estimator.classes_)
    return softmax(graph, scores)


TRANSLATORS: dict[type, Translator] = {
    BernoulliNB: bernoulli,
    CategoricalNB: categorical,
    ComplementNB: complement,
    GaussianNB: gaussian,
    MultinomialNB: multinomial,
}

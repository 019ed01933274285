"""Translates latent Dirichlet allocation: each row is read until its topics have settled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import LatentDirichletAllocation

from geulpi_conversion._onnx._algebra import always_double, shares
from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._loops import until_settled
from geulpi_conversion._onnx._tables import Table, Value

SMALLEST = float(np.finfo(np.float64).eps)
LARGE = 6  # from here on scikit-learn takes digamma's series
EULER = 0.577215664901532860606512090082402431


@always_double
def topics(graph: Graph, estimator: LatentDirichletAllocation, table: Table, _method: str) -> Value:
    """Return the shares of the topics in each row of counts."""
    words = estimator.exp_dirichlet_component_
    if words.dtype != np.float64:
        raise Untranslatable(estimator, "it was fitted in float32, whose rounding ends its rounds")
    count = len(words)
    x = graph.matrix(table)
    bad = graph.op("Less", x.name, 0.0)
    x = graph.refuse_where(bad, x, "counts must not be negative")

    def step(state: Sequence[str]) -> tuple[list[str], str]:
        mixed, last = state
        expected = graph.op("Add", graph.op("MatMul", mixed, words), SMALLEST)
        told = graph.op("MatMul", graph.op("Div", x.name, expected), words.T)
        found = graph.op("Add", graph.op("Mul", mixed, told), float(estimator.doc_topic_prior_))
        change = graph.op("Abs", graph.op("Sub", last, found))
        mean = graph.op("ReduceMean", change, np.array([1]), keepdims=1)
        settled = graph.op("Less", mean, float(estimator.mean_change_tol))
        return [_expected(graph, found), found], settled

    rows = graph.op("Shape", x.name, start=0, end=1)
    shape = graph.op("Concat", rows, np.array([count]), axis=0)
    ones = graph.op("Expand", 1.0, shape)
    start = [_expected(graph, ones), ones]
    found = until_settled(graph, start, step, int(estimator.max_doc_update_iter))[1]
    return shares(graph, graph.value(found, count))


def _expected(graph: Graph, weights: str) -> str:
    """Return the exponential of the expected logarithm of a Dirichlet variable."""
    total = graph.op("ReduceSum", weights, np.array([1]), keepdims=1)
    return graph.op("Exp", graph.op("Sub", _digamma(graph, weights), _digamma(graph, total)))


def _digamma(graph: Graph, x: str) -> str:
    """Return digamma by the series that scikit-learn takes, raised to where it is exact."""
    tiny = graph.op("LessOrEqual", x, 1e-6)
    pole = graph.op("Sub", -EULER, graph.op("Div", 1.0, x))
    found, at = graph.op("Mul", x, 0.0), x
    for _ in range(LARGE):
        small = graph.op("Less", at, float(LARGE))
        lowered = graph.op("Sub", found, graph.op("Div", 1.0, at))
        found = graph.op("Where", small, lowered, found)
        at = graph.op("Where", small, graph.op("Add", at, 1.0), at)
    inverse = graph.op("Div", 1.0, at)
    square = graph.op("Mul", inverse, inverse)
    series = graph.op("Mul", square, 1.0 / 252.0)
    series = graph.op("Mul", square, graph.op("Sub", 1.0 / 120.0, series))
    series = graph.op("Mul", square, graph.op("Sub", 1.0 / 12.0, series))
    rest = graph.op("Add", graph.op("Mul", inverse, 0.5), series)
    found = graph.op("Add", found, graph.op("Sub", graph.op("Log", at), rest))
    return graph.op("Where", tiny, pole, found)


TRANSLATORS: dict[type, Translator] = {LatentDirichletAllocation: topics}

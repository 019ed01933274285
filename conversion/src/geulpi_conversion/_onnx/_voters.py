"""Translates what lets neighbours vote: classifiers, regressors, graphs and local outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)

from geulpi_conversion._onnx._algebra import always_double, dense, inlier, shares
from geulpi_conversion._onnx._graph import Array, Graph, Translator, Untranslatable
from geulpi_conversion._onnx._neighbors import Neighbors, distances, nearest, refuse_ties
from geulpi_conversion._onnx._tables import Table, Value


@always_double
def neighbors_classifier(
    graph: Graph, estimator: KNeighborsClassifier, table: Table, method: str
) -> Value:
    """Label by the votes of the nearest rows."""
    votes = _counted(graph, estimator, table)
    return _elected(graph, estimator, votes, method)


@always_double
def neighbors_regressor(
    graph: Graph, estimator: KNeighborsRegressor, table: Table, _method: str
) -> Value:
    """Predict the average of the nearest rows' targets."""
    return _counted(graph, estimator, table)[0]


def _counted(graph: Graph, estimator: Any, table: Table) -> list[Value]:
    """Return for each output the shares of the votes, or the average of the targets."""
    worth = _worth(estimator)
    count = int(estimator.n_neighbors)
    refuse_ties(estimator, count, np.concatenate(worth, axis=1))
    found = nearest(graph, estimator, graph.matrix(table), count)
    weights = _nearness(graph, estimator, found.distances)
    if weights is None:
        weights = graph.value(graph.constant(np.full((1, count), 1.0 / count)), count)
    else:
        weights = shares(graph, weights)
    column = graph.op("Unsqueeze", weights.name, np.array([2]))
    answers = []
    for one in worth:
        theirs = graph.op("Mul", graph.op("Gather", one, found.index, axis=0), column)
        summed = graph.op("ReduceSum", theirs, np.array([1]), keepdims=0)
        answers.append(graph.value(summed, one.shape[1]))
    return answers


def _worth(estimator: Any) -> list[Array]:
    """Return what each fitted row says: of a classifier a 1 for its class, one array an output."""
    targets = np.asarray(estimator._y)  # noqa: SLF001 -- kept nowhere else
    targets = targets.reshape(len(targets), -1)
    if not hasattr(estimator, "classes_"):
        return [targets.astype(np.float64)]
    return [
        np.eye(len(classes))[column]
        for classes, column in zip(_classes(estimator), targets.T, strict=True)
    ]


def _classes(estimator: Any) -> list[Array]:
    classes = estimator.classes_
    return list(classes) if isinstance(classes, list) else [classes]


def _nearness(graph: Graph, estimator: Any, apart: Value) -> Value | None:
    """Return the weights of neighbours by their distance; None where all count alike."""
    if estimator.weights in {None, "uniform"}:
        return None
    if estimator.weights != "distance":
        raise Untranslatable(estimator, "its weights are a function of yours")
    # Twins of the row, where it has some, are all that counts.
    twin = graph.cast(Value(graph.op("Equal", apart.name, 0.0), "bool", apart.width), graph.kind)
    twins = graph.op("ReduceMax", twin.name, np.array([1]), keepdims=1)
    weights = graph.op("Where", graph.op("Greater", twins, 0.0), twin.name,
                       graph.op("Div", 1.0, apart.name))  # fmt: skip
    return graph.value(weights, apart.width)


def _elected(graph: Graph, estimator: Any, votes: list[Value], method: str) -> Value:
    if method == "predict_proba":
        if len(votes) > 1:
            raise Untranslatable(estimator, "it has probabilities for each of several outputs")
        return votes[0]
    labels = [graph.best(v, c) for v, c in zip(votes, _classes(estimator), strict=True)]
    return graph.joined(Table.of(*labels), labels[0].kind)


@always_double
def radius_classifier(
    graph: Graph, estimator: RadiusNeighborsClassifier, table: Table, method: str
) -> Value:
    """Label by the votes of all rows within the radius; without any, by the outlier's label."""
    outliers = estimator.outlier_label_
    weights, some = _within(graph, estimator, table)
    if outliers is None:
        none = graph.op("Not", some)
        weights = graph.refuse_where(none, weights, "a row has no neighbour within the radius")
    votes, labels = [], []
    for place, (one, classes) in enumerate(
        zip(_worth(estimator), _classes(estimator), strict=True)
    ):
        summed = graph.value(graph.op("MatMul", weights.name, one), one.shape[1])
        share = shares(graph, summed)
        if outliers is not None:
            share = _or_else(graph, some, share, (classes == outliers[place]).astype(float))
        votes.append(share)
        label = graph.best(share, classes)
        if outliers is not None and outliers[place] not in classes:
            # Cut to the classes' length where these are texts, as scikit-learn does.
            other = graph.constant(
                np.asarray(outliers[place], dtype=classes.dtype),
                None if label.kind == "string" else np.int64,
            )
            label = Value(graph.op("Where", some, label.name, other), label.kind, 1)
        labels.append(label)
    if method == "predict_proba":
        return votes[0]
    return graph.joined(Table.of(*labels), labels[0].kind)


def _or_else(graph: Graph, some: str, share: Value, row: Array) -> Value:
    found = graph.op("Where", some, share.name, row.reshape(1, -1))
    return graph.value(found, share.width)


@always_double
def radius_regressor(
    graph: Graph, estimator: RadiusNeighborsRegressor, table: Table, _method: str
) -> Value:
    """Predict the average target of all rows within the radius; without any, NaN."""
    weights, some = _within(graph, estimator, table)
    targets = _worth(estimator)[0]
    summed = graph.op("MatMul", shares(graph, weights).name, targets)
    found = graph.op("Where", some, summed, np.array([np.nan]))
    return graph.value(found, targets.shape[1])


def _within(graph: Graph, estimator: Any, table: Table) -> tuple[Value, str]:
    """Return the weight of each fitted row, 0 beyond the radius, and whether any is within."""
    apart = distances(graph, estimator, graph.matrix(table))
    within = _is_within(graph, estimator, apart)
    inside = graph.cast(Value(within, "bool", apart.width), graph.kind)
    near = graph.op("Where", within, apart.name, np.inf)
    weights = _nearness(graph, estimator, graph.value(near, apart.width)) or inside
    most = graph.op("ReduceMax", inside.name, np.array([1]), keepdims=1)
    return weights, graph.op("Greater", most, 0.0)


def _is_within(graph: Graph, estimator: Any, apart: Value) -> str:
    return graph.op("LessOrEqual", apart.name, float(estimator.radius))


@always_double
def neighbors_graph(
    graph: Graph, estimator: KNeighborsTransformer, table: Table, _method: str
) -> Value:
    """Return for each fitted row its distance, or a 1, where it is among the nearest; else 0."""
    measured = estimator.mode == "distance"
    count = int(estimator.n_neighbors) + measured
    fitted = int(estimator.n_samples_fit_)
    refuse_ties(estimator, count, np.arange(fitted))
    found: Neighbors = nearest(graph, estimator, graph.matrix(table), count)
    rows = graph.op("Shape", found.index, start=0, end=1)
    shape = graph.op("Concat", rows, np.array([fitted]), axis=0)
    empty = graph.op("Expand", 0.0, shape)
    given = found.distances.name
    if not measured:
        given = graph.op("Add", graph.op("Mul", given, 0.0), 1.0)
    filled = graph.op("ScatterElements", empty, found.index, given, axis=1)
    return graph.value(filled, fitted)


@always_double
def radius_graph(
    graph: Graph, estimator: RadiusNeighborsTransformer, table: Table, _method: str
) -> Value:
    """Return for each fitted row its distance, or a 1, where it is within the radius; else 0."""
    apart = distances(graph, estimator, graph.matrix(table))
    within = _is_within(graph, estimator, apart)
    given = apart.name if estimator.mode == "distance" else 1.0
    return graph.value(graph.op("Where", within, given, 0.0), apart.width)


@always_double
def local_outliers(graph: Graph, estimator: LocalOutlierFactor, table: Table, method: str) -> Value:
    """Tell outliers by how much less dense their surroundings are than their neighbours'."""
    count = int(estimator.n_neighbors_)
    density, reach = estimator._lrd, estimator._distances_fit_X_[:, count - 1]  # noqa: SLF001
    refuse_ties(estimator, count, density)
    found = nearest(graph, estimator, graph.matrix(table), count)
    theirs = graph.op("Gather", dense(reach), found.index, axis=0)
    reached = graph.op("Max", found.distances.name, theirs)
    own = graph.op("Add", graph.op("ReduceMean", reached, np.array([1]), keepdims=1), 1e-10)
    around = graph.op("Gather", dense(density), found.index, axis=0)
    factor = graph.op("Mul", graph.op("ReduceMean", around, np.array([1]), keepdims=1), own)
    scores = graph.value(graph.op("Sub", -float(estimator.offset_), factor), 1)
    return inlier(graph, scores) if method == "predict" else scores


TRANSLATORS: dict[type, Translator] = {
    KNeighborsClassifier: neighbors_classifier,
    KNeighborsRegressor: neighbors_regressor,
    KNeighborsTransformer: neighbors_graph,
    LocalOutlierFactor: local_outliers,
    RadiusNeighborsClassifier: radius_classifier,
    RadiusNeighborsRegressor: radius_regressor,
    RadiusNeighborsTransformer: radius_graph,
}

"""Translates neural networks: products and activations, layer by layer."""

from __future__ import annotations

from sklearn.neural_network import MLPClassifier, MLPRegressor

from geulpi_conversion._onnx._algebra import both, linear, softmax
from geulpi_conversion._onnx._graph import Graph, Translator
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Table, Value

ACTIVATIONS = {"exp": "Exp", "logistic": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}


def regressor(
    graph: Graph, estimator: MLPClassifier | MLPRegressor, table: Table, _method: str
) -> Value:
    """Return the last layer's values."""
    x = graph.matrix(table)
    last = len(estimator.coefs_) - 1
    for layer, (weights, bias) in enumerate(
        zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ):
        x = linear(graph, x, weights, bias)
        name = estimator.out_activation_ if layer == last else estimator.activation
        if name == "softmax":
            x = softmax(graph, x)
        elif name != "identity":
            x = graph.value(graph.op(ACTIVATIONS[name], x.name), x.width)
    return x


def classifier(graph: Graph, estimator: MLPClassifier, table: Table, method: str) -> Value:
    """Take the last layer's values for probabilities of classes, or of each of several labels."""
    found = regressor(graph, estimator, table, method)
    several = estimator._label_binarizer.y_type_.startswith("multilabel")  # noqa: SLF001 -- as it does
    if method == "predict_proba":
        return both(graph, found) if found.width == 1 else found
    if found.width > 1 and not several:
        return graph.best(found, estimator.classes_)
    above = graph.op("Cast", graph.op("Greater", found.name, 0.5), to=ELEMENT_TYPES["int64"])
    if several:
        return Value(above, "int64", found.width)
    return graph.labels(above, estimator.classes_)


TRANSLATORS: dict[type, Translator] = {
    MLPClassifier: classifier,
    MLPRegressor: regressor,
}

"""What has no translator of ours is left to skl2onnx, and its answers put straight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._tables import Table, Value
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
TWO = (ROWS[:, 0] > 0).astype(int)
THREE = TWO + (ROWS[:, 1] > 0)


def asked(estimator: Any, method: str, *, double: bool = False) -> Value:
    given = Table.of(Value("X", "double" if double else "float", 3))
    return leaf(Graph({}, leaf, double=double), estimator, given, method)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_shapes(double: bool) -> None:
    """An answer has N rows, the width of scikit-learn's, and the arithmetic's type."""
    kind = "double" if double else "float"
    tree = DecisionTreeRegressor(max_depth=2).fit(ROWS, ROWS[:, 0])
    logistic = LogisticRegression().fit(ROWS, THREE)
    scaled = asked(StandardScaler().fit(ROWS), "transform", double=double)
    assert (scaled.kind, scaled.width) == (kind, 3)
    assert (asked(tree, "predict").kind, asked(tree, "predict").width) == ("float", 1)
    labels = asked(logistic, "predict", double=double)
    assert (labels.kind, labels.width) == ("int64", 1)
    assert asked(logistic, "predict_proba", double=double).width == 3
    distances = asked(KMeans(4, n_init=1).fit(ROWS), "transform", double=double)
    assert (distances.kind, distances.width) == (kind, 4)


@pytest.mark.parametrize("labels", [TWO, np.array(["나", "a"])[TWO]], ids=["numbers", "texts"])
def test_one_decision_of_two_classes(labels: np.ndarray) -> None:
    """Of two classes there is one decision, as in scikit-learn."""
    fitted = LinearSVC().fit(ROWS, labels)
    assert asked(fitted, "decision_function").width == 1
    assert asked(LinearSVC().fit(ROWS, THREE), "decision_function").width == 3
    assert asked(fitted, "predict").kind == ("string" if labels.dtype.kind == "U" else "int64")


def test_an_unknown_type_is_refused() -> None:
    """A type that skl2onnx does not know is refused, a mere subclass too."""

    class Own(StandardScaler):
        pass

    with pytest.raises(Untranslatable, match="Own: there is no ONNX form of it"):
        asked(Own().fit(ROWS), "transform")
    with pytest.raises(Untranslatable, match="BaseEstimator: there is no ONNX form"):
        asked(BaseEstimator(), "predict")


def test_what_it_leaves_out_is_refused() -> None:
    """A method that skl2onnx has no output for is refused."""
    fitted = DecisionTreeRegressor(max_depth=2).fit(ROWS, ROWS[:, 0])
    with pytest.raises(Untranslatable, match="skl2onnx leaves predict_proba out"):
        asked(fitted, "predict_proba")


def test_texts() -> None:
    """A table of texts alone is given as texts."""
    fitted = OrdinalEncoder().fit(np.array([["나", "a"], ["b", "가"]], object))
    graph = Graph({}, leaf)
    found = leaf(graph, fitted, Table.of(Value("X", "string", 2)), "transform")
    assert (found.kind, found.width) == ("float", 2)

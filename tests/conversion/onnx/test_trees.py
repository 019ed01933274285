"""Trees and what is made of them answer as scikit-learn, on thresholds and missing values too."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._model import OnnxModel
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._translators import translators
from geulpi_conversion._onnx._tree_nodes import distinct, floor32
from onnx import ModelProto
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from translating import assert_translated, compared, translated

RANDOM = np.random.default_rng(0)
ROWS, CLASSES = make_classification(
    160, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0
)
DOUBLES = ROWS
ROWS = ROWS.astype(np.float32)
TEXTS = np.array(["다", "a", "bb"])[CLASSES]
BINARY = CLASSES > 0
NUMBER = ROWS[:, 0] * 3 + np.sin(ROWS[:, 1]) + RANDOM.normal(size=len(ROWS))
WITH_MISSING = np.where(RANDOM.random(ROWS.shape) < 0.2, np.nan, ROWS).astype(np.float32)

both = pytest.mark.parametrize("double", [False, True], ids=["float", "double"])


def trees_of(estimator: Any) -> list[Any]:
    """Return the trees in an ensemble, or the tree itself."""
    found = np.ravel(getattr(estimator, "estimators_", [estimator]))
    return [member.tree_ for member in found if hasattr(member, "tree_")]


def at_thresholds(features: Any, thresholds: Any, dtype: type = np.float32) -> np.ndarray:
    """Return rows with a value just below, at and just above each threshold."""
    rows = []
    for feature, threshold in zip(features, thresholds, strict=True):
        near = dtype(threshold)
        values = np.nextafter(near, dtype(-np.inf)), near, np.nextafter(near, dtype(np.inf))
        for value in values if feature >= 0 else ():
            row = DOUBLES[len(rows) % len(DOUBLES)].astype(dtype)
            row[feature] = value
            rows.append(row)
    return np.array(rows) if rows else ROWS  # a tree may have no threshold


def odd_rows(estimator: Any, *, missing: bool) -> list[np.ndarray]:
    """Return rows that trees are apt to answer wrong."""
    trees = trees_of(estimator)
    at = at_thresholds(
        np.concatenate([tree.feature for tree in trees]),
        np.concatenate([tree.threshold for tree in trees]),
    )
    return [at[:3000], ROWS[:1], ROWS * 1e9, *([WITH_MISSING] if missing else [])]


CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    DecisionTreeClassifier(max_depth=3, class_weight="balanced", random_state=0),
    DecisionTreeClassifier(min_samples_leaf=160),  # a root and nothing else
    ExtraTreeClassifier(random_state=0),
    RandomForestClassifier(10, random_state=0),
    RandomForestClassifier(9, max_depth=3, max_features=None, random_state=0),
    ExtraTreesClassifier(10, random_state=0),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    ExtraTreeRegressor(max_depth=4, random_state=0),
    RandomForestRegressor(10, random_state=0),
    ExtraTreesRegressor(10, random_state=0),
]


@both
@pytest.mark.parametrize("labels", [BINARY, CLASSES, TEXTS], ids=["binary", "ints", "texts"])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
def test_classifiers(estimator: Any, labels: np.ndarray, double: bool) -> None:
    """Trees and forests classify; rows at thresholds and with missing values included."""
    estimator.fit(ROWS, labels)
    assert_translated(estimator, ROWS, rows=odd_rows(estimator, missing=True), double=double)


@both
@pytest.mark.parametrize("estimator", REGRESSORS, ids=str)
@pytest.mark.parametrize(
    "target",
    [NUMBER, NUMBER * 1e9, np.column_stack([NUMBER, NUMBER**2])],
    ids=["one", "large", "two"],
)
def test_regressors(estimator: Any, target: np.ndarray, double: bool) -> None:
    """Trees and forests predict one number or several, large ones too."""
    estimator.fit(ROWS, target)
    assert_translated(estimator, ROWS, rows=odd_rows(estimator, missing=True), double=double)


@pytest.mark.parametrize("estimator", [DecisionTreeClassifier, RandomForestClassifier])
@pytest.mark.parametrize("names", [None, np.array(["가", "b", "c"])], ids=["ints", "texts"])
def test_labels_of_several_targets(estimator: Any, names: Any) -> None:
    """A classifier of several targets, with different numbers of classes, labels each."""
    targets = np.column_stack([CLASSES % 2, CLASSES])
    fitted = estimator(random_state=0).fit(ROWS, targets if names is None else names[targets])
    assert_translated(fitted, ROWS, rows=odd_rows(fitted, missing=True))


@pytest.mark.parametrize("estimator", [RandomForestClassifier, RandomForestRegressor])
def test_learned_ways_of_missing_values(estimator: Any) -> None:
    """Where missing values taught a forest something, it goes their way."""
    fitted = estimator(10, max_depth=4, random_state=0).fit(WITH_MISSING, CLASSES)
    assert_translated(fitted, ROWS, rows=[WITH_MISSING])


def test_ties_of_inexact_probabilities() -> None:
    """Sums that tie in real numbers fall as scikit-learn's float64 lets them fall."""
    rows = RANDOM.integers(0, 3, (400, 4)).astype(np.float32)
    labels = RANDOM.integers(0, 2, 400)
    fitted = RandomForestClassifier(30, max_depth=2, random_state=0).fit(
        np.vstack([rows, rows]), np.concatenate([labels, 1 - labels])
    )
    assert_translated(fitted, rows)


def test_doubles_are_rounded_as_scikit_learn_does() -> None:
    """Trees round FP64 to float32 before they compare, also after other steps."""
    for estimator in (
        DecisionTreeClassifier(),
        make_pipeline(StandardScaler(), RandomForestClassifier(9)),
    ):
        fitted = estimator.fit(DOUBLES, CLASSES)
        assert_translated(fitted, DOUBLES, double=True, precision="FP64")


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5), GradientBoostingClassifier()])
def test_what_float32_cannot_hold(estimator: Any) -> None:
    """A double beyond float32 is refused in words, as by scikit-learn."""
    run = runner(
        translated(estimator.fit(DOUBLES, BINARY), DOUBLES, double=True, precision="FP64").content
    )
    large = np.full((1, 5), 1e300)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="too large"):
        estimator.predict(large)
    with pytest.raises(Exception, match="too large for float32"):
        run({"X": large})


def test_embedding() -> None:
    """A forest's embedding marks the leaf of every tree."""
    fitted = RandomTreesEmbedding(10, max_depth=3, random_state=0).fit(ROWS)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted, missing=False))


@pytest.mark.parametrize("features", [1.0, 0.5])
@pytest.mark.parametrize("contamination", ["auto", 0.1, 0.5])
def test_isolation_forests(features: float, contamination: Any) -> None:
    """An isolation forest scores and labels, with few of the columns too."""
    fitted = IsolationForest(
        n_estimators=20, contamination=contamination, max_features=features, random_state=0
    ).fit(ROWS)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted, missing=True))


def test_isolation_forest_on_its_own_threshold() -> None:
    """A row whose score is the very threshold keeps its label."""
    rows = ROWS[:101]  # a tenth of the way through 101 scores is one of them
    fitted = IsolationForest(n_estimators=20, contamination=0.1, random_state=0).fit(rows)
    assert (fitted.decision_function(rows) == 0).any()
    assert_translated(fitted, rows)


BOOSTED = [
    GradientBoostingClassifier(n_estimators=15, random_state=0),
    GradientBoostingClassifier(n_estimators=15, init="zero", subsample=0.5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, init=LogisticRegression(max_iter=500)),
]


@both
@pytest.mark.parametrize("estimator", BOOSTED, ids=str)
@pytest.mark.parametrize("labels", [BINARY, TEXTS], ids=["binary", "texts"])
def test_gradient_boosting_classifiers(estimator: Any, labels: np.ndarray, double: bool) -> None:
    """Boosted trees classify, from whatever first guess."""
    estimator.fit(ROWS, labels)
    rows = odd_rows(estimator, missing=False)
    # Sums of a linear first guess are not the same to the last bit far away.
    near = rows[:2] if isinstance(estimator.init_, LogisticRegression) else rows
    assert_translated(estimator, ROWS, rows=near, double=double)


@pytest.mark.parametrize("init", [None, "zero", LogisticRegression(max_iter=500)], ids=str)
def test_exponential_loss(init: Any) -> None:
    """The exponential loss has half the log-odds."""
    fitted = GradientBoostingClassifier(loss="exponential", n_estimators=15, init=init).fit(
        ROWS, BINARY
    )
    assert_translated(fitted, ROWS, rows=odd_rows(fitted, missing=False)[:2])


def test_undecided_boosting() -> None:
    """A raw value of 0 is the second class to boosted trees, the first to histogram trees."""
    halves = np.arange(len(ROWS)) % 2
    for fitted in (
        GradientBoostingClassifier(n_estimators=2, min_samples_leaf=len(ROWS)).fit(ROWS, halves),
        HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=len(ROWS)).fit(ROWS, halves),
    ):
        assert (fitted.decision_function(ROWS) == 0).all()
        assert_translated(fitted, ROWS)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_gradient_boosting_regressors(loss: str) -> None:
    """Boosted trees predict, whatever the loss."""
    fitted = GradientBoostingRegressor(loss=loss, n_estimators=15).fit(ROWS, NUMBER * 1e6)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted, missing=False))


def test_gradient_boosting_from_another_regressor() -> None:
    """Boosted trees add to what another estimator predicts."""
    fitted = GradientBoostingRegressor(init=LinearRegression(), n_estimators=15)
    assert_translated(fitted.fit(ROWS, NUMBER), ROWS)


def hist_thresholds(estimator: Any, dtype: type) -> np.ndarray:
    """Return rows at the thresholds of histogram trees."""
    trees = [tree.nodes for stage in estimator._predictors for tree in stage]
    nodes = np.concatenate(trees)
    nodes = nodes[nodes["is_leaf"] == 0]
    return at_thresholds(nodes["feature_idx"], nodes["num_threshold"], dtype)[:3000]


INFINITE = np.where(RANDOM.random(ROWS.shape) < 0.2, np.inf, -WITH_MISSING * np.inf)


@both
@pytest.mark.parametrize("labels", [BINARY, TEXTS], ids=["binary", "texts"])
def test_histogram_classifiers(labels: np.ndarray, double: bool) -> None:
    """Histogram trees classify; at thresholds, and with what is missing or infinite."""
    fitted = HistGradientBoostingClassifier(max_iter=15).fit(WITH_MISSING, labels)
    rows = [hist_thresholds(fitted, np.float32), ROWS[:1], WITH_MISSING, INFINITE]
    assert_translated(fitted, ROWS, rows=rows, double=double)


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "gamma", "poisson", "quantile"]
)
def test_histogram_regressors(loss: str) -> None:
    """Histogram trees predict, by exponentials where the loss wants them."""
    quantile = 0.8 if loss == "quantile" else None
    fitted = HistGradientBoostingRegressor(loss=loss, quantile=quantile, max_iter=15)
    fitted.fit(ROWS, np.abs(NUMBER) + 1)
    assert_translated(fitted, ROWS, rows=[hist_thresholds(fitted, np.float32), WITH_MISSING])


def test_histogram_trees_compare_in_float64() -> None:
    """FP64 values next to each other go different ways, as float32 could not tell them."""
    fitted = HistGradientBoostingRegressor(max_iter=15).fit(DOUBLES, NUMBER)
    rows = hist_thresholds(fitted, np.float64)
    assert_translated(fitted, rows, double=True, precision="FP64")
    assert any(output.rows_over for output in compared(fitted, rows, precision="FP64"))


CODES = RANDOM.integers(0, 8, len(ROWS))
PURCHASES = np.column_stack([ROWS[:, 0], CODES, ROWS[:, 1]])
BOUGHT = (CODES * 5 % 8 > 3) ^ (ROWS[:, 0] > 0)


@both
@pytest.mark.parametrize("missing", [False, True], ids=["full", "missing"])
def test_histogram_categories(missing: bool, double: bool) -> None:
    """Categories go the way of their set; missing and unknown ones go the learned way."""
    rows = PURCHASES.copy()
    rows[::5, 1] = np.nan if missing else rows[::5, 1]
    fitted = HistGradientBoostingClassifier(
        max_iter=15, categorical_features=[1], min_samples_leaf=5
    ).fit(rows, BOUGHT)
    assert any(tree.nodes["is_categorical"].any() for (tree,) in fitted._predictors)
    odd = rows.copy()
    odd[:80, 1] = np.resize([np.nan, 99, -3, 2.5], 80)
    assert_translated(fitted, rows, rows=[odd], double=double)


def test_histogram_categories_of_a_frame() -> None:
    """A DataFrame's categories, of texts or numbers, may stand between other columns."""
    frame = pd.DataFrame(
        {
            "amount": ROWS[:, 0],
            "shop": pd.Categorical(np.array(["가게", "b", "c d", "é"])[CODES % 4]),
            "size": ROWS[:, 1],
            "code": pd.Categorical(CODES),
        }
    )
    fitted = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=15)
    converted = convert(fitted.fit(frame, BOUGHT), frame, name="shop")
    assert converted.backend == "onnxruntime", converted.reason


@both
@pytest.mark.parametrize("labels", [BINARY, TEXTS], ids=["binary", "texts"])
def test_ada_boost_classifiers(labels: np.ndarray, double: bool) -> None:
    """Weighted trees, or other classifiers, vote."""
    trees = AdaBoostClassifier(n_estimators=10, random_state=0).fit(ROWS, labels)
    assert_translated(trees, ROWS, rows=odd_rows(trees, missing=False), double=double)
    others = AdaBoostClassifier(LogisticRegression(), n_estimators=3).fit(ROWS, labels)
    assert_translated(others, ROWS, rows=[ROWS[:1]], double=double)


def test_ada_boost_regressors() -> None:
    """The weighted median of trees, or of other regressors, is predicted; of no rows too."""
    trees = AdaBoostRegressor(n_estimators=10, random_state=0).fit(ROWS, NUMBER)
    assert_translated(trees, ROWS, rows=odd_rows(trees, missing=False))
    others = AdaBoostRegressor(LinearRegression(), n_estimators=3).fit(ROWS, NUMBER)
    assert_translated(others, ROWS, rows=[ROWS[:1]])
    assert runner(translated(trees, ROWS).content)({"X": ROWS[:0]})["prediction"].shape == (0, 1)


BAGGED = [
    BaggingClassifier(n_estimators=10, max_features=0.5, random_state=0),
    BaggingClassifier(n_estimators=6, max_samples=3, bootstrap_features=True, random_state=0),
    BaggingClassifier(LogisticRegression(), n_estimators=3, max_samples=0.1, max_features=0.5),
    BaggingClassifier(LinearSVC(), n_estimators=4, random_state=0),  # votes
    BaggingClassifier(KNeighborsClassifier(1), n_estimators=4, max_samples=3, random_state=0),
]


@both
@pytest.mark.parametrize("estimator", BAGGED, ids=str)
def test_bagging_classifiers(estimator: Any, double: bool) -> None:
    """Members of some columns, which need not have seen every class, are averaged."""
    estimator.fit(ROWS, TEXTS)
    assert_translated(estimator, ROWS, rows=[ROWS[:1]], double=double)


@pytest.mark.parametrize("member", [None, LinearRegression()], ids=str)
def test_bagging_regressors(member: Any) -> None:
    """Regressors of some columns are averaged."""
    fitted = BaggingRegressor(member, n_estimators=5, max_features=0.6, bootstrap_features=True)
    assert_translated(fitted.fit(ROWS, NUMBER), ROWS, rows=[ROWS[:1]])


def test_several_targets_have_no_single_matrix_of_probabilities() -> None:
    """Probabilities of several targets are refused, with the reason."""
    fitted = DecisionTreeClassifier().fit(ROWS, np.column_stack([CLASSES, CLASSES]))
    graph = Graph(translators(), leaf)
    with pytest.raises(Untranslatable, match="several targets"):
        graph.call(fitted, Table.of(Value("X", "float", 5)), "predict_proba")


def nodes_of(model: OnnxModel) -> list[Any]:
    """Return the nodes that hold trees."""
    graph = ModelProto.FromString(model.content).graph
    return [node for node in graph.node if node.op_type == "TreeEnsembleRegressor"]


def test_trees_are_written_once() -> None:
    """Labels and probabilities share the trees."""
    assert len(nodes_of(translated(RandomForestClassifier(5).fit(ROWS, CLASSES), ROWS))) == 1


def test_a_large_forest_takes_seconds() -> None:
    """A forest of 500 trees and some 100,000 nodes is translated in seconds, in little memory."""
    rows = np.tile(ROWS, (8, 1)) + RANDOM.normal(size=(len(ROWS) * 8, 5)).astype(np.float32)
    fitted = RandomForestClassifier(500, max_leaf_nodes=110, random_state=0, n_jobs=2)
    fitted.fit(rows, RANDOM.integers(0, 3, len(rows)))
    tracemalloc.start()
    started = time.perf_counter()
    model = translated(fitted, rows[:10])
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(tree.node_count for tree in trees_of(fitted)) > 100_000
    assert seconds < 10
    assert peak < 2**28  # of what Python allocates
    assert len(model.content) < 2**23


def test_floats_are_rounded_down() -> None:
    """No float32 lies between a threshold and what it is rounded to."""
    values = np.array([0.1, -0.1, 1e9 + 7, 1e300, -1e300, np.inf, -np.inf, 1e-300, 0.0])
    found = floor32(values)
    assert found.dtype == np.float32
    assert (found <= values).all()
    above = np.nextafter(found[:3], np.float32(np.inf))
    assert (above > values[:3]).all()


def test_distinct_rows() -> None:
    """Each row stands once among the distinct ones, and is found there."""
    values = RANDOM.integers(0, 2, (50, 3)).astype(np.float64)
    rows, places = distinct(values)
    assert len(rows) == len(np.unique(values, axis=0))
    assert np.array_equal(rows[places], values)

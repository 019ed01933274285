"""What asks the nearest of the fitted rows finds the same ones as scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx import _algebra
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import Untranslatable
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import Isomap, LocallyLinearEmbedding
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from translating import assert_translated, translated

ROWS, CLUSTERS = make_blobs(160, 4, centers=3, cluster_std=3.0, random_state=0)
ROWS = ROWS.astype(np.float32)
LABELS = np.array(["다", "a", "b"])[CLUSTERS]
NUMBERS = np.column_stack([ROWS @ [1.0, -2.0, 0.5, 3.0], ROWS[:, 0] ** 2])
RNG = np.random.default_rng(0)
NEAR = [ROWS[:1], (ROWS + RNG.normal(scale=0.5, size=ROWS.shape)).astype(np.float32)]
MORE = [*NEAR, (ROWS[:40] * 1e6).astype(np.float32)]

NEIGHBORS: dict[str, dict[str, Any]] = {
    "default": {},
    "one": {"n_neighbors": 1},
    "by distance": {"weights": "distance"},
    "by blocks": {"metric": "manhattan"},
    "by the largest difference": {"metric": "chebyshev", "weights": "distance"},
    "by cubes": {"p": 3},
    "by angle": {"metric": "cosine"},
    "brute": {"algorithm": "brute", "weights": "distance"},
}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("options", NEIGHBORS.values(), ids=NEIGHBORS)
def test_nearest(options: dict[str, Any], double: bool) -> None:
    """The nearest vote with the weights of their distances, a twin's alone where there is one."""
    assert_translated(
        KNeighborsClassifier(**options).fit(ROWS, LABELS), ROWS, rows=MORE, double=double
    )
    regressor = KNeighborsRegressor(**options)
    assert_translated(regressor.fit(ROWS, NUMBERS), ROWS, rows=MORE, double=double)
    assert_translated(clone(regressor).fit(ROWS, NUMBERS[:, 0]), ROWS)


def test_several_outputs() -> None:
    """Of several outputs each has a label."""
    several = np.column_stack([CLUSTERS, CLUSTERS > 0])
    assert_translated(KNeighborsClassifier().fit(ROWS, several), ROWS, rows=MORE)


def test_distances_by_products_are_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances to many rows are a matrix product; a twin's is 0 there too."""
    monkeypatch.setattr(_algebra, "MOST_BROADCAST", 0)
    twins = np.concatenate([ROWS, ROWS[:9]])
    fitted = KNeighborsRegressor(weights="distance", algorithm="kd_tree")
    assert_translated(fitted.fit(twins, np.arange(len(twins)) % len(ROWS)), ROWS, rows=MORE)


@pytest.mark.parametrize("options", [{}, {"weights": "distance"}, {"metric": "manhattan"}])
def test_within_a_radius(options: dict[str, Any]) -> None:
    """All within the radius vote."""
    classifier = RadiusNeighborsClassifier(
        radius=6.0, outlier_label="most_frequent", algorithm="kd_tree", **options
    )
    assert_translated(classifier.fit(ROWS, LABELS), ROWS, rows=MORE)
    regressor = RadiusNeighborsRegressor(radius=6.0, **options)
    assert_translated(regressor.fit(ROWS, NUMBERS), ROWS, rows=NEAR)


@pytest.mark.parametrize("outlier", [1, 7])
def test_outliers_of_a_radius(outlier: int) -> None:
    """A row alone gets the outlier's label, whether or not a class has it."""
    fitted = RadiusNeighborsClassifier(radius=4.0, outlier_label=outlier).fit(ROWS, CLUSTERS)
    far = np.full((1, 4), 1e3, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of no class: all its probabilities are 0
        assert fitted.predict(far) == outlier
    assert_translated(fitted, ROWS, rows=[far, *NEAR])


def test_a_row_alone_is_refused_where_no_label_was_chosen() -> None:
    """Without an outlier's label a row alone is refused, as by scikit-learn."""
    fitted = RadiusNeighborsClassifier(radius=6.0).fit(ROWS, CLUSTERS)
    run = runner(translated(fitted, ROWS).content)
    with pytest.raises(Exception, match="no neighbour within the radius"):
        run({"X": np.full((1, 4), 1e3, np.float32)})


def test_regression_of_a_row_alone_is_nan() -> None:
    """A regressor has no number for a row alone."""
    fitted = RadiusNeighborsRegressor(radius=6.0).fit(ROWS, NUMBERS)
    run = runner(translated(fitted, ROWS).content)
    assert np.isnan(run({"X": np.full((1, 4), 1e3, np.float32)})["prediction"]).all()


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_graphs(mode: str) -> None:
    """A transformer gives the graph of neighbours, as a dense row."""
    for transformer in (
        KNeighborsTransformer(mode=mode),
        RadiusNeighborsTransformer(mode=mode, radius=5.0),
    ):
        assert_translated(transformer.fit(ROWS), ROWS, rows=NEAR)
        pipeline = make_pipeline(clone(transformer), LogisticRegression(max_iter=2000))
        assert_translated(pipeline.fit(ROWS, LABELS), ROWS, rows=NEAR)


@pytest.mark.parametrize("options", [{}, {"contamination": 0.2, "metric": "manhattan"}])
def test_local_outliers(options: dict[str, Any]) -> None:
    """Outliers and their scores are those of the neighbours' densities."""
    fitted = LocalOutlierFactor(novelty=True, **options).fit(ROWS)
    assert_translated(fitted, ROWS, rows=MORE)


@pytest.mark.parametrize("kernel", ["rbf", "knn"])
@pytest.mark.parametrize("kind", [LabelPropagation, LabelSpreading])
def test_propagated_labels(kind: type, kernel: str) -> None:
    """Labels spread from the rows that have one to those that have none."""
    some = np.where(np.arange(len(ROWS)) % 3 == 0, CLUSTERS, -1)
    some[:3] = [0, 1, 2]
    fitted = kind(kernel=kernel, gamma=0.2, max_iter=3000).fit(ROWS, some)
    assert_translated(fitted, ROWS, rows=NEAR)


@pytest.mark.parametrize(
    "manifold",
    [
        Isomap(n_neighbors=8),
        LocallyLinearEmbedding(n_neighbors=6, eigen_solver="dense"),
        LocallyLinearEmbedding(n_neighbors=8, method="modified", eigen_solver="dense"),
    ],
    ids=["ways", "linear", "modified"],
)
def test_manifolds(manifold: BaseEstimator) -> None:
    """A new row is placed among its neighbours."""
    one = make_blobs(120, 4, centers=1, random_state=0)[0].astype(np.float32)
    assert_translated(manifold.fit(one), one, rows=[one[:1], one * np.float32(1.1)])


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (KNeighborsClassifier(metric="canberra"), "the metric 'canberra' has no translation"),
        (KNeighborsClassifier(weights=np.exp), "weights are a function"),
        (KNeighborsClassifier(metric=lambda a, b: abs(a - b).sum()), "metric is a function"),
    ],
)
def test_refused(estimator: BaseEstimator, why: str) -> None:
    """What has no translation is refused with the reason."""
    with pytest.raises(Untranslatable, match=why):
        translated(estimator.fit(ROWS, LABELS), ROWS)


def test_ties_are_refused() -> None:
    """Where the last neighbour is taken by chance, scikit-learn itself has to answer."""
    rows, labels = load_iris(return_X_y=True)
    with pytest.raises(Untranslatable, match="taken by chance"):
        translated(KNeighborsClassifier().fit(rows, labels), rows)
    assert convert(KNeighborsClassifier().fit(rows, labels), rows, name="iris").backend == "python"

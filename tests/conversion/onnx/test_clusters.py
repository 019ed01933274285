"""Clusterers label new rows, and measure them, as scikit-learn does."""

from __future__ import annotations

import numpy as np
import pytest
from geulpi_conversion import convert
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import (
    AffinityPropagation,
    Birch,
    BisectingKMeans,
    KMeans,
    MeanShift,
    MiniBatchKMeans,
)
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from translating import assert_translated

ROWS, CLUSTERS = make_blobs(150, 4, centers=5, cluster_std=2.0, random_state=0)
RNG = np.random.default_rng(0)
MORE = [ROWS[:1], RNG.normal(scale=5, size=(200, 4)), RNG.normal(scale=1e6, size=(40, 4))]

CLUSTERERS = {
    "means": KMeans(5, n_init=1, random_state=0),
    "means of batches": MiniBatchKMeans(5, n_init=1, random_state=0),
    "halves": BisectingKMeans(7, random_state=0),
    "peaks": MeanShift(bandwidth=4.0),
    "exemplars": AffinityPropagation(random_state=0),
    "tree": Birch(n_clusters=4),
    "leaves": Birch(threshold=2.0, n_clusters=None),
}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("clusterer", CLUSTERERS.values(), ids=CLUSTERERS)
def test_labels(clusterer: BaseEstimator, double: bool) -> None:
    """A row has the label of the nearest centre."""
    assert_translated(clone(clusterer).fit(ROWS), ROWS, rows=MORE, double=double)


@pytest.mark.parametrize("clusterer", CLUSTERERS.values(), ids=CLUSTERERS)
def test_far_from_the_origin(clusterer: BaseEstimator) -> None:
    """Centres that float32 could not tell apart are told apart in every arithmetic."""
    far = (ROWS + np.array([3e5, -1e5, 0, 1e4])).astype(np.float32).astype(np.float64)
    assert_translated(clone(clusterer).fit(far), far, rows=[far[:1]])


@pytest.mark.parametrize("name", ["means", "means of batches", "halves", "tree"])
def test_distances_as_a_step(name: str) -> None:
    """A clusterer in a pipeline gives the distances from its centres."""
    last = LogisticRegression(max_iter=5000)
    pipeline = make_pipeline(clone(CLUSTERERS[name]), last).fit(ROWS, CLUSTERS)
    assert_translated(pipeline, ROWS, rows=MORE[:2])


def test_many_centres() -> None:
    """Distances from many centres are a matrix product."""
    rows = RNG.normal(size=(2000, 40))
    fitted = KMeans(150, n_init=1, max_iter=5, tol=1, random_state=0).fit(rows)
    assert_translated(fitted, rows, rows=[rows[:1] * 100])


def test_no_centres() -> None:
    """Affinity propagation that found no centres is left to scikit-learn."""
    with pytest.warns(ConvergenceWarning):
        fitted = AffinityPropagation(max_iter=1, random_state=0).fit(ROWS)
    assert len(fitted.cluster_centers_) == 0
    converted = convert(fitted, ROWS, name="none")
    assert converted.backend == "python"
    assert "it found no centres" in converted.reason

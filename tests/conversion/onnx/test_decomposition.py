"""Decompositions, networks and isotonic regression give scikit-learn's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import Untranslatable
from sklearn.base import BaseEstimator, clone
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    NMF,
    PCA,
    DictionaryLearning,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    LatentDirichletAllocation,
    MiniBatchDictionaryLearning,
    MiniBatchSparsePCA,
    SparseCoder,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from translating import assert_translated, translated

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(120, 6)) @ RNG.normal(size=(6, 6))
MORE = [ROWS[:1], ROWS * 1e4, RNG.normal(size=(50, 6))]
CLASSES = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 1)
TARGETS = np.column_stack([ROWS[:, 0] - ROWS[:, 1], ROWS[:, 2] + RNG.normal(size=120)])
COUNTS = RNG.poisson(1.5, size=(80, 12))

LINEAR = {
    "components": PCA(3),
    "white components": PCA(3, whiten=True),
    "components of batches": IncrementalPCA(3, whiten=True),
    "singular vectors": TruncatedSVD(3, random_state=0),
    "factors": FactorAnalysis(2, tol=0.1),
    "sources": FastICA(3, random_state=0, max_iter=2000, tol=0.01),
    "sparse components": SparsePCA(3, random_state=0, max_iter=20),
    "sparse components of batches": MiniBatchSparsePCA(3, random_state=0, max_iter=5),
    "neighbourhoods": NeighborhoodComponentsAnalysis(2, max_iter=5, random_state=0),
    "Boltzmann": BernoulliRBM(4, n_iter=2, random_state=0),
}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("transformer", LINEAR.values(), ids=LINEAR)
def test_maps_of_a_row(transformer: BaseEstimator, double: bool) -> None:
    """A row's features are a map of the row."""
    bounded = isinstance(transformer, BernoulliRBM)
    rows = np.clip(ROWS, 0, 1) if bounded else ROWS
    assert_translated(clone(transformer).fit(rows, CLASSES), rows, rows=MORE, double=double)


def test_unmixing_without_whitening() -> None:
    """Independent components of white data are not centred."""
    white = np.linalg.qr(ROWS - ROWS.mean(axis=0))[0] * np.sqrt(len(ROWS))
    fitted = FastICA(whiten=False, random_state=0, max_iter=2000, tol=0.01).fit(white)
    assert_translated(fitted, white, rows=MORE[:1])


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize(
    "regressor",
    [CCA(2), PLSCanonical(2), PLSRegression(2), PLSRegression(2, scale=False), PLSSVD(2)],
)
def test_partial_least_squares(regressor: BaseEstimator, double: bool) -> None:
    """Targets are predicted, or a row projected where there is no prediction."""
    assert_translated(clone(regressor).fit(ROWS, TARGETS), ROWS, rows=MORE, double=double)


def test_partial_least_squares_as_a_step() -> None:
    """In a pipeline it projects; a single target is one column."""
    assert_translated(PLSRegression(2).fit(ROWS, TARGETS[:, 0]), ROWS, rows=MORE)
    pipeline = make_pipeline(PLSSVD(2), LogisticRegression())
    labels = TARGETS > 0
    pipeline.steps[0][1].fit(ROWS, TARGETS)
    pipeline.steps[1][1].fit(pipeline.steps[0][1].transform(ROWS), labels[:, 0])
    assert_translated(pipeline, ROWS, rows=MORE)


@pytest.mark.parametrize("count", [None, 1, 2, 4])
@pytest.mark.parametrize("split", [False, True])
def test_pursuits(count: int | None, split: bool) -> None:
    """A code is pursued atom by atom."""
    coder = SparseCoder(RNG.normal(size=(5, 6)), transform_n_nonzero_coefs=count, split_sign=split)
    assert_translated(coder.fit(ROWS), ROWS, rows=MORE)


@pytest.mark.filterwarnings("ignore:.*Orthogonal matching pursuit ended prematurely:RuntimeWarning")
def test_a_pursuit_that_ends_early() -> None:
    """A row that fewer atoms write exactly gets no more of them."""
    coder = SparseCoder(np.eye(6), transform_n_nonzero_coefs=3).fit(ROWS)
    few = np.where(np.abs(ROWS) > 2.5, ROWS, 0)
    assert_translated(coder, few, rows=[np.zeros((2, 6))])


@pytest.mark.parametrize(
    "learned",
    [
        DictionaryLearning(4, max_iter=3, random_state=0),
        DictionaryLearning(4, max_iter=3, transform_algorithm="threshold", random_state=0),
        MiniBatchDictionaryLearning(
            4,
            max_iter=3,
            transform_algorithm="threshold",
            transform_alpha=0.2,
            split_sign=True,
            positive_code=True,
            fit_algorithm="cd",
            random_state=0,
        ),
    ],
)
def test_dictionaries(learned: BaseEstimator) -> None:
    """A code is of the learned atoms."""
    assert_translated(clone(learned).fit(ROWS), ROWS, rows=MORE)


@pytest.mark.parametrize("options", [{}, {"n_components": 3, "doc_topic_prior": 0.05}], ids=str)
def test_topics(options: dict[str, Any]) -> None:
    """Topics are read from counts, each row until it has settled."""
    fitted = LatentDirichletAllocation(random_state=0, max_iter=3, **options).fit(COUNTS)
    more = [COUNTS[:1], COUNTS * 30, np.zeros((1, 12), int), np.eye(12, dtype=int)]
    assert_translated(fitted, COUNTS, rows=more)
    run = runner(translated(fitted, COUNTS).content)
    with pytest.raises(Exception, match="counts must not be negative"):
        run({"X": -COUNTS})


@pytest.mark.parametrize("activation", ["identity", "logistic", "relu", "tanh"])
def test_networks(activation: str) -> None:
    """A network's layers are products and activations."""
    options = {"hidden_layer_sizes": (7, 4), "activation": activation, "random_state": 0}
    options |= {"max_iter": 2000, "tol": 0.1}
    for labels in (CLASSES, CLASSES > 0, np.array(["나", "a", "b"])[CLASSES], TARGETS > 0):
        assert_translated(MLPClassifier(**options).fit(ROWS, labels), ROWS, rows=MORE)
    for target in (TARGETS, TARGETS[:, 0]):
        assert_translated(MLPRegressor(**options).fit(ROWS, target), ROWS, rows=MORE)


def test_networks_of_counts() -> None:
    """A Poisson network predicts an exponential."""
    fitted = MLPRegressor(hidden_layer_sizes=(5,), loss="poisson", random_state=0, tol=1.0)
    assert_translated(fitted.fit(ROWS, COUNTS.sum(axis=1).repeat(2)[:120]), ROWS, rows=MORE[:1])


POINTS = np.sort(RNG.random(60)).astype(np.float32)
HEIGHTS = POINTS**2 + 0.2 * RNG.random(60)
BEYOND = np.concatenate([POINTS, (POINTS[1:] + POINTS[:-1]) / 2, [-1, 0, 2, 1e6]])


@pytest.mark.parametrize("increasing", [True, False])
def test_isotonic(increasing: bool) -> None:
    """Between the points is a line, beyond them a level one."""
    fitted = IsotonicRegression(out_of_bounds="clip", increasing=increasing)
    for rows in (POINTS, POINTS.reshape(-1, 1)):
        fitted.fit(rows, HEIGHTS)
        beyond = BEYOND.astype(np.float32).reshape(-1, *rows.shape[1:])
        assert_translated(fitted, rows, rows=[rows[:1], beyond])


def test_beyond_the_points() -> None:
    """Beyond the points is NaN, or a refusal, where that was chosen."""
    beyond = np.array([[-1.0], [0.5], [2.0]], np.float32)
    fitted = IsotonicRegression(out_of_bounds="nan").fit(POINTS, HEIGHTS)
    run = runner(translated(fitted, POINTS).content)
    assert np.isnan(run({"X": beyond})["prediction"]).ravel().tolist() == [True, False, True]
    fitted = IsotonicRegression(out_of_bounds="raise").fit(POINTS, HEIGHTS)
    run = runner(translated(fitted, POINTS).content)
    assert len(run({"X": beyond[1:2]})["prediction"]) == 1
    with pytest.raises(Exception, match="a value is beyond those that were fitted"):
        run({"X": beyond})


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (SparseCoder(np.eye(6), transform_algorithm="lasso_lars"), "fits each row until"),
        (SparseCoder(np.eye(6)[[0, 0]], transform_n_nonzero_coefs=2), "taken by chance"),
        (NMF(2, max_iter=2000), "until they have settled together"),
    ],
)
def test_refused(estimator: BaseEstimator, why: str) -> None:
    """What answers by iteration is refused with the reason."""
    with pytest.raises(Untranslatable, match=why):
        translated(estimator.fit(np.abs(ROWS)), np.abs(ROWS))


def test_what_is_refused_is_served_by_python() -> None:
    """A factorisation goes to scikit-learn itself."""
    assert convert(NMF(2, max_iter=2000).fit(COUNTS), COUNTS, name="nmf").backend == "python"

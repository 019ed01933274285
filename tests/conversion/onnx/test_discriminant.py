"""Discriminants, naive Bayes and mixtures tell where a row is from as scikit-learn does."""

from __future__ import annotations

import numpy as np
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from sklearn.base import BaseEstimator, clone
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import make_blobs
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from translating import assert_translated, translated

ROWS, CLUSTERS = make_blobs(180, 4, centers=3, cluster_std=3.0, random_state=0)
LABELS = np.array(["다", "a", "b"])[CLUSTERS]
TWO = CLUSTERS < 2
MORE = [ROWS[:1], ROWS * 30, np.random.default_rng(0).normal(size=(60, 4)) * 5]
COUNTS = np.random.default_rng(0).poisson(2, size=(180, 5))

GENERATIVE = {
    "linear": LinearDiscriminantAnalysis(),
    "linear, shrunk": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "linear, eigen": LinearDiscriminantAnalysis(solver="eigen"),
    "quadratic": QuadraticDiscriminantAnalysis(),
    "quadratic, regular": QuadraticDiscriminantAnalysis(reg_param=0.1),
    "quadratic, eigen": QuadraticDiscriminantAnalysis(solver="eigen"),
    "centres": NearestCentroid(),
    "centres, shrunk": NearestCentroid(shrink_threshold=0.3),
    "centres, by blocks": NearestCentroid(metric="manhattan"),
    "centres, priors": NearestCentroid(priors=[0.9, 0.1]),
    "centres, blocks, priors": NearestCentroid(metric="manhattan", priors=[0.9, 0.1]),
    "Gaussian": GaussianNB(),
    "Bernoulli": BernoulliNB(binarize=0.5),
}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("two", [False, True], ids=["three", "two"])
@pytest.mark.parametrize("classifier", GENERATIVE.values(), ids=GENERATIVE)
def test_generative_classifiers(classifier: BaseEstimator, two: bool, double: bool) -> None:
    """Labels and probabilities are scikit-learn's for two classes and for three."""
    classifier = clone(classifier)
    if not two and getattr(classifier, "priors", None) == [0.9, 0.1]:
        classifier.set_params(priors=[0.8, 0.1, 0.1])
    chosen = TWO if two else slice(None)
    assert_translated(classifier.fit(ROWS[chosen], LABELS[chosen]), ROWS, rows=MORE, double=double)


@pytest.mark.parametrize("solver", ["svd", "eigen"])
def test_discriminants_as_a_step(solver: str) -> None:
    """A linear discriminant in a pipeline projects."""
    steps = LinearDiscriminantAnalysis(solver=solver, n_components=1), LogisticRegression()
    assert_translated(make_pipeline(*steps).fit(ROWS, LABELS), ROWS, rows=MORE)


def test_ellipses() -> None:
    """An outlier lies beyond an ellipse."""
    fitted = EllipticEnvelope(random_state=0, contamination=0.2).fit(ROWS)
    assert_translated(fitted, ROWS, rows=MORE, double=True)


@pytest.mark.parametrize("two", [False, True], ids=["three", "two"])
@pytest.mark.parametrize(
    "classifier", [MultinomialNB(), ComplementNB(), ComplementNB(norm=True), CategoricalNB()]
)
def test_counts(classifier: BaseEstimator, two: bool) -> None:
    """Naive Bayes takes counts and numbers of categories, as integers and as floats."""
    chosen = TWO if two else slice(None)
    fitted = clone(classifier).fit(COUNTS[chosen], LABELS[chosen])
    assert_translated(fitted, COUNTS[chosen], rows=[COUNTS[chosen][:1]])
    assert_translated(fitted, COUNTS[chosen].astype(np.float32))


@pytest.mark.parametrize("bad", [-1, 99])
def test_unknown_categories_are_refused(bad: int) -> None:
    """A category that was not fitted is refused, as by scikit-learn."""
    fitted = CategoricalNB().fit(COUNTS, LABELS)
    run = runner(translated(fitted, COUNTS).content)
    run({"X": COUNTS[:2]})
    rows = COUNTS[:2].copy()
    rows[1, 2] = bad
    with pytest.raises(Exception, match="a category is beyond those that were fitted"):
        run({"X": rows})


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_mixtures(kind: type, shape: str) -> None:
    """The component and the probabilities of all are scikit-learn's."""
    fitted = kind(n_components=3, covariance_type=shape, random_state=0, tol=0.01).fit(ROWS)
    assert_translated(fitted, ROWS, rows=MORE, double=True)


@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
def test_weights_of_a_bayesian_mixture(prior: str) -> None:
    """The weights follow the prior that was chosen."""
    fitted = BayesianGaussianMixture(
        n_components=3, weight_concentration_prior_type=prior, random_state=0, tol=0.1
    ).fit(ROWS)
    assert_translated(fitted, ROWS, double=True)


def test_far_from_the_origin() -> None:
    """Data far from the origin is served by FP64 tensors where FP32 ones lose it."""
    far = ROWS + np.array([1e6, -3e6, 0, 1e5])
    fitted = GaussianNB().fit(far, LABELS)
    assert_translated(fitted, far, double=True, precision="FP64")
    assert convert(fitted, far, name="far").steps[-1].route == "ONNX with FP64 tensors"

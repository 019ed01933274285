"""Linear models answer as scikit-learn's: their labels, probabilities and links."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.base import BaseEstimator, clone
from sklearn.svm import LinearSVC, LinearSVR
from translating import assert_translated, compared

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(120, 4))
MORE = [ROWS[:1], RNG.normal(scale=20, size=(50, 4)), np.zeros((1, 4))]
TWO = (ROWS[:, 0] - ROWS[:, 1] + 0.3 * RNG.normal(size=120) > 0).astype(int)
THREE = TWO + (ROWS[:, 2] > 0.4)
NUMBER = ROWS @ [3.0, -1.0, 0.5, 2.0] + 1 + 0.1 * RNG.normal(size=120)
NUMBERS = np.column_stack([NUMBER, ROWS[:, 1] - NUMBER])
POSITIVE = np.exp(NUMBER / 5)

CLASSIFIERS = {
    "logistic": linear_model.LogisticRegression(),
    "logistic without intercept": linear_model.LogisticRegression(fit_intercept=False),
    "perceptron": linear_model.Perceptron(random_state=0),
    "ridge": linear_model.RidgeClassifier(),
    "ridge, chosen": linear_model.RidgeClassifierCV(),
    "stochastic": linear_model.SGDClassifier(random_state=0),
    "stochastic, logarithmic": linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "stochastic, Huber": linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    "support vectors": LinearSVC(),
}
REGRESSORS = {
    "Bayesian": linear_model.BayesianRidge(),
    "Huber": linear_model.HuberRegressor(max_iter=1000),
    "least angles": linear_model.Lars(),
    "least squares": linear_model.LinearRegression(),
    "pursuit": linear_model.OrthogonalMatchingPursuit(),
    "quantile": linear_model.QuantileRegressor(alpha=0.01),
    "relevance": linear_model.ARDRegression(),
    "sparse": linear_model.Lasso(alpha=0.1),
    "stochastic": linear_model.SGDRegressor(random_state=0),
    "support vectors": LinearSVR(max_iter=10000),
    "Theil and Sen": linear_model.TheilSenRegressor(random_state=0),
    "without outliers": linear_model.RANSACRegressor(random_state=0),
}
LINKED = {
    "gamma": linear_model.GammaRegressor(),
    "Poisson": linear_model.PoissonRegressor(),
    "Tweedie": linear_model.TweedieRegressor(power=1.5),
    "Tweedie, identity": linear_model.TweedieRegressor(power=0, link="identity"),
}


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("target", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers(classifier: BaseEstimator, target: np.ndarray, double: bool) -> None:
    """Labels, and probabilities or decisions, are those of two classes or of three."""
    fitted = clone(classifier).fit(ROWS, np.array(["나", "a", "b"])[target])
    assert_translated(fitted, ROWS, rows=MORE, double=double)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("regressor", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors(regressor: BaseEstimator, double: bool) -> None:
    """Predictions are a product and an intercept."""
    assert_translated(clone(regressor).fit(ROWS, NUMBER), ROWS, rows=MORE, double=double)


@pytest.mark.parametrize(
    "regressor",
    [
        linear_model.ElasticNet(),
        linear_model.Lars(),
        linear_model.LinearRegression(fit_intercept=False),
        linear_model.MultiTaskLasso(),
        linear_model.RidgeCV(),
        linear_model.RANSACRegressor(random_state=0),
    ],
    ids=lambda regressor: type(regressor).__name__,
)
def test_several_targets(regressor: BaseEstimator) -> None:
    """Each target has a column."""
    assert_translated(clone(regressor).fit(ROWS, NUMBERS), ROWS, rows=MORE)


@pytest.mark.parametrize("regressor", LINKED.values(), ids=LINKED)
def test_links(regressor: BaseEstimator) -> None:
    """A prediction is the link's inverse of the product."""
    assert_translated(clone(regressor).fit(ROWS, POSITIVE), ROWS, rows=MORE, double=True)


def test_a_link_beyond_float32_is_infinite() -> None:
    """What the estimator predicts beyond FP32 is infinity in the answer."""
    fitted = linear_model.PoissonRegressor().fit(ROWS, POSITIVE)
    far = 200 / np.abs(fitted.coef_).sum() * np.sign(fitted.coef_).reshape(1, -1)
    assert np.finfo(np.float32).max < fitted.predict(far)[0] < np.inf
    outputs = compared(fitted, ROWS, double=True, rows=[far])
    assert all(output.rows_over == 0 for output in outputs)


def test_several_labels_of_a_ridge() -> None:
    """Of several labels a ridge classifier decides each by itself."""
    labels = np.column_stack([TWO, ROWS[:, 2] > 0, ROWS[:, 3] > 0.5]).astype(int)
    assert_translated(linear_model.RidgeClassifier().fit(ROWS, labels), ROWS, rows=MORE)


def test_one_class() -> None:
    """An outlier detector answers 1, -1 and the score."""
    fitted = linear_model.SGDOneClassSVM(nu=0.3, random_state=0).fit(ROWS)
    assert set(fitted.predict(ROWS)) == {-1, 1}
    assert_translated(fitted, ROWS, rows=MORE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_rows_far_from_every_class(dtype: type) -> None:
    """Shares of very small probabilities are right, and even where all vanish in its precision."""
    rows = ROWS.astype(dtype)
    fitted = linear_model.SGDClassifier(loss="log_loss", random_state=0).fit(rows, THREE)
    fitted.coef_ = np.tile(np.array([[1, 0, 0, 0]], dtype), (3, 1))
    fitted.intercept_ = np.array([0, 1, 2], dtype)
    far = np.zeros((4, 4), dtype)
    far[:, 0] = [-30, -80, -95, -1e6]
    assert_translated(fitted, rows, rows=[far])


def test_sparse_coefficients() -> None:
    """Coefficients may have been made sparse."""
    fitted = linear_model.SGDClassifier(penalty="l1", random_state=0).fit(ROWS, THREE).sparsify()
    assert_translated(fitted, ROWS)


def test_integers_beyond_float32_need_double() -> None:
    """Integers beyond 2**24 are right in double, and not in single."""
    numbers = 2**30 + RNG.integers(0, 50, size=(60, 3))
    target = numbers @ [1.0, -2.0, 1.0]
    fitted = linear_model.LinearRegression().fit(numbers, target)
    assert_translated(fitted, numbers, double=True)
    assert compared(fitted, numbers)[0].rows_over > 0

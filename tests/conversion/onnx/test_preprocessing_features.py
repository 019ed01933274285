"""Selected, pooled and projected columns are scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import Untranslatable
from sklearn.cluster import FeatureAgglomeration
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from translating import assert_translated, translated

ROWS = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
LABELS = np.array(["아니오", "예"])[(ROWS[:, 0] > ROWS[:, 3]).astype(int)]
POSITIVE = np.abs(ROWS) + np.float32(0.1)
DOUBLE = pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])


@pytest.mark.parametrize(
    "selector",
    [
        GenericUnivariateSelect(mode="k_best", param=2),
        RFE(LogisticRegression(), n_features_to_select=2),
        RFECV(LogisticRegression(), cv=2),
        SelectFdr(),
        SelectFpr(),
        SelectFromModel(LogisticRegression()),
        SelectFwe(),
        SelectKBest(k=2),
        SelectPercentile(percentile=50),
        SequentialFeatureSelector(LogisticRegression(), n_features_to_select=2, cv=2),
        VarianceThreshold(0.9),
    ],
    ids=lambda selector: type(selector).__name__,
)
def test_selected(selector: Any) -> None:
    """Chosen columns stay, with their types; a selector that predicts does so by them."""
    assert_translated(selector.fit(ROWS, LABELS), ROWS, rows=[ROWS[:1]])
    frame = pd.DataFrame(ROWS[:, :3]).assign(member=np.arange(80) % 2 == 0, k=np.arange(80) % 3)
    frame.columns = frame.columns.astype(str)
    assert_translated(selector.fit(frame, LABELS), frame)


def test_selector_regresses() -> None:
    """Elimination around a regressor predicts numbers."""
    found = RFE(LinearRegression(), n_features_to_select=2).fit(ROWS, ROWS @ [1, 0, 2, 0, 0])
    assert_translated(found, ROWS)


@DOUBLE
@pytest.mark.parametrize("pool", [np.mean, np.max, np.min, np.sum, np.median])
def test_pooled(pool: Any, double: bool) -> None:
    """Columns of a cluster become one, by a function of numpy."""
    for clusters in (1, 2, 5):
        found = FeatureAgglomeration(clusters, pooling_func=pool).fit(ROWS)
        assert_translated(found, ROWS, rows=[ROWS[:1]], double=double)


def test_pooling_refused() -> None:
    """Another function has no translation, and the reason names it."""
    with pytest.raises(Untranslatable, match="'std' has no ONNX form"):
        translated(FeatureAgglomeration(2, pooling_func=np.std).fit(ROWS), ROWS)


@DOUBLE
@pytest.mark.parametrize("fitted", [np.float32, np.float64])
@pytest.mark.parametrize(
    "projection",
    [
        GaussianRandomProjection(3, random_state=0),
        SparseRandomProjection(3, random_state=0),
        RBFSampler(n_components=20, random_state=0),
        SkewedChi2Sampler(n_components=20, random_state=0),
    ],
    ids=lambda projection: type(projection).__name__,
)
def test_projected(projection: Any, fitted: type, double: bool) -> None:
    """Random projections are those that were drawn at fitting."""
    found = projection.fit(POSITIVE.astype(fitted))
    assert_translated(found, POSITIVE, rows=[POSITIVE[:1]], double=double)


@DOUBLE
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_additive_chi2(steps: int, double: bool) -> None:
    """Zeros stay zeros; negative values are refused in words, integers have no translation."""
    rows = np.where(ROWS > 0, POSITIVE, 0).astype(np.float32)
    for interval in (None, 0.3):
        found = AdditiveChi2Sampler(sample_steps=steps, sample_interval=interval).fit(rows)
        assert_translated(found, rows, double=double)
    run = runner(translated(found, rows, double=double).content)
    with pytest.raises(Exception, match="must not be negative"):
        run({"X": ROWS})
    with pytest.raises(Untranslatable, match="integers"):
        translated(found, rows.astype(np.int64))


def test_skewed_chi2_refuses() -> None:
    """Values at or below the negative skewedness are refused in words."""
    run = runner(translated(SkewedChi2Sampler(skewedness=1).fit(POSITIVE), POSITIVE).content)
    with pytest.raises(Exception, match="values must be above -1"):
        run({"X": ROWS * 5})


@DOUBLE
@pytest.mark.parametrize("constant", [0, 2])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_sketched(degree: int, constant: int, double: bool) -> None:
    """Count sketches are multiplied as Fourier transforms are, of even and odd lengths."""
    for count in (20, 21):
        found = PolynomialCountSketch(
            degree=degree, coef0=constant, gamma=0.5, n_components=count, random_state=0
        ).fit(ROWS)
        assert_translated(found, ROWS, rows=[ROWS[:1]], double=double)

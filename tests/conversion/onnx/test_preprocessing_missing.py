"""Imputers and indicators of missing values answer as scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import Untranslatable
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from translating import assert_translated, translated

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(90, 5)).astype(np.float32)
GAPS = np.where(RANDOM.random(ROWS.shape) < 0.2, np.nan, ROWS).astype(np.float32)
EMPTY = GAPS.copy()
EMPTY[:, 2] = np.nan  # at fitting: a column of which nothing is known
NOTHING = np.vstack([GAPS[:9], np.full((1, 5), np.nan, np.float32)])
COLUMNS = pd.DataFrame(
    {
        "city": np.where(np.arange(90) % 7, np.array(["서울", "🎉", "?"])[np.arange(90) % 3], None),
        "size": np.where(np.arange(90) % 5, np.arange(90) % 4, np.nan).astype(np.float32),
        "k": np.arange(90) % 4,
    }
).assign(city=lambda frame: frame["city"].fillna(np.nan))
WAYS = pytest.mark.parametrize(
    ("precision", "double"), [("FP32", False), ("FP64", True)], ids=["float32", "float64"]
)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipping features"),
    pytest.mark.filterwarnings("ignore:.*Early stopping criterion"),
]


def check(estimator: Any, precision: str, double: bool, sample: np.ndarray, *rows: Any) -> None:
    kind = np.float32 if precision == "FP32" else np.float64
    sample, *rest = (array.astype(kind) for array in (sample, *rows))
    assert_translated(estimator, sample, rows=rest, precision=precision, double=double)


@WAYS
@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_simple(strategy: Any, empty: bool, indicator: bool, precision: str, double: bool) -> None:
    """Statistics take the place of NaN; columns of nothing go or stay; indicators come behind."""
    for fitted in (GAPS, EMPTY):
        found = SimpleImputer(
            strategy=strategy, add_indicator=indicator, keep_empty_features=empty
        ).fit(fitted)
        check(found, precision, double, GAPS, ROWS, NOTHING)


def test_statistics_of_your_own() -> None:
    """A function's statistics are used; a column that it has none for stays, if so set."""
    for empty in (False, True):
        found = SimpleImputer(
            strategy=lambda values: np.nan if len(values) > 72 else 0.5, keep_empty_features=empty
        ).fit(GAPS)
        assert 0 < np.isnan(found.statistics_).sum() < 5
        assert_translated(found, GAPS)


@WAYS
@pytest.mark.parametrize("strategy", ["mean", "most_frequent"])
def test_numbers_for_missing(strategy: Any, precision: str, double: bool) -> None:
    """A number may stand for missing, among floats and integers."""
    rows = np.round(ROWS)
    found = SimpleImputer(missing_values=0, strategy=strategy, add_indicator=True)
    check(found.fit(rows), precision, double, rows)
    integers = rows.astype(np.int64)
    assert_translated(found.fit(integers), integers, double=double)


@pytest.mark.parametrize("columns", [["city"], ["city", "size"], ["city", "size", "k"]])
def test_mixed_columns(columns: list[str]) -> None:
    """Texts and numbers of one frame are imputed, each column by its own statistic."""
    frame = COLUMNS[columns]
    found = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()).fit(frame)
    assert_translated(found, frame)


def test_texts() -> None:
    """A constant, and a text that stands for missing, work on strings."""
    frame = COLUMNS[["city"]]
    encoder = OneHotEncoder(handle_unknown="ignore")
    constant = SimpleImputer(strategy="constant", fill_value="없음")
    assert_translated(make_pipeline(constant, encoder).fit(frame), frame)
    frame = frame.fillna("🎉")
    question = SimpleImputer(strategy="most_frequent", missing_values="?")
    assert_translated(make_pipeline(question, encoder).fit(frame), frame)


@WAYS
def test_indicator(precision: str, double: bool) -> None:
    """What is missing is marked, of all columns or of those in which something was."""
    some = np.where(np.arange(5) == 1, 0, GAPS)
    check(MissingIndicator().fit(some), precision, double, some)
    check(MissingIndicator(features="all").fit(some), precision, double, some, GAPS)
    check(MissingIndicator(error_on_new=False).fit(some), precision, double, some, GAPS)
    assert_translated(MissingIndicator(features="all").fit(COLUMNS), COLUMNS, double=double)


def test_indicator_refuses() -> None:
    """A missing value where none was at fitting is refused in words."""
    some = np.where(np.arange(5) == 1, 0, GAPS).astype(np.float32)
    run = runner(translated(MissingIndicator().fit(some), some).content)
    with pytest.raises(Exception, match="in which none was at fitting"):
        run({"X": GAPS})


@WAYS
@pytest.mark.parametrize(
    "imputer",
    [
        IterativeImputer(max_iter=3),
        IterativeImputer(max_iter=0),
        IterativeImputer(LinearRegression(), n_nearest_features=2, random_state=0, max_iter=2),
        IterativeImputer(Ridge(), min_value=-0.5, max_value=0.5, add_indicator=True, max_iter=2),
        IterativeImputer(keep_empty_features=True, max_iter=2),
    ],
    ids=str,
)
def test_iterative(imputer: Any, precision: str, double: bool) -> None:
    """Rounds of regressions fill gaps as scikit-learn's do, in rows of nothing but gaps too."""
    for fitted in (GAPS, EMPTY):
        check(imputer.fit(fitted), precision, double, GAPS, ROWS, NOTHING)


def test_iterative_of_nothing() -> None:
    """scikit-learn runs no rounds where a whole request is missing; nor does the graph."""
    found = IterativeImputer(max_iter=3).fit(GAPS)
    run = runner(translated(found, GAPS).content)
    for rows in (NOTHING[-1:], NOTHING[-2:]):
        np.testing.assert_allclose(run({"X": rows})["features"], found.transform(rows), rtol=1e-4)


def test_iterative_by_forests() -> None:
    """The estimator within may be any that has a translation."""
    found = IterativeImputer(RandomForestRegressor(3, random_state=0), max_iter=2).fit(GAPS)
    assert_translated(found, GAPS)


def test_iterative_refused() -> None:
    """Values that are drawn at random have no translation."""
    found = IterativeImputer(sample_posterior=True, max_iter=1, random_state=0).fit(GAPS)
    with pytest.raises(Untranslatable, match="at random"):
        translated(found, GAPS)


@WAYS
@pytest.mark.parametrize("count", [1, 5, 500])
def test_neighbours(count: int, precision: str, double: bool) -> None:
    """The nearest rows that know a value fill a gap; a row of gaps gets the means."""
    for fitted in (GAPS, EMPTY):
        for empty in (False, True):
            found = KNNImputer(
                n_neighbors=count, add_indicator=empty, keep_empty_features=empty
            ).fit(fitted)
            check(found, precision, double, GAPS, ROWS, NOTHING)


def test_weighted_neighbours() -> None:
    """Neighbours may weigh by nearness; one that is equal in all that is known counts alone."""
    # Far from zero squares lose digits, in scikit-learn too: whole numbers lose none.
    fitted = np.where(np.isnan(GAPS), np.nan, np.round(GAPS * 5000))
    found = KNNImputer(n_neighbors=3, weights="distance").fit(fitted[:60].astype(np.float64))
    assert_translated(found, fitted.astype(np.float64), precision="FP64", double=True)


def test_neighbours_refused() -> None:
    """Where fitted rows are equally far, which of them counts is chance: no translation."""
    rows = np.where(np.isnan(GAPS), np.nan, np.round(GAPS)).astype(np.float32)
    with pytest.raises(Untranslatable, match="equally far"):
        translated(KNNImputer(n_neighbors=2).fit(rows), rows)


def test_converted() -> None:
    """Imputers in front of a model are served by ONNX."""
    found = make_pipeline(IterativeImputer(max_iter=2), LinearRegression()).fit(GAPS, ROWS[:, 0])
    converted = convert(found, GAPS, name="gaps")
    assert converted.backend == "onnxruntime", converted.reason

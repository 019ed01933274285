"""Estimators of xgboost and lightgbm answer as by themselves, alone and in pipelines."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from geulpi_conversion import convert
from geulpi_conversion._onnx._graph import Untranslatable
from geulpi_conversion._onnx._lightgbm import ZERO, Model
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from translating import assert_translated, translated

RANDOM = np.random.default_rng(0)
FULL, CLASSES = make_classification(
    250, 4, n_informative=4, n_redundant=0, n_classes=3, random_state=0
)
FULL = FULL.astype(np.float32)
ROWS = np.where(RANDOM.random(FULL.shape) < 0.15, np.nan, FULL).astype(np.float32)
ZEROS = np.where(RANDOM.random(FULL.shape) < 0.3, 0, ROWS).astype(np.float32)
TEXTS = np.array(["다", "a", "bb"])[CLASSES]
BINARY = (CLASSES > 0).astype(int)
NUMBER = FULL[:, 0] * 3 + RANDOM.normal(size=len(FULL))
SIZE = {"n_estimators": 12, "n_jobs": 1}
QUIET = {**SIZE, "verbose": -1, "min_child_samples": 5}

both = pytest.mark.parametrize("double", [False, True], ids=["float", "double"])


def at_thresholds(features: Any, thresholds: Any) -> np.ndarray:
    """Return rows with a value just below, at and just above each threshold, and nearly 0."""
    rows = []
    for feature, threshold in zip(features, thresholds, strict=True):
        near = np.float32(threshold)
        below, above = np.nextafter(near, np.float32([-np.inf, np.inf]))
        for value in (below, near, above, 0, -ZERO, ZERO, ZERO * 1.001):
            row = ROWS[len(rows) % len(ROWS)].copy()
            row[feature] = value
            rows.append(row)
    return np.array(rows)


def odd_rows(estimator: Any) -> list[np.ndarray]:
    """Return rows that these models are apt to answer wrong."""
    if isinstance(estimator, xgb.XGBModel):
        frame = estimator.get_booster().trees_to_dataframe()
        frame = frame[frame["Feature"] != "Leaf"]
        at = at_thresholds(frame["Feature"].str[1:].astype(int), frame["Split"])
    else:
        model = Model.of(estimator.booster_)
        at = at_thresholds(model.joined("split_feature", int), model.joined("threshold", float))
    return [at, FULL[:1], ROWS, FULL * np.float32(1e9), np.where(ROWS < 0, np.inf, -np.inf)[:9]]


@both
@pytest.mark.parametrize("labels", [BINARY, CLASSES], ids=["binary", "three"])
@pytest.mark.parametrize(
    "estimator",
    [
        xgb.XGBClassifier(**SIZE),
        xgb.XGBClassifier(num_parallel_tree=3, base_score=0.3, **SIZE),
        xgb.XGBRFClassifier(**SIZE),
        xgb.XGBClassifier(booster="dart", rate_drop=0.3, **SIZE),
    ],
    ids=["plain", "parallel", "forest", "dart"],
)
def test_xgboost_classifiers(estimator: Any, labels: np.ndarray, double: bool) -> None:
    """xgboost classifies in float32, whatever the arithmetic of the rest."""
    fitted = estimator.fit(ROWS, labels)
    rows = odd_rows(fitted)[:-1]  # it refuses infinity
    assert_translated(fitted, ROWS, rows=rows, double=double)


@pytest.mark.parametrize(
    "objective",
    [
        "count:poisson",
        "reg:absoluteerror",
        "reg:gamma",
        "reg:logistic",
        "reg:pseudohubererror",
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:tweedie",
    ],
)
def test_xgboost_regressors(objective: str) -> None:
    """xgboost predicts in the scale of its objective."""
    target = np.abs(NUMBER) / 20 + 0.01
    fitted = xgb.XGBRegressor(objective=objective, **SIZE).fit(ROWS, target)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted)[:-1])


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (xgb.XGBClassifier(objective="multi:softmax", **SIZE), CLASSES),
        (xgb.XGBClassifier(objective="binary:hinge", **SIZE), BINARY),
        (xgb.XGBClassifier(**SIZE), np.column_stack([BINARY, CLASSES > 1])),
        (xgb.XGBRegressor(**SIZE), np.column_stack([NUMBER, NUMBER**2])),
        (xgb.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9]), NUMBER),
        (xgb.XGBRFRegressor(**SIZE), NUMBER * 1e6),
        (xgb.XGBRegressor(tree_method="exact", gamma=5, **SIZE), NUMBER),  # prunes
    ],
    ids=["softmax", "hinge", "labels", "targets", "quantiles", "forest", "pruned"],
)
def test_more_of_xgboost(estimator: Any, target: np.ndarray) -> None:
    """Other answers of xgboost: several labels, targets or quantiles."""
    fitted = estimator.fit(ROWS, target)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted)[:-1])


def test_another_missing_value() -> None:
    """Where 0 is said to be missing, it goes the way of missing values, as NaN does."""
    fitted = xgb.XGBClassifier(missing=0.0, **SIZE).fit(ZEROS, BINARY)
    assert_translated(fitted, ZEROS, rows=odd_rows(fitted)[:-1])


HELD_BACK = ROWS[150:], RANDOM.integers(0, 2, 100)


@pytest.mark.parametrize(
    ("estimator", "held_back"),
    [
        (
            xgb.XGBClassifier(n_estimators=50, early_stopping_rounds=2, learning_rate=1),
            {"eval_set": [HELD_BACK], "verbose": False},
        ),
        (
            lgb.LGBMClassifier(
                n_estimators=50, early_stopping_round=2, learning_rate=1, verbose=-1
            ),
            {"eval_X": HELD_BACK[0], "eval_y": HELD_BACK[1]},
        ),
    ],
    ids=["xgboost", "lightgbm"],
)
def test_early_stopping(estimator: Any, held_back: Any) -> None:
    """Trees after the best round don't count."""
    fitted = estimator.fit(ROWS[:150], BINARY[:150], **held_back)
    assert_translated(fitted, ROWS)


CODES = RANDOM.integers(0, 25, len(ROWS))
PURCHASES = np.column_stack([ROWS[:, 0], CODES, ROWS[:, 1]]).astype(np.float32)
BOUGHT = ((CODES * 7 % 11 > 5) ^ (FULL[:, 0] > 0)).astype(int)
ODD = PURCHASES.copy()
ODD[::3, 1] = np.nan


@both
@pytest.mark.parametrize("one_hot", [1, 100], ids=["sets", "one by one"])
def test_xgboost_categories(one_hot: int, double: bool) -> None:
    """Codes of categories go the way of their set, missing ones the learned way, others left."""
    fitted = xgb.XGBClassifier(
        enable_categorical=True, feature_types=["q", "c", "q"], max_cat_to_onehot=one_hot, **SIZE
    ).fit(ODD, BOUGHT)
    unknown = ODD.copy()
    unknown[1::3, 1] = np.resize([25, 31, 77], len(unknown[1::3]))
    assert_translated(fitted, PURCHASES, rows=[ODD, unknown], double=double)


@both
@pytest.mark.parametrize("labels", [BINARY, TEXTS], ids=["binary", "texts"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"boosting_type": "dart"},
    ],
    ids=str,
)
def test_lightgbm_classifiers(settings: Any, labels: np.ndarray, double: bool) -> None:
    """lightgbm classifies; what is missing, zero or infinite goes its way."""
    fitted = lgb.LGBMClassifier(**settings, **QUIET).fit(ZEROS, labels)
    assert_translated(fitted, ZEROS, rows=odd_rows(fitted), double=double)


def test_lightgbm_one_against_the_rest() -> None:
    """Of classes each against the rest, probabilities need not add up to 1."""
    fitted = lgb.LGBMClassifier(objective="multiclassova", **QUIET).fit(ROWS, CLASSES)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted))


@pytest.mark.parametrize(
    "objective",
    ["cross_entropy", "fair", "gamma", "huber", "mape", "poisson", "quantile", "regression",
     "regression_l1", "tweedie"],
)  # fmt: skip
def test_lightgbm_regressors(objective: str) -> None:
    """lightgbm predicts in the scale of its objective."""
    target = np.abs(NUMBER) / 20 + 0.01
    fitted = lgb.LGBMRegressor(objective=objective, **QUIET).fit(ROWS, target)
    assert_translated(fitted, ROWS, rows=odd_rows(fitted))


@pytest.mark.parametrize(
    "settings", [{"reg_sqrt": True}, {"max_depth": 1}, {"min_split_gain": 1e9}], ids=str
)
def test_lightgbm_of_odd_shape(settings: Any) -> None:
    """Squares of roots, trees of one split and trees of none are predicted."""
    fitted = lgb.LGBMRegressor(**settings, **QUIET).fit(ROWS, NUMBER)
    assert_translated(fitted, ROWS, rows=[FULL[:1]])


@both
def test_lightgbm_categories(double: bool) -> None:
    """Codes of categories go the way of their set; missing and unknown ones go right."""
    fitted = lgb.LGBMClassifier(min_data_per_group=1, **QUIET)
    fitted.fit(PURCHASES, BOUGHT, categorical_feature=[1])
    assert Model.of(fitted.booster_).counts("num_cat").sum() > 0
    odd = ODD.copy()
    odd[1::3, 1] = np.resize([77, -2, 2.7, -0.5, 1e9], len(odd[1::3]))
    assert_translated(fitted, PURCHASES, rows=[odd], double=double)


def test_lightgbm_compares_in_float64() -> None:
    """FP64 values next to each other go different ways."""
    rows = RANDOM.normal(size=(200, 3))
    fitted = lgb.LGBMRegressor(**QUIET).fit(rows, rows.sum(axis=1))
    model = Model.of(fitted.booster_)
    features, thresholds = model.joined("split_feature", int), model.joined("threshold", float)
    at = np.repeat(rows[:1], 2 * len(features), axis=0)
    at[np.arange(len(at)), np.repeat(features, 2)] = np.ravel(
        np.column_stack([thresholds, np.nextafter(thresholds, np.inf)])
    )
    assert_translated(fitted, rows, rows=[at], double=True, precision="FP64")


def test_lightgbm_categories_of_a_frame() -> None:
    """A DataFrame's categories are encoded as lightgbm did; unknown ones are missing."""
    names = np.array(["가게", "b", "c d", "é"])[CODES % 4]
    frame = pd.DataFrame({"amount": ROWS[:, 0], "shop": pd.Categorical(names), "size": ROWS[:, 1]})
    fitted = lgb.LGBMClassifier(min_data_per_group=1, **QUIET).fit(frame, CODES % 4 == 1)
    converted = convert(fitted, frame, name="shop")
    assert converted.backend == "onnxruntime", converted.reason


@pytest.mark.parametrize(
    "last", [xgb.XGBClassifier(**SIZE), lgb.LGBMClassifier(**QUIET)], ids=["xgboost", "lightgbm"]
)
def test_in_a_pipeline(last: Any) -> None:
    """Boosters answer behind scikit-learn's own steps."""
    frame = pd.DataFrame(
        {"a": FULL[:, 0], "shop": np.array(["가", "b"])[CODES % 2], "b": FULL[:, 1]}
    )
    before = ColumnTransformer(
        [("n", StandardScaler(), ["a", "b"]), ("c", OneHotEncoder(), ["shop"])]
    )
    converted = convert(make_pipeline(before, last).fit(frame, CLASSES), frame, name="piped")
    assert converted.backend == "onnxruntime", converted.reason


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (xgb.XGBRegressor(booster="gblinear", **SIZE), "gblinear"),
        (xgb.XGBRegressor(multi_strategy="multi_output_tree", **SIZE), "several targets"),
        (lgb.LGBMRegressor(linear_tree=True, **QUIET), "linear models"),
    ],
    ids=["gblinear", "multi_output_tree", "linear_tree"],
)
def test_what_is_refused(estimator: Any, why: str) -> None:
    """What has no form as trees with values is refused, with the reason."""
    several = getattr(estimator, "multi_strategy", None)
    fitted = estimator.fit(FULL, np.column_stack([NUMBER, NUMBER]) if several else NUMBER)
    with pytest.raises(Untranslatable, match=why):
        translated(fitted, FULL)


def test_recoded_categories_are_refused() -> None:
    """xgboost's own codes for a DataFrame's categories are not known here."""
    frame = pd.DataFrame(
        {"a": ROWS[:, 0], "shop": pd.Categorical(np.array(["가", "b"])[CODES % 2])}
    )
    fitted = xgb.XGBClassifier(enable_categorical=True, **SIZE).fit(frame, BOUGHT)
    with pytest.raises(Untranslatable, match="recodes"):
        translated(fitted, frame)


def test_neither_is_imported_needlessly() -> None:
    """Whoever converts scikit-learn's estimators need not have xgboost or lightgbm."""
    code = (
        "import sys; from geulpi_conversion._onnx._translators import translators; translators();"
        "sys.exit(len({'xgboost', 'lightgbm'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

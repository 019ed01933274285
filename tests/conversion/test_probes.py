"""The rows made from a sample are those that provoke differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import _routes, convert
from geulpi_conversion._answers import find_answers
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._probes import MOST_ROWS, UNSEEN, make_probes
from geulpi_conversion._reference import Oracle
from geulpi_conversion._rules import few_decimals
from geulpi_conversion._sample import read_sample
from geulpi_conversion._thresholds import at_thresholds
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, PowerTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier


def probes(estimator: Any, sample: Any, precision: str = "FP32") -> dict[str, Any]:
    read = read_sample(sample)
    made = make_probes(estimator, read, read.inputs(precision))
    return {probe.group: probe.tensors for probe in made}


@pytest.mark.parametrize("precision", ["FP32", "FP64"])
def test_rows_stand_at_thresholds_and_beside_them(labels: np.ndarray, precision: str) -> None:
    """Each threshold is met, and the next number of the tensor's type on both sides."""
    rows = np.random.default_rng(1).normal(size=(400, 4))
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, labels)
    made = probes(tree, rows, precision)["thresholds"]["X"]
    inside = tree.tree_.feature >= 0
    for column, value in zip(tree.tree_.feature[inside], tree.tree_.threshold[inside], strict=True):
        at = value.astype(made.dtype)
        beside = [np.nextafter(at, made.dtype.type(to)) for to in (-np.inf, np.inf)]
        assert np.isin([at, *beside], made[:, column]).all()
    assert len(made) <= MOST_ROWS


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3, random_state=0),
        GradientBoostingRegressor(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        VotingClassifier([("tree", DecisionTreeClassifier()), ("line", LogisticRegression())]),
        make_pipeline(StandardScaler(), MinMaxScaler(), DecisionTreeClassifier()),
        make_pipeline(
            ColumnTransformer([("a", StandardScaler(), [2, 0])], remainder="passthrough"),
            DecisionTreeClassifier(),
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_thresholds_are_found_inside(model: Any, rows: np.ndarray, labels: np.ndarray) -> None:
    """Forests, boosting and trees behind scalers: a row stands where a tree's answer turns."""
    rows = rows.astype(float)
    model.fit(rows, labels)
    placed = at_thresholds(model, rows, 40, np.random.default_rng(0))
    assert 0 < len(placed) <= 40
    assert {one.column for one in placed} <= {0, 1, 2, 3}
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if isinstance(last, DecisionTreeClassifier):
        made = rows[[one.row for one in placed]]
        made[np.arange(len(placed)), [one.column for one in placed]] = [p.value for p in placed]
        gaps = model[:-1].transform(made)[:, last.tree_.feature[0]] - last.tree_.threshold[0]
        assert np.abs(gaps).min() < 1e-12


def test_thresholds_are_found_behind_columns_of_a_frame(people: pd.DataFrame) -> None:
    """A frame with texts and categories comes to stand at thresholds of its numbers."""
    columns = ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["my col"]),
            ("words", TfidfVectorizer(), "title"),
            ("places", OneHotEncoder(), ["city"]),
        ]
    )
    labels = (people["my col"] > 1).astype(int)
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(people, labels)
    made = probes(model, people)["thresholds"]["my_col"]
    assert len(np.unique(made)) >= 3
    assert np.ptp(made[:3]) < 1e-6


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([1.0, 2.0, np.nan], 0), ([0.1, 12.3], 1), ([1e6 + 0.25], 2), ([np.pi, 0.1], None)],
)
def test_few_decimals_are_seen(values: list, decimals: int | None) -> None:
    """Data on a grid is told from measured numbers."""
    assert few_decimals(np.array(values)) == decimals


@pytest.mark.parametrize(("decimals", "datatype"), [(1, "FP64"), (15, "FP32")])
def test_data_on_a_grid_that_meets_thresholds_takes_fp64(decimals: int, datatype: str) -> None:
    """Where a value like the sample's may stand at a threshold, FP32 would round it across."""
    rng = np.random.default_rng(0)
    rows = np.round(rng.uniform(0, 100, size=(250, 3)), decimals)  # fewer than its bins
    model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(rows, rows @ [1, 2, 3])
    converted = convert(model, rows, name="grid")
    assert converted.backend == "onnxruntime"
    assert converted.inputs[0].datatype == datatype
    fresh = np.round(rng.uniform(0, 100, size=(4000, 3)), decimals)
    (found,) = runner(converted.files["model.onnx"])(
        {"X": fresh.astype(np.float64 if datatype == "FP64" else np.float32)}
    ).values()
    np.testing.assert_allclose(found[:, 0], model.predict(fresh), rtol=1e-4)


def test_numbers_are_missing_infinite_and_far(rows: np.ndarray) -> None:
    """NaN and infinity come in each column, magnitudes up to a thousand million."""
    made = probes(None, rows)
    assert np.isnan(made["missing"]["X"]).any(axis=0).all()
    assert np.isposinf(made["infinite"]["X"]).any(axis=0).all()
    assert np.abs(made["magnitudes"]["X"]).max() > 1e8
    assert (made["magnitudes"]["X"] == 0).all(axis=1).any()


def test_texts_categories_and_integers_are_odd_and_unseen(people: pd.DataFrame) -> None:
    """Strings get what no sample shows, integers what lies beyond the sample's."""
    made = probes(None, people)
    assert UNSEEN in made["unseen"]["city"]
    assert people["age"].max() + 1 in made["unseen"]["age"]
    assert "치과  예약" in made["texts"]["title"]
    assert 2**31 + 1 in made["magnitudes"]["age"]


def test_rows_are_the_same_each_time(people: pd.DataFrame) -> None:
    """Proof can be repeated: nothing is left to chance."""
    first, second = probes(None, people), probes(None, people)
    for group, tensors in first.items():
        for name, values in tensors.items():
            np.testing.assert_array_equal(second[group][name], values)


def test_wide_rows_get_few_probes() -> None:
    """A thousand columns are sampled, not multiplied."""
    made = probes(None, np.random.default_rng(0).normal(size=(5, 1000)))
    assert all(len(tensors["X"]) <= MOST_ROWS for tensors in made.values())


def oracle(estimator: Any, sample: Any) -> tuple[Oracle, Any]:
    read = read_sample(sample)
    return Oracle(estimator, read, find_answers(estimator, read)), read.inputs("FP32")


def test_what_the_estimator_refuses_is_known_by_column(
    rows: np.ndarray, labels: np.ndarray
) -> None:
    """An imputer takes NaN in its columns, a plain model in none; infinity neither takes."""
    model, inputs = oracle(LogisticRegression().fit(rows, labels), rows)
    assert model.refusals(inputs)["X"].nan == (0, 1, 2, 3)
    columns = ColumnTransformer([("fill", SimpleImputer(), [0, 2])], remainder="passthrough")
    model, inputs = oracle(make_pipeline(columns, LogisticRegression()).fit(rows, labels), rows)
    found = model.refusals(inputs)["X"]
    assert (found.nan, found.infinite) == ((1, 3), (0, 1, 2, 3))


def test_refused_rows_are_questions_too(rows: np.ndarray, labels: np.ndarray) -> None:
    """Rows that the estimator refuses must be refused by what is served."""
    positive = np.abs(rows) + 0.1
    model, inputs = oracle(PowerTransformer("box-cox").fit(positive, labels), positive)
    questions = model.questions(inputs)
    assert {group for group, _ in questions.refused} == {"infinite", "magnitudes"}
    assert {case.group for case in questions.cases} >= {"sample", "single rows", "magnitudes"}


def test_onnx_refuses_what_the_estimator_refuses(rows: np.ndarray, labels: np.ndarray) -> None:
    """NaN is refused by the graph itself, in words that name the input."""
    converted = convert(LogisticRegression().fit(rows, labels), rows, name="strict")
    assert converted.backend == "onnxruntime"
    refused = {one.group: one for one in converted.parity.refusals}
    assert refused["missing"].rows > 0
    assert refused["missing"].answered == refused["infinite"].answered == 0


def test_an_estimator_that_passes_every_ordinary_row_is_found_out(
    rows: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the probes a wrong graph passes; with them it does not."""
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(rows, labels)
    right = _routes.prove

    def shifted(questions: Any, answers: Any) -> Any:
        wrong = [dict(a) if isinstance(a, dict) else a for a in answers]
        place = next(i for i, c in enumerate(questions.batches) if np.isin(
            model.tree_.threshold[0].astype(np.float32), c["X"]) and i > 0)  # fmt: skip
        wrong[place] = {"label": 1 - wrong[place]["label"], **wrong[place]} | {
            "label": wrong[place]["label"] + 1
        }
        return right(questions, wrong)

    monkeypatch.setattr(_routes, "prove", shifted)
    with pytest.raises(Exception, match="group 'thresholds'"):
        convert(model, rows, name="tree")


def test_text_and_regression_probes_hold_for_ordinary_models(titles: list[str]) -> None:
    """The probes are answered alike by models that are right: they cry no wolf."""
    model = make_pipeline(TfidfVectorizer(), LinearRegression()).fit(titles, range(len(titles)))
    assert convert(model, titles, name="text").parity.ok
    encoder = OneHotEncoder(handle_unknown="ignore").fit([["a"], ["b"]])
    assert convert(encoder, np.array([["a"], ["b"]], object), name="one").parity.ok

"""Pipelines, column transformers and unions pass on what scikit-learn's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._translators import TRANSLATORS
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from translating import assert_translated, translated

ROWS = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
LABELS = (ROWS[:, 0] > ROWS[:, 3]).astype(int)
ORDER = range(60)
PEOPLE = pd.DataFrame(
    {
        "나이 (세)": np.arange(60, dtype=np.int64) % 37,
        "income": np.where(np.arange(60) % 9, np.linspace(-3, 2e3, 60), np.nan),
        "city": [["서울", "Busan", "", "東京 🎉"][i % 4] for i in ORDER],
        "title": [
            ["팀 회의", "치과 예약 dentist", "team meeting", "운동"][i % 4] for i in range(60)
        ],
        "member": [i % 3 == 0 for i in ORDER],
    }
)
ENCODER = OneHotEncoder(handle_unknown="ignore")
NUMBERS = ["나이 (세)", "income"]


def of_columns(columns: Any, **options: Any) -> ColumnTransformer:
    return ColumnTransformer([("scaled", StandardScaler(), columns)], **options)


@pytest.mark.parametrize(
    "columns",
    [
        [0, 3],
        [3, 0],
        [-1, 1],
        [2],
        slice(1, 4),
        slice(0, None, 2),
        slice(-2, None),
        [True, False, True, False, False],
        np.array([False, True, True, False, True]),
        lambda x: [0, x.shape[1] - 1],
        [1, 1, 0],
    ],
    ids=repr,
)
@pytest.mark.parametrize("remainder", ["drop", "passthrough", MinMaxScaler()], ids=str)
def test_columns_however_they_are_named(columns: Any, remainder: Any) -> None:
    """Numbers, negative ones, slices, masks and functions choose scikit-learn's columns."""
    transformer = of_columns(columns, remainder=remainder)
    assert_translated(transformer.fit(ROWS), ROWS, rows=[ROWS[:1]])


@pytest.mark.parametrize("weights", [{"a": 2}, {"b": 0.25, "c": -1.5}, {"a": 0}])
def test_weights(weights: dict[str, float]) -> None:
    """Columns are multiplied by their transformer's weight, a whole number or not."""
    parts: list[Any] = [("a", StandardScaler()), ("b", "passthrough"), ("c", MinMaxScaler())]
    union = FeatureUnion(parts, transformer_weights=weights)
    columns = ColumnTransformer(
        [(name, part, [i, i + 1]) for i, (name, part) in enumerate(parts)],
        transformer_weights=weights,
    )
    assert_translated(union.fit(ROWS), ROWS)
    assert_translated(columns.fit(ROWS), ROWS)


def test_weighted_remainder() -> None:
    """The remainder has a weight, too."""
    weights = {"remainder": 3.0}
    transformer = of_columns([1], remainder="passthrough", transformer_weights=weights)
    assert_translated(transformer.fit(ROWS), ROWS)


@pytest.mark.parametrize(
    "transformer",
    [
        ColumnTransformer([("none", StandardScaler(), []), ("one", "passthrough", [1])]),
        ColumnTransformer([("none", StandardScaler(), [False] * 5), ("one", MinMaxScaler(), [0])]),
        ColumnTransformer([("gone", "drop", [0, 1]), ("one", MinMaxScaler(), [0])]),
        FeatureUnion([("gone", "drop"), ("one", MinMaxScaler())]),
        Pipeline([("nothing", "passthrough"), ("none", None), ("one", MinMaxScaler())]),
        Pipeline([("one", MinMaxScaler()), ("nothing", "passthrough")]),
        make_pipeline(FunctionTransformer(), make_union(FunctionTransformer(), StandardScaler())),
    ],
    ids=repr,
)
def test_steps_that_do_nothing(transformer: BaseEstimator) -> None:
    """Empty selections and dropped columns are left out; passthrough steps change nothing."""
    assert_translated(transformer.fit(ROWS), ROWS)


def test_nothing_left() -> None:
    """Without any columns there is nothing to answer."""
    transformer = ColumnTransformer([("gone", "drop", [0, 1])]).fit(ROWS)
    graph = Graph(TRANSLATORS, leaf)
    with pytest.raises(Untranslatable, match="it leaves no columns"):
        graph.transform(transformer, Table.of(Value("X", "float", 5)))


def mixed() -> ColumnTransformer:
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (ENCODER, ["city"]),
        (TfidfVectorizer(), "title"),
        ("passthrough", ["member"]),
    )


def test_frames_of_every_type() -> None:
    """Integers, floats, texts and truth values go each to their transformer."""
    assert_translated(mixed().fit(PEOPLE), PEOPLE, rows=[PEOPLE[5:6], PEOPLE[::-1]])
    classifier = make_pipeline(mixed(), RandomForestClassifier(5, max_depth=3, random_state=0))
    assert_translated(classifier.fit(PEOPLE, LABELS), PEOPLE)


def test_selectors_of_types() -> None:
    """Columns are those that the selector chose when fitted."""
    transformer = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OrdinalEncoder(), make_column_selector(dtype_include=[object, "string"])),
        (FunctionTransformer(), make_column_selector(pattern="mem")),
    )
    assert_translated(transformer.fit(PEOPLE), PEOPLE)


@pytest.mark.parametrize("names", [True, False])
def test_frames_between_steps(*, names: bool) -> None:
    """With set_output, later steps choose columns by the names that earlier ones gave."""
    first = make_column_transformer(
        (SimpleImputer(), NUMBERS),
        ("passthrough", ["city", "member"]),
        verbose_feature_names_out=names,
    )
    prefix = "passthrough__" if names else ""
    second = make_column_transformer(
        (ENCODER.set_params(sparse_output=False), [f"{prefix}city"]),
        (StandardScaler(), make_column_selector(pattern="income")),
        remainder="passthrough",
    )
    pipeline = make_pipeline(first, second).set_output(transform="pandas")
    assert_translated(pipeline.fit(PEOPLE), PEOPLE)


def test_column_transformers_within() -> None:
    """A column transformer may be a step of another, by names or by numbers."""
    inner = make_column_transformer((ENCODER, ["city"]), ("passthrough", ["나이 (세)"]))
    outer = make_column_transformer(
        (inner, ["city", "나이 (세)"]), (SimpleImputer(), ["income"]), remainder="drop"
    )
    assert_translated(outer.fit(PEOPLE), PEOPLE)
    deep = of_columns([0, 1], remainder=of_columns([-1], remainder="passthrough"))
    assert_translated(make_pipeline(deep, of_columns([4, 0])).fit(ROWS), ROWS)


def test_texts_pass_through() -> None:
    """Texts that nothing changes are answered as they came."""
    texts = PEOPLE[["city", "title"]]
    transformer = make_column_transformer(("passthrough", ["title", "city"]))
    found = convert(transformer.fit(texts), texts, name="texts")
    assert (found.backend, found.reason) == ("onnxruntime", "")


def test_texts_beside_numbers() -> None:
    """A union of texts and numbers is texts in numpy, which is refused."""
    texts = PEOPLE[["city"]].to_numpy()
    union = make_union(FunctionTransformer(), OrdinalEncoder())
    pipeline = make_pipeline(union, ENCODER, LogisticRegression()).fit(texts, LABELS)
    with pytest.raises(Untranslatable, match="texts and numbers side by side"):
        translated(pipeline, texts)


def test_another_number_of_columns() -> None:
    """The reason tells how many columns there should be."""
    pipeline = make_pipeline(make_column_transformer((SimpleImputer(), NUMBERS))).fit(PEOPLE)
    with pytest.raises(Untranslatable, match="fitted on 5 columns and is given 6"):
        translated(pipeline, PEOPLE.assign(more=1.0))


@pytest.mark.parametrize("double", [False, True])
def test_either_arithmetic(*, double: bool) -> None:
    """The same holds in float32 and in float64."""
    assert_translated(mixed().fit(PEOPLE), PEOPLE, double=double)
    assert_translated(mixed().fit(PEOPLE), PEOPLE, double=double, precision="FP64")

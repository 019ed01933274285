"""Encoders of categories and labels answer as scikit-learn's: unknown, missing, rare, odd text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._categories import find_places
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._sample import read_sample
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    LabelBinarizer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from translating import assert_translated, translated

N = np.arange(60)
TEXTS = np.array(["서울", "부산", "Jeju", "É", "Ｆｕｌｌ", "🎉", "e\u0301", " "], dtype=object)
FULL = pd.DataFrame(
    {
        "city": TEXTS[N % 8],
        "k": N % 5,
        "f": np.round(np.linspace(0, 2, 60), 1).astype(np.float32),
        "b": N % 3 == 0,
        "c": pd.Categorical(np.array(["x", "y", "z"])[N % 3]),
    }
)
GAPS = FULL.assign(city=FULL["city"].where(N % 7 != 0, np.nan), f=FULL["f"].where(N % 6 != 0))
NONES = GAPS.assign(city=GAPS["city"].where(N % 7 != 0, None))
FRAMES = pytest.mark.parametrize("frame", [FULL, GAPS, NONES], ids=["full", "gaps", "nones"])
DOUBLE = pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
BATCH = np.random.default_rng(0).integers(0, 7, (40, 3))
ARRAYS = {
    "integers": BATCH - 3,
    "large integers": (BATCH - 3) * 10**17,
    "float32": (BATCH / 4).astype(np.float32),
    "NaN": np.where(BATCH == 3, np.nan, BATCH / 4).astype(np.float32),
    "objects": TEXTS[BATCH],
    "None": np.where(BATCH == 3, None, TEXTS[BATCH]),
    "unicode": TEXTS[BATCH].astype(str),
    "bools": BATCH > 2,
}


def strange(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with values that no encoder was fitted with."""
    return frame.assign(
        city=frame["city"].where(N % 5 != 1, "unknown!"),
        k=frame["k"].where(N % 5 != 2, 99),
        f=frame["f"].where(N % 5 != 3, np.float32(7.7)),
    )


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
@pytest.mark.parametrize("rare", [{}, {"min_frequency": 0.15}, {"max_categories": 3}], ids=str)
@pytest.mark.parametrize("unknown", ["error", "ignore", "infrequent_if_exist", "warn"])
def test_one_hot(drop: Any, rare: dict[str, Any], unknown: Any) -> None:
    """Columns of any type become zeros and a one; unknown values what they were set to become."""
    found = OneHotEncoder(drop=drop, handle_unknown=unknown, **rare).fit(GAPS)
    assert_translated(found, GAPS, rows=[] if unknown == "error" else [strange(GAPS)])


@FRAMES
@DOUBLE
def test_one_hot_of_missing(frame: pd.DataFrame, double: bool) -> None:
    """A missing value is a category where it was one at fitting, be it NaN or None."""
    found = OneHotEncoder(handle_unknown="ignore").fit(frame)
    assert_translated(found, frame, rows=[strange(frame)], double=double)
    if frame is FULL:
        assert_translated(found, GAPS, double=double)


@FRAMES
@DOUBLE
@pytest.mark.parametrize("missing", [np.nan, 77])
@pytest.mark.parametrize("rare", [{}, {"min_frequency": 5}], ids=str)
def test_ordinal(frame: pd.DataFrame, missing: float, rare: dict[str, Any], double: bool) -> None:
    """Categories get their numbers; missing and unknown ones those that were set."""
    strict = OrdinalEncoder(encoded_missing_value=missing, **rare).fit(frame)
    assert_translated(strict, frame, rows=[frame[:1]] if frame is FULL else [], double=double)
    for unknown in (-3, np.nan):
        lenient = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=unknown,
            encoded_missing_value=missing,
            **rare,
        ).fit(frame)
        assert_translated(lenient, frame, rows=[strange(frame)], double=double)


@FRAMES
@DOUBLE
@pytest.mark.parametrize(
    "target", [N % 4 == 0, np.array(["a", "b", "c"])[N % 3], np.sqrt(N)], ids=["2", "3", "real"]
)
def test_target(frame: pd.DataFrame, target: Any, double: bool) -> None:
    """Categories become means of the target, of each class; unknown ones the overall mean."""
    found = TargetEncoder().fit(frame, target)
    assert_translated(found, frame, rows=[strange(frame)], double=double)


@DOUBLE
@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(), OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()], ids=str
)
def test_arrays(encoder: Any, kind: str, double: bool) -> None:
    """One array of any type is encoded column by column."""
    array = ARRAYS[kind]
    assert_translated(encoder.fit(array), array, rows=[array[:9]], double=double)


def test_float64_categories() -> None:
    """A float32 value is no category that only float64 can write, in scikit-learn and here."""
    array = BATCH * 0.1
    found = OneHotEncoder(handle_unknown="ignore").fit(array)
    assert_translated(found, array)  # float32: of the categories only 0 and 0.5 stay
    assert_translated(found, array, precision="FP64")
    converted = convert(OneHotEncoder().fit(array), array, name="tenths")
    assert converted.backend == "onnxruntime", converted.reason
    assert converted.inputs[0].datatype == "FP64"


def test_listed_categories() -> None:
    """Categories may be listed in any order, and dropped by name."""
    texts = TEXTS[BATCH[:, :1] % 3]
    for encoder in (
        OneHotEncoder(categories=[["Jeju", "부산", "서울", "none"]], drop=["부산"]),
        OrdinalEncoder(categories=[["Jeju", "부산", "서울", "none"]]),
    ):
        assert_translated(encoder.fit(texts), texts)


@pytest.mark.parametrize(
    ("encoder", "value"),
    [
        (OneHotEncoder(), {"city": "unknown!"}),
        (OrdinalEncoder(), {"k": 99}),
        (OneHotEncoder(drop="first"), {"f": np.float32(0.15)}),
        (OrdinalEncoder(), {"f": np.array([0, np.nan], np.float32)}),
    ],
    ids=str,
)
def test_unknown_refused(encoder: Any, value: dict[str, Any]) -> None:
    """Where scikit-learn raises on an unknown value, the graph refuses, and names the column."""
    frame = FULL.drop(columns="c")
    run = runner(translated(encoder.fit(frame), frame).content)
    asked = read_sample(frame[:2].assign(**value))
    column = next(iter(value))
    with pytest.raises(Exception, match=f"column '{column}': a category that the encoder"):
        run(asked.tensors(asked.inputs("FP32")))


def test_two_encoders_refuse() -> None:
    """Two encoders of one column may both refuse: the graph loads."""
    both = make_column_transformer((OneHotEncoder(), ["k"]), (OrdinalEncoder(), ["k", "city"]))
    assert_translated(both.fit(FULL), FULL)


def test_missing_text_is_no_category() -> None:
    """The text that stands for missing is looked up as missing, even if it was a category once."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder.fit(pd.DataFrame({"city": ["", "서울", "부산"]}))
    sample = pd.DataFrame({"city": ["서울", None, "부산"]})
    assert read_sample(sample).missing == {"city": ""}
    assert_translated(encoder, sample)


@pytest.mark.parametrize(
    ("kind", "categories", "why"),
    [
        ("string", [1, 2], "holds strings, its categories are numbers"),
        ("int64", ["a"], "holds numbers, its categories are strings"),
        ("float", ["a"], "holds numbers, its categories are strings"),
        ("string", ["a", None, np.nan], "knows both None and NaN"),
        ("string", ["a", 1], "mixed or odd categories"),
        ("int64", np.array(["2024-01-01"], "datetime64[ns]"), "mixed or odd categories"),
    ],
)
def test_categories_refused(kind: Any, categories: Any, why: str) -> None:
    """Categories that no value of the column can be are not translated."""
    array = np.asarray(categories, None if isinstance(categories, np.ndarray) else object)
    with pytest.raises(Untranslatable, match=why):
        find_places(Graph({}, leaf), OrdinalEncoder(), Table.of(Value("X", kind, 1)), [array])


@pytest.mark.parametrize(
    "labels",
    [
        N % 2,
        N % 3 - 1,
        (N % 3) * 10**15,
        np.array(["a", "나", "🎉"])[N % 3],
        np.array(["예", "아니오"], dtype=object)[N % 2],
        N % 2 == 0,
    ],
    ids=["2", "3", "large", "texts", "objects", "bools"],
)
def test_labels(labels: Any) -> None:
    """Labels of any type are numbered, or get a column each; of two one is enough."""
    assert_translated(LabelEncoder().fit(labels), labels)
    assert_translated(LabelBinarizer().fit(labels), labels)
    assert_translated(LabelBinarizer(neg_label=-2, pos_label=0).fit(labels), labels)


def test_odd_labels() -> None:
    """A single label has a column of its own; unknown ones are refused, or in no column."""
    same = np.array(["only"] * 5)
    assert_translated(LabelBinarizer().fit(same), same)
    assert_translated(LabelBinarizer().fit(N % 3), N % 3, rows=[N % 4])
    run = runner(translated(LabelEncoder().fit(N % 3), N % 3).content)
    with pytest.raises(Exception, match="a label that the encoder was not fitted with"):
        run({"X": np.array([[1], [3]])})
    with pytest.raises(Untranslatable, match="another type"):
        translated(LabelEncoder().fit(N % 3), (N % 3).astype(np.float64))


def test_converted() -> None:
    """A model behind encoders of a frame with gaps is served by ONNX."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city", "c"]),
        (OrdinalEncoder(encoded_missing_value=-1), ["f", "k", "b"]),
    )
    found = make_pipeline(columns, LogisticRegression()).fit(GAPS, N % 2)
    converted = convert(found, GAPS, name="gaps")
    assert converted.backend == "onnxruntime", converted.reason

"""A sample as people have it travels as tensors and comes back as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import SampleMismatch, convert
from geulpi_conversion._backend.geulpi_served import Layout
from geulpi_conversion._names import VALID, tensor_names
from geulpi_conversion._sample import read_sample
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder

N = 6
COLUMNS: dict[str, Any] = {
    "float64": np.linspace(0, 1, N),
    "float32": np.linspace(0, 1, N, dtype=np.float32),
    "float with NaN": [1.5, np.nan] * 3,
    "int64": np.arange(N) - 2**40,
    "int8": np.arange(N, dtype=np.int64),
    "bool": [True, False] * 3,
    "strings": ["a", "가", ""] * 2,
    "strings with None": ["a", None, "b"] * 2,
    "strings with NaN and empty": pd.Series(["", np.nan, "b"] * 2, dtype=object),
    "StringDtype": pd.array(["a", None, "b"] * 2, dtype="string"),
    "Int64": pd.array([1, None, 3] * 2, dtype="Int64"),
    "Int64 without NA": pd.array([1, 2, 3] * 2, dtype="Int64"),
    "Float64": pd.array([1.5, None, 3.5] * 2, dtype="Float64"),
    "boolean": pd.array([True, None, False] * 2, dtype="boolean"),
    "bools with None": pd.Series([True, None, False] * 2, dtype=object),
    "category": pd.Categorical(["x", "y", "x"] * 2, categories=["y", "x", "z"]),
    "category with NaN": pd.Categorical(["x", None, "x"] * 2),
    "ordered": pd.Categorical(["lo", "hi", "lo"] * 2, categories=["lo", "hi"], ordered=True),
    "category of integers": pd.Categorical([3, 1, 3] * 2),
    "category of integers with NaN": pd.Categorical([3, None, 1] * 2),
    "datetime": pd.date_range("2026-03-01", periods=N, freq="7h"),
    "datetime with NaT": pd.to_datetime(["2026-03-01", None, "1999-12-31"] * 2),
    "datetime with zone": pd.date_range("2026-03-01", periods=N, tz="Asia/Seoul"),
    "timedelta": pd.to_timedelta(np.arange(N), unit="h"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_as_it_was(name: str) -> None:
    """Type, values, missing values, categories and time zone survive the way as a tensor."""
    frame = pd.DataFrame({name: COLUMNS[name]})
    sample = read_sample(frame)
    tensors = sample.tensors(sample.inputs("FP64"))
    assert all(tensor.shape == (N, 1) for tensor in tensors.values())
    layout = Layout.from_json(sample.layout.to_json())
    pd.testing.assert_frame_equal(layout.to_native(tensors), frame)


@pytest.mark.parametrize(
    ("name", "datatype"),
    [
        ("float64", "FP32"), ("int64", "INT64"), ("bool", "BOOL"), ("strings", "BYTES"),
        ("strings with None", "BYTES"), ("Int64", "FP32"), ("Int64 without NA", "INT64"),
        ("boolean", "FP32"), ("category", "BYTES"), ("category of integers", "INT64"),
        ("datetime with zone", "INT64"),
    ],
)  # fmt: skip
def test_each_type_of_column_has_its_tensor(name: str, datatype: str) -> None:
    """Numbers that may be missing are floats, where NaN says so."""
    assert read_sample(pd.DataFrame({name: COLUMNS[name]})).specs[0].datatype == datatype


def test_a_missing_string_has_a_text_of_its_own() -> None:
    """The empty string stands for it, unless the column holds empty strings too."""
    frame = pd.DataFrame({n: COLUMNS[n] for n in COLUMNS if n.startswith("strings with")})
    sample = read_sample(frame)
    assert sample.missing == {"strings_with_None": "", "strings_with_NaN_and_empty": "NaN"}


@pytest.mark.parametrize(
    "given",
    [
        np.arange(6.0).reshape(3, 2),
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.arange(6).reshape(3, 2),
        np.arange(6).reshape(3, 2) > 2,
        np.array([["a", "b"], ["", "가"]], object),
        np.array([["a", None], ["b", "가"]], object),
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(3),
        np.array(["a", "b"]),
    ],
    ids=lambda given: f"{given.dtype}{given.shape}",
)
def test_an_array_comes_back_as_it_was(given: np.ndarray) -> None:
    """One tensor X carries arrays of numbers, texts, several axes or one."""
    sample = read_sample(given)
    assert [spec.name for spec in sample.specs] == ["X"]
    precision = "FP64" if given.dtype == np.float64 else "FP32"
    native = sample.layout.to_native(sample.tensors(sample.inputs(precision)))
    np.testing.assert_array_equal(native, given)
    assert native.shape == given.shape
    assert native.dtype == (object if given.dtype.kind == "U" else given.dtype)


def test_sparse_matrices_and_dicts_come_back_as_they_were() -> None:
    """A sparse matrix travels densely, a dict as JSON."""
    matrix = sparse.random(5, 4, density=0.4, random_state=0, format="csr")
    sample = read_sample(matrix)
    native = sample.layout.to_native(sample.tensors(sample.inputs("FP64")))
    assert sparse.issparse(native)
    np.testing.assert_array_equal(native.toarray(), matrix.toarray())
    for rows in ([{"a": 1}, {"나": "b", "c": 2.5}], [["a", "b"], ["c"]]):
        sample = read_sample(rows)
        assert sample.layout.to_native(sample.tensors(sample.specs)) == rows


def test_dicts_sparse_rows_and_single_columns_are_served(rows: np.ndarray, labels: Any) -> None:
    """Vectorizers of dicts, sparse rows and encoders of labels have the sample they take."""
    dicts = [{"city": "서울", "n": 1.0}, {"city": "부산"}, {"n": 2.0}] * 4
    converted = convert(DictVectorizer().fit(dicts), dicts, name="dicts")
    assert (converted.backend, converted.inputs[0].datatype) == ("python", "BYTES")
    matrix = sparse.csr_matrix(np.where(rows > 0, rows, 0))
    assert convert(LogisticRegression().fit(matrix, labels), matrix, name="sparse").parity.ok
    words = ["b", "a", "c", "a"]
    assert convert(LabelEncoder().fit(words), words, name="words").parity.ok


def test_missing_strings_and_times_are_served() -> None:
    """A column with missing strings and one of times go through a pipeline as they are."""
    frame = pd.DataFrame(
        {
            "city": pd.Series(["서울", None, "부산", "서울"] * 8),
            "when": pd.date_range("2026-01-01", periods=32, freq="31h"),
        }
    )
    hours = FunctionTransformer(_hours)
    places = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    columns = ColumnTransformer([("city", places, ["city"]), ("hour", hours, ["when"])])
    model = make_pipeline(columns, LogisticRegression()).fit(frame, np.arange(32) % 2)
    converted = convert(model, frame, name="times")
    assert converted.parity.ok
    assert converted.parameters["missing"] == '{"city": ""}'


def _hours(frame: pd.DataFrame) -> np.ndarray:
    return frame["when"].dt.hour.to_numpy().reshape(-1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, np.nan]}), "'b' holds only missing values"),
        (pd.DataFrame({"a": ["x", 1]}), "column 'a' holds 1 among its objects"),
        (pd.DataFrame({"a": [b"x", b"y"]}), "column 'a' holds b'x' among its objects"),
        (pd.DataFrame({"a": [(1, 2), (3,)]}), r"column 'a' holds \(1, 2\) among"),
        (pd.DataFrame({"a": [1j, 2j]}), "type complex128"),
        (pd.DataFrame({"a": pd.period_range("2026", periods=2)}), "type period"),
        (pd.DataFrame({"a": pd.Categorical(pd.to_datetime(["2026-01-01"]))}), "times as its"),
        (np.array(["2026-01-01"], "datetime64[D]"), "give a DataFrame"),
        ([{"a": {1, 2}}], "JSON can't carry"),
        (np.empty((3, 0)), "holds no values"),
        ("text", "has the shape"),
        (pd.DataFrame([[1, 2]], columns=[("a", 1), ("a", 2)]), "no names"),
    ],
    ids=str,
)
def test_what_no_tensor_carries_is_refused(given: Any, message: str) -> None:
    """The message names the column, the value and the remedy."""
    with pytest.raises(SampleMismatch, match=message) as refused:
        read_sample(given)
    assert "Remedy: " in str(refused.value)


def test_names_of_tensors_say_the_column() -> None:
    """Valid names stay; others are written with what is valid, each its own."""
    columns = ["a", "my col", "my/col", "나이", "income (USD)", "label", "my_col", "x" * 80]
    assert tensor_names(columns, ["label"]) == [
        "a", "my_col_2", "my_col_3", "column_3", "income_USD", "label_column", "my_col", "x" * 56,
    ]  # fmt: skip


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=8))
def test_names_of_tensors_are_valid_and_unique(columns: list[str]) -> None:
    """Whatever the columns are called, each gets a valid name that no other has."""
    names = tensor_names(columns, ["label", "probabilities"])
    assert len(set(names)) == len(columns)
    assert all(VALID.fullmatch(name) for name in names)
    assert not {"label", "probabilities"} & set(names)

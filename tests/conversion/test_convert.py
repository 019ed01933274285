"""Any fitted estimator becomes ONNX where that is right, else a Python-backend model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import (
    Converted,
    InvalidName,
    NoFaithfulRoute,
    NotFitted,
    SampleMismatch,
    TensorSpec,
    Unservable,
    _routes,
    convert,
)
from geulpi_conversion._jobs import make_onnx
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, MiniBatchNMF
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC


class Doubled(TransformerMixin, BaseEstimator):
    """A transformer of the user's own."""

    def fit(self, _x: Any, _y: Any = None) -> Doubled:
        self.n_features_in_ = 4
        return self

    def transform(self, x: Any) -> Any:
        return np.asarray(x) * 2


class Sleepy(Doubled):
    """A transformer that hangs when it is loaded elsewhere."""

    def __setstate__(self, state: Any) -> None:
        import time

        time.sleep(30)


class Forgetful(ClassifierMixin, BaseEstimator):
    """A classifier that answers at random."""

    def fit(self, _x: Any, y: Any) -> Forgetful:
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.random.default_rng().integers(0, 1000, len(x))


def outputs(converted: Converted) -> list[tuple[str, str, int]]:
    return [(spec.name, spec.datatype, spec.width) for spec in converted.outputs]


def test_scaler_and_forest_become_onnx(forest: Converted) -> None:
    """A forest behind a scaler is served as ONNX, with one matrix as its input."""
    assert forest.backend == "onnxruntime"
    assert forest.reason == ""
    assert forest.inputs == (TensorSpec("X", "FP32", 4),)
    assert outputs(forest) == [("label", "INT64", 1), ("probabilities", "FP32", 3)]
    assert forest.parity.ok
    assert forest.parity.rows == 400
    assert {output.group for output in forest.parity.outputs} >= {"sample", "thresholds", "missing"}
    assert all(output.rows_over == 0 for output in forest.parity.outputs)
    assert [step.why for step in forest.steps] == [""]


@pytest.mark.parametrize(
    "vectorizer",
    [
        TfidfVectorizer(),
        CountVectorizer(),
        TfidfVectorizer(ngram_range=(1, 2)),
        TfidfVectorizer(token_pattern=r"\S", ngram_range=(2, 4)),
        TfidfVectorizer(token_pattern=r"(?u)\S", lowercase=False),
        FeatureUnion([("a", TfidfVectorizer()), ("b", TfidfVectorizer(token_pattern=r"\S"))]),
    ],
    ids=str,
)
@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_korean_text_becomes_onnx(
    titles: list[str], vectorizer: Any, container: Callable[[Any], Any]
) -> None:
    """Vectorizers cut Hangul, accents and odd blanks in ONNX as they do in Python."""
    blanks = "\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\t\n"
    odd = [f"가{blank}나다 라{blank}{blank}마" for blank in blanks] + ["가\u200b나", "가\ufeff나"]
    padding = [
        "e #",
        "e",
        "x#hashtag c#",
        "# #",
        "a # much longer title, so that others are padded",
    ]
    texts = (titles + odd + padding) * 3
    labels = [("work", "health")[i % 2] for i in range(len(texts))]
    pipeline = make_pipeline(vectorizer, LogisticRegression()).fit(texts, labels)
    converted = convert(pipeline, container(texts), name="text")
    assert converted.backend == "onnxruntime", converted.reason
    assert converted.inputs == (TensorSpec("X", "BYTES", 1),)
    assert outputs(converted) == [("label", "BYTES", 1), ("probabilities", "FP32", 2)]


def test_an_unknown_token_pattern_is_not_trusted_to_onnx() -> None:
    """A token pattern without a proven ONNX form goes to the Python backend, and the reason."""
    texts = ["one two", "two three"] * 5
    pipeline = make_pipeline(TfidfVectorizer(token_pattern=r"\b\w+(?=o)"), LogisticRegression())
    converted = convert(pipeline.fit(texts, [0, 1] * 5), texts, name="text")
    assert converted.backend == "python"
    assert "TfidfVectorizer" in converted.reason


def test_mixed_columns_become_one_input_each(mixed: Pipeline, people: pd.DataFrame) -> None:
    """A DataFrame's columns are inputs of their own types; names that are none are mapped."""
    converted = convert(mixed, people, name="people")
    assert converted.backend == "onnxruntime", converted.reason
    assert converted.inputs == (
        TensorSpec("title", "BYTES", 1),
        TensorSpec("my_col", "FP32", 1),
        TensorSpec("age", "INT64", 1),
        TensorSpec("member", "BOOL", 1),
        TensorSpec("city", "BYTES", 1),
    )
    assert converted.parameters["classes"] == '["아니오", "예"]'
    assert json.loads(converted.parameters["columns"])["my_col"] == "my col"


@pytest.mark.parametrize(
    ("columns", "tensors"),
    [
        (["my col", "a-b", "나이", "variable"], ["my_col", "a-b", "column_2", "variable"]),
        (["label", "a/b", "a b", "a_b"], ["label_column", "a_b_2", "a_b_3", "a_b"]),
        ([0, 1, 2, 3], ["0", "1", "2", "3"]),
    ],
)
def test_frames_of_numbers_become_onnx(
    rows: np.ndarray, labels: np.ndarray, columns: list[Any], tensors: list[str]
) -> None:
    """An estimator that takes a matrix is fed by columns, too, whatever they are called."""
    frame = pd.DataFrame(rows, columns=columns)
    converted = convert(LogisticRegression().fit(frame, labels), frame, name="frame")
    assert converted.backend == "onnxruntime", converted.reason
    assert [spec.name for spec in converted.inputs] == tensors
    mapping = json.loads(converted.parameters["columns"])
    assert mapping == dict(zip(tensors, columns, strict=True))


def test_categories_of_boosting_become_onnx(people: pd.DataFrame) -> None:
    """Splits by category, of a categorical column, are told by the category's name."""
    frame = people[["age", "city"]]
    labels = np.arange(len(frame)) % 3
    model = HistGradientBoostingClassifier(min_samples_leaf=2, max_iter=5).fit(frame, labels)
    converted = convert(model, frame, name="boosted")
    assert converted.backend == "onnxruntime", converted.reason
    assert converted.inputs[1] == TensorSpec("city", "BYTES", 1)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.bool_])
def test_arrays_of_each_type_are_served(labels: np.ndarray, rows: np.ndarray, dtype: type) -> None:
    """Numbers of any type have a tensor: floats FP32, integers INT64, booleans BOOL."""
    array = (rows * 10).astype(dtype)
    converted = convert(LogisticRegression(max_iter=5000).fit(array, labels), array, name="typed")
    kind = {"f": "FP32", "i": "INT64", "b": "BOOL"}[np.dtype(dtype).kind]
    assert converted.inputs == (TensorSpec("X", kind, 4),)
    assert converted.backend == "onnxruntime", converted.reason


def test_float64_input_is_used_where_float32_is_not_enough() -> None:
    """Values beyond float32's precision are served as FP64, and only those."""
    near = 1e9 + np.arange(40.0).reshape(-1, 1)
    model = LinearRegression().fit(near - 1e9, near[:, 0] - 1e9)
    shifted = make_pipeline(StandardScaler(with_std=False).fit(near), model)
    converted = convert(shifted, near, name="far")
    assert converted.inputs == (TensorSpec("X", "FP64", 1),)
    assert converted.parity.outputs[0].max_abs < 1e-3


def test_strings_in_a_matrix_are_one_input() -> None:
    """A matrix of strings is one BYTES tensor of its width."""
    words = np.array([["a", "x"], ["b", "y"], ["a", "y"]], dtype=object)
    converted = convert(OneHotEncoder().fit(words), words, name="onehot")
    assert converted.inputs == (TensorSpec("X", "BYTES", 2),)
    assert outputs(converted) == [("features", "FP32", 4)]


def test_an_estimator_without_an_onnx_form_goes_to_python(neighbors: Converted) -> None:
    """The Python backend serves what has no ONNX form, and the reason names the part."""
    assert neighbors.backend == "python"
    assert "KNeighborsClassifier: the metric 'canberra'" in neighbors.reason
    assert [step.route for step in neighbors.steps] == ["ONNX", "Python backend (skops)"]
    assert neighbors.parity.ok
    assert {"estimator.skops", "model.py"} <= set(neighbors.files)


def test_an_unknown_function_in_a_pipeline_goes_to_python(
    rows: np.ndarray, labels: np.ndarray
) -> None:
    """A pipeline with a function that has no ONNX operator is served by the Python backend."""
    pipeline = make_pipeline(FunctionTransformer(special.i0), LogisticRegression()).fit(
        rows, labels
    )
    converted = convert(pipeline, rows, name="bessel")
    assert converted.backend == "python"
    assert "FunctionTransformer" in converted.reason


def test_answers_that_depend_on_the_batch_are_asked_by_request(rows: np.ndarray) -> None:
    """A factorisation that settles for all rows together must not meet others' rows."""
    positive = np.abs(rows)
    model = MiniBatchNMF(3, random_state=0, max_iter=5, tol=0.1).fit(positive)
    converted = convert(model, positive, name="nmf")
    assert converted.backend == "python"
    assert converted.parameters["batching"] == "request"


def test_an_estimator_of_a_script_travels_with_its_code(rows: np.ndarray) -> None:
    """A class that no installed package brings is carried in the artefact."""
    converted = convert(Doubled().fit(rows), rows, name="doubled")
    assert converted.backend == "python"
    assert converted.artefact == "estimator.joblib"


def test_an_estimator_whose_answers_are_no_numbers_is_refused(rows: np.ndarray) -> None:
    """A prediction of NaN would be served as one: the row and the answer are named."""
    model = LinearRegression().fit(rows, rows[:, 0])
    model.coef_ = model.coef_ * np.nan
    with pytest.raises(Unservable, match=r"prediction for row 0 of the sample is \[nan\]"):
        convert(model, rows, name="nan")


def test_a_conversion_that_never_ends_is_ended(rows: np.ndarray) -> None:
    """Each way of serving has its time; then the next one is tried, or the failure told."""
    with pytest.raises(NoFaithfulRoute, match=r"longer than 0\.5 s") as failed:
        convert(Sleepy().fit(rows), rows, name="sleepy", timeout_s=0.5)
    assert failed.value.exit_code == 1


def binary_forest_with_ties(rng: np.random.Generator) -> tuple[Any, Any]:
    rows = rng.normal(size=(600, 4)).astype(np.float32)
    forest = RandomForestClassifier(20, random_state=0)  # pure leaves: ten against ten happens
    return forest.fit(rows[:300], rng.integers(0, 2, 300)), rows[300:]


def imputer_with_indicator(rng: np.random.Generator) -> tuple[Any, Any]:
    rows = rng.normal(size=(300, 4)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    labels = np.isnan(rows[:, 0]).astype(int)
    model = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression())
    return model.fit(rows, labels), rows


def sublinear_text(_rng: np.random.Generator) -> tuple[Any, Any]:
    texts = ["aa bb bb bb cc", "aa aa dd", "bb dd dd dd dd", "cc cc aa"] * 3
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression())
    return model.fit(texts, [0, 1, 2, 3] * 3), texts


@pytest.mark.parametrize("make", [binary_forest_with_ties, imputer_with_indicator, sublinear_text])
def test_what_skl2onnx_gets_silently_wrong_is_right(make: Callable[..., Any]) -> None:
    """Ties, indicators of missing values and sublinear counts are served as ONNX, and right."""
    estimator, sample = make(np.random.default_rng(0))
    converted = convert(estimator, sample, name="right")
    assert converted.backend == "onnxruntime", converted.reason
    assert converted.parity.ok


def test_a_wrong_translation_is_not_served(
    rows: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph with other answers than the estimator's is left, and the report says which."""
    model = LogisticRegression().fit(rows, labels)
    right = _routes._WORKER.call

    def call(function: Any, timeout_s: float, *arguments: Any, **options: Any) -> Any:
        answer = right(function, timeout_s, *arguments, **options)
        if function is not make_onnx:
            return answer
        made, answers = answer
        answers[0]["label"][7] += 1
        return made, answers

    monkeypatch.setattr(_routes._WORKER, "call", call)
    converted = convert(model, rows, name="wrong")
    assert converted.backend == "python"
    assert "label differs on 1 of 400 rows (worst: row 7)" in converted.reason


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [SVC, LinearSVC, RidgeClassifier])
def test_classifiers_without_probabilities_have_decisions(
    rows: np.ndarray, labels: np.ndarray, kind: type, classes: int
) -> None:
    """Decision values are called so, and have scikit-learn's shape."""
    model = kind().fit(rows, np.minimum(labels, classes - 1))
    converted = convert(model, rows, name="decide")
    width = 1 if classes == 2 else 3
    assert outputs(converted) == [("label", "INT64", 1), ("decision", "FP32", width)]
    assert converted.backend == "onnxruntime", converted.reason


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LinearRegression(), [("prediction", "FP32", 1)]),
        (PCA(2), [("features", "FP32", 2)]),
        (KMeans(3, n_init=1, random_state=0), [("label", "INT64", 1)]),
        (
            IsolationForest(n_estimators=10, random_state=0),
            [("label", "INT64", 1), ("score", "FP32", 1)],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_estimator_has_its_outputs(
    rows: np.ndarray, labels: np.ndarray, estimator: Any, expected: list[Any]
) -> None:
    """Regressors predict, transformers give features, clusterers labels, detectors a score too."""
    converted = convert(estimator.fit(rows, labels), rows, name="kind")
    assert outputs(converted) == expected
    assert converted.backend == "onnxruntime", converted.reason


@pytest.mark.parametrize(
    ("names", "datatype", "classes"),
    [
        (np.array(["가", "b", "c"]), "BYTES", '["b", "c", "가"]'),
        (np.array([False, True, True]), "INT64", "[false, true]"),
        (np.array([1.0, 2.0, 5.0]), "INT64", "[1.0, 2.0, 5.0]"),
    ],
    ids=["str", "bool", "float"],
)
def test_labels_are_integers_or_strings(
    rows: np.ndarray, labels: np.ndarray, names: np.ndarray, datatype: str, classes: str
) -> None:
    """String labels are BYTES; booleans and whole floats are INT64."""
    converted = convert(LogisticRegression().fit(rows, names[labels]), rows, name="labels")
    assert converted.outputs[0] == TensorSpec("label", datatype, 1)
    assert converted.parameters["classes"] == classes
    assert converted.backend == "onnxruntime", converted.reason


def test_several_labels_at_once_are_one_output(rows: np.ndarray, labels: np.ndarray) -> None:
    """A multi-output classifier answers a row of labels and no probabilities."""
    model = MultiOutputClassifier(LogisticRegression()).fit(rows, np.c_[labels, labels > 0])
    converted = convert(model, rows, name="several")
    assert outputs(converted) == [("label", "INT64", 2)]


def test_densities_and_neighbors_are_answers_too(rows: np.ndarray) -> None:
    """What answers new rows by a method of its own is served by that."""
    density = convert(KernelDensity().fit(rows), rows, name="density")
    assert outputs(density) == [("log_density", "FP32", 1)]
    near = convert(NearestNeighbors(n_neighbors=3).fit(rows), rows, name="near")
    assert outputs(near) == [("distances", "FP32", 3), ("indices", "INT64", 3)]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "a.b", "ü", "x" * 65, None, "a\n"])
def test_unsafe_names_are_refused(rows: np.ndarray, labels: np.ndarray, name: Any) -> None:
    """A name that could leave the repository, or break a key, is refused before any work."""
    with pytest.raises(InvalidName, match="1 to 64") as refused:
        convert(LogisticRegression(), rows, name=name)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        Pipeline([("scale", StandardScaler()), ("pass", "passthrough")]),
        ColumnTransformer([("scale", StandardScaler(), [0])]),
    ],
    ids=str,
)
def test_unfitted_estimators_are_refused(rows: np.ndarray, estimator: Any) -> None:
    """An estimator that was never fitted is named, with the remedy."""
    with pytest.raises(NotFitted, match=f"This {type(estimator).__name__} is not fitted"):
        convert(estimator, rows, name="raw")


@pytest.mark.parametrize("estimator", [DBSCAN(), None, "model", LogisticRegression])
def test_what_has_no_answer_for_new_rows_is_refused(rows: np.ndarray, estimator: Any) -> None:
    """No predict and no transform, or no estimator at all: said in words, with a way out."""
    if isinstance(estimator, DBSCAN):
        estimator.fit(rows)
    with pytest.raises(Unservable, match="Remedy"):
        convert(estimator, rows, name="none")


def test_labels_of_other_types_are_refused(rows: np.ndarray, labels: np.ndarray) -> None:
    """Labels that are neither integers nor strings fit no tensor."""
    model = KNeighborsClassifier().fit(rows, labels)
    model.classes_ = np.array([0.5, 1.5, 2.5])
    with pytest.raises(Unservable, match="neither integers nor strings"):
        convert(model, rows, name="half")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.zeros((5, 3), np.float32), "3 features"),
        (np.zeros((0, 4)), "no values"),
        (pd.DataFrame({"a": []}), "no rows"),
        (pd.DataFrame(), "no columns"),
        (np.zeros(4), "Expected 2D array"),
        ([[1, "a", 2, 3]], "not only strings"),
        ([[1, 2], [3]], "not alike"),
        ([b"raw"], "not only strings"),
        (["\ud800"], "UTF-8"),
        (np.full((5, 4), np.nan), "column 0 holds only missing values"),
        (pd.DataFrame({"a": [1, 2], "b": [None, None]}), "column 'b' holds only missing values"),
        (["x", None], "texts and missing values"),
        (pd.DataFrame({"a": [1, "x"]}), "column 'a' holds 1 among"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "there twice"),
        (np.array([[2**63]], dtype=np.uint64), "exceeds"),
    ],
    ids=str,
)
def test_samples_that_do_not_fit_are_refused(
    rows: np.ndarray, labels: np.ndarray, sample: Any, message: str
) -> None:
    """A sample of the wrong shape, type or content is refused, with what is wrong in it."""
    model = LogisticRegression().fit(rows, labels)
    with pytest.raises(SampleMismatch, match=message) as refused:
        convert(model, sample, name="sample")
    assert refused.value.exit_code == 2


def test_a_frame_without_a_column_is_refused(mixed: Pipeline, people: pd.DataFrame) -> None:
    """The estimator's own word about a missing column is passed on."""
    with pytest.raises(SampleMismatch, match="age"):
        convert(mixed, people.drop(columns="age"), name="people")


def test_an_estimator_that_answers_at_random_is_refused(
    rows: np.ndarray, labels: np.ndarray
) -> None:
    """Where nothing that can be served gives the same answers, nothing is served."""
    with pytest.raises(NoFaithfulRoute, match="otherwise each time") as failed:
        convert(Forgetful().fit(rows, labels), rows, name="random")
    assert failed.value.exit_code == 1
    assert failed.value.tried == ("it answers the same rows otherwise each time it is asked",)

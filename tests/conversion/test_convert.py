"""Every route an estimator can take, judged by its own answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import InvalidName, NotFitted, SampleMismatch, Unservable, convert
from geulpi_conversion._onnx import run
from geulpi_conversion._tensors import read_sample
from onnx import load_from_string
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

RANDOM = np.random.RandomState(7)
X = RANDOM.randn(300, 6)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
TEXTS = [
    "치과 예약",
    "팀 회의",
    "Team standup",
    "dentist appt",
    "café à Paris",
    "🎂 party #1",
    "",
] * 9
TOPICS = ["health", "meeting", "meeting", "health", "travel", "social", "personal"] * 9


def letters(longest: int) -> TfidfVectorizer:
    return TfidfVectorizer(token_pattern=r"\S", ngram_range=(1, longest))


ONNX = {
    "scaler and forest": (
        make_pipeline(StandardScaler(), RandomForestClassifier(21, random_state=0)), X, Y
    ),
    "string labels": (LogisticRegression(), X, np.where(Y, "예", "아니오")),
    "boolean labels": (LogisticRegression(), X, Y.astype(bool)),
    "regressor": (LinearRegression(), X, X[:, 0] * 3),
    "two targets": (LinearRegression(), X, X[:, :2]),
    "transformer": (PCA(3), X, Y),
    "clusterer": (KMeans(3, n_init=1, random_state=0), X, Y),
    "outlier detector": (IsolationForest(n_estimators=20, random_state=0), X, Y),
    "float32 rows": (LogisticRegression(), X.astype(np.float32), Y),
    "integer rows": (LogisticRegression(), (X * 5).astype(int), Y),
    "words": (make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXTS, TOPICS),
    "letters": (make_pipeline(letters(3), LogisticRegression()), TEXTS, TOPICS),
    # Shorter titles of a batch are padded; the padding must be no token, as "#" is.
    "padding": (
        make_pipeline(letters(2), LogisticRegression()),
        ["ab", "ab#", "a longer title ab#", "x#"] * 10, [0, 1, 0, 1] * 10,
    ),
}  # fmt: skip

PYTHON = {
    "no converter": (NearestCentroid(), X, Y, "MissingShapeCalculator"),
    "a function": (
        make_pipeline(FunctionTransformer(np.tanh), LogisticRegression()), X, Y,
        "FunctionTransformer",
    ),
    "indicator dropped": (
        make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
        np.where(RANDOM.rand(300, 6) < 0.1, np.nan, X), Y, "label differs",
    ),
    "log of counts": (
        make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression()),
        ["one word word word here", "another word there"] * 20, [0, 1] * 20, "differs",
    ),
    "weights ignored": (
        KNeighborsClassifier(weights="distance"), X, (X[:, 2] > 0).astype(int), "differs"
    ),
    "unknown token pattern": (
        make_pipeline(TfidfVectorizer(token_pattern=r"[a-z]+"), LogisticRegression()),
        TEXTS, TOPICS, "token_pattern",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ONNX)
def test_what_converts_right_becomes_onnx(case: str) -> None:
    """The graph's answers are the estimator's."""
    estimator, rows, targets = ONNX[case]
    converted = convert(estimator.fit(rows, targets), rows, name="model")
    assert converted.backend == "onnxruntime"
    assert not converted.reason
    assert converted.parity.ok
    found = run(load_from_string(converted.files["model.onnx"]), converted.inputs.tensors)
    main = converted.outputs[0].name
    method = "transform" if main == "features" else "predict"
    expected = np.asarray(getattr(estimator, method)(rows)).reshape(len(rows), -1)
    if main == "label":
        assert (found["label"] == expected).all()
    else:
        assert np.allclose(found[main], expected, atol=1e-4)


@pytest.mark.parametrize("case", PYTHON)
def test_what_would_differ_goes_to_the_python_backend(case: str) -> None:
    """Whether conversion raises or lies, the estimator itself is served, with the reason."""
    estimator, rows, targets, reason = PYTHON[case]
    converted = convert(estimator.fit(rows, targets), rows, name="model")
    assert converted.backend == "python"
    assert reason in converted.reason
    assert converted.parity.ok
    assert "model.py" in converted.files


@pytest.mark.parametrize("case", ONNX)
def test_the_graph_obeys_the_official_backend(case: str) -> None:
    """Plain tensors, first dimension free, the others exact; opset and IR that 24.10 reads."""
    estimator, rows, targets = ONNX[case]
    converted = convert(estimator.fit(rows, targets), rows, name="model")
    model = load_from_string(converted.files["model.onnx"])
    assert model.ir_version <= 10
    assert {o.domain: o.version for o in model.opset_import}.get("", 0) <= 21
    for values, specs in (
        (model.graph.input, converted.inputs.specs),
        (model.graph.output, converted.outputs),
    ):
        assert [value.name for value in values] == [spec.name for spec in specs]
        for value, spec in zip(values, specs, strict=True):
            assert value.type.HasField("tensor_type")
            first, *others = value.type.tensor_type.shape.dim
            assert not first.HasField("dim_value")
            assert [dim.dim_value for dim in others] == [spec.width]


def test_a_frame_has_one_input_per_column_by_its_own_name() -> None:
    """Numbers and strings keep their types; a blank in a name survives."""
    frame = pd.DataFrame(
        {
            "my income": RANDOM.rand(80) * 10,
            "age": RANDOM.randint(18, 80, 80),
            "city": RANDOM.choice(["서울", "Busan", ""], 80),
        }
    )
    features = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["my income", "age"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    estimator = make_pipeline(features, LogisticRegression()).fit(frame, frame["age"] > 40)
    converted = convert(estimator, frame, name="model")
    assert converted.backend == "onnxruntime"
    assert [(s.name, s.dtype, s.width) for s in converted.inputs.specs] == [
        ("my income", "float32", 1), ("age", "int64", 1), ("city", "object", 1),
    ]  # fmt: skip


def test_outputs_follow_what_the_estimator_can() -> None:
    """Probabilities where there are any, else decision values; detectors give a score."""

    def outputs(estimator: object) -> list[str]:
        return [spec.name for spec in convert(estimator, X, name="model").outputs]

    assert outputs(LogisticRegression().fit(X, Y)) == ["label", "probabilities"]
    assert outputs(SVC().fit(X, Y)) == ["label", "decision"]
    assert outputs(IsolationForest(n_estimators=5).fit(X)) == ["label", "score"]
    assert outputs(MultiOutputClassifier(LogisticRegression()).fit(X, np.c_[Y, Y])) == ["label"]
    assert outputs(KMeans(2, n_init=1).fit(X)) == ["label"]
    assert outputs(LinearRegression().fit(X, Y)) == ["prediction"]


def test_labels_are_served_as_int64_or_strings() -> None:
    """Whole floats become INT64; the classes are told in their order."""
    converted = convert(LogisticRegression().fit(X, Y.astype(float)), X, name="model")
    assert converted.outputs[0].dtype == "int64"
    assert converted.description.classes == (0, 1)
    converted = convert(LogisticRegression().fit(X, np.where(Y, "b", "a")), X, name="model")
    assert converted.outputs[0].dtype == "object"
    assert converted.description.classes == ("a", "b")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "a b", "이름", "x" * 65, "a\n"])
def test_a_name_that_is_no_model_name_is_refused(name: str) -> None:
    """Path separators, dots, blanks, and anything beyond ASCII letters, digits, _ and -."""
    with pytest.raises(InvalidName, match="letters, digits"):
        convert(LogisticRegression().fit(X, Y), X, name=name)


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), make_pipeline(StandardScaler(), SVC()), KMeans(2), StandardScaler()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_unfitted_estimator_is_refused(estimator: object) -> None:
    """It is told to be fitted, whatever kind it is."""
    with pytest.raises(NotFitted, match="is not fitted"):
        convert(estimator, X, name="model")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (X[:, :3], "expecting 6 features"),
        (X[:0], "no rows"),
        (X[0], "not rows of features"),
        ([], "no rows"),
        (np.array([[object()]]), "dtype object"),
        (pd.DataFrame({"a": pd.to_datetime(["2026-01-01"])}), "datetime64"),
        (pd.DataFrame({"a": ["x", None]}), "row 1: None is no string"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(sample: object, message: str) -> None:
    """The error says what the sample is and what to give instead."""
    with pytest.raises(SampleMismatch, match=message):
        convert(LogisticRegression().fit(X, Y), sample, name="model")


def test_what_has_no_answer_for_new_rows_is_refused() -> None:
    """DBSCAN has no predict; labels that are fractions fit no label tensor."""
    with pytest.raises(Unservable, match="neither predict nor transform"):
        convert(DBSCAN().fit(X), X, name="model")
    fractions = NearestCentroid().fit(X, Y)
    fractions.classes_ = np.array([0.5, 1.5])
    with pytest.raises(Unservable, match="fractions"):
        convert(fractions, X, name="model")


def test_samples_are_read_as_tensors() -> None:
    """One tensor for an array, one of strings for text."""
    assert read_sample(X).specs[0].dtype == "float64"
    assert read_sample(X > 0).specs[0].dtype == "bool"
    assert read_sample(["a", "b"]).tensors["X"].shape == (2, 1)
    assert read_sample(pd.Series(["a"])).layout == "text"
    assert read_sample(np.array(["a", "b"])).layout == "text"

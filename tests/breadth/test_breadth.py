"""Every estimator of scikit-learn, and many pipelines, are served right.

`make coverage` takes all configurations the whole way, through a real server, and compares them
with plain skl2onnx. Here each is converted and answers in this process; some go the whole way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from breadth._estimators import estimator_cases
from breadth._judge import Question, difference, questions
from breadth._outcome import Prepared, Status
from breadth._pipelines import pipeline_cases
from breadth._prepare import answers_new_rows, prepare
from breadth._rows import Array
from breadth._run import ask
from geulpi_client import ModelClient
from geulpi_conversion import Converted, Unservable, convert
from geulpi_conversion._backend.geulpi_served import Layout, ServedEstimator
from geulpi_conversion._columns import to_bytes
from geulpi_server import EmbeddedTriton
from sklearn.utils import all_estimators
from threadpoolctl import threadpool_limits

CASES = {case.name: case for case in [*estimator_cases(), *pipeline_cases()]}
# Of each way of serving and each kind of input and output some, over the wire.
SERVED = (
    "LogisticRegression (strings)", "LogisticRegression (sparse)", "RandomForestClassifier (bools)",
    "RandomForestClassifier (missing values)", "RandomForestClassifier (multilabel)",
    "HistGradientBoostingClassifier (DataFrame with categories, missing values)",
    "LinearRegression (three targets)", "SVC (binary)", "KMeans (far from the origin)",
    "KNeighborsClassifier (by distance, strings)", "GaussianMixture", "IsolationForest", "NMF",
    "OneHotEncoder", "SimpleImputer (strings)", "OrdinalEncoder (missing values)", "LabelEncoder",
    "MultiLabelBinarizer", "DictVectorizer", "CountVectorizer (letters within words)",
    "IsotonicRegression", "PatchExtractor", "MeanShift", "PLSRegression (three targets)",
    "customers (logistic regression)", "customers (xgboost)", "customers (columns by type)",
    "customers (times by an own transformer)", "loans (forest)", "houses (ridge of logarithms)",
    "texts (words and letters)", "texts (own preprocessor)", "texts (several tags)",
    "events (title and categories)", "unsupervised (outliers of customers)",
    "exactness (time stamps and device numbers, tree)", "exactness (times with a zone)",
    "labels (a hundred names)", "labels (labels of 10¹²)", "kinds of input (nullable types)",
    "boosters (lightgbm, categories)", "own code (own classifier)",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than one over so few rows."""
    with threadpool_limits(1):
        yield


def test_no_estimator_is_left_out() -> None:
    """The table holds every class of scikit-learn, those not yet settled among them."""
    assert {case.subject for case in estimator_cases()} == {name for name, _ in all_estimators()}
    assert len(CASES) == len(estimator_cases()) + len(pipeline_cases()), "two of one name"


@pytest.mark.parametrize("name", CASES)
def test_it_is_served_right_or_not_servable(name: str) -> None:
    """A converted model answers fresh and odd rows as its estimator; others have no answer."""
    estimator, data = CASES[name].fitted()
    try:
        converted = convert(estimator, data.rows, name="model")
    except Unservable:
        assert not answers_new_rows(estimator)
        return
    answer = answering(converted, estimator)
    for question in questions(estimator, data, converted):
        assert not difference(question, answer(question))


def answering(converted: Converted, estimator: Any) -> Any:
    """Return a function that answers questions by the model, without a server."""
    names = [spec.name for spec in converted.outputs]
    if converted.backend == "python":
        served = ServedEstimator(estimator, Layout.from_json(converted.parameters["layout"]))
        run: Any = lambda tensors: served.infer(tensors, names)  # noqa: E731
    else:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(converted.files[converted.artefact], settings)
        run = lambda tensors: dict(zip(names, session.run(names, tensors), strict=True))  # noqa: E731

    def answer(question: Question) -> dict[str, Array] | str:
        texts = converted.backend == "python"
        tensors = {
            name: to_bytes(values) if texts and values.dtype == np.object_ else values
            for name, values in question.tensors.items()
        }
        try:
            return run(tensors)
        except Exception as error:  # noqa: BLE001 -- a refusal, whatever it is called
            return f"{type(error).__name__}: {error}"

    return answer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Prepared]]:
    repository = tmp_path_factory.mktemp("breadth")
    made = {name: prepare(CASES[name], repository, baseline=False) for name in SERVED}
    return repository, made


@pytest.fixture(scope="module")
def client(published: tuple[Path, dict[str, Prepared]]) -> Iterator[ModelClient]:
    with (
        EmbeddedTriton(published[0], start_timeout_s=170) as triton,
        ModelClient(triton.grpc_url, timeout_s=60) as client,
    ):
        yield client


@pytest.mark.parametrize("name", SERVED)
def test_it_answers_over_the_wire(
    client: ModelClient, published: tuple[Path, dict[str, Prepared]], name: str
) -> None:
    """Converted, published, loaded by Triton and asked by the client, it says the same."""
    made = published[1][name]
    assert made.status in {Status.MENDED, Status.PYTHON}, made.reason
    assert made.questions
    assert not ask(client, made)

"""Published models on a real server answer as their estimators do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc as triton_grpc
from geulpi_conversion import convert, publish
from geulpi_server import EmbeddedTriton, ModelsNotReady
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

ROWS = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 0.5)
TITLES = ["치과 예약", "팀 주간 회의", "Éclair 파티 🎉", "", "team  standup"] * 6
FRAME = pd.DataFrame({"title": TITLES, "my col": np.linspace(0, 1, 30, dtype=np.float32)})
NAMES = np.array(["건강", "work", "social"])


@pytest.fixture(scope="module")
def estimators() -> dict[str, tuple[Any, Any]]:
    """Fitted estimators with their samples, by the name under which they are served."""
    columns = ColumnTransformer([("t", TfidfVectorizer(), "title"), ("n", StandardScaler(), [1])])
    tokens = FunctionTransformer(np.char.lower)
    titles = np.array(TITLES, dtype=object)
    kinds = NAMES[np.arange(30) % 3]
    return {
        "forest": (RandomForestClassifier(11, random_state=0).fit(ROWS, LABELS), ROWS),
        "events": (make_pipeline(columns, LogisticRegression()).fit(FRAME, kinds), FRAME),
        "neighbors": (KNeighborsClassifier(metric="canberra").fit(ROWS, LABELS), ROWS),
        "lowered": (
            make_pipeline(_texts(tokens), TfidfVectorizer(), LogisticRegression()).fit(
                titles, kinds
            ),
            titles,
        ),
    }


def _texts(step: FunctionTransformer) -> FunctionTransformer:
    return step.set_params(func=np.asarray)


@pytest.fixture(scope="module")
def repository(
    estimators: dict[str, tuple[Any, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    for name, (estimator, sample) in estimators.items():
        publish(convert(estimator, sample, name=name), folder)
    return folder


@pytest.fixture(scope="module")
def served(repository: Path) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(repository) as triton:
        yield triton


def ask(url: str, model: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    inputs = []
    for name, values in tensors.items():
        kind = "BYTES" if values.dtype == np.object_ else np_to_triton_dtype(values.dtype)
        inputs.append(triton_grpc.InferInput(name, values.shape, kind))
        inputs[-1].set_data_from_numpy(values)
    with triton_grpc.InferenceServerClient(url) as client:
        answer = client.infer(model, inputs, client_timeout=30)
        return {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}


def as_tensors(sample: Any) -> dict[str, np.ndarray]:
    if isinstance(sample, pd.DataFrame):
        return {name.replace(" ", "_"): sample[[name]].to_numpy() for name in sample}
    return {"X": sample.reshape(-1, 1) if sample.ndim == 1 else sample}


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("forest", "onnxruntime"),
        ("events", "onnxruntime"),
        ("neighbors", "python"),
        ("lowered", "python"),
    ],
)
def test_the_server_answers_as_the_estimator(
    served: EmbeddedTriton,
    repository: Path,
    estimators: dict[str, tuple[Any, Any]],
    name: str,
    backend: str,
) -> None:
    """Labels are equal and probabilities too, for a batch and for single rows."""
    assert f'backend: "{backend}"' in (repository / name / "config.pbtxt").read_text("utf-8")
    estimator, sample = estimators[name]
    tensors = {key: values[:200] for key, values in as_tensors(sample).items()}
    answers = ask(served.grpc_url, name, tensors)
    expected = estimator.predict(sample)[:200]
    labels = answers["label"]
    assert labels.shape == (len(expected), 1)
    if labels.dtype == np.object_:
        labels = np.array([[label.decode()] for label in labels.ravel()])
    np.testing.assert_array_equal(labels[:, 0], expected)
    reference = estimator.predict_proba(sample)[:200]
    np.testing.assert_allclose(answers["probabilities"], reference, atol=1e-5)
    for row in range(3):
        single = ask(served.grpc_url, name, {k: v[row : row + 1] for k, v in tensors.items()})
        np.testing.assert_allclose(single["probabilities"][0], reference[row], atol=1e-5)


def test_a_bad_request_fails_alone(served: EmbeddedTriton) -> None:
    """Of many requests at once, those with NaN are refused as such and the others answered."""

    def one(row: int) -> int | str:
        rows = ROWS[row : row + 1].copy()
        if row % 5 == 0:
            rows[0, 0] = np.nan
        try:
            return int(ask(served.grpc_url, "neighbors", {"X": rows})["label"][0, 0])
        except InferenceServerException as error:
            return f"{error.status()}: {error.message()}"

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(60)))
    for row, answer in enumerate(answers):
        if row % 5 == 0:
            assert "INVALID_ARGUMENT" in str(answer)
            assert "NaN" in str(answer)
        else:
            assert isinstance(answer, int), answer


def test_invalid_utf8_is_the_senders_fault(served: EmbeddedTriton) -> None:
    """The refusal names input, element and byte."""
    raw = np.array([["치과".encode()], [b"ab\xff"]], dtype=object)
    with pytest.raises(InferenceServerException, match="'X', element 1: not UTF-8") as refused:
        ask(served.grpc_url, "lowered", {"X": raw})
    assert "INVALID_ARGUMENT" in str(refused.value.status())


def test_a_damaged_artefact_is_named_at_start(
    tmp_path: Path, estimators: dict[str, tuple[Any, Any]]
) -> None:
    """A changed file stops the start: the model, both digests and the remedy are told."""
    for name, file_name in (("neighbors", "estimator.skops"), ("forest", "model.onnx")):
        folder = publish(convert(*estimators[name], name=name), tmp_path)
        with (folder / file_name).open("ab") as file:
            file.write(b"?")
    with pytest.raises(ModelsNotReady) as failed, EmbeddedTriton(tmp_path):
        pass
    for name in ("neighbors", "forest"):
        assert "SHA-256" in failed.value.reasons[name]
        assert "Remedy: publish the model again" in failed.value.reasons[name]


def test_entries_of_the_first_release_still_load(root: Path) -> None:
    """A repository that an earlier release wrote is served as it is."""
    rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    with EmbeddedTriton(root / "tests" / "earlier" / "format_1") as triton:
        for name in ("line", "centroid"):
            labels = ask(triton.grpc_url, name, {"X": rows})["label"]
            assert {label.decode() for label in labels.ravel()} == {"b", "가"}

"""`geulpi verify` asks a published model through a real server, and sees what is not right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import Converted, convert, publish
from geulpi_server import EmbeddedTriton
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GEULPI = Path(sys.executable).parent / "geulpi"
TITLES = ["치과 예약", "팀 주간 회의", "Éclair 파티 🎉", "", "team  standup"] * 30
FRAME = pd.DataFrame({"title": TITLES, "내 열": np.linspace(0, 1, 150, dtype=np.float32)})
KINDS = np.array(["건강", "work", "social"])[np.arange(150) % 3]


class OwnClassifier(ClassifierMixin, BaseEstimator):
    """A class that ONNX knows nothing of."""

    def fit(self, x, y):
        self.classes_, self.n_features_in_ = np.unique(y), x.shape[1]
        return self

    def predict(self, x):
        return self.classes_[(np.asarray(x)[:, 0] > 0).astype(int)]


@pytest.fixture(scope="module")
def events() -> Converted:
    columns = ColumnTransformer([("t", TfidfVectorizer(), "title"), ("n", StandardScaler(), [1])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(FRAME, KINDS)
    return convert(pipeline, FRAME, name="events")


@pytest.fixture(scope="module")
def repository(events: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model of texts and numbers, and a Python model."""
    folder = tmp_path_factory.mktemp("verified")
    publish(events, folder)
    rows = np.random.default_rng(0).normal(size=(150, 3))
    own = convert(OwnClassifier().fit(rows, rows[:, 1] > 0), rows, name="own")
    assert own.backend == "python"
    publish(own, folder)
    return folder


def verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GEULPI, "verify", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("name", "outputs"), [("events", 2), ("own", 1)])
def test_what_was_published_is_right(repository: Path, name: str, outputs: int) -> None:
    """100 rows in one batch and one by one are answered as the estimator answered them."""
    done = verify(name, "--repository", repository, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert (told["rows"], told["single_rows"], told["version"]) == (100, 100, 1)
    assert [o["group"] for o in told["outputs"]] == ["sample"] * outputs + ["single rows"] * outputs


def test_a_running_server_is_asked(repository: Path) -> None:
    """With --url no server is started; the table names the outputs."""
    with EmbeddedTriton(repository) as triton:
        done = verify("events", "--repository", repository, "--url", triton.grpc_url)
    assert done.returncode == 0, done.stderr
    for told in ("events version 1", "answers as the estimator did", "probabilities"):
        assert told in done.stdout


@pytest.mark.parametrize("output", ["label", "probabilities"])
def test_a_wrong_answer_is_seen(tmp_path: Path, events: Converted, output: str) -> None:
    """Where one row of one output is another, the exit code is 1 and the row is named."""
    values = events.expected[output].copy()
    values[7, 0] = "work" if values[7, 0] == "social" else "social" if output == "label" else 0.5
    publish(replace(events, expected={**events.expected, output: values}), tmp_path)
    done = verify("events", "--repository", tmp_path)
    assert done.returncode == 1
    assert "does NOT answer as it should" in done.stdout
    assert "differ" in done.stdout
    assert "row 7" in done.stdout
    assert "Traceback" not in done.stderr


def test_what_can_not_be_verified_says_why(
    tmp_path: Path, repository: Path, events: Converted
) -> None:
    """No sample, a changed file, no such model, no server: one sentence each, with its remedy."""
    folder = publish(events, tmp_path, sample=False)
    without = verify("events", "--repository", tmp_path)
    assert without.returncode == 1
    assert "holds no sample.npz" in without.stderr
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"?")
    changed = verify("events", "--repository", tmp_path)
    assert changed.returncode == 1
    assert "SHA-256" in changed.stderr
    absent = verify("churn", "--repository", repository)
    assert absent.returncode == 2
    assert "there: events, own" in absent.stderr
    away = verify("events", "--repository", repository, "--url", "localhost:1")
    assert away.returncode == 1
    assert "Can't reach" in away.stderr
    for done in (without, changed, absent, away):
        assert "Remedy" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

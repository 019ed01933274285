"""`geulpi convert`, typed as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

X = np.random.RandomState(3).randn(60, 4)
ESTIMATOR = LogisticRegression().fit(X, X[:, 0] > 0)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "geulpi", "convert", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    skops.io.dump(ESTIMATOR, tmp_path / "model.skops")
    joblib.dump(ESTIMATOR, tmp_path / "model.joblib")
    np.save(tmp_path / "rows.npy", X)
    pd.DataFrame(X).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "broken.skops").write_bytes(b"PK")
    (tmp_path / "rows.xlsx").write_bytes(b"")
    return tmp_path


def test_it_publishes_and_shows_the_proof(folder: Path) -> None:
    """A table for people, one JSON document for programs; versions count up."""
    shown = run(folder, "model.skops", "--sample", "rows.npy", "--name", "churn")
    assert shown.returncode == 0, shown.stderr
    assert "onnxruntime" in shown.stdout
    assert "largest difference" in shown.stdout
    told = run(folder, "model.skops", "--sample", "rows.npy", "--name", "churn", "--json")
    report = json.loads(told.stdout)
    assert report["backend"] == "onnxruntime"
    assert report["folder"] == "model_repository/churn/2"
    assert report["parity"]["ok"] is True
    assert (folder / report["folder"] / "model.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["model.joblib", "--sample", "rows.npy", "--name", "m"], 2, "--trust"),
        (["model.skops", "--sample", "rows.npy", "--name", "a/b"], 2, "'a/b'"),
        (["none.skops", "--sample", "rows.npy", "--name", "m"], 1, "no such file"),
        (["broken.skops", "--sample", "rows.npy", "--name", "m"], 1, "can't be read"),
        (["model.skops", "--sample", "rows.xlsx", "--name", "m"], 1, ".npy, .csv, .json"),
        (["model.skops", "--sample", "none.npy", "--name", "m"], 1, "no such file"),
        (["model.skops", "--sample", "rows.npy"], 2, "--name"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, arguments: list[str], code: int, words: str
) -> None:
    """Exit code 2 for wrong use, 1 for failure; no traceback; nothing written."""
    done = run(folder, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "model_repository").exists()


def test_a_pickle_loads_with_trust(folder: Path) -> None:
    """Who vouches for a file can use it."""
    done = run(folder, "model.joblib", "--trust", "--sample", "rows.npy", "--name", "m")
    assert done.returncode == 0, done.stderr

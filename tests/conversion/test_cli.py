"""`geulpi convert` from files to a repository entry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import typer
from geulpi_conversion import (
    ConversionError,
    SampleMismatch,
    UnreadableFile,
    UnsupportedFile,
    UntrustedFile,
)
from geulpi_conversion.cli import convert
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner, Result

app = typer.Typer()
app.command()(convert)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failed(model: Path, *arguments: object) -> ConversionError:
    repository = model.parent / "repository"
    error = run(model, "--repository", repository, "--name", "model", *arguments).exception
    assert isinstance(error, ConversionError), error
    return error


@pytest.fixture
def files(tmp_path: Path, rows: np.ndarray, labels: np.ndarray) -> Path:
    """A folder with a fitted model and a sample in every kind of file."""
    model = LogisticRegression().fit(rows, labels)
    frame = pd.DataFrame(rows, columns=["a", "b", "c d", "e"])
    skops.io.dump(model, tmp_path / "model.skops")
    skops.io.dump(LogisticRegression().fit(frame, labels), tmp_path / "frame.skops")
    trees = DecisionTreeClassifier(max_depth=2).fit(rows, labels)
    skops.io.dump(trees, tmp_path / "tree.skops")
    joblib.dump(model, tmp_path / "model.joblib")
    np.save(tmp_path / "sample.npy", rows)
    frame.to_csv(tmp_path / "sample.csv", index=False)
    frame.to_json(tmp_path / "sample.json", orient="records")
    return tmp_path


@pytest.mark.parametrize(
    ("model", "sample"),
    [("model", "sample.npy"), ("frame", "sample.csv"), ("frame", "sample.json")],
)
def test_json_tells_what_was_published(files: Path, model: str, sample: str) -> None:
    """With --json, standard output is one document; the entry is where it says."""
    repository = files / "repository"
    result = run(
        files / f"{model}.skops", "--sample", files / sample, "--name", "churn",
        "--repository", repository, "--json",
    )  # fmt: skip
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["backend"] == "onnxruntime"
    assert told["version"] == 1
    assert told["parity"]["ok"] is True
    assert [tensor["name"] for tensor in told["outputs"]] == ["label", "probabilities"]
    assert (Path(told["folder"]) / "model.onnx").exists()
    assert Path(told["folder"]).parent == repository / "churn"


def test_texts_come_as_json(tmp_path: Path) -> None:
    """A JSON list of strings is a sample of raw texts."""
    texts = ["치과 예약", "팀 회의"] * 3
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [0, 1] * 3)
    skops.io.dump(model, tmp_path / "text.skops")
    (tmp_path / "texts.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    result = run(
        tmp_path / "text.skops", "--sample", tmp_path / "texts.json", "--name", "text",
        "--repository", tmp_path / "repository", "--json",
    )  # fmt: skip
    assert json.loads(result.stdout)["inputs"] == [{"name": "X", "datatype": "BYTES", "dims": [1]}]


def test_the_table_names_route_tensors_and_parity(files: Path) -> None:
    """Without --json, a reader sees the backend, the folder, the tensors and the differences."""
    result = run(
        files / "model.joblib", "--trust", "--sample", files / "sample.npy", "--name", "churn",
        "--repository", files / "repository",
    )  # fmt: skip
    assert result.exit_code == 0, result.exception
    for told in ("onnxruntime", "repository/churn/1", "probabilities", "FP32", "N × 4", "parity"):
        assert told in result.stdout


def test_pickles_need_trust(files: Path) -> None:
    """Loading a joblib file runs code, so it is asked for in words."""
    error = failed(files / "model.joblib", "--sample", files / "sample.npy")
    assert isinstance(error, UntrustedFile)
    assert "runs whatever code is in it" in str(error)
    assert "--trust" in str(error)
    assert error.exit_code == 2


def test_unknown_types_of_skops_need_trust(files: Path) -> None:
    """The types that skops does not know are listed, and --trust accepts them."""
    arguments = [files / "tree.skops", "--sample", files / "sample.npy"]
    error = failed(*arguments)
    assert isinstance(error, UntrustedFile)
    assert "sklearn.tree._tree.Tree" in str(error)
    result = run(*arguments, "--name", "f", "--repository", files / "r", "--trust", "--json")
    assert json.loads(result.stdout)["backend"] == "onnxruntime"


@pytest.mark.parametrize(
    ("model", "sample", "expected"),
    [
        ("model.onnx", "sample.npy", UnsupportedFile),
        ("absent.skops", "sample.npy", UnreadableFile),
        ("damaged.skops", "sample.npy", UnreadableFile),
        ("damaged.pkl", "sample.npy", UnreadableFile),
        ("model.skops", "sample.xlsx", UnsupportedFile),
        ("model.skops", "absent.npy", UnreadableFile),
        ("model.skops", "absent.csv", UnreadableFile),
        ("model.skops", "damaged.npy", UnreadableFile),
        ("model.skops", "damaged.csv", UnreadableFile),
        ("model.skops", "damaged.json", UnreadableFile),
        ("model.skops", "number.json", UnsupportedFile),
        ("model.skops", "empty.json", SampleMismatch),
    ],
)
def test_files_that_can_not_be_used_are_named(
    files: Path, model: str, sample: str, expected: type[Exception]
) -> None:
    """A missing, damaged or unknown file is one sentence with its path or the remedy."""
    for damaged in ("damaged.skops", "damaged.pkl", "damaged.npy", "damaged.csv", "damaged.json"):
        (files / damaged).write_bytes(b"\xff\x00{")
    (files / "number.json").write_text("5")
    (files / "empty.json").write_text("[]")
    error = failed(files / model, "--sample", files / sample, "--trust")
    assert type(error) is expected
    assert str(files) in str(error) or "Remedy" in str(error)


def test_an_unfit_sample_publishes_nothing(files: Path, mixed: Pipeline) -> None:
    """Where the conversion is refused, the repository is not even made."""
    skops.io.dump(mixed, files / "mixed.skops")
    arguments = [files / "mixed.skops", "--sample", files / "sample.csv", "--trust"]
    assert isinstance(failed(*arguments, "--repository", files / "none"), SampleMismatch)
    assert not (files / "none").exists()


def test_importing_the_commands_is_quick() -> None:
    """No heavy library is imported before a command runs, so that help comes at once."""
    heavy = "{'numpy', 'pandas', 'sklearn', 'onnx', 'onnxruntime', 'grpc', 'skops', 'rich.console'}"
    code = f"import sys, geulpi_conversion.cli; sys.exit(str({heavy} & sys.modules.keys() or ''))"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert found.stderr.strip() == b""

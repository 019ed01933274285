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
import scipy.sparse
import skops.io
import typer
from geulpi_conversion import (
    ConversionError,
    Converted,
    EntryDamaged,
    EntryNotFound,
    InvalidServing,
    SampleMismatch,
    ServingConfig,
    TargetMismatch,
    UnknownTarget,
    UnreadableFile,
    UnsupportedFile,
    UntrustedFile,
    publish,
)
from geulpi_conversion._config import parse_config
from geulpi_conversion._files import read_sample_file
from geulpi_conversion.cli import convert, describe
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner, Result

app = typer.Typer()
app.command()(convert)
app.command()(describe)


def run(*arguments: object, command: str = "convert") -> Result:
    return CliRunner().invoke(app, [command, *(str(argument) for argument in arguments)])


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
    frame.to_parquet(tmp_path / "sample.parquet")
    np.savez(tmp_path / "sample.npz", rows)
    np.savez(tmp_path / "columns.npz", **{name: frame[name].to_numpy() for name in frame})
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_matrix(rows))
    (tmp_path / "lists.json").write_text(json.dumps(rows.tolist()))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "sample"),
    [
        ("model", "sample.npy"),
        ("model", "sample.npz"),
        ("model", "sparse.npz"),
        ("model", "lists.json"),
        ("frame", "sample.csv"),
        ("frame", "sample.json"),
        ("frame", "sample.parquet"),
        ("frame", "columns.npz"),
    ],
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
    assert ".skops" in str(error)
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
        ("model.skops", "mixed.json", UnsupportedFile),
        ("model.skops", "ragged.json", SampleMismatch),
        ("model.skops", "latin.json", UnreadableFile),
        ("model.skops", "absent.npz", UnreadableFile),
        ("model.skops", "damaged.npz", UnreadableFile),
        ("model.skops", "pickles.npz", UnreadableFile),
        ("model.skops", "lengths.npz", UnsupportedFile),
        ("model.skops", "matrices.npz", UnsupportedFile),
        ("model.skops", "nothing.npz", UnsupportedFile),
        ("model.skops", "absent.parquet", UnreadableFile),
        ("model.skops", "damaged.parquet", UnreadableFile),
        ("model.skops", "empty.csv", UnreadableFile),
        ("model.skops", "folder.csv", UnreadableFile),
    ],
)
def test_files_that_can_not_be_used_are_named(
    files: Path, model: str, sample: str, expected: type[Exception]
) -> None:
    """A missing, damaged or unknown file is one sentence with its path or the remedy."""
    for kind in ("skops", "pkl", "npy", "npz", "csv", "json", "parquet"):
        (files / f"damaged.{kind}").write_bytes(b"\xff\x00{")
    (files / "mixed.json").write_text('["a", {"b": 1}]')
    (files / "ragged.json").write_text("[[1, 2], [3]]")
    (files / "latin.json").write_bytes('["é"]'.encode("latin-1"))
    np.savez(files / "pickles.npz", np.array([None, {}], dtype=object))
    np.savez(files / "lengths.npz", a=np.zeros(2), b=np.zeros(3))
    np.savez(files / "matrices.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    np.savez(files / "nothing.npz")
    (files / "empty.csv").write_text("")
    (files / "folder.csv").mkdir()
    (files / "number.json").write_text("5")
    (files / "empty.json").write_text("[]")
    error = failed(files / model, "--sample", files / sample, "--trust")
    assert type(error) is expected
    assert str(files) in str(error) or "Remedy" in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[1, null], [2, 3]]", np.array([[1, np.nan], [2, 3]])),
        ("[[1, 2]]", np.array([[1, 2]])),
        ("[[true, false]]", np.array([[True, False]])),
    ],
)
def test_lists_of_numbers_are_an_array(tmp_path: Path, text: str, expected: np.ndarray) -> None:
    """Integers stay integers; null is a missing number."""
    (tmp_path / "rows.json").write_text(text)
    read = read_sample_file(tmp_path / "rows.json")
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read, expected)


def test_dicts_stay_dicts_for_those_who_take_them(tmp_path: Path) -> None:
    """A DictVectorizer is given the records of a JSON file, not a table of them."""
    rows = [{"city": "서울", "n": 1}, {"city": "Jeju"}] * 5
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, [0, 1] * 5)
    skops.io.dump(model, tmp_path / "dicts.skops")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    result = run(
        tmp_path / "dicts.skops", "--sample", tmp_path / "rows.json", "--name", "dicts",
        "--repository", tmp_path / "r", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["inputs"] == [{"name": "X", "datatype": "BYTES", "dims": [1]}]


def test_lists_of_texts_stay_lists(tmp_path: Path) -> None:
    """Rows of texts are left for the sample's reader, which knows what they may be."""
    rows = [["치과", "예약"], ["회의"]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert read_sample_file(tmp_path / "rows.json") == rows


def test_an_unfit_sample_publishes_nothing(files: Path, mixed: Pipeline) -> None:
    """Where the conversion is refused, the repository is not even made."""
    skops.io.dump(mixed, files / "mixed.skops")
    arguments = [files / "mixed.skops", "--sample", files / "sample.csv", "--trust"]
    assert isinstance(failed(*arguments, "--repository", files / "none"), SampleMismatch)
    assert not (files / "none").exists()


def test_settings_of_serving_reach_the_config(files: Path) -> None:
    """Each option stands in config.pbtxt, and in the document."""
    result = run(
        files / "model.skops", "--sample", files / "sample.npy", "--name", "churn",
        "--repository", files / "r", "--json", "--target", "25.06",
        "--max-batch-size", 32, "--queue-delay-us", 0, "--preferred-batch-sizes", "4, 8",
        "--instances", 2, "--device", "auto", "--no-warmup", "--max-queue-size", 64,
        "--timeout-us", 9000, "--version-policy", "latest:2", "--no-sample",
    )  # fmt: skip
    assert result.exit_code == 0, result.exception
    config = parse_config((files / "r" / "churn" / "config.pbtxt").read_text(encoding="utf-8"))
    serving = ServingConfig.read(config)
    assert serving == ServingConfig(
        max_batch_size=32, queue_delay_us=0, preferred_batch_sizes=(4, 8), instances=2,
        device="auto", warmup=False, max_queue_size=64, timeout_us=9000, version_policy=2,
    )  # fmt: skip
    told = json.loads(result.stdout)
    assert told["serving"] == json.loads(json.dumps(serving.to_dict()))
    assert told["target"] == "25.06"
    assert not (files / "r" / "churn" / "1" / "sample.npz").exists()


def test_measured_settings_stay_unless_an_option_sets_one(files: Path) -> None:
    """Another option leaves them; one of theirs ends them all."""
    arguments = [files / "model.skops", "--sample", files / "sample.npy", "--name", "churn",
                 "--repository", files / "r", "--json"]  # fmt: skip
    run(*arguments)
    path = files / "r" / "churn" / "config.pbtxt"
    config = parse_config(path.read_text(encoding="utf-8"))
    config.instance_group[0].count = 3
    config.parameters["tuned"].string_value = "{}"
    path.write_text(str(config), encoding="utf-8")
    for options, instances in (([], 3), (["--max-queue-size", 5], 3), (["--instances", 1], 1)):
        told = json.loads(run(*arguments, *options).stdout)
        config = parse_config(path.read_text(encoding="utf-8"))
        assert told["serving"]["instances"] == config.instance_group[0].count == instances
        assert ("tuned" in config.parameters) == (instances == 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--max-batch-size", "0"], InvalidServing),
        (["--preferred-batch-sizes", "4;8"], InvalidServing),
        (["--version-policy", "newest"], InvalidServing),
        (["--version-policy", "latest:x"], InvalidServing),
        (["--version-policy", ""], InvalidServing),
        (["--version-policy", "5"], InvalidServing),
        (["--timeout-us", "-1"], InvalidServing),
        (["--timeout-us", "400"], InvalidServing),
        (["--keep", "0"], InvalidServing),
        (["--target", "19.01"], UnknownTarget),
        (["--target", "24.04"], TargetMismatch),
    ],
)
def test_options_that_can_not_be_publish_nothing(
    files: Path, options: list[str], expected: type[ConversionError]
) -> None:
    """A wrong setting, or a release that can't serve the model, leaves the repository as it was."""
    arguments = [files / "model.skops", "--sample", files / "sample.npy"]
    assert type(failed(*arguments, *options)) is expected
    assert not list(files.glob("repository/model"))


def test_versions_are_kept_as_asked(files: Path) -> None:
    """With --keep 2 the third publication removes the first version."""
    for _ in range(3):
        run(
            files / "model.skops", "--sample", files / "sample.npy", "--name", "m",
            "--repository", files / "r", "--keep", 2,
        )  # fmt: skip
    assert sorted(p.name for p in (files / "r" / "m").glob("[0-9]")) == ["2", "3"]


def test_renamed_columns_are_shown(tmp_path: Path, labels: np.ndarray, rows: np.ndarray) -> None:
    """Where a column's name is none for a tensor, the table says which tensor is which column."""
    frame = pd.DataFrame(rows, columns=["a", "b/c", "나이", "d"])
    skops.io.dump(LogisticRegression().fit(frame, labels), tmp_path / "m.skops")
    frame.to_parquet(tmp_path / "s.parquet")
    arguments = [tmp_path / "m.skops", "--sample", tmp_path / "s.parquet", "--name", "m"]
    shown = run(*arguments, "--repository", tmp_path / "r").stdout
    assert "column of the sample" in shown
    assert "b_c" in shown
    assert "나이" in shown
    told = json.loads(run(*arguments, "--repository", tmp_path / "r", "--json").stdout)
    assert "나이" in told["columns"].values()


def test_a_model_of_python_says_why(tmp_path: Path, own: Converted) -> None:
    """The report lists the ways that were tried, why each was left, and the reason."""
    publish(own, tmp_path)
    shown = run("own", "--repository", tmp_path, command="describe").stdout
    for told in ("is served by python", "why not ONNX", "tried", "taken", "trim_every", "right"):
        assert told in shown


def test_an_entry_is_described(files: Path) -> None:
    """What was published is told: tensors, classes, libraries, digest, parity, settings."""
    run(
        files / "model.skops", "--sample", files / "sample.npy", "--name", "m",
        "--repository", files / "r", "--instances", 3,
    )  # fmt: skip
    result = run("m", "--repository", files / "r", "--json", command="describe")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["backend"] == "onnxruntime"
    assert told["classes"] == [0, 1, 2]
    assert told["serving"]["instances"] == 3
    assert [tensor["name"] for tensor in told["outputs"]] == ["label", "probabilities"]
    version = told["versions"][0]
    assert (version["version"], version["served"], version["sample"]) == (1, True, True)
    assert version["digest_ok"] is True
    assert version["parity"]["ok"] is True
    assert version["libraries"]["scikit-learn"].startswith("1.9.")
    assert version["manifest"]["sample_rows"] == 400


def test_a_damaged_entry_is_described_and_refused(files: Path) -> None:
    """The table shows what is wrong; the exit code is that of a failure."""
    run(
        files / "model.skops", "--sample", files / "sample.npy", "--name", "m",
        "--repository", files / "r",
    )  # fmt: skip
    with (files / "r" / "m" / "1" / "model.onnx").open("ab") as file:
        file.write(b"?")
    result = run("m", "--repository", files / "r", command="describe")
    assert "DIFFERS" in result.stdout
    assert isinstance(result.exception, EntryDamaged)
    assert result.exception.exit_code == 1


def test_what_is_not_there_is_told_with_what_is(files: Path) -> None:
    """An unknown name is answered by the names that are there."""
    error = run("m", "--repository", files, command="describe").exception
    assert isinstance(error, EntryNotFound)
    assert "there: none" in str(error)


def test_importing_the_commands_is_quick() -> None:
    """No heavy library is imported before a command runs, so that help comes at once."""
    heavy = "{'numpy', 'pandas', 'sklearn', 'onnx', 'onnxruntime', 'grpc', 'skops', 'rich.console'}"
    code = f"import sys, geulpi_conversion.cli; sys.exit(str({heavy} & sys.modules.keys() or ''))"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert found.stderr.strip() == b""

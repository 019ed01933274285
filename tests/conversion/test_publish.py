"""Repository entries: whole, counted up, readable, or not there at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from geulpi_conversion import Converted, RepositoryNotWritable, convert, publish
from geulpi_conversion._config import model_config, parse, warmup_file, write
from geulpi_conversion.served.model import Refused, check_libraries, decode, load
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

X = np.random.RandomState(3).randn(60, 4)
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def as_onnx() -> Converted:
    return convert(LogisticRegression().fit(X, Y), X, name="churn")


@pytest.fixture(scope="module")
def as_python() -> Converted:
    return convert(NearestCentroid().fit(X, Y), X, name="churn")


def pinned(repository: Path) -> dict[str, str]:
    config = parse((repository / "churn" / "config.pbtxt").read_text())
    return {k: v.string_value for k, v in config.parameters.items() if k.startswith("sha256.")}


def test_versions_count_up_and_both_stay(
    tmp_path: Path, as_onnx: Converted, as_python: Converted
) -> None:
    """A second publication is version 2; version 1 keeps its pinned digest."""
    assert publish(as_onnx, tmp_path) == tmp_path / "churn" / "1"
    assert publish(as_python, tmp_path) == tmp_path / "churn" / "2"
    entry = tmp_path / "churn"
    assert sorted(p.name for p in entry.iterdir()) == ["1", "2", "config.pbtxt", "warmup"]
    assert pinned(tmp_path) == {"sha256.1": as_onnx.sha256, "sha256.2": as_python.sha256}
    for version, converted in (("1", as_onnx), ("2", as_python)):
        artefact = (entry / version / converted.artefact).read_bytes()
        assert hashlib.sha256(artefact).hexdigest() == converted.sha256
        assert json.loads((entry / version / "parity.json").read_text())["ok"] is True


def test_a_removed_version_is_forgotten(tmp_path: Path, as_onnx: Converted) -> None:
    """The config speaks only of versions that are there."""
    publish(as_onnx, tmp_path)
    publish(as_onnx, tmp_path)
    shutil.rmtree(tmp_path / "churn" / "1")
    assert publish(as_onnx, tmp_path).name == "3"
    assert set(pinned(tmp_path)) == {"sha256.2", "sha256.3"}


def test_publishers_at_the_same_time_get_versions_of_their_own(
    tmp_path: Path, as_onnx: Converted
) -> None:
    """Eight at once make versions 1 to 8, every one whole."""
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: publish(as_onnx, tmp_path), range(8)))
    assert sorted(int(folder.name) for folder in folders) == list(range(1, 9))
    assert all((folder / "model.onnx").exists() for folder in folders)
    assert set(pinned(tmp_path)) == {f"sha256.{n}" for n in range(1, 9)}


def test_the_config_is_complete_and_reads_back(as_onnx: Converted, as_python: Converted) -> None:
    """parse(write(x)) == x, and nothing is left for the server to guess."""
    for converted, backend in ((as_onnx, "onnxruntime"), (as_python, "python")):
        config = model_config(converted, 1, {})
        assert parse(write(config)) == config
        assert config.backend == backend
        assert config.max_batch_size > 0
        assert config.instance_group[0].count == 1
        assert config.model_warmup[0].inputs["X"].input_data_file == "sample-X"
        assert config.HasField("dynamic_batching")
        assert not config.HasField("response_cache")
        assert json.loads(config.parameters["classes"].string_value) == [0, 1]
        assert "scikit-learn" in json.loads(config.parameters["libraries"].string_value)
    assert model_config(as_onnx, 1, {}).parameters["intra_op_thread_count"].string_value == "1"


def test_warmup_files_have_safe_names() -> None:
    """A column may be called anything; a file may not."""
    assert warmup_file("my col/../x") == "sample-my%20col%2f%2e%2e%2fx"


def test_others_can_read_what_was_published(tmp_path: Path, as_python: Converted) -> None:
    """A server that runs as another user is not locked out."""
    entry = publish(as_python, tmp_path).parent
    for path in [entry, *entry.rglob("*")]:
        assert path.stat().st_mode & 0o004, path


def test_an_unwritable_repository_is_named_and_left_alone(
    tmp_path: Path, as_onnx: Converted
) -> None:
    """A file where a folder should be, or a failure in the middle: nothing half-written."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryNotWritable, match=r"file' can't be written.*\nRemedy"):
        publish(as_onnx, tmp_path / "file")
    failing = replace(as_onnx, files=as_onnx.files | {"x" * 300: b""})
    repository = tmp_path / "repository"
    with pytest.raises(RepositoryNotWritable):
        publish(failing, repository)
    assert list(repository.iterdir()) == []


def test_a_damaged_artefact_is_not_loaded(tmp_path: Path, as_python: Converted) -> None:
    """The digest is checked before a byte of it is interpreted."""
    path = publish(as_python, tmp_path) / as_python.artefact
    load(path, as_python.sha256, as_python.trusted)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Refused, match="not the file that was published"):
        load(path, as_python.sha256, as_python.trusted)
    path.unlink()
    with pytest.raises(Refused, match="can't be read"):
        load(path, as_python.sha256, as_python.trusted)


def test_an_estimator_of_another_scikit_learn_is_refused() -> None:
    """Another minor version may read it wrong; another patch may not."""
    with pytest.raises(Refused, match=r"fitted with scikit-learn 1\.2\.0"):
        check_libraries({"scikit-learn": "1.2.0"})
    check_libraries({})


def test_the_served_model_refuses_what_is_no_text() -> None:
    """Invalid UTF-8 and NUL are named by input and element."""
    with pytest.raises(ValueError, match="'T', element 1: not UTF-8"):
        decode("T", np.array([b"a", b"\xff"], dtype=np.object_))
    with pytest.raises(ValueError, match="NUL"):
        decode("T", np.array([b"a\0"], dtype=np.object_))

"""A published version is whole, readable by others, and counted up."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from geulpi_conversion import Converted, RepositoryNotWritable, publish
from geulpi_conversion import _publish as publish_module
from geulpi_conversion._config import build_config, parse_config, write_config
from tritonclient.grpc import model_config_pb2 as pb


def read_config(model: Path) -> pb.ModelConfig:
    return parse_config((model / "config.pbtxt").read_text(encoding="utf-8"))


def parameters(model: Path) -> dict[str, str]:
    return {key: value.string_value for key, value in read_config(model).parameters.items()}


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_layout_is_tritons(tmp_path: Path, forest: Converted) -> None:
    """A version's folder, config.pbtxt and warm-up rows, and nothing else, are written."""
    folder = publish(forest, tmp_path / "new" / "repository")
    assert folder == tmp_path / "new" / "repository" / "forest" / "1"
    assert listing(folder.parent.parent) == [
        "forest/1/model.onnx",
        "forest/1/parity.json",
        "forest/config.pbtxt",
        "forest/warmup/1.0",
    ]
    report = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    assert report["parity"]["ok"] is True
    assert report["backend"] == "onnxruntime"


def test_the_config_leaves_nothing_to_guess(tmp_path: Path, forest: Converted) -> None:
    """Tensors, batching, instances, threads, warm-up and provenance all stand in the config."""
    folder = publish(forest, str(tmp_path))
    config = read_config(folder.parent)
    assert (config.name, config.backend, config.max_batch_size) == ("forest", "onnxruntime", 256)
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [("X", pb.TYPE_FP32, [4])]
    assert [(t.name, t.data_type, list(t.dims)) for t in config.output] == [
        ("label", pb.TYPE_INT64, [1]),
        ("probabilities", pb.TYPE_FP32, [3]),
    ]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert [(g.count, g.kind) for g in config.instance_group] == [
        (1, pb.ModelInstanceGroup.KIND_CPU)
    ]
    assert not config.HasField("response_cache")
    warmup = config.model_warmup[0]
    row = folder.parent / "warmup" / warmup.inputs["X"].input_data_file
    assert (warmup.batch_size, row.stat().st_size) == (1, 4 * 4)
    found = parameters(folder.parent)
    assert found["intra_op_thread_count"] == found["inter_op_thread_count"] == "1"
    assert found["geulpi_format"] == "1"
    assert found["classes"] == "[0, 1, 2]"
    assert found["inputs"] == '["X"]'
    assert found["estimator"] == "sklearn.pipeline.Pipeline"
    assert json.loads(found["libraries"])["scikit-learn"].startswith("1.9.")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert found["sha256.1"] == digest


def test_a_config_survives_writing_and_reading(forest: Converted, centroid: Converted) -> None:
    """parse(write(config)) is the config, Korean reasons included."""
    for converted in (forest, replace(centroid, reason="표본 300행 중 12행이 다름 'x' \"y\"")):
        config = build_config(converted, {"X": "1.0"}, {"sha256.1": "00"})
        text = write_config(config)
        assert parse_config(text) == config
        assert converted.reason.partition("'")[0] in text


def test_versions_count_up(tmp_path: Path, forest: Converted, centroid: Converted) -> None:
    """A second publication is version 2; the digests of both stand in the config."""
    first = publish(forest, tmp_path)
    second = publish(replace(centroid, name="forest"), tmp_path)
    assert [first.name, second.name] == ["1", "2"]
    assert read_config(second.parent).backend == "python"
    found = parameters(second.parent)
    assert {key for key in found if key.startswith("sha256.")} == {"sha256.1", "sha256.2"}
    assert "intra_op_thread_count" not in found


def test_versions_that_were_removed_are_forgotten(tmp_path: Path, forest: Converted) -> None:
    """The config tells of the versions in the folder only; numbers are not used again below."""
    for _ in range(3):
        publish(forest, tmp_path)
    for version in ("1", "2"):
        for path in (tmp_path / "forest" / version).iterdir():
            path.unlink()
        (tmp_path / "forest" / version).rmdir()
    assert publish(forest, tmp_path).name == "4"
    found = {key for key in parameters(tmp_path / "forest") if key.startswith("sha256.")}
    assert found == {"sha256.3", "sha256.4"}
    assert sorted(p.name for p in (tmp_path / "forest" / "warmup").iterdir()) == ["3.0", "4.0"]


def test_publishers_at_the_same_time_take_turns(tmp_path: Path, forest: Converted) -> None:
    """Eight publications from four processes give the versions 1 to 8, each once."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        folders = list(pool.map(publish, [forest] * 8, [tmp_path] * 8))
    assert sorted(int(folder.name) for folder in folders) == list(range(1, 9))
    assert len([k for k in parameters(tmp_path / "forest") if k.startswith("sha256.")]) == 8


def test_files_are_readable_by_other_users(tmp_path: Path, centroid: Converted) -> None:
    """Whatever the umask, a container's user may read what was published."""
    before = os.umask(0o077)
    try:
        publish(centroid, tmp_path)
        model = publish(centroid, tmp_path).parent
    finally:
        os.umask(before)
    folders = {p.stat().st_mode & 0o777 for p in [model, *model.rglob("*")] if p.is_dir()}
    files = {p.stat().st_mode & 0o777 for p in model.rglob("*") if p.is_file()}
    assert (folders, files) == ({0o755}, {0o644})


def test_an_unwritable_repository_is_refused(tmp_path: Path, forest: Converted) -> None:
    """A path that can't be a folder is named, with the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryNotWritable, match=r"file/repository.*\n.*Remedy") as failed:
        publish(forest, tmp_path / "file" / "repository")
    assert failed.value.exit_code == 1
    with pytest.raises(RepositoryNotWritable):
        publish(forest, tmp_path / "file")


def test_nothing_half_written_is_left(
    tmp_path: Path, forest: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up leaves the repository as it was, for a new model and a new version."""

    def full(path: Path, _content: bytes) -> None:
        if path.name == "config.pbtxt":
            raise OSError(28, "No space left on device")
        original(path, _content)

    original = publish_module._write
    with monkeypatch.context() as patched:
        patched.setattr(publish_module, "_write", full)
        with pytest.raises(RepositoryNotWritable, match="No space left"):
            publish(forest, tmp_path)
    assert list(tmp_path.iterdir()) == []
    publish(forest, tmp_path)
    before = (tmp_path / "forest" / "config.pbtxt").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(publish_module, "_write", full)
        with pytest.raises(RepositoryNotWritable, match="No space left"):
            publish(forest, tmp_path)
    assert sorted(p.name for p in (tmp_path / "forest").iterdir()) == [
        "1",
        "config.pbtxt",
        "warmup",
    ]
    assert (tmp_path / "forest" / "config.pbtxt").read_bytes() == before


def test_a_damaged_config_is_not_overwritten(tmp_path: Path, forest: Converted) -> None:
    """Where the digests of earlier versions can't be read, nothing is published."""
    publish(forest, tmp_path)
    (tmp_path / "forest" / "config.pbtxt").write_text("name: {")
    with pytest.raises(RepositoryNotWritable, match=r"config\.pbtxt is damaged"):
        publish(forest, tmp_path)
    assert not (tmp_path / "forest" / "2").exists()

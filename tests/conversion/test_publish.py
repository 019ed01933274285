"""A published version is whole, readable by others, and counted up."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from geulpi_conversion import (
    Converted,
    EntryDamaged,
    InvalidServing,
    RepositoryNotWritable,
    ServingConfig,
    publish,
)
from geulpi_conversion import _publication as publication
from geulpi_conversion._config import build_config, parse_config, write_config
from geulpi_conversion._recorded import provenance, read_sample
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
        "forest/1/sample.npz",
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
    assert found["geulpi_format"] == "2"
    assert found["classes"] == "[0, 1, 2]"
    assert found["inputs"] == '["X"]'
    assert found["estimator"] == "sklearn.pipeline.Pipeline"
    assert json.loads(found["libraries"])["scikit-learn"].startswith("1.9.")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert found["sha256.1"] == digest


def test_a_config_survives_writing_and_reading(forest: Converted, own: Converted) -> None:
    """parse(write(config)) is the config, Korean reasons included."""
    for converted in (forest, replace(own, reason="표본 300행 중 12행이 다름 'x' \"y\"")):
        config = build_config(converted, ServingConfig(), {"X": "1.0"}, {"sha256.1": "00"})
        text = write_config(config)
        assert parse_config(text) == config
        assert converted.reason.partition("'")[0] in text


def test_versions_count_up(tmp_path: Path, forest: Converted, own: Converted) -> None:
    """A second publication is version 2; the digests of both stand in the config."""
    first = publish(forest, tmp_path)
    second = publish(replace(own, name="forest"), tmp_path)
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


def test_files_are_readable_by_other_users(tmp_path: Path, own: Converted) -> None:
    """Whatever the umask, a container's user may read what was published."""
    before = os.umask(0o077)
    try:
        publish(own, tmp_path)
        model = publish(own, tmp_path).parent
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

    original = publication._write
    with monkeypatch.context() as patched:
        patched.setattr(publication, "_write", full)
        with pytest.raises(RepositoryNotWritable, match="No space left"):
            publish(forest, tmp_path)
    assert list(tmp_path.iterdir()) == []
    publish(forest, tmp_path)
    before = (tmp_path / "forest" / "config.pbtxt").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(publication, "_write", full)
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
    with pytest.raises(EntryDamaged, match=r"config\.pbtxt can't be read"):
        publish(forest, tmp_path)
    assert not (tmp_path / "forest" / "2").exists()


def versions(model: Path) -> list[str]:
    return sorted(path.name for path in model.iterdir() if path.name.isdecimal())


def test_settings_reach_the_config(tmp_path: Path, own: Converted) -> None:
    """What is asked for is written, and read back as it was."""
    serving = ServingConfig(max_batch_size=16, instances=2, timeout_us=10_000, trim_every=7)
    model = publish(own, tmp_path, serving=serving).parent
    assert ServingConfig.read(read_config(model)) == serving


def test_without_warmup_no_row_is_written(tmp_path: Path, forest: Converted) -> None:
    """Without warm-up and sample, nothing of the sample is in the repository."""
    folder = publish(forest, tmp_path, serving=ServingConfig(warmup=False), sample=False)
    assert listing(folder.parent) == ["1/model.onnx", "1/parity.json", "config.pbtxt"]
    assert not read_config(folder.parent).model_warmup


def test_answers_that_depend_on_the_batch_are_not_batched(tmp_path: Path, own: Converted) -> None:
    """Such a model gets no dynamic batching, and settings that want it are refused."""
    alone = replace(own, parameters={**own.parameters, "batching": "request"})
    config = read_config(publish(alone, tmp_path).parent)
    assert not config.HasField("dynamic_batching")
    assert config.max_batch_size == 256
    with pytest.raises(InvalidServing, match="dynamic_batching"):
        publish(alone, tmp_path, serving=ServingConfig())
    assert versions(tmp_path / "own") == ["1"]


def test_only_python_models_trim(tmp_path: Path, forest: Converted) -> None:
    """A setting that would do nothing is refused."""
    with pytest.raises(InvalidServing, match="trim_every"):
        publish(forest, tmp_path, serving=ServingConfig(trim_every=5))
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_versions_go(tmp_path: Path, forest: Converted) -> None:
    """With keep=2 two are left, and the config and the warm-up rows tell of these alone."""
    for _ in range(4):
        publish(forest, tmp_path)
    publish(forest, tmp_path, keep=2)
    model = tmp_path / "forest"
    assert versions(model) == ["4", "5"]
    assert {key for key in parameters(model) if key.startswith(("sha256.", "manifest."))} == {
        "sha256.4", "sha256.5", "manifest.4", "manifest.5",
    }  # fmt: skip
    assert sorted(p.name for p in (model / "warmup").iterdir()) == ["4.0", "5.0"]
    assert sorted(p.name for p in model.iterdir()) == ["4", "5", "config.pbtxt", "warmup"]


def test_versions_that_are_served_stay(tmp_path: Path, forest: Converted) -> None:
    """Whatever is to be kept, no version goes that the policy names; "all" names none."""
    for _ in range(4):
        publish(forest, tmp_path)
    model = tmp_path / "forest"
    publish(forest, tmp_path, keep=1, serving=ServingConfig(version_policy=(1, 3)))
    assert versions(model) == ["1", "3", "5"]
    publish(forest, tmp_path, keep=1, serving=ServingConfig(version_policy=2))
    assert versions(model) == ["5", "6"]
    publish(forest, tmp_path, keep=1, serving=ServingConfig(version_policy="all"))
    assert versions(model) == ["7"]


def tune(model: Path) -> None:
    """Write settings into a config as a measurement would."""
    config = read_config(model)
    config.max_batch_size = 16
    config.dynamic_batching.max_queue_delay_microseconds = 100
    config.dynamic_batching.preferred_batch_size.append(8)
    config.instance_group[0].count = 2
    config.parameters["intra_op_thread_count"].string_value = "2"
    config.parameters["tuned"].string_value = '{"p99_ms": 10}'
    (model / "config.pbtxt").write_text(write_config(config), encoding="utf-8")


def test_measured_settings_stay_until_others_are_given(tmp_path: Path, forest: Converted) -> None:
    """Unmeasured ones are those that are wanted; other settings end the measured ones."""
    publish(forest, tmp_path)
    model = tmp_path / "forest"
    tune(model)
    measured = read_config(model)
    publish(forest, tmp_path)
    publish(forest, tmp_path, serving=ServingConfig(max_queue_size=9), keep_tuned=True)
    now = read_config(model)
    assert now.dynamic_batching.default_queue_policy.max_queue_size == 9
    assert now.dynamic_batching.max_queue_delay_microseconds == 100
    assert now.dynamic_batching.preferred_batch_size == [8]
    assert (now.max_batch_size, now.instance_group) == (16, measured.instance_group)
    for key in ("tuned", "intra_op_thread_count"):
        assert now.parameters[key] == measured.parameters[key]
    with pytest.raises(InvalidServing, match="timeout_us"):
        publish(forest, tmp_path, keep_tuned=True,
                serving=ServingConfig(queue_delay_us=0, timeout_us=50))  # fmt: skip
    assert versions(model) == ["1", "2", "3"]
    publish(forest, tmp_path, serving=ServingConfig())
    assert ServingConfig.read(read_config(model)) == ServingConfig()
    assert "tuned" not in parameters(model)
    assert parameters(model)["intra_op_thread_count"] == "1"


def test_what_was_measured_of_another_kind_of_model_goes(
    tmp_path: Path, forest: Converted, own: Converted
) -> None:
    """A Python model has nothing of the ONNX model before it."""
    publish(forest, tmp_path)
    tune(tmp_path / "forest")
    publish(replace(own, name="forest"), tmp_path)
    assert "tuned" not in parameters(tmp_path / "forest")
    assert read_config(tmp_path / "forest").instance_group[0].count == 1


def test_a_policy_can_not_name_what_is_not_there(tmp_path: Path, forest: Converted) -> None:
    """Neither for a new model nor for a further version; nothing is published."""
    for expected in ([], ["1"]):
        with pytest.raises(InvalidServing, match="9 is not"):
            publish(forest, tmp_path, serving=ServingConfig(version_policy=(1, 9)))
        assert (versions(tmp_path / "forest") if expected else []) == expected
        publish(forest, tmp_path)


@pytest.mark.parametrize("keep", [0, -1, True, "2"])
def test_at_least_one_version_is_kept(tmp_path: Path, forest: Converted, keep: object) -> None:
    """A number of versions below one is refused before anything is written."""
    with pytest.raises(InvalidServing, match="keep"):
        publish(forest, tmp_path, keep=keep)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_where_a_version_comes_from(tmp_path: Path, forest: Converted) -> None:
    """Each version has its own: when, from what, by which hyperparameters and rows."""
    model = publish(forest, tmp_path).parent
    publish(replace(forest, parameters={**forest.parameters, "provenance": "{}"}), tmp_path)
    found = parameters(model)
    manifest = json.loads(found["manifest.1"])
    assert manifest["artefact"] == "model.onnx"
    assert manifest["created"].endswith("Z")
    assert manifest["estimator"] == "sklearn.pipeline.Pipeline"
    assert manifest["sample_rows"] == 400
    assert len(manifest["sample_sha256"]) == len(manifest["hyperparameters_sha256"]) == 64
    assert '"randomforestclassifier__n_estimators": 15' in manifest["hyperparameters"]
    assert "sample_rows" not in json.loads(found["manifest.2"])
    assert json.loads(found["libraries.2"]) == json.loads(found["libraries"])
    assert "provenance" not in found


def test_provenance_is_the_same_for_the_same(forest: Converted) -> None:
    """Digests don't depend on where objects lie in memory, but on each value and name."""

    class Estimator:
        def __init__(self, function: object) -> None:
            self.function = function

        def get_params(self, deep: bool) -> dict[str, object]:
            assert deep
            return {"function": self.function, "grid": {"a": np.array([1, 2])}, "odd": object()}

    rows = {"X": np.arange(4.0).reshape(2, 2)}
    first, again = (provenance(Estimator(np.sum), rows) for _ in range(2))
    assert first == again
    assert "sum" in str(first["hyperparameters"])
    other = provenance(Estimator(np.mean), {"X": rows["X"] + 1})
    for key in ("hyperparameters_sha256", "sample_sha256"):
        assert other[key] != first[key]
    renamed = provenance(Estimator(np.sum), {"Y": rows["X"]})
    assert renamed["sample_sha256"] != first["sample_sha256"]
    assert len(provenance(Estimator("x" * 9999), rows)["hyperparameters"]) <= 2001  # type: ignore[arg-type]


def test_rows_and_answers_are_kept_without_pickles(tmp_path: Path, own: Converted) -> None:
    """Texts come back as they were; rows that a client would refuse are left out."""
    texts = ["치과", "", "é", "a\0b", "end\0", "x" * 300, "🎉"]
    rows = np.array([[text.encode()] for text in texts], dtype=object)
    labels = np.array([[text] for text in texts], dtype=object)
    scores = np.arange(7.0).reshape(7, 1)
    expected = {"label": labels, "score": scores}
    folder = publish(
        replace(own, rows={"T": rows}, expected=expected),
        tmp_path,
        serving=ServingConfig(warmup=False),
    )
    read, answers = read_sample((folder / "sample.npz").read_bytes())
    kept = [text for text in texts if "\0" not in text]
    assert read["T"].tolist() == answers["label"].tolist() == [[text] for text in kept]
    assert answers["score"].ravel().tolist() == [0, 1, 2, 5, 6]
    with np.load(folder / "sample.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_a_damaged_sample_is_no_sample(content: bytes) -> None:
    """Whatever numpy makes of it, the caller sees one kind of error."""
    with pytest.raises(ValueError, match=": "):
        read_sample(content)

"""An entry is read back whole, or it is said what is wrong with it."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from geulpi_conversion import (
    Converted,
    EntryDamaged,
    EntryNotFound,
    NoSample,
    ServingConfig,
    publish,
)
from geulpi_conversion._describe import read_entry
from geulpi_conversion._report import entry as shown
from rich.console import Console


@pytest.fixture
def model(tmp_path: Path, forest: Converted) -> Path:
    """The folder of a model with two versions."""
    publish(forest, tmp_path)
    return publish(forest, tmp_path).parent


def text_of(model: Path) -> str:
    console = Console(width=120, file=io.StringIO())
    for part in shown(read_entry(model.parent, model.name)):
        console.print(part)
    return console.file.getvalue()


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_an_entry_is_what_was_published(model: Path, forest: Converted) -> None:
    """Backend, tensors, settings, parity, steps and fixes come back as they were."""
    entry = read_entry(model.parent, "forest")
    entry.raise_if_damaged()
    assert entry.backend == "onnxruntime"
    assert (entry.inputs, entry.outputs) == (forest.inputs, forest.outputs)
    assert entry.serving == ServingConfig()
    assert [(v.number, v.served, v.intact) for v in entry.versions] == [
        (1, False, True),
        (2, True, True),
    ]
    report = entry.versions[1].report
    assert report is not None
    assert report.parity == forest.parity
    assert (report.steps, report.fixes) == (forest.steps, forest.fixes)
    rows, expected = entry.versions[1].sample()
    assert (rows["X"] == forest.rows["X"]).all()
    assert (expected["label"] == forest.expected["label"]).all()


@pytest.mark.parametrize(("name", "backend"), [("line", "onnxruntime"), ("centroid", "python")])
def test_an_entry_of_the_first_release_is_read(
    root: Path, tmp_path: Path, name: str, backend: str
) -> None:
    """Format 1 has no manifest, steps or sample; what it has is told."""
    published = tmp_path / name
    shutil.copytree(root / "tests" / "earlier" / "format_1" / name, published)
    entry = read_entry(tmp_path, name)
    entry.raise_if_damaged()
    version = entry.versions[0]
    assert version.intact
    assert version.report is not None
    assert version.report.parity.ok
    assert version.report.parity.rows == 60
    assert entry.serving.max_batch_size == 256
    assert entry.known["classes"] == ["b", "가"]
    with pytest.raises(NoSample, match="Remedy: convert and publish the model again"):
        version.sample()
    assert f"{name} is served by {backend}" in text_of(published)


def test_a_new_version_joins_one_of_the_first_release(
    root: Path, tmp_path: Path, forest: Converted
) -> None:
    """Publishing beside an old version keeps that one loadable."""
    shutil.copytree(root / "tests" / "earlier" / "format_1" / "line", tmp_path / "line")
    folder = publish(dataclasses.replace(forest, name="line"), tmp_path)
    assert folder.name == "2"
    entry = read_entry(tmp_path, "line")
    entry.raise_if_damaged()
    assert [version.intact for version in entry.versions] == [True, True]


def test_a_hand_written_entry_is_told_as_far_as_it_goes(hand_made: Path) -> None:
    """Entries that nobody converted have no digests, and are not called damaged."""
    for name in ("twice", "sum", "text"):
        entry = read_entry(hand_made, name)
        assert entry.known == {}
        assert "unknown" in text_of(hand_made / name)
    assert read_entry(hand_made, "sum").versions[0].intact


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda m: (m / "config.pbtxt").write_text("name: {"), "config.pbtxt can't be read"),
        (lambda m: (m / "config.pbtxt").write_bytes(b"\xff\xfe"), "config.pbtxt can't be read"),
        (lambda m: edit(m / "config.pbtxt", 'name: "forest"', 'name: "tree"'), "names the model"),
        (lambda m: edit(m / "config.pbtxt", '"[0, 1, 2]"', '"[0, 1"'), "classes of its"),
        (lambda m: edit(m / "config.pbtxt", '"{\\"artefact', '"[\\"artefact'), "manifest.1"),
        (lambda m: (m / "2" / "parity.json").write_text("{"), "parity.json can't be read"),
        (lambda m: (m / "2" / "parity.json").write_text("[]"), "parity.json can't be read"),
        (lambda m: (m / "2" / "parity.json").write_text('{"parity": 1}'), "parity.json can't"),
    ],
)
def test_what_was_edited_by_hand_is_named(
    model: Path, spoil: Callable[[Path], object], told: str
) -> None:
    """A config or report that can't be understood is one error with a remedy."""
    spoil(model)
    with pytest.raises(EntryDamaged, match=f"(?s){told}.*Remedy"):
        read_entry(model.parent, "forest")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda m: (m / "1" / "model.onnx").write_bytes(b"other"), "SHA-256"),
        (lambda m: (m / "2" / "model.onnx").unlink(), "holds none of model.onnx"),
        (lambda m: edit(m / "config.pbtxt", 'key: "sha256.1"\n  value {\n    string_value: "',
                        'key: "sha256.1"\n  value {\n    string_value: "0'), "SHA-256"),
    ],
)  # fmt: skip
def test_a_model_that_is_not_the_published_one_is_named(
    model: Path, spoil: Callable[[Path], object], told: str
) -> None:
    """The entry can still be described; that it is damaged is an error of its own."""
    spoil(model)
    entry = read_entry(model.parent, "forest")
    assert not all(version.intact for version in entry.versions)
    assert "DIFFERS" in text_of(model)
    with pytest.raises(EntryDamaged, match=told):
        entry.raise_if_damaged()


def test_a_damaged_sample_is_named(model: Path) -> None:
    """Rows that can't be read are no rows."""
    (model / "2" / "sample.npz").write_bytes(b"PK")
    with pytest.raises(EntryDamaged, match=r"sample\.npz is none"):
        read_entry(model.parent, "forest").versions[1].sample()


def test_settings_that_were_edited_are_told(model: Path) -> None:
    """What these settings can't say is told in words, and the rest is shown all the same."""
    edit(model / "config.pbtxt", "kind: KIND_CPU", "kind: KIND_MODEL")
    entry = read_entry(model.parent, "forest")
    assert entry.serving is None
    assert "device is 'KIND_MODEL'" in text_of(model)


@pytest.mark.parametrize("name", ["tree", "", ".", "..", "forest/1", "../forest"])
def test_only_names_of_models_are_names(model: Path, name: str) -> None:
    """A name is no path; those that are there are listed."""
    with pytest.raises(EntryNotFound, match="there: forest"):
        read_entry(model.parent, name)


def test_no_repository_has_no_models(tmp_path: Path) -> None:
    """A folder that is not there, or is a file, holds none."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(EntryNotFound, match="there: none"):
            read_entry(place, "forest")


def test_json_of_an_entry_is_json(model: Path) -> None:
    """The document holds nothing that JSON can't."""
    document = read_entry(model.parent, "forest").to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["name"] == "forest"

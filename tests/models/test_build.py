"""What `geulpi build` publishes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from geulpi_conversion._config import parse_config
from geulpi_conversion._describe import read_entry
from geulpi_models import DataNotFound, StepsMissing, UnknownModel
from geulpi_models._build import build
from geulpi_models._entries import ENSEMBLES, pattern_detector
from geulpi_models._served import text_rows


def test_an_unknown_name_is_refused_before_any_work(tmp_path: Path) -> None:
    """Also where it is the second one."""
    with pytest.raises(UnknownModel, match="nope"):
        build(["pattern_detector", "nope"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_diaries_are_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the models, where to get the data, and what can be built without."""
    monkeypatch.setenv("GEULPI_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataNotFound, match=r"burnout_analyzer.*\n.*bls\.gov.*event_classifier"):
        build(["pattern_detector", "burnout_analyzer"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_ensemble_is_not_built_without_its_steps(tmp_path: Path) -> None:
    """A server could not load it."""
    with pytest.raises(StepsMissing, match="pattern_detector"):
        list(build(["week_insights"], tmp_path))


def test_code_travels_with_what_it_imports_and_nothing_else() -> None:
    """The habits need no week features and no solver."""
    files = set(pattern_detector().files)
    assert {"model.py", "geulpi_metrics.py", "manifest.json"} <= files
    assert "geulpi_calendar/patterns.py" in files
    assert "geulpi_calendar/documents.py" in files
    assert not any("schedule" in name or "week" in name for name in files)


def test_every_build_is_a_new_version(tmp_path: Path) -> None:
    """Versions count up, and old ones go where so many are to be kept."""
    for number in (1, 2):
        (built,) = build(["pattern_detector"], tmp_path, keep=1)
        assert built.folders["pattern_detector"] == tmp_path / "pattern_detector" / str(number)
    entry = read_entry(tmp_path, "pattern_detector")
    assert [version.number for version in entry.versions] == [2]
    entry.raise_if_damaged()


def test_measured_settings_outlive_a_build(tmp_path: Path) -> None:
    """They win over those that are said here."""
    for _ in range(2):
        list(build(["pattern_detector"], tmp_path))
        path = tmp_path / "pattern_detector" / "config.pbtxt"
        config = parse_config(path.read_text(encoding="utf-8"))
        if "tuned" not in config.parameters:
            config.instance_group[0].count = 2
            config.parameters["tuned"].string_value = "{}"
            path.write_text(str(config), encoding="utf-8")
    assert (tmp_path / "pattern_detector" / "2").is_dir()
    assert config.instance_group[0].count == 2


def test_an_ensemble_follows_its_steps(tmp_path: Path) -> None:
    """A client keeps answers by the ensemble's version: a new step gives it a new one."""
    for step in {step.model for step in ENSEMBLES["week_insights"].steps}:
        (tmp_path / step).mkdir()
    (tmp_path / "pattern_detector").rmdir()
    names = [built.name for built in build(["pattern_detector"], tmp_path)]
    assert names == ["pattern_detector", "week_insights"]


def test_rows_are_bytes() -> None:
    """A document is one row of one column."""
    assert text_rows("가", "b").tolist() == [["가".encode()], [b"b"]]

"""What users install: the wheels hold everything that their code opens."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

NEEDED = {
    "analysis": {"geulpi_analysis/py.typed", "geulpi_analysis/report.html.j2"},
    "client": {"geulpi_client/py.typed", "geulpi_client/cli.py"},
    "conversion": {
        "geulpi_conversion/py.typed",
        "geulpi_conversion/_backend/model.py",
        "geulpi_conversion/_backend/geulpi_artefact.py",
        "geulpi_conversion/_backend/geulpi_metrics.py",
        "geulpi_conversion/_backend/geulpi_served.py",
    },
    "models": {
        "geulpi_models/py.typed",
        "geulpi_calendar/py.typed",
        "geulpi_calendar/documents.py",
        "geulpi_models/_backend/model.py",
        "geulpi_models/data/event_titles_ko.csv",
        "geulpi_models/data/event_titles_en.csv",
    },
    "perf": {"geulpi_perf/py.typed", "geulpi_perf/perf_analyzer.txt"},
    "server": {
        "geulpi_server/py.typed",
        "geulpi_server/_guardian.py",
        "geulpi_server/backends/onnxruntime/model.py",
        "geulpi_server/backends/onnxruntime/onnx_model.py",
    },
    ".": {"geulpi/__main__.py"},
}


@pytest.mark.parametrize("room", NEEDED)
def test_a_wheel_holds_what_its_code_opens(root: Path, tmp_path: Path, room: str) -> None:
    """Code, types, data and the backend's files; and no test."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=root / room, capture_output=True, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= NEEDED[room]
    assert not any(Path(name).name.startswith(("test_", "conftest")) for name in names)

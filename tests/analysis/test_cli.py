"""The command: exit codes, sentences, one JSON document, the report file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geulpi_client
import pytest
import typer
from geulpi_analysis import AnalysisError
from geulpi_analysis.cli import analyze
from geulpi_client import GeulpiError, ServerStatus, Unreachable
from typer.testing import CliRunner, Result

AWAY = ["--url", "127.0.0.1:1", "--cache", "none"]


def run(*arguments: str | Path, given: str | bytes | None = None) -> Result:
    app = typer.Typer()
    app.command()(analyze)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


@pytest.fixture
def example(root: Path) -> Path:
    """The example calendar."""
    return root / "examples" / "calendar.ics"


@pytest.fixture
def served(models: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fake models in the place of a server."""
    monkeypatch.setattr(geulpi_client, "GeulpiClient", lambda *_, **__: models)
    status = ServerStatus("", live=True, ready=True, name="", version="", models=(), problem="")
    monkeypatch.setattr(geulpi_client, "server_status", lambda *_, **__: status)
    return models


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["{away}"], "no such file", 2),
        (["{text}"], "no iCalendar file", 1),
        (["{empty}"], "holds no events", 1),
        (["{example}", "--week", "2025-06-24"], "--week is '2025-06-24'; expected a Monday", 2),
        (["{example}", "--week", "soon"], "--week is 'soon'; expected a day", 2),
        (["{example}", "--from", "x"], "--from is 'x'", 2),
        (["{example}", "--to", "x"], "--to is 'x'", 2),
        (["{example}", "--as-of", "x"], "--as-of is 'x'", 2),
        (["{example}", "--time-zone", "Mars"], "--time-zone is 'Mars'", 2),
        (["{example}", "--tasks", "{away}"], "no such file", 2),
        (["{example}", "--tasks", "{text}"], "expected fields", 2),
        (["{example}", "--html", "{away}/report.html"], "there is no folder", 1),
        (["{example}", "--age", "200"], "Person.age is 200.0", 2),
        (["{example}", "--employment", "astronaut"], "Person.employment is 'astronaut'", 2),
        (["{example}", "--url", "http://x"], "http://x", 2),
        (["{example}", "--timeout", "0"], "timeout_s is 0", 2),
    ],
)
def test_bad_input_is_a_sentence_with_its_exit_code(
    tmp_path: Path, example: Path, arguments: list[str], said: str, code: int
) -> None:
    """No server is needed to say so."""
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty.ics").write_text("BEGIN:VCALENDAR\nEND:VCALENDAR\n")
    paths = {"away": tmp_path / "away", "text": tmp_path / "text", "example": example,
             "empty": tmp_path / "empty.ics"}  # fmt: skip
    filled = [argument.format(**paths) for argument in arguments]
    done = run(*filled, *([] if "--url" in filled else AWAY))
    assert isinstance(done.exception, AnalysisError | GeulpiError)
    assert said in str(done.exception)
    assert done.exception.exit_code == code
    assert done.stdout == ""


def test_a_server_that_is_away_is_the_clients_error(example: Path) -> None:
    """It says how to start one."""
    done = run(example, *AWAY)
    assert isinstance(done.exception, Unreachable)
    assert "geulpi serve" in str(done.exception)


def test_json_is_one_document(served: Any, example: Path) -> None:
    """And nothing else; the person's answers are passed on."""
    done = run(
        example, "--json", "--age", "34", "--employment", "part_time", "--week", "2025-06-09"
    )
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["week"] == "2025-06-09"
    assert served.asked["person"] == geulpi_client.Person(34, "part_time")


def test_tables_and_the_report(served: Any, example: Path, root: Path, tmp_path: Path) -> None:
    """The report's path is told."""
    page = tmp_path / "report.html"
    done = run(example, "--tasks", root / "examples" / "tasks.yaml", "--html", page)
    assert done.exit_code == 0
    assert "Time by category" in done.stdout
    assert "report.html" in done.stdout.replace("\n", "")
    assert page.read_text().startswith("<!doctype html>")


def test_the_standard_input_and_named_days(served: Any, example: Path) -> None:
    """A dash reads what is piped in."""
    done = run(
        "-", "--json", "--from", "2025-03-01", "--to", "2025-03-31", given=example.read_bytes()
    )
    document = json.loads(done.stdout)
    assert document["calendar"]["from"] == "2025-03-01T00:00:00+09:00"
    assert document["calendar"]["as_of"] == "2025-04-01T00:00:00+09:00"


def test_as_of_is_meant_in_the_calendars_zone(served: Any, example: Path) -> None:
    """Unless it has an offset of its own."""
    for text in ("2025-06-01T09:00", "2025-06-01T00:00Z"):
        document = json.loads(run(example, "--json", "--as-of", text).stdout)
        assert document["calendar"]["as_of"] == "2025-06-01T09:00:00+09:00"


def test_a_report_that_can_not_be_written(served: Any, example: Path, tmp_path: Path) -> None:
    """A folder is no file."""
    done = run(example, "--html", tmp_path)
    assert isinstance(done.exception, AnalysisError)
    assert "can't be written" in str(done.exception)


def test_help_has_an_example() -> None:
    """As every command has."""
    assert "Example: geulpi analyze my.ics --html report.html" in run("--help").stdout

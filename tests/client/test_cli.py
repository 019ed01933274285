"""The commands: exit codes, one JSON document, sentences instead of tracebacks."""

from __future__ import annotations

import json

import pytest
import typer
from geulpi_client import CacheUnavailable, GeulpiError, InvalidInput, Unreachable
from geulpi_client.cli import cache, classify, status
from typer.testing import CliRunner, Result

AWAY = "127.0.0.1:1"
NO_CACHE = "redis://:hunter2@127.0.0.1:1/0"


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(classify)
    app.command()(status)
    app.add_typer(cache, name="cache")
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["classify", "치과", "--url", AWAY, "--cache", "none"], Unreachable),
        (["classify", "치과", "--url", "http://localhost"], InvalidInput),
        (["classify", "치과", "--cache", "localhost"], InvalidInput),
        (["classify", "치과", "--start", "tomorrow"], InvalidInput),
        (["classify", "치과", "--start", "2026-03-02T09:00"], InvalidInput),
        (["classify", "치과", "--end", "2026-03-02T09:00+09:00"], InvalidInput),
        (["classify", "치과", "--timeout", "0"], InvalidInput),
        (["classify", " "], InvalidInput),
        (["status", "--cache", "localhost"], InvalidInput),
        (["cache", "stats", "--cache", NO_CACHE], CacheUnavailable),
        (["cache", "stats", "--cache", "none"], InvalidInput),
        (["cache", "invalidate", "m", "--cache", NO_CACHE], CacheUnavailable),
    ],
)
def test_commands_raise_the_rooms_errors(arguments: list[str], kind: type[GeulpiError]) -> None:
    """The caller prints the sentence and ends with the error's exit code."""
    done = run(*arguments)
    assert isinstance(done.exception, kind)
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["m", "--all"]])
def test_invalidate_wants_one_model_or_all(arguments: list[str]) -> None:
    """Neither and both are wrong use: exit code 2."""
    assert run("cache", "invalidate", *arguments).exit_code == 2


def test_status_of_a_server_that_is_away_is_a_status() -> None:
    """It is printed, whole, and the exit code is 1."""
    done = run("status", "--url", AWAY, "--cache", NO_CACHE, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "url": AWAY,
        "live": False,
        "ready": False,
        "models": [],
        "server": {"name": "", "version": ""},
        "cache": {
            "url": "redis://***@127.0.0.1:1/0",
            "reachable": False,
            "hits": 0,
            "misses": 0,
            "hit_rate": 0.0,
        },
    }
    in_words = run("status", "--url", AWAY, "--cache", "none")
    assert in_words.exit_code == 1
    assert "away" in in_words.stdout
    assert "geulpi serve" in in_words.stdout


def test_an_empty_cache_has_no_counts(valkey_url: str) -> None:
    """Nothing dropped, nothing found, no error."""
    empty = valkey_url.removesuffix("/0") + "/7"
    found = json.loads(run("cache", "stats", "--cache", empty, "--json").stdout)
    assert found["models"] == {}
    dropped = run("cache", "invalidate", "m", "--cache", empty, "--json")
    assert json.loads(dropped.stdout) == {"model": "m", "dropped": 0}
    assert "total" in run("cache", "stats", "--cache", empty).stdout

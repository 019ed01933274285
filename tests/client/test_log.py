"""Events in the log: machines read their fields, and nobody reads a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import numpy as np
import pytest
from geulpi_client._log import DEBUG, INFO, WARNING, event
from hypothesis import example, given
from hypothesis import strategies as st


class JsonLines(logging.Handler):
    """What an application does that ships its log: a line of JSON a record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = {
            "level": record.levelname,
            "logger": record.name,
            "function": record.funcName,
            "message": record.getMessage(),
            **record.geulpi,
        }
        self.lines.append(json.dumps(line))


@pytest.fixture
def log() -> Iterator[JsonLines]:
    handler = JsonLines()
    logger = logging.getLogger("geulpi_client")
    logger.addHandler(handler)
    logger.setLevel(INFO)
    yield handler
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


def test_an_event_has_its_fields(log) -> None:
    """By name, with their types; and the place in the code is the caller's."""
    event(
        WARNING,
        "request is tried again",
        endpoint="triton-a:8001",
        model="m",
        request_id="0a1b-1",
        attempt=2,
        wait_s=0.05,
        cached=False,
        version=None,
        error=TimeoutError("row 3 is 'my diary'"),
    )
    (line,) = log.lines
    told = json.loads(line)
    message = told.pop("message")
    assert told == {
        "level": "WARNING",
        "logger": "geulpi_client",
        "function": "test_an_event_has_its_fields",
        "event": "request is tried again",
        "endpoint": "triton-a:8001",
        "model": "m",
        "request_id": "0a1b-1",
        "attempt": 2,
        "wait_s": 0.05,
        "cached": False,
        "version": None,
        "error": "TimeoutError",
    }
    assert message.startswith("request is tried again: endpoint='triton-a:8001', model='m', ")


def test_an_event_without_fields_is_its_message(log) -> None:
    """A percent sign in it is no place-holder."""
    event(INFO, "100 % of it is back")
    assert json.loads(log.lines[0])["message"] == "100 % of it is back"


def test_what_nobody_listens_to_is_not_written(log) -> None:
    """The logger's level decides."""
    event(DEBUG, "not now", model="m")
    assert log.lines == []


SECRET_URLS = {
    "redis://user:hunter2@cache:6379/0": "redis://***@cache:6379/0",
    "redis://:hunter2@cache/0?password=hunter2": "redis://***@cache/0",
    "rediss://cache/0?password=hunter2&x=1": "rediss://cache/0",
    "redis://u:p/w@hunter2 x@cache/0": "redis://***@cache/0",
    "redis+sentinel://u:hunter2@a:1,v:hunter2@b:2/main": "redis+sentinel://***@b:2/main",
    "https://u:hunter2@triton:443": "https://***@triton:443",
    "u:hunter2@triton:8001": "***@triton:8001",
    "grpc://triton:8001": "grpc://triton:8001",
    "[::1]:8001": "[::1]:8001",
    "Can't use redis://u:hunter2@h/0: refused": "Can't use redis://***@h/0: refused",
    "redis://u:hunter2@a/0 then redis://u:hunter2@b/0": "redis://***@b/0",
    "said: Authorization: Bearer hunter2": "said: Authorization: Bearer ***",
    "BASIC hunter2==": "BASIC ***",
}


@pytest.mark.parametrize(("text", "shown"), SECRET_URLS.items())
def test_secrets_in_texts_never_appear(log, text, shown) -> None:
    """Neither among the fields nor in the message; what is no secret stays."""
    event(WARNING, "cache fails, going on without it", endpoint=text)
    (line,) = log.lines
    assert "hunter2" not in line
    assert json.loads(line)["endpoint"] == shown


@given(st.text(), st.text())
@example("u", "\n")
def test_no_password_is_so_odd_that_it_appears(user, password) -> None:
    """Whatever signs it is made of."""
    handler = JsonLines()
    logger = logging.getLogger("geulpi_client")
    logger.addHandler(handler)
    try:
        event(WARNING, "x", endpoint=f"redis://{user}:SECRET{password}@cache:6379/0")
    finally:
        logger.removeHandler(handler)
    assert "SECRET" not in handler.lines[0]
    assert json.loads(handler.lines[0])["endpoint"] == "redis://***@cache:6379/0"


@pytest.mark.parametrize("name", ["token", "auth_token", "password", "Authorization", "api_key"])
def test_fields_that_are_secrets_by_name_are_masked(log, name) -> None:
    """Should one ever be passed."""
    event(WARNING, "x", **{name: "hunter2"})
    assert json.loads(log.lines[0])[name] == "***"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"my diary", "bytes"),
        (np.array(["my diary"]), "ndarray"),
        ({"text": "my diary"}, "dict"),
        (["my diary"], "list"),
        (ValueError("my diary"), "ValueError"),
        ("x" * 5000, "x" * 200 + "…"),
    ],
)
def test_payloads_are_not_written(log, value, shown) -> None:
    """Of what is neither a number nor a short text only the type is."""
    event(WARNING, "x", error=value)
    assert json.loads(log.lines[0])["error"] == shown
    assert "my diary" not in log.lines[0]


def test_a_new_line_in_a_field_begins_no_new_line_of_the_log(log) -> None:
    """So nobody writes lines of the log by naming a model after one."""
    event(WARNING, "x", model="m\nERROR all is lost")
    assert "\n" not in json.loads(log.lines[0])["message"]

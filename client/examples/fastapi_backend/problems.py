"""Errors as problem documents (RFC 9457), each with the id of its request.

Whoever sent something wrong reads which field, and why. Of what is wrong behind the backend they
read only what to do about it; addresses and the server's own words go to the log.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from geulpi_client import (
    CacheUnavailable,
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    InputRefused,
    InvalidEvent,
    InvalidInput,
    InvalidSetting,
    InvalidTask,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Unreachable,
)
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "x-request-id"
RETRY_AFTER_S: Final = 1
MOST_ERRORS: Final = 20

_log = logging.getLogger(__name__)
# An id goes into logs and headers as it came, so it must not be able to break a line.
_PLAIN_ID = re.compile(r"[\w.:+/=@-]{1,128}", re.ASCII)

# The first class that fits decides.
_STATUSES: Final[Sequence[tuple[type[GeulpiError], HTTPStatus]]] = (
    (ClientClosed, HTTPStatus.SERVICE_UNAVAILABLE),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Overloaded, HTTPStatus.TOO_MANY_REQUESTS),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
    (ModelNotFound, HTTPStatus.SERVICE_UNAVAILABLE),
    (ModelUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (CacheUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (CallFailed, HTTPStatus.BAD_GATEWAY),
    (GeulpiError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
_SENTENCES: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.TOO_MANY_REQUESTS: "The models are busy; try again later.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The backend failed.",
    HTTPStatus.BAD_GATEWAY: "The model failed, or gave an answer that can't be used.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The models can't be asked now; try again later.",
    HTTPStatus.GATEWAY_TIMEOUT: "No answer in time; allow more with x-timeout-ms, or send less.",
}
_RETRIED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Where, such as `events[3].end`; a header by its name."""
    detail: str
    """What is wrong, and what is expected."""


class Problem(BaseModel):
    """What went wrong, as RFC 9457 writes it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = "about:blank"
    """No more than the status says."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What went wrong, in a sentence."""
    error: str
    """The name of the error, such as `DeadlineExceeded`; programs tell problems apart by it."""
    request_id: str
    """The request's `x-request-id`, or one made for it; it is in the log too."""
    errors: list[FieldProblem] = []
    """The fields that are wrong, the first 20."""


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": Problem, "description": "A field is wrong; `errors` names it."},
    429: {"model": Problem, "description": "The models are busy; see `Retry-After`."},
    502: {"model": Problem, "description": "The model failed."},
    503: {"model": Problem, "description": "The models can't be asked now; see `Retry-After`."},
    504: {"model": Problem, "description": "No answer in time."},
}
"""What a route that asks the models may answer, for its documentation."""


def request_id(request: Request) -> str:
    """Return the id that came with a request, or one made for it; always the same."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get(REQUEST_ID, "")
        request.state.request_id = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
    return str(request.state.request_id)


def install_problems(app: FastAPI) -> None:
    """Make an app answer errors as problem documents."""
    for kind in (GeulpiError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, problem_response)


async def problem_response(request: Request, error: Exception) -> Response:
    """Return the answer to a request that failed, and log what its sender is not told."""
    status, detail, errors = _judged(error)
    headers = {REQUEST_ID: request_id(request)}
    if isinstance(error, HTTPException):
        headers.update(error.headers or {})
    if status in _RETRIED:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status in _SENTENCES:
        asked = getattr(error, "request_id", "")
        said = " ".join(str(error).split())
        _log.warning("%s (to the models: %s): %s", request_id(request), asked or "none", said)
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=detail,
        error=type(error).__name__,
        request_id=request_id(request),
        errors=errors[:MOST_ERRORS],
    )
    return Response(problem.model_dump_json(), status, headers, MEDIA_TYPE)


def _judged(error: Exception) -> tuple[HTTPStatus, str, list[FieldProblem]]:
    match error:
        case RequestValidationError():
            errors = [_field_problem(one) for one in error.errors()]
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return status, "; ".join(f"{e.field}: {e.detail}" for e in errors[:1]), errors
        case HTTPException():
            return HTTPStatus(error.status_code), error.detail, []
        case GeulpiError():
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    if status in _SENTENCES:
        return status, _SENTENCES[status], []
    said = error.said if isinstance(error, InputRefused) else str(error)
    field = _field(error)
    return status, said, [FieldProblem(field=field, detail=said)] if field else []


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    source, *path = error["loc"]
    if error["type"] == "json_invalid":
        return FieldProblem(field=source, detail=f"It is no JSON: {error['ctx']['error']}")
    refused = error.get("ctx", {}).get("error")
    if isinstance(refused, InvalidInput):
        # "TimeRange.end" is the field `end` of the object that the path leads to.
        path.append(_field(refused).rpartition(".")[2])
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    detail = str(refused) if refused else error["msg"]
    return FieldProblem(field=place.removeprefix(".") or source, detail=detail)


def _field(error: Exception) -> str:
    match error:
        case InvalidEvent() | InvalidTask():
            return error.field
        case InvalidSetting():
            return str(error.args[0])
        case _:
            return ""

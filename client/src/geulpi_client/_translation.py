"""The one place where gRPC's errors become ours: by status code and, where it is vague, by text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import grpc

from geulpi_client._deadline import Deadline
from geulpi_client._errors import (
    AccessDenied,
    CallFailed,
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    Unreachable,
)

_Kind = type[CallFailed] | type[InputRefused]
_Code = grpc.StatusCode

# Deadlines are not here: they need the time-out, see `translated`.
BY_CODE: Final[Mapping[grpc.StatusCode, _Kind]] = {
    _Code.OK: InferenceFailed,  # an error that claims success
    _Code.CANCELLED: InferenceFailed,
    _Code.UNKNOWN: InferenceFailed,
    _Code.INVALID_ARGUMENT: InputRefused,
    _Code.NOT_FOUND: ModelNotFound,
    _Code.ALREADY_EXISTS: InferenceFailed,
    _Code.PERMISSION_DENIED: AccessDenied,
    _Code.UNAUTHENTICATED: AccessDenied,
    _Code.RESOURCE_EXHAUSTED: Overloaded,
    _Code.FAILED_PRECONDITION: InferenceFailed,
    _Code.ABORTED: InferenceFailed,
    _Code.OUT_OF_RANGE: InputRefused,
    _Code.UNIMPLEMENTED: InferenceFailed,
    _Code.INTERNAL: InferenceFailed,
    _Code.UNAVAILABLE: Unreachable,
    _Code.DATA_LOSS: InferenceFailed,
}
# What Triton says, in the same words over gRPC and HTTP.
QUEUE_IS_FULL: Final = r"exceeds maximum queue size|request timeout expired"
IS_NOT_READY: Final = r"unknown model|not (at )?ready|stopped accepting"
STUB_IS_DEAD: Final = r"stub process .* not healthy"

# Triton says UNAVAILABLE for a full queue as for a server that is away, and INTERNAL for a dead
# Python process as for an error in the model. The first pattern that is found decides.
_BY_TEXT: Final[tuple[tuple[grpc.StatusCode, re.Pattern[str], _Kind], ...]] = tuple(
    (code, re.compile(pattern, re.IGNORECASE), kind)
    for code, pattern, kind in (
        (_Code.UNAVAILABLE, QUEUE_IS_FULL, Overloaded),
        (_Code.UNAVAILABLE, r"protocol is restricted", AccessDenied),
        (_Code.UNAVAILABLE, IS_NOT_READY, ModelUnavailable),
        (_Code.INTERNAL, STUB_IS_DEAD, ModelUnavailable),
        (_Code.RESOURCE_EXHAUSTED, r"message .*larger than max", InputRefused),
    )
)
_BATCH_LIMIT = re.compile(r"batch-size must be <= (\d+)")


def translated(error: grpc.RpcError, target: Target, deadline: Deadline) -> GeulpiError:
    """Return our error for one of gRPC's, of a question with this deadline."""
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(target, deadline.timeout_s)
    for with_code, pattern, kind in _BY_TEXT:
        if code is with_code and pattern.search(text):
            return kind(target, text)
    return BY_CODE[code](target, text or f"gRPC status {code.name}")


def batch_limit(error: InputRefused) -> int | None:
    """Return the most rows that the model takes at a time, if that is what the server refused."""
    found = _BATCH_LIMIT.search(error.said)
    return int(found[1]) if found else None

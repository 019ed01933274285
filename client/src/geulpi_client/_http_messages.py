"""KServe v2 over HTTP with the binary tensor extension: bodies from and to our types; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from geulpi_client._contract import Contract
from geulpi_client._errors import (
    AccessDenied,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._messages import Answer, Request, contract_from, digest_parameter
from geulpi_client._tensors import BYTES, DTYPES, Spec, Tensor, packed_texts
from geulpi_client._translation import IS_NOT_READY, QUEUE_IS_FULL, STUB_IS_DEAD

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_BINARY_SIZE = "binary_data_size"
_BY_STATUS: Final[Mapping[int, type[GeulpiError]]] = {
    400: InputRefused,
    401: AccessDenied,
    403: AccessDenied,
    404: ModelNotFound,
    413: InputRefused,
    429: Overloaded,
    499: InferenceFailed,
    500: InferenceFailed,
    501: InferenceFailed,
    502: Unreachable,
    503: Unreachable,
    504: Overloaded,
}
# Triton says 503 and 500 for what gRPC calls UNAVAILABLE and INTERNAL, and 400 for an unknown
# model.
_BY_TEXT: Final = tuple(
    (status, re.compile(pattern, re.IGNORECASE), kind)
    for status, pattern, kind in (
        (503, QUEUE_IS_FULL, Overloaded),
        (503, IS_NOT_READY, ModelUnavailable),
        (500, STUB_IS_DEAD, ModelUnavailable),
        (400, r"unknown model|is not found", ModelNotFound),
        (400, r"not (at )?ready", ModelUnavailable),
    )
)


def model_path(model: str, version: str, verb: str = "") -> str:
    """Return the path of a model, such as `/v2/models/churn/versions/2/infer`."""
    at = f"/versions/{version}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{at}{verb and '/' + verb}"


def infer_body(request: Request, timeout_us: int) -> tuple[bytes, int]:
    """Return the body that asks a model, and the length of its JSON part.

    The request may wait so many microseconds in the server's queue.
    """
    tensors = request.tensors
    document = {
        "id": request.id,
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "parameters": {_BINARY_SIZE: len(tensor.raw)},
            }
            for tensor in tensors
        ],
        "parameters": {"binary_data_output": True, "timeout": timeout_us},
    }
    header = json.dumps(document, separators=(",", ":")).encode()
    return b"".join((header, *(tensor.raw for tensor in tensors))), len(header)


def answer_from(body: bytes, header_length: str | None, target: Target) -> Answer:
    """Return the answer that a response's body holds.

    Raises:
        UnexpectedAnswer: it is none.
    """
    try:
        length = len(body) if header_length is None else int(header_length)
        document = json.loads(body[:length])
        outputs = []
        position = length
        for output in document["outputs"]:
            name, datatype, shape = _named(output)
            if min(shape, default=0) < 0:
                raise ValueError(f"'{name}' has shape {[*shape]}")  # noqa: TRY301 -- as below
            size = output.get("parameters", {}).get(_BINARY_SIZE)
            if size is None:
                raw = _raw(datatype, output["data"])
            else:
                raw, position = body[position : position + size], position + size
            outputs.append(Tensor(name, datatype, shape, raw))
        version = str(document["model_version"])
        if position > len(body):
            raise ValueError("it ends early")  # noqa: TRY301 -- like what reading raises
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(target, f"no KServe v2 response ({error})") from error
    return Answer(version, tuple(sorted(outputs, key=lambda tensor: tensor.name)))


def with_config(contract: Contract, body: bytes) -> Contract:
    """Return a contract with what a model's configuration adds, as it is where that is unclear."""
    try:
        document = json.loads(body)
        parameter = document.get("parameters", {}).get(digest_parameter(contract), {})
        return replace(
            contract,
            digest=str(parameter.get("string_value", "")),
            max_batch_size=int(document["max_batch_size"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return contract


def contract_from_metadata(body: bytes, target: Target) -> Contract:
    """Return the contract that a model's metadata holds.

    Raises:
        UnexpectedAnswer: it is none.
    """
    try:
        document = json.loads(body)
        inputs, outputs = (
            [Spec(*_named(tensor)) for tensor in document[kind]] for kind in ("inputs", "outputs")
        )
        versions = [str(version) for version in document["versions"]]
        name = str(document["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(target, f"no KServe v2 metadata ({error})") from error
    return contract_from(name, versions, inputs, outputs, target)


def error_from(status: int, body: bytes, target: Target) -> GeulpiError:
    """Return our error for a status and the text of its body."""
    try:
        text = str(json.loads(body)["error"])
    except (KeyError, TypeError, ValueError):
        text = body[:200].decode(errors="replace").strip()
    said = text or f"HTTP status {status}"
    for with_status, pattern, kind in _BY_TEXT:
        if status == with_status and pattern.search(said):
            return kind(target, said)
    return _BY_STATUS.get(status, UnexpectedAnswer)(target, said)


def _named(tensor: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    """Return name, datatype and shape."""
    return str(tensor["name"]), str(tensor["datatype"]), tuple(map(int, tensor["shape"]))


def _raw(datatype: str, data: Sequence[Any]) -> bytes:
    """Return JSON data as raw bytes: a gateway may have turned binary answers into JSON."""
    import numpy as np  # noqa: PLC0415 -- a rare way

    if datatype == BYTES:
        # As all data it may be nested as the shape is, or flat.
        return packed_texts([str(item).encode() for item in np.array(data, np.object_).ravel()])
    dtype = DTYPES[datatype]
    if dtype.kind in "iu":
        # Older numpy wraps numbers that are too large around.
        bounds = np.iinfo(dtype)
        for number in np.array(data, np.object_).ravel():
            if not isinstance(number, int) or not bounds.min <= number <= bounds.max:
                raise ValueError(f"{number!r} is no {datatype}")
    return np.array(data, dtype).tobytes()

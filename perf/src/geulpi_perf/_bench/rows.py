"""Rows for perf_analyzer: the model's own sample, a file, or zeros of the right shapes."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from geulpi_perf._errors import UnusableOption

__all__ = ["datatype", "from_file", "input_data", "shaped", "zeros"]

_FORMATS = {
    "TYPE_BOOL": "?", "TYPE_UINT8": "B", "TYPE_UINT16": "H", "TYPE_UINT32": "I",
    "TYPE_UINT64": "Q", "TYPE_INT8": "b", "TYPE_INT16": "h", "TYPE_INT32": "i",
    "TYPE_INT64": "q", "TYPE_FP32": "f", "TYPE_FP64": "d",
}  # fmt: skip
_HALVES = ("TYPE_FP16", "TYPE_BF16")
_NOTHING = {"TYPE_STRING": "", "TYPE_BOOL": False, "TYPE_FP32": 0.0, "TYPE_FP64": 0.0}  # else 0

Inputs = Sequence[Mapping[str, Any]]


def datatype(number: int) -> str:
    """Return the KServe v2 name of a data type as a model's configuration numbers it."""
    name: str = model_config_pb2.DataType.Name(number)
    return name.removeprefix("TYPE_").replace("STRING", "BYTES")


def input_data(entry: Path) -> dict[str, Any] | None:
    """Return perf_analyzer's input data from the sample of a repository entry.

    That is the warm-up's sample, or an ensemble's, which has no warm-up. None where the entry is
    not here or has no sample.

    Raises:
        UnusableOption: the entry is here, but its config or its sample can't be read.
    """
    try:
        text = (entry / "config.pbtxt").read_text(encoding="utf-8")
    except OSError:
        return None
    try:
        return _sample(text, entry / "warmup")
    except (OSError, ValueError, KeyError, text_format.ParseError, struct.error) as error:
        wanted = f"a sample in '{entry.name}' that can be read, or --input-data ({error})"
        raise UnusableOption("--model-repository", str(entry.parent), wanted) from error


def from_file(path: Path, inputs: Inputs) -> dict[str, Any]:
    """Return the rows of a file in perf_analyzer's own format.

    Raises:
        UnusableOption: it can't be read, or its rows are not for these inputs.
    """
    names = {tensor["name"] for tensor in inputs if not tensor.get("optional")}
    expected = f'JSON {{"data": [{{{", ".join(f"{json.dumps(n)}: […]" for n in sorted(names))}}}]}}'
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        steps = [step for row in data["data"] for step in (row if isinstance(row, list) else [row])]
        fits = bool(steps) and all(isinstance(s, dict) and names <= set(s) for s in steps)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableOption("--input-data", str(path), f"{expected} ({error})") from error
    if not fits:
        raise UnusableOption("--input-data", str(path), expected)
    return dict(data)


def zeros(inputs: Inputs) -> dict[str, Any]:
    """Return one row of zeros and empty strings; an open dimension is 1."""
    row: dict[str, Any] = {}
    for tensor in inputs:
        shape = [max(int(size), 1) for size in tensor["dims"]]
        count, kind = math.prod(shape), tensor["data_type"]
        if kind in _HALVES:
            row[tensor["name"]] = _base64(bytes(2 * count)) | {"shape": shape}
            continue
        content = [_NOTHING.get(kind, 0)] * count
        row[tensor["name"]] = {"content": content, "shape": shape}
    return {"data": [row]}


def shaped(data: dict[str, Any], inputs: Inputs) -> dict[str, Any] | None:
    """Return a sample with the shapes that open dimensions need; None if it is of another model."""
    dims = {tensor["name"]: [int(size) for size in tensor["dims"]] for tensor in inputs}
    (row,) = data["data"]
    if set(row) != set(dims):
        return None
    return {"data": [{name: _shaped(values, dims[name]) for name, values in row.items()}]}


def _sample(text: str, folder: Path) -> dict[str, Any] | None:
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    if config.model_warmup:
        files = {
            name: (tensor.input_data_file, tensor.data_type)
            for name, tensor in config.model_warmup[0].inputs.items()
            if tensor.input_data_file
        }
    elif "canary" in config.parameters:
        kinds = {tensor.name: tensor.data_type for tensor in config.input}
        named = json.loads(config.parameters["canary"].string_value)
        files = {name: (file, kinds[name]) for name, file in named.items() if name in kinds}
    else:
        return None
    sample = {
        name: _values(model_config_pb2.DataType.Name(kind), folder / file)
        for name, (file, kind) in files.items()
    }
    return {"data": [sample]} if sample else None


def _shaped(values: Any, dims: list[int]) -> Any:
    if -1 not in dims or not isinstance(values, list):
        return values
    shape = [max(size, 1) for size in dims]
    shape[dims.index(-1)] = len(values) // math.prod(shape)
    return {"content": values, "shape": shape}


def _values(kind: str, path: Path) -> list[Any] | dict[str, str]:
    content = path.read_bytes()
    if kind in _HALVES:
        return _base64(content)
    if kind != "TYPE_STRING":
        size = struct.calcsize(_FORMATS[kind])
        return list(struct.unpack(f"<{len(content) // size}{_FORMATS[kind]}", content))
    texts, rest = [], content
    try:
        while rest:
            (length,) = struct.unpack_from("<I", rest)
            texts.append(rest[4 : 4 + length].decode())
            rest = rest[4 + length :]
    except UnicodeDecodeError:
        return _base64(content)
    return texts


def _base64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}

"""Tensors as the KServe v2 protocol carries them, and the way from and to numpy.

Everything between the caller's arrays and the caller's answer (keys, cache values, requests) works
on these raw bytes: little-endian numbers in C order; a BYTES element is its length (uint32) and its
UTF-8 bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

BYTES: Final = "BYTES"
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_LENGTH = struct.Struct("<I")


class MalformedTensor(Exception):
    """Raw bytes that are not a tensor of the claimed type and shape; each caller says what of."""


class Spec(NamedTuple):
    """Name, datatype and declared shape of a tensor; −1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """Write it as the protocol's documents do: `X FP32 [-1, 4]`."""
        return f"{self.name} {self.datatype} {list(self.shape)}"


class Tensor(NamedTuple):
    """A tensor's name, datatype, shape and raw bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def from_array(name: str, datatype: str, array: Array) -> Tensor:
    """Return the tensor of an array that has the datatype already (BYTES: an object array)."""
    raw = packed_texts(array.ravel().tolist()) if datatype == BYTES else array.tobytes()
    return Tensor(name, datatype, array.shape, raw)


def packed_texts(elements: Sequence[bytes]) -> bytes:
    """Return the raw bytes of BYTES elements."""
    return b"".join([_LENGTH.pack(len(element)) + element for element in elements])


def to_array(tensor: Tensor) -> Array:
    """Return a writable array; BYTES elements as `str`, or `bytes` where they are not UTF-8.

    Raises:
        MalformedTensor: the bytes do not fit the type and shape.
    """
    if tensor.datatype == BYTES:
        elements = [_text(element) for element in _elements(tensor)]
        array = np.empty(len(elements), dtype=np.object_)
        array[:] = elements
        return array.reshape(tensor.shape)
    try:
        array = np.frombuffer(tensor.raw, dtype=DTYPES[tensor.datatype])
        return array.reshape(tensor.shape).copy()
    except (ValueError, KeyError):
        _check_size(tensor)  # says what is wrong
        return np.empty(tensor.shape, dtype=DTYPES[tensor.datatype])  # of no elements


def split_rows(tensor: Tensor, raw: bytes | None = None) -> list[bytes]:
    """Return the raw bytes of each row of `[N, …]`, or of other raw bytes of the same shape.

    Raises:
        MalformedTensor: the bytes do not fit the type and shape.
    """
    if raw is not None and raw is not tensor.raw:
        tensor = Tensor(tensor.name, tensor.datatype, tensor.shape, raw)
    if tensor.datatype != BYTES:
        _check_size(tensor)
        raw = tensor.raw
        size = len(raw) // max(1, tensor.shape[0])
        return [raw[i * size : (i + 1) * size] for i in range(tensor.shape[0])]
    per_row = math.prod(tensor.shape[1:])
    parts = [_LENGTH.pack(len(element)) + element for element in _elements(tensor)]
    return [b"".join(parts[i * per_row : (i + 1) * per_row]) for i in range(tensor.shape[0])]


def join_rows(spec: Spec, rows: Sequence[bytes]) -> Tensor:
    """Return the tensor `[N, …]` of rows, whose own shape is that of the spec without its first."""
    return Tensor(spec.name, spec.datatype, (len(rows), *spec.shape[1:]), b"".join(rows))


def spec_of(tensor: Tensor) -> Spec:
    """Return what a row-wise tensor `[N, …]` would be declared as."""
    return Spec(tensor.name, tensor.datatype, (-1, *tensor.shape[1:]))


def _check_size(tensor: Tensor) -> None:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise MalformedTensor(f"'{tensor.name}' has the unknown datatype {tensor.datatype}")
    expected = math.prod(tensor.shape) * dtype.itemsize
    if len(tensor.raw) != expected:
        raise MalformedTensor(f"'{tensor.name}' has {len(tensor.raw)} bytes instead of {expected}")


def _elements(tensor: Tensor) -> list[bytes]:
    found = []
    position = 0
    raw = tensor.raw
    while position < len(raw):
        start = position + _LENGTH.size
        if start > len(raw):
            raise MalformedTensor(f"'{tensor.name}' ends within an element")
        position = start + int(_LENGTH.unpack_from(raw, position)[0])
        found.append(raw[start:position])
    if position != len(raw) or len(found) != math.prod(tensor.shape):
        raise MalformedTensor(f"'{tensor.name}' does not hold {math.prod(tensor.shape)} elements")
    return found


def _text(element: bytes) -> str | bytes:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element

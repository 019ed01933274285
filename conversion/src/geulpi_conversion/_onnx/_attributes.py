"""Adds long attributes to a node, as protobuf's own bytes.

Of lists Python would make an object for each of millions of numbers: many times their size, and
seconds. A repeated field may also be read from bytes that numpy has packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, numpy_helper

Array = np.ndarray[Any, Any]

# Fields of AttributeProto, with protobuf's mark of "so many bytes follow".
FLOATS, INTS, STRINGS = (number << 3 | 2 for number in (7, 8, 9))
CHUNK = 2**20


def add_integers(node: NodeProto, name: str, values: Array | int) -> None:
    """Add one integer, or an array of integers that are not negative."""
    if isinstance(values, int):
        node.attribute.add(name=name, type=AttributeProto.INT, i=values)
        return
    attribute = AttributeProto(name=name, type=AttributeProto.INTS)
    for start in range(0, len(values), CHUNK):
        _merge(attribute, INTS, _varints(values[start : start + CHUNK]))
    _add(node, attribute)


def add_floats(node: NodeProto, name: str, values: Array, *, double: bool) -> None:
    """Add an array as float32, or as the float64 tensor that may stand in its place."""
    if double:
        tensor = numpy_helper.from_array(values.astype(np.float64))
        _add(node, AttributeProto(name=f"{name}_as_tensor", type=AttributeProto.TENSOR, t=tensor))
        return
    attribute = AttributeProto(name=name, type=AttributeProto.FLOATS)
    _merge(attribute, FLOATS, values.astype("<f4").tobytes())
    _add(node, attribute)


def add_texts(node: NodeProto, name: str, texts: tuple[bytes, bytes], second: Array) -> None:
    """Add an array of the second text where `second` is true, else the first."""
    attribute = AttributeProto(name=name, type=AttributeProto.STRINGS)
    fields = np.array([bytes([STRINGS, len(text)]) + text for text in texts], np.object_)
    for start in range(0, len(second), CHUNK):
        chosen = fields[second[start : start + CHUNK].astype(np.int64)]
        attribute.MergeFromString(b"".join(chosen))
    _add(node, attribute)


def _add(node: NodeProto, attribute: AttributeProto) -> None:
    """Add a copy, which is compact; what was merged bit by bit takes up to twice the memory."""
    node.attribute.add().CopyFrom(attribute)


def _merge(attribute: AttributeProto, field: int, packed: bytes) -> None:
    size = _varints(np.array([len(packed)]))
    attribute.MergeFromString(bytes([field]) + size + packed)


def _varints(values: Array) -> bytes:
    """Return integers as protobuf writes them: seven bits to a byte, the lowest first."""
    values = values.astype(np.uint64)
    sizes = np.ones(len(values), np.int64)
    while (longer := values >> (7 * sizes.max()).astype(np.uint64) > 0).any():
        sizes[longer] += 1
    starts = np.cumsum(sizes) - sizes
    packed = np.empty(sizes.sum(), np.uint8)
    for place in range(sizes.max(initial=0)):
        held = sizes > place
        byte = (values[held] >> np.uint64(7 * place)) & np.uint64(127)
        more = (sizes[held] > place + 1).astype(np.uint8) << 7
        packed[starts[held] + place] = byte.astype(np.uint8) | more
    return packed.tobytes()

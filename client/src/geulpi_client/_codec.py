"""Cache values: the outputs of one row as bytes, and back.

    format (1 byte), number of outputs (uint16),
    per output: name, datatype (each uint16 length + UTF-8), row rank (uint8), row shape (int64 …),
    per output: its raw bytes (uint32 length + bytes)

The first part is the same for every row of a model, so reading compares it as a whole: a value of
another layout, of another release or of somebody else is a miss, never a wrong answer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache

from geulpi_client._tensors import BYTES, DTYPES, MalformedTensor, Spec, Tensor, split_rows

# Count up with any change of the layout above: old values are then misses.
_FORMAT = 1
_LENGTH = struct.Struct("<I")


def layout(outputs: Sequence[Spec]) -> bytes:
    """Return the first part of the values of a model with these outputs."""
    parts = [struct.pack("<BH", _FORMAT, len(outputs))]
    for output in outputs:
        texts = (output.name.encode(), output.datatype.encode())
        parts.extend(struct.pack("<H", len(text)) + text for text in texts)
        row_shape = output.shape[1:]
        parts.append(struct.pack(f"<B{len(row_shape)}q", len(row_shape), *row_shape))
    return b"".join(parts)


def encode_row(head: bytes, row: Sequence[bytes]) -> bytes:
    """Return the value of a row: one raw bytes per output, in the order of `layout`."""
    return head + b"".join(_LENGTH.pack(len(part)) + part for part in row)


@lru_cache(maxsize=1024)
def _row_bytes(output: Spec) -> int:
    return math.prod(output.shape[1:]) * DTYPES[output.datatype].itemsize


def decode_row(outputs: Sequence[Spec], head: bytes, value: bytes) -> tuple[bytes, ...] | None:
    """Return one raw bytes per output, or `None` if the value is not one of these outputs."""
    if not value.startswith(head):
        return None
    row = []
    position = len(head)
    try:
        for output in outputs:
            (length,) = _LENGTH.unpack_from(value, position)
            start, position = position + _LENGTH.size, position + _LENGTH.size + length
            part = value[start:position]
            if output.datatype == BYTES:
                split_rows(Tensor(output.name, BYTES, (1, *output.shape[1:]), part))
            elif length != _row_bytes(output):
                return None
            row.append(part)
    except (struct.error, MalformedTensor, KeyError):
        return None
    return tuple(row) if position == len(value) else None

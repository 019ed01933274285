"""Cache keys: pure functions of a model, its version, its files and the tensors of one row.

Two rows share a key exactly when a model can't tell them apart: same names, datatypes, row shapes
and bytes, with one zero and one NaN; and when their answers come from the same files and have the
same layout. The digest has 128 bits and no seed: the entries are shared between processes, and
nobody who chooses titles can choose a collision.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from geulpi_client._constants import RESULT_PREFIX
from geulpi_client._contract import Contract
from geulpi_client._tensors import DTYPES, Array, Tensor, split_rows

# To change what is hashed, count this up: old entries are then never met and expire.
_FORMAT = 2
_DIGEST_BYTES = 16
_FLOATS: Final = {name: dtype for name, dtype in DTYPES.items() if dtype.kind == "f"}
# So many numbers Python looks through faster than numpy begins.
_FEW: Final = 64


def row_keys(contract: Contract, tensors: Sequence[Tensor]) -> list[str]:
    """Return the key of each row of a call, whose tensors are those of the contract, in order."""
    shapes = tuple([tensor.shape[1:] for tensor in tensors])
    head, prefix = key_head(contract, shapes), key_prefix(contract)
    if tensors[0].shape[0] == 1:
        digest = head.copy()
        for tensor in tensors:
            digest.update(_canonical(tensor))
        return [prefix + digest.hexdigest()]
    keys = []
    # With the head the length of every row is known, or, for BYTES, of every element.
    for row in zip(*(split_rows(tensor, _canonical(tensor)) for tensor in tensors), strict=True):
        digest = head.copy()
        for part in row:
            digest.update(part)
        keys.append(prefix + digest.hexdigest())
    return keys


def model_of(key: str) -> str:
    """Return the model that a key is about."""
    # From the right: a version and a digest hold no colon, a model's name may.
    return key.removeprefix(RESULT_PREFIX).rsplit(":", 2)[0]


def key_prefix(contract: Contract) -> str:
    """Return how the keys of a model's rows begin."""
    return f"{RESULT_PREFIX}{contract.model}:{contract.version}:"


def key_head(contract: Contract, shapes: tuple[tuple[int, ...], ...]) -> hashlib.blake2b:
    """Return the digest of all that rows of these shapes have in common, to be copied."""
    head = contract.key_heads.get(shapes)
    if head is None:
        head = contract.key_heads[shapes] = _head(contract, shapes)
    return head


def canonical(raw: bytes, dtype: np.dtype[Any], array: Array) -> bytes:
    """Return the raw bytes of floating-point numbers with one zero and one NaN."""
    if array.size <= _FEW:
        values = array.ravel().tolist()
        if 0.0 not in values and math.isfinite(sum(values)):
            return raw
    with np.errstate(invalid="ignore"):  # a signalling NaN complains when it is added to
        array = array + dtype.type(0)  # −0.0 + 0.0 is 0.0
    array[np.isnan(array)] = np.nan
    return bytes(array.tobytes())


def _head(contract: Contract, shapes: Sequence[tuple[int, ...]]) -> hashlib.blake2b:
    head = hashlib.blake2b(bytes([_FORMAT]), digest_size=_DIGEST_BYTES)
    for part in (contract.digest.encode(), contract.layout):
        head.update(struct.pack("<I", len(part)) + part)
    for spec, row_shape in zip(contract.inputs, shapes, strict=True):
        for text in (spec.name.encode(), spec.datatype.encode()):
            head.update(struct.pack("<I", len(text)) + text)
        head.update(struct.pack(f"<I{len(row_shape)}q", len(row_shape), *row_shape))
    return head


def _canonical(tensor: Tensor) -> bytes:
    dtype = _FLOATS.get(tensor.datatype)
    if dtype is None:
        return tensor.raw
    return canonical(tensor.raw, dtype, np.frombuffer(tensor.raw, dtype=dtype))

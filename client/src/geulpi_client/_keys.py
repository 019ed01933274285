"""Cache keys: pure functions of a model, its version and the tensors of one row.

Two rows share a key exactly when a model can't tell them apart: same names, datatypes, row shapes
and bytes, with one zero and one NaN. The digest has 128 bits and no seed: the entries are shared
between processes, and nobody who chooses titles can choose a collision.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np

from geulpi_client._constants import RESULT_PREFIX
from geulpi_client._tensors import DTYPES, Tensor, split_rows

# To change what is hashed, count this up: old entries are then never met and expire.
_FORMAT = 1
_DIGEST_BYTES = 16


def row_digests(tensors: Sequence[Tensor]) -> list[str]:
    """Return a hex digest for each row of the tensors, which all have the shape `[N, …]`."""
    ordered = sorted(tensors, key=lambda tensor: tensor.name)
    head = hashlib.blake2b(bytes([_FORMAT]), digest_size=_DIGEST_BYTES)
    for tensor in ordered:
        row_shape = tensor.shape[1:]
        for text in (tensor.name.encode(), tensor.datatype.encode()):
            head.update(struct.pack("<I", len(text)) + text)
        head.update(struct.pack(f"<I{len(row_shape)}q", len(row_shape), *row_shape))
    digests = []
    # With the head the length of every row is known, or, for BYTES, of every element.
    for row in zip(*(split_rows(_canonical(tensor)) for tensor in ordered), strict=True):
        digest = head.copy()
        for part in row:
            digest.update(part)
        digests.append(digest.hexdigest())
    return digests


def cache_key(model: str, version: str, digest: str) -> str:
    """Return the key of a row's answer."""
    return f"{RESULT_PREFIX}{model}:{version}:{digest}"


def _canonical(tensor: Tensor) -> Tensor:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None or dtype.kind != "f":
        return tensor
    array = np.frombuffer(tensor.raw, dtype=dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN complains when it is added to
        array = array + dtype.type(0)  # −0.0 + 0.0 is 0.0
    array[np.isnan(array)] = np.nan
    return Tensor(tensor.name, tensor.datatype, tensor.shape, array.tobytes())

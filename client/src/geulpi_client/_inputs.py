"""The caller's arrays, checked and cast to what a model declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from geulpi_client._constants import MAX_ELEMENT_BYTES
from geulpi_client._contract import Contract
from geulpi_client._errors import InvalidTensor, listed, shortened
from geulpi_client._tensors import BYTES, DTYPES, Array, Spec, Tensor, from_array, packed_texts

_DTYPES: Final = {**DTYPES, BYTES: np.dtype(np.object_)}


def checked_inputs(contract: Contract, inputs: Mapping[str, ArrayLike]) -> list[Tensor]:
    """Return the tensors of a call, in the order that the model declares.

    Safe casts are done: within a kind of number, from integers to floats, and between integers
    where every value fits. Text is encoded. An array `[N]` stands for `[N, 1]`.

    Raises:
        InvalidTensor: names the tensor, what came and what the model takes.
    """
    tensors = _plain(contract, inputs)
    if tensors is not None:
        return tensors
    expected = f"the inputs {listed([spec.name for spec in contract.inputs])}"
    if not isinstance(inputs, Mapping):
        raise InvalidTensor(contract.model, "*", type(inputs).__name__, f"a mapping of {expected}")
    declared = {spec.name: spec for spec in contract.inputs}
    for name in inputs:
        if name not in declared:
            raise InvalidTensor(contract.model, str(name), "a name it does not take", expected)
    for name in declared:
        if name not in inputs:
            raise InvalidTensor(contract.model, name, "nothing", expected)
    tensors = [_checked(contract.model, spec, inputs[spec.name]) for spec in contract.inputs]
    if contract.batched:
        _check_rows(contract.model, tensors)
    return tensors


def _plain(contract: Contract, inputs: Mapping[str, ArrayLike]) -> list[Tensor] | None:
    """Return the tensors of arrays that have the very types and shapes; the usual case, quickly."""
    if type(inputs) is not dict or len(inputs) != len(contract.inputs):
        return None
    tensors = []
    rows = 0
    for spec in contract.inputs:
        array = inputs.get(spec.name)
        if type(array) is not np.ndarray or array.dtype != _DTYPES.get(spec.datatype):
            return None
        shape = array.shape
        if -1 in spec.shape[1:] or shape[1:] != spec.shape[1:] or spec.shape[:1] != (-1,):
            return None
        rows = rows or shape[0]
        if not rows or shape[0] != rows:
            return None
        raw = _packed(array) if spec.datatype == BYTES else array.tobytes()
        if raw is None:
            return None
        tensors.append(Tensor(spec.name, spec.datatype, shape, raw))
    return tensors


def _packed(array: Array) -> bytes | None:
    try:
        return packed_texts([encoded_text(element) for element in array.ravel().tolist()])
    except ValueError:
        return None


def _check_rows(model: str, tensors: list[Tensor]) -> None:
    for tensor in tensors:
        rows, wanted = tensor.shape[0], tensors[0].shape[0]
        if rows == 0:
            raise InvalidTensor(model, tensor.name, "0 rows", "at least one row")
        if rows != wanted:
            raise InvalidTensor(
                model, tensor.name, f"{rows} rows", f"{wanted} rows as in '{tensors[0].name}'"
            )


def _checked(model: str, spec: Spec, value: ArrayLike) -> Tensor:
    try:
        # An array of str drops trailing NULs and one of mixed types makes all of them text:
        # as objects the elements stay what they are.
        array = np.asarray(value, dtype=np.object_ if spec.datatype == BYTES else None)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidTensor(model, spec.name, f"no array ({error})", str(spec)) from error
    array = _shaped(model, spec, array)
    if spec.datatype == BYTES:
        return from_array(spec.name, BYTES, _encoded(model, spec, array))
    dtype = DTYPES.get(spec.datatype)
    if dtype is None:
        raise InvalidTensor(
            model, spec.name, str(array.dtype), f"{spec}, which numpy has no type for"
        )
    return from_array(spec.name, spec.datatype, _cast(model, spec, array, dtype))


def _shaped(model: str, spec: Spec, array: Array) -> Array:
    if array.ndim == 1 and spec.shape == (-1, 1):
        array = array[:, np.newaxis]
    fits = array.ndim == len(spec.shape) and all(
        want in {-1, have} for want, have in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise InvalidTensor(model, spec.name, f"shape {[*array.shape]}", str(spec))
    return array


def _cast(model: str, spec: Spec, array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype == dtype:
        return array
    integers = array.dtype.kind in "iu" and dtype.kind in "iu"
    if not integers and not (
        array.dtype.kind in "biuf" and np.can_cast(array.dtype, dtype, "same_kind")
    ):
        raise InvalidTensor(model, spec.name, f"dtype {array.dtype}", str(spec))
    if integers and array.size:
        limits = np.iinfo(dtype)
        for extreme in (int(array.min()), int(array.max())):
            if not limits.min <= extreme <= limits.max:
                raise InvalidTensor(model, spec.name, f"the value {extreme}", str(spec))
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if dtype.kind == "f":
        lost = np.isinf(cast) & np.isfinite(array)
        if lost.any():
            raise InvalidTensor(model, spec.name, f"the value {array[lost][0]}", str(spec))
    return cast


def _encoded(model: str, spec: Spec, array: Array) -> Array:
    encoded = np.empty(array.size, dtype=np.object_)
    for position, element in enumerate(array.flat):
        try:
            encoded[position] = encoded_text(element)
        except ValueError as error:
            row = position // max(1, math.prod(array.shape[1:]))
            raise InvalidTensor(
                model, spec.name, f"{shortened(element)} in row {row}", str(error)
            ) from error
    return encoded.reshape(array.shape)


def encoded_text(element: object) -> bytes:
    """Return an element as UTF-8; a `ValueError` says what was expected instead."""
    if not isinstance(element, str | bytes):
        raise ValueError(f"str or bytes, not {type(element).__name__}")  # noqa: TRY004 -- see above
    try:
        raw = element.encode() if isinstance(element, str) else bytes(element)
        raw.decode()
    except UnicodeError as error:
        raise ValueError("text that is valid UTF-8") from error
    if b"\0" in raw:
        # Triton's onnxruntime backend would cut the text there, silently.
        raise ValueError("text without NUL characters")
    if len(raw) > MAX_ELEMENT_BYTES:
        raise ValueError(f"at most {MAX_ELEMENT_BYTES} bytes")
    return raw

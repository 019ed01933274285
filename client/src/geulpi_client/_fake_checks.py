"""What the fake server of `geulpi_client.testing` checks: models, inputs and outputs; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index

import numpy as np

from geulpi_client._contract import Contract
from geulpi_client._errors import InvalidSetting, listed
from geulpi_client._messages import Request
from geulpi_client._tensors import BYTES, DTYPES, Array, Spec, Tensor, from_array


class Unfit(Exception):
    """What a model's function returned is not what the model declares."""


def refusal(contract: Contract, request: Request) -> str:
    """Return why Triton refuses these inputs, in its own words; empty if it takes them."""
    model, declared = contract.model, {spec.name: spec for spec in contract.inputs}
    sent = {tensor.name: tensor for tensor in request.tensors}
    prefix = f"[request id: {request.id or '<id_unknown>'}] "
    if len(sent) != len(declared):
        missing = [name for name in declared if name not in sent]
        return (
            f"{prefix}expected {len(declared)} inputs but got {len(sent)} inputs for model "
            f"'{model}'. Got input(s) {_quoted(sent)}, but missing required input(s) "
            f"{_quoted(missing)}. Please provide all required input(s)."
        )
    for name in sent:
        if name not in declared:
            return f"unexpected inference input '{name}' for model '{model}'"
    for name, spec in declared.items():
        tensor = sent[name]
        if tensor.datatype != spec.datatype:
            return (
                f"{prefix}inference input '{name}' data-type is '{tensor.datatype}', but model "
                f"'{model}' expects '{spec.datatype}'"
            )
        if not _fits(spec.shape, tensor.shape):
            return (
                f"{prefix}unexpected shape for input '{name}' for model '{model}'. "
                f"Expected {_written(spec.shape)}, got {_written(tensor.shape)}."
            )
    most = contract.max_batch_size
    if most is not None and any(tensor.shape[0] > most for tensor in request.tensors):
        return f"{prefix}inference request batch-size must be <= {most} for '{model}'"
    return ""


def outputs_of(contract: Contract, request: Request, returned: object) -> tuple[Tensor, ...]:
    """Return what a function returned as the tensors that its model declares.

    Raises:
        Unfit: names the output, what it is and what is declared.
    """
    names = listed([spec.name for spec in contract.outputs])
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        raise Unfit(f"its function returned {kind}, not a mapping of the outputs {names}")
    for name in returned:
        if name not in {spec.name for spec in contract.outputs}:
            raise Unfit(f"output '{name}' is not declared; declared are {names}")
    rows = request.tensors[0].shape[0] if contract.batched else -1
    return tuple(_output(spec, returned.get(spec.name), rows) for spec in contract.outputs)


def specs_of(field: str, shapes: object) -> list[Spec]:
    """Return the tensors that a mapping of datatypes and shapes by name declares.

    Raises:
        InvalidSetting: it is none.
    """
    expected = "a datatype and a shape, such as ('FP32', [-1, 4])"
    if not isinstance(shapes, Mapping) or not shapes:
        raise InvalidSetting(field, shapes, f"a dict by name of {expected}")
    specs = []
    for name, given in shapes.items():
        try:
            datatype, shape = given
            lengths = [index(length) for length in shape]
        except (TypeError, ValueError) as error:
            raise InvalidSetting(f"{field}['{name}']", given, expected) from error
        if datatype not in (BYTES, *DTYPES):
            known = ", ".join([*DTYPES, BYTES])
            raise InvalidSetting(f"datatype of {field}['{name}']", datatype, f"one of {known}")
        if any(length < 1 and length != -1 for length in lengths):
            raise InvalidSetting(f"shape of {field}['{name}']", shape, "lengths of 1 or more or -1")
        specs.append(Spec(str(name), datatype, tuple(lengths)))
    return specs


def _output(spec: Spec, array: object, rows: int) -> Tensor:
    if not isinstance(array, np.ndarray):
        what = "is missing" if array is None else f"is {type(array).__name__}, not an array"
        raise Unfit(f"output '{spec.name}' {what}; declared is {spec}")
    shape = (rows, *spec.shape[1:]) if spec.shape[:1] == (-1,) else spec.shape
    if not _fits(shape, array.shape):
        have = _written(array.shape)
        raise Unfit(f"output '{spec.name}' has shape {have} instead of {_written(shape)}")
    if spec.datatype == BYTES:
        return from_array(spec.name, BYTES, _encoded(spec.name, array))
    dtype = DTYPES[spec.datatype]
    if array.dtype != dtype:
        raise Unfit(
            f"output '{spec.name}' holds {array.dtype} instead of {dtype.name}; "
            f"return it with .astype('{dtype.name}')"
        )
    return from_array(spec.name, spec.datatype, array)


def _encoded(name: str, array: Array) -> Array:
    encoded = np.empty(array.shape, dtype=np.object_)
    for position, element in np.ndenumerate(array):
        if not isinstance(element, str | bytes):
            raise Unfit(f"output '{name}' holds {type(element).__name__} instead of text")
        encoded[position] = element.encode() if isinstance(element, str) else element
    return encoded


def _fits(declared: Sequence[int], shape: Sequence[int]) -> bool:
    return len(declared) == len(shape) and all(
        want in {-1, have} for want, have in zip(declared, shape, strict=True)
    )


def _written(elements: Iterable[object]) -> str:
    return f"[{','.join(map(str, elements))}]"


def _quoted(names: Iterable[str]) -> str:
    return _written(f"'{name}'" for name in names)

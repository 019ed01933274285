"""Stores the weights of an ONNX model with fewer bits.

The arithmetic stays what it was. ONNX Runtime's dynamic quantization also rounds what flows through
the graph, by a scale that it takes from the whole batch: a row's answer would depend on the rows
that a server happens to put beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]

FEWEST = 256  # elements of an array that is worth it
FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE}


def with_fewer_bits(model: onnx.ModelProto, to: str) -> int:
    """Replace the float arrays of a model, in place, by smaller ones that are widened at the start.

    Args:
        model: its initializers are replaced.
        to: `float16`, or `int8` with a scale for each column of a matrix.

    Returns:
        How many were replaced; what has too few elements or too large a range stays.
    """
    replaced = []
    widening: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type not in FLOATS or np.prod(tensor.dims) < FEWEST:
            continue
        array = numpy_helper.to_array(tensor)
        made = _as_float16(array, tensor) if to == "float16" else _as_int8(array, tensor)
        if made is not None:
            tensors, nodes = made
            replaced.append((tensor, tensors))
            widening.extend(nodes)
    for tensor, tensors in replaced:
        model.graph.initializer.remove(tensor)
        model.graph.initializer.extend(tensors)
    nodes = [*widening, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(replaced)


Made = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]


def _as_float16(array: Array, tensor: onnx.TensorProto) -> Made | None:
    with np.errstate(over="ignore"):
        small = array.astype(np.float16)
    if not np.array_equal(np.isfinite(small), np.isfinite(array)):
        return None  # beyond its range
    name = f"{tensor.name}/float16"
    widened = helper.make_node("Cast", [name], [tensor.name], to=tensor.data_type)
    return [numpy_helper.from_array(small, name)], [widened]


def _as_int8(array: Array, tensor: onnx.TensorProto) -> Made | None:
    if array.ndim != 2 or not np.isfinite(array).all():
        return None
    scale = (np.abs(array).max(axis=0) / 127).astype(np.float32)
    scale[scale == 0] = 1
    small = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
    names = [f"{tensor.name}/int8", f"{tensor.name}/scale"]
    floats = f"{tensor.name}/float"
    return (
        [numpy_helper.from_array(small, names[0]), numpy_helper.from_array(scale, names[1])],
        [
            helper.make_node("DequantizeLinear", names, [floats], axis=1),
            helper.make_node("Cast", [floats], [tensor.name], to=tensor.data_type),
        ],
    )

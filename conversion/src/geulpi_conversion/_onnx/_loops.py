"""Writes loops: what an estimator repeats for a row until that row has settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from geulpi_conversion._onnx._graph import Graph
from geulpi_conversion._onnx._tables import ELEMENT_TYPES

# Gets the tensors of the last round; gives what they become, and which rows `[N, 1]` have settled.
Step = Callable[[Sequence[str]], tuple[Sequence[str], str]]


def until_settled(graph: Graph, state: Sequence[str], step: Step, most: int) -> list[str]:
    """Repeat a step until all rows have settled.

    Args:
        graph: where the loop goes.
        state: tensors `[N, …]` of the arithmetic's type.
        step: writes one round. A row that has settled no longer changes, whatever is made of it.
        most: rounds at most.

    Returns:
        The tensors after the last round.
    """
    rows = graph.op("Shape", state[0], start=0, end=1)
    shape = graph.op("Concat", rows, np.array([1]), axis=0)
    settled = graph.op("Expand", graph.constant(False), shape)
    inputs = [graph.fresh(hint) for hint in ("round", "go_on", "settled", *["state"] * len(state))]
    outside, graph.nodes = graph.nodes, []
    try:
        was_settled, last = inputs[2], inputs[3:]
        made, settles = step(last)
        kept = [
            graph.op("Where", was_settled, old, new) for old, new in zip(last, made, strict=True)
        ]
        now_settled = graph.op("Or", was_settled, settles)
        unsettled = graph.op("Cast", graph.op("Not", now_settled), to=TensorProto.INT64)
        go_on = graph.op("Greater", graph.op("ReduceMax", unsettled, keepdims=0), 0)
        inside = graph.nodes
    finally:
        graph.nodes = outside
    kinds = [ELEMENT_TYPES[graph.kind]] * len(state)
    body = helper.make_graph(
        inside,
        graph.fresh("body"),
        [
            helper.make_tensor_value_info(inputs[0], TensorProto.INT64, []),
            helper.make_tensor_value_info(inputs[1], TensorProto.BOOL, []),
            *_infos(inputs[2:], [TensorProto.BOOL, *kinds]),
        ],
        _infos([go_on, now_settled, *kept], [TensorProto.BOOL, TensorProto.BOOL, *kinds]),
    )
    carried = [graph.constant(True), settled, *state]
    return graph.ops("Loop", most, *carried, outputs=len(state) + 1, body=body)[1:]


def _infos(names: Sequence[str], element_types: Sequence[int]) -> list[ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, element_type, None)
        for name, element_type in zip(names, element_types, strict=True)
    ]

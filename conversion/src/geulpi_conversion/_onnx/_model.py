"""From a fitted estimator to a finished ONNX model with the tensors that every served model has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from geulpi_conversion._backend.geulpi_served import METHODS
from geulpi_conversion._converted import Datatype, TensorSpec
from geulpi_conversion._onnx._graph import OPSETS, Graph
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Kind, Table, Value
from geulpi_conversion._onnx._translators import translators

KINDS: dict[Datatype, Kind] = {
    "BOOL": "bool",
    "BYTES": "string",
    "FP32": "float",
    "FP64": "double",
    "INT64": "int64",
}
NEWEST_IR = 10  # of ONNX Runtime 1.19


@dataclass(frozen=True)
class Refusals:
    """Which columns of an input tensor the estimator refuses: with NaN, and with infinity."""

    nan: tuple[int, ...] = ()
    infinite: tuple[int, ...] = ()


@dataclass(frozen=True)
class OnnxModel:
    """A finished model.

    Attributes:
        content: the ONNX file.
        fixes: what was done other than skl2onnx would do, in words.
    """

    content: bytes
    fixes: tuple[str, ...]


def build_model(
    estimator: Any,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    refusals: Mapping[str, Refusals],
    missing: Mapping[str, str] | None = None,
    *,
    nones: Collection[str] = (),
    double: bool,
) -> OnnxModel:
    """Translate an estimator; whether the answers are right is for parity to say.

    Args:
        estimator: a fitted estimator.
        inputs: the tensors of a request, in the order of the estimator's columns.
        outputs: the tensors of the answer.
        refusals: by input, what the estimator refuses there and the graph must refuse too.
        missing: by input of strings, the text that stands for a missing one.
        nones: inputs in which the estimator sees None for a missing string, not NaN.
        double: whether to compute in float64, whatever the inputs' type.

    Raises:
        Exception: a part has no ONNX form, or the graph is no valid one of these tensors.
    """
    graph = Graph(translators(), leaf, double=double)
    given = [
        Value(s.name, KINDS[s.datatype], s.width, (missing or {}).get(s.name), s.name in nones)
        for s in inputs
    ]
    table = Table(tuple(_guarded(graph, v, refusals.get(v.name, Refusals())) for v in given))
    for spec in outputs:
        _answer(graph, spec, graph.call(estimator, table, METHODS[spec.name]))
    nodes = _needed(graph.nodes, [spec.name for spec in outputs])
    used = {name for node in nodes for name in _reads(node)}
    # Put together in place: onnx's own helpers copy the nodes of a large forest twice.
    finished = onnx.ModelProto(ir_version=NEWEST_IR, producer_name="geulpi-conversion")
    for domain in sorted({node.domain for node in nodes} | {""}):
        finished.opset_import.add(domain=domain, version=OPSETS[domain])
    finished.graph.name = "geulpi"
    finished.graph.input.extend(_value_info(spec) for spec in inputs)
    finished.graph.output.extend(_value_info(spec) for spec in outputs)
    for node in nodes:
        finished.graph.node.add().CopyFrom(node)
    for name, tensor in graph.initializers.items():
        if name in used:
            finished.graph.initializer.add().CopyFrom(tensor)
    content = finished.SerializeToString()
    onnx.checker.check_model(content)
    return OnnxModel(content, tuple(graph.fixes))


def _guarded(graph: Graph, value: Value, refusals: Refusals) -> Value:
    """Return an input that the graph refuses where the estimator would."""
    if value.kind not in {"float", "double"}:
        return value
    sentence = f"input '{value.name}' holds {{}}, which the estimator refuses".format
    both = sorted({*refusals.nan} & {*refusals.infinite})
    nan, infinite = (sorted({*some} - {*both}) for some in (refusals.nan, refusals.infinite))

    def column(places: Sequence[int]) -> str:
        return graph.select(Table.of(value), places).values[0].name

    if both:
        value = graph.refuse_not_finite(value, column(both), sentence("NaN or infinity"))
    if nan:
        value = graph.refuse_where(graph.op("IsNaN", column(nan)), value, sentence("NaN"))
    if infinite:
        value = graph.refuse_where(graph.op("IsInf", column(infinite)), value, sentence("infinity"))
    return value


def _answer(graph: Graph, spec: TensorSpec, value: Value) -> None:
    name = value.name
    if value.width != spec.width:
        raise ValueError(f"'{spec.name}' would have the width {value.width}, not {spec.width}")
    if value.kind != KINDS[spec.datatype]:
        name = graph.cast(value, KINDS[spec.datatype]).name
    # Its number of columns stands in the graph, as the official backend wants it.
    shape = graph.constant([-1, spec.width], np.int64)
    graph.nodes.append(helper.make_node("Reshape", [name, shape], [spec.name]))


def _needed(nodes: Sequence[onnx.NodeProto], wanted: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the wanted tensors need, in their order."""
    names = set(wanted)
    kept = []
    for node in reversed(nodes):
        if names.intersection(node.output):
            kept.append(node)
            names.update(_reads(node))
    return kept[::-1]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, those that its inner graphs read from outside too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = ELEMENT_TYPES[KINDS[spec.datatype]]
    return helper.make_tensor_value_info(spec.name, kind, [None, spec.width])

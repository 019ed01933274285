"""Gives an ONNX graph of skl2onnx the tensors that every served model has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto, compose, helper

from geulpi_conversion._converted import TensorSpec

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT64": TensorProto.INT64,
}
NEWEST_OPSET = {"": 21, "ai.onnx.ml": 3}  # what ONNX Runtime 1.19 of the official server reads
NEWEST_IR = 10
INNER = "skl2onnx/"  # before every name of skl2onnx, so that inputs may be called what they like


def uniform(
    model: onnx.ModelProto,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    join: TensorSpec | None = None,
) -> onnx.ModelProto:
    """Return the graph with exactly these inputs and outputs, each `[N, width]` of its type.

    Labels become `[N, 1]`, floats FP32, ZipMap and what nobody asks for go; so that the official
    backend, which compares dims and takes plain tensors only, needs no `reshape` in config.pbtxt.

    Args:
        model: what skl2onnx made; its first outputs mean the same as `outputs`.
        inputs: the wanted inputs, in the order of the graph's, or of the columns of `join`.
        outputs: the wanted outputs.
        join: the graph's only input, to be made of all the inputs' columns.

    Raises:
        ValueError: the graph can't have them.
        onnx.checker.ValidationError: the graph is not valid.
    """
    if clash := {spec.name for spec in inputs} & {spec.name for spec in outputs}:
        raise ValueError(f"ONNX has no room for an input called like an output: {sorted(clash)}")
    model = compose.add_prefix(model, INNER)
    graph = model.graph
    sources = [_before_zipmap(graph, value.name) for value in graph.output]
    if len(sources) < len(outputs):
        raise ValueError(f"the graph has {len(sources)} outputs, {len(outputs)} are wanted")
    before = (
        _joined(inputs, join, graph.input[0].name)
        if join
        else [
            helper.make_node("Identity", [spec.name], [inner.name])
            for spec, inner in zip(inputs, graph.input, strict=True)
        ]
    )
    after = [
        node
        for spec, source in zip(outputs, sources, strict=False)
        for node in _shaped(spec, source)
    ]
    initializers = [
        *graph.initializer,
        *(helper.make_tensor(f"{s.name}/shape", TensorProto.INT64, [2], [-1, s.width])
          for s in outputs),
        helper.make_tensor("last/column", TensorProto.INT64, [1], [-1]),
    ]  # fmt: skip
    nodes = _needed([*before, *graph.node, *after], [spec.name for spec in outputs])
    used = {name for node in nodes for name in _reads(node)}
    finished = helper.make_model(
        helper.make_graph(
            nodes,
            "geulpi",
            [_value(spec) for spec in inputs],
            [_value(spec) for spec in outputs],
            [tensor for tensor in initializers if tensor.name in used],
        ),
        opset_imports=_opsets(model, nodes),
        functions=list(model.functions),
        ir_version=NEWEST_IR,
        producer_name="geulpi-conversion",
    )
    onnx.checker.check_model(finished)
    return finished


def _joined(
    inputs: Sequence[TensorSpec], join: TensorSpec, target: str
) -> Iterator[onnx.NodeProto]:
    for spec in inputs:
        if spec.datatype != join.datatype:
            to = ONNX_TYPES[join.datatype]
            yield helper.make_node("Cast", [spec.name], [f"{spec.name}/cast"], to=to)
    names = [s.name if s.datatype == join.datatype else f"{s.name}/cast" for s in inputs]
    yield helper.make_node("Concat", names, [target], axis=1)


def _shaped(spec: TensorSpec, source: str) -> Iterator[onnx.NodeProto]:
    if spec.name == "decision" and spec.width == 1:
        # Of two classes skl2onnx gives [−d, d] or d, scikit-learn d.
        yield helper.make_node("Gather", [source, "last/column"], [f"{spec.name}/last"], axis=1)
        source = f"{spec.name}/last"
    if spec.datatype != "BYTES":
        to = ONNX_TYPES[spec.datatype]
        yield helper.make_node("Cast", [source], [f"{spec.name}/cast"], to=to)
        source = f"{spec.name}/cast"
    yield helper.make_node("Reshape", [source, f"{spec.name}/shape"], [spec.name])


def _before_zipmap(graph: onnx.GraphProto, name: str) -> str:
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in {"ZipMap", "Identity"}:
        name = node.input[0]
        node = makers.get(name)
    return name


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


def _opsets(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]
) -> list[onnx.OperatorSetIdProto]:
    """Return one version for each domain; skl2onnx lists a domain twice, or none of its nodes."""
    versions: dict[str, int] = {"": 13}  # Reshape, Gather and Cast as written here
    for opset in model.opset_import:
        versions[opset.domain] = max(versions.get(opset.domain, 1), opset.version)
    newer = {d: v for d, v in versions.items() if v > NEWEST_OPSET.get(d, v)}
    if newer:
        raise ValueError(f"the graph needs the opsets {newer}, newer than {NEWEST_OPSET}")
    domains = {node.domain for node in nodes} | {""}
    return [helper.make_opsetid(d, v) for d, v in versions.items() if d in domains]


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], [None, spec.width])

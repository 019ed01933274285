"""The ONNX route: skl2onnx, the options it needs to be right, and uniform tensors in the graph."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it when it is imported

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common import data_types
from sklearn.base import BaseEstimator, is_classifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import StandardScaler

from geulpi_conversion._tensors import Inputs
from geulpi_conversion.served.model import Tensors

__all__ = ["NotConvertible", "run", "to_onnx"]

# What the ONNX Runtime 1.19 of Triton 24.10 still reads.
OPSETS = {"": 21, "ai.onnx.ml": 3}
IR_VERSION = 10

# scikit-learn's tokens → the same in RE2, where \w and \s are ASCII. The second class leaves out
# what Python's \s matches.
TOKENS = {
    r"(?u)\b\w\w+\b": r"[\p{L}\p{N}_]{2,}",
    r"\S": r"[^\t\n\v\f\r\x1c-\x1f \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]",
}
# Shorter titles of a batch are padded with this token; skl2onnx's "#" is a token of its own right.
PADDING = "\ue000padding"

INPUT_TYPES = {
    "float32": data_types.FloatTensorType,
    "float64": data_types.DoubleTensorType,
    "int64": data_types.Int64TensorType,
    "bool": data_types.BooleanTensorType,
    "object": data_types.StringTensorType,
}
# Our output → where skl2onnx puts it (first match), and the type it is served with.
LABELS = ("label", "output_label")
OUTPUT_TYPES = {np.dtype(np.int64): TensorProto.INT64, np.dtype(object): TensorProto.STRING}


class NotConvertible(Exception):
    """Why the estimator did not become an ONNX graph."""


def to_onnx(estimator: Any, inputs: Inputs, reference: Tensors) -> onnx.ModelProto:
    """Convert an estimator to a graph with exactly the tensors it is served with.

    Args:
        estimator: the fitted estimator.
        inputs: names, types and widths of the inputs.
        reference: the estimator's answers, which tell names, types and widths of the outputs.

    Raises:
        NotConvertible: with the reason in one line.
    """
    types = [(t.name, INPUT_TYPES[t.dtype]([None, t.width])) for t in inputs.specs]
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            model: onnx.ModelProto = convert_sklearn(
                estimator,
                initial_types=types,
                target_opset=OPSETS,
                options=_options(estimator),
            )
        _pad_with_no_token(model.graph)
        _rename_inputs(model.graph, [tensor.name for tensor in inputs.specs])
        _make_uniform_outputs(model.graph, reference)
        model.ir_version = min(model.ir_version, IR_VERSION)
        onnx.checker.check_model(model)
    except Exception as error:
        line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise NotConvertible(f"{type(error).__name__}: {line[:200]}") from error
    return model


def run(model: onnx.ModelProto, tensors: Tensors) -> Tensors:
    """Answer rows with ONNX Runtime, on one thread.

    Raises:
        NotConvertible: the graph does not load or run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, tensors), strict=True))
    except Exception as error:
        line = str(error).strip().splitlines()[0]
        raise NotConvertible(f"ONNX Runtime: {line[:200]}") from error


def _options(estimator: Any) -> dict[int, dict[str, Any]]:
    options: dict[int, dict[str, Any]] = {}
    if is_classifier(estimator):
        options[id(estimator)] = {"zipmap": False}
    for part in _parts(estimator):
        if isinstance(part, CountVectorizer) and part.analyzer == "word":
            if part.token_pattern not in TOKENS:
                raise NotConvertible(
                    f"token_pattern {part.token_pattern!r} has no proven equivalent in ONNX "
                    f"Runtime; {sorted(TOKENS)} have"
                )
            options[id(part)] = {"tokenexp": TOKENS[part.token_pattern], "locale": "C.UTF-8"}
        elif isinstance(part, CountVectorizer):
            options[id(part)] = {"locale": "C.UTF-8"}
        elif isinstance(part, StandardScaler):
            # Dividing as scikit-learn does keeps float32 rows on their side of a tree's threshold.
            options[id(part)] = {"div": "div"}
    return options


def _parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and every fitted estimator inside it."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (list, tuple)):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, BaseEstimator) and id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting.extend(vars(part).values())


def _pad_with_no_token(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Tokenizer" and attribute.name == "pad_value":
                attribute.s = PADDING.encode()


def _rename_inputs(graph: onnx.GraphProto, names: list[str]) -> None:
    """Give the graph's inputs the columns' own names, which skl2onnx may have rewritten."""
    renamed = {}
    for given, name in zip(graph.input, names, strict=True):
        if given.name != name:
            renamed[given.name] = name
            given.name = name
    taken = {output for node in graph.node for output in node.output}
    for name in taken & set(renamed.values()):
        raise NotConvertible(f"the graph uses the column name '{name}' inside")
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)


def _make_uniform_outputs(graph: onnx.GraphProto, reference: Tensors) -> None:
    """Replace the outputs by ours: named, `[rows, width]`, of the served type."""
    found = {output.name: output for output in graph.output}
    order = [output.name for output in graph.output]
    inside = {name for node in graph.node for name in node.output}
    del graph.output[:]
    for position, (name, answer) in enumerate(reference.items()):
        source = next((label for label in LABELS if name == "label" and label in found), None)
        if source is None:
            # A classifier's scores come second; anything else has one output that counts.
            source = order[min(position, len(order) - 1)]
        if not found[source].type.HasField("tensor_type"):
            raise NotConvertible(f"its output '{source}' is no plain tensor")
        wanted = OUTPUT_TYPES.get(answer.dtype, TensorProto.FLOAT)
        kind = found[source].type.tensor_type.elem_type
        # Our names may be the graph's own: rename those first.
        inner = f"geulpi_{source}"
        if source in inside:
            _rename_inside(graph, source, inner)
            inside.discard(source)
        width = answer.shape[1]
        shape = f"geulpi_{name}_shape"
        graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [2], [-1, width]))
        shaped = name if kind == wanted else f"geulpi_{name}_shaped"
        graph.node.append(helper.make_node("Reshape", [inner, shape], [shaped]))
        if kind != wanted:
            graph.node.append(helper.make_node("Cast", [shaped], [name], to=wanted))
        graph.output.append(helper.make_tensor_value_info(name, wanted, [None, width]))


def _rename_inside(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new

"""Lets skl2onnx convert a single estimator, where no translator of our own does."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from skl2onnx import convert_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common import data_types as skl_types
from skl2onnx.common._registration import get_converter

from geulpi_conversion._onnx._graph import ML, OPSETS, Array, Graph, Untranslatable
from geulpi_conversion._onnx._tables import Kind, Table, Value

SKL_TYPES: dict[Kind, Any] = {
    "double": skl_types.DoubleTensorType,
    "float": skl_types.FloatTensorType,
    "string": skl_types.StringTensorType,
}
SETTINGS = ort.SessionOptions()
SETTINGS.intra_op_num_threads = SETTINGS.inter_op_num_threads = 1
SETTINGS.log_severity_level = 4


def leaf(graph: Graph, estimator: Any, table: Table, method: str) -> Value:
    """Convert one estimator by skl2onnx and put its graph into ours.

    Raises:
        Untranslatable: skl2onnx has no converter, or does not answer this.
        Exception: whatever skl2onnx raises.
    """
    if method in {"kneighbors", "score_samples"}:
        raise Untranslatable(estimator, f"there is no ONNX form of its {method}")
    if type(estimator) not in sklearn_operator_name_map:
        raise Untranslatable(estimator, "there is no ONNX form of it")
    given = graph.joined(table, "string" if table.kinds == {"string"} else graph.kind)
    model = _convert(estimator, given, raw_scores=method == "decision_function")
    place = _place(estimator, method)
    if len(model.graph.output) <= place:
        raise Untranslatable(estimator, f"skl2onnx leaves {method} out")
    element_type, width = _answered(model, given, place)
    if method == "predict_proba" and width != np.size(estimator.classes_):
        raise Untranslatable(estimator, f"skl2onnx answers {width} columns of probabilities")
    found = graph.inline(model, [given.name])[place]
    if method == "decision_function" and width == np.size(estimator.classes_) == 2:
        # Of two classes skl2onnx gives [−d, d], scikit-learn d.
        found, width = graph.op("Gather", found, np.array([1]), axis=1), 1
    return graph.uniform(found, element_type, width)


def _place(estimator: Any, method: str) -> int:
    """Return which of the converted graph's outputs answers a method."""
    first = method == "predict" or (method == "transform" and not hasattr(estimator, "predict"))
    return 0 if first else 1


def _convert(estimator: Any, given: Value, *, raw_scores: bool) -> onnx.ModelProto:
    options: dict[str, Any] = {}
    allowed = get_converter(sklearn_operator_name_map[type(estimator)]).get_allowed_options() or {}
    if "zipmap" in allowed:
        options["zipmap"] = False
    if raw_scores and "raw_scores" in allowed:
        options["raw_scores"] = True
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        model: onnx.ModelProto = convert_sklearn(
            estimator,
            initial_types=[("X", SKL_TYPES[given.kind]([None, given.width]))],
            options={id(estimator): options} if options else None,
            target_opset={"": OPSETS[""], ML: OPSETS[ML]},
        )
    return model


def _answered(model: onnx.ModelProto, given: Value, place: int) -> tuple[int, int]:
    """Return the type of element and the width of an answer, by asking: shapes are not told."""
    rows = _rows(given)
    session = ort.InferenceSession(
        model.SerializeToString(), SETTINGS, providers=["CPUExecutionProvider"]
    )
    answer = session.run([model.graph.output[place].name], {"X": rows})[0]
    if not isinstance(answer, np.ndarray):
        raise TypeError("skl2onnx answers no plain tensor")
    return helper.np_dtype_to_tensor_dtype(answer.dtype), answer.size // len(rows)


def _rows(given: Value) -> Array:
    shape = (2, given.width)
    if given.kind == "string":
        return np.full(shape, "", np.object_)
    return np.zeros(shape, np.float64 if given.kind == "double" else np.float32)

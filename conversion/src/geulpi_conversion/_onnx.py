"""The ONNX route: what skl2onnx makes of an estimator, run as the server runs it."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Sequence
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it when it is imported

import numpy as np
import onnxruntime as ort
from skl2onnx import convert_sklearn
from skl2onnx.common import data_types as skl_types
from sklearn.compose import ColumnTransformer

from geulpi_conversion._candidate import Candidate
from geulpi_conversion._converted import TensorSpec
from geulpi_conversion._graph import NEWEST_OPSET, uniform
from geulpi_conversion._options import options, parts
from geulpi_conversion._repairs import repair
from geulpi_conversion._served import decode

Tensors = dict[str, np.ndarray[Any, Any]]

FILE_NAME = "model.onnx"
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")
SKL_TYPES = {
    "BOOL": skl_types.BooleanTensorType,
    "BYTES": skl_types.StringTensorType,
    "FP32": skl_types.FloatTensorType,
    "FP64": skl_types.DoubleTensorType,
    "INT64": skl_types.Int64TensorType,
}


def onnx_candidate(
    estimator: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Candidate:
    """Convert an estimator to ONNX; whether the answers are right is for parity to say.

    Raises:
        Exception: skl2onnx has no converter, or what it made is no valid graph of these tensors.
    """
    join = _join(estimator, inputs)
    decision = any(spec.name == "decision" for spec in outputs)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        made = convert_sklearn(
            estimator,
            initial_types=[
                (spec.name, SKL_TYPES[spec.datatype]([None, spec.width]))
                for spec in ([join] if join else inputs)
            ],
            options=options(estimator, decision=decision),
            target_opset=NEWEST_OPSET,
        )
    repair(made)
    content = uniform(made, inputs, outputs, join=join).SerializeToString()
    return Candidate("onnxruntime", FILE_NAME, {FILE_NAME: content}, LIBRARIES, _runner(content))


def _join(estimator: Any, inputs: Sequence[TensorSpec]) -> TensorSpec | None:
    """Return the one matrix that all columns make, where no step asks for columns by name.

    Most converters take a matrix and refuse columns.
    """
    kinds = {spec.datatype for spec in inputs}
    if len(inputs) == 1 or any(isinstance(part, ColumnTransformer) for part in parts(estimator)):
        return None
    if len(kinds) > 1 and "BYTES" in kinds:
        return None
    widest = next(kind for kind in ("BYTES", "FP64", "FP32", "INT64", "BOOL") if kind in kinds)
    return TensorSpec("X", widest, len(inputs))


def _runner(content: bytes) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    session = ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(tensors: Tensors) -> Tensors:
        feed = {name: decode(name, tensor) for name, tensor in tensors.items()}
        return dict(zip(names, session.run(names, feed), strict=True))

    return run

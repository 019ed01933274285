"""A finished ONNX model, run as the server runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from geulpi_conversion._backend.geulpi_served import decode

Tensors = dict[str, np.ndarray[Any, Any]]

FILE_NAME = "model.onnx"
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


def runner(content: bytes) -> Callable[[Tensors], Tensors]:
    """Return a function that answers tensors by an ONNX model, as the server does."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    session = ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(tensors: Tensors) -> Tensors:
        feed = {name: decode(name, tensor) for name, tensor in tensors.items()}
        return dict(zip(names, session.run(names, feed), strict=True))

    return run

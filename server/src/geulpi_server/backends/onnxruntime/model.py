"""Triton's `onnxruntime` backend as a Python-based one, for the server without a container.

Triton prefers a `libtriton_onnxruntime.so`: in the official container the C++ backend serves the
same repository and this file is never looked at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from onnx_model import ModelRefused, OnnxModel, RequestRefused


class TritonPythonModel:
    """One instance of one model version: one ONNX Runtime session."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and check it against its config; refusals name their remedy."""
        config: dict[str, Any] = json.loads(args["model_config"])
        version = args["model_version"]
        file_name = config.get("default_model_filename") or "model.onnx"
        parameters = config.get("parameters", {})
        try:
            self._model = OnnxModel(
                Path(args["model_repository"], version, file_name),
                config,
                sha256=parameters.get(f"sha256.{version}", {}).get("string_value"),
            )
        except ModelRefused as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._inputs = [tensor["name"] for tensor in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests by one ONNX Runtime call; a bad one fails alone."""
        answers = self._model.infer(
            [
                {
                    name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                    for name in self._inputs
                }
                for request in requests
            ],
            [request.requested_output_names() for request in requests],
        )
        return [_to_response(answer) for answer in answers]


def _to_response(answer: dict[str, Any] | Exception) -> Any:
    if isinstance(answer, Exception):
        refused = isinstance(answer, RequestRefused) or "INVALID_ARGUMENT" in str(answer)
        code = pb_utils.TritonError.INVALID_ARG if refused else pb_utils.TritonError.INTERNAL
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(answer), code))
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, tensor) for name, tensor in answer.items()]
    )

"""Serves code of `geulpi_calendar` on Triton's Python backend: one instance of one version.

`geulpi_models` publishes this file in a version's folder, with the modules that it runs. The
parameters of config.pbtxt say the rest:
    module               whose `load(folder, ask)` returns what answers rows
    sha256.<version>     the digest of manifest.json, which holds those of all other files
    trim_every           so many executions after which memory that is not in use is given back to
                         the system; 0 for never
A module's answerer takes the rows of the model's one input where that is text, a list of `bytes`,
else all inputs by name, `[N, width]`; it returns the outputs. It raises `InvalidDocument` for what
the caller did wrong. After an error each request of a batch is asked alone: a bad one fails alone.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# Before the environment's own packages: a version runs the code that it was published with.
sys.path.insert(0, str(Path(__file__).parent))

from geulpi_calendar.documents import InvalidDocument
from geulpi_metrics import Execution, Metrics

Tensors = Mapping[str, Any]
MANIFEST = "manifest.json"
TEXT = "TYPE_STRING"


class TritonPythonModel:
    """One instance of one version; the work is done by the module that the config names."""

    def initialize(self, args: dict[str, str]) -> None:
        """Check the version's files and load its module."""
        config: dict[str, Any] = json.loads(args["model_config"])
        version, folder = args["model_version"], Path(__file__).parent
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        _check_files(folder, parameters.get(f"sha256.{version}", ""))
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._texts = {t["name"] for t in config["output"] if t["data_type"] == TEXT}
        self._documents = [tensor["data_type"] for tensor in config["input"]] == [TEXT]
        module = importlib.import_module(parameters["module"])
        self._answer: Callable[[Any], Tensors] = module.load(folder, _ask)
        self._trim_every = int(parameters.get("trim_every", "0"))
        self._executions = 0
        self._metrics = Metrics(
            pb_utils, args["model_name"], version, instance=args["model_instance_name"]
        )
        # What was made until now stays: collections, which stop every answer, pass it over.
        gc.collect()
        gc.freeze()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests at once, or one by one where one of them is bad."""
        asked: list[Tensors] = [
            {n: pb_utils.get_input_tensor_by_name(request, n).as_numpy() for n in self._inputs}
            for request in requests
        ]
        started = time.perf_counter()
        answers = self._answers(asked)
        seconds = time.perf_counter() - started
        rows = sum(len(tensors[self._inputs[0]]) for tensors in asked)
        errors = Counter(_kind(answer) for answer in answers if isinstance(answer, Exception))
        self._metrics.add(Execution(rows, seconds, errors))
        responses = [
            self._response(answer, request.requested_output_names())
            for answer, request in zip(answers, requests, strict=True)
        ]
        self._executions += 1
        if self._trim_every and self._executions % self._trim_every == 0:
            _trim()
        return responses

    def finalize(self) -> None:
        """Tell no more metrics."""
        self._metrics.stop()

    def _answers(self, asked: list[Tensors]) -> list[Tensors | Exception]:
        if len(asked) == 1:
            return [self._answer_or_error(asked[0])]
        joined = {n: np.concatenate([tensors[n] for tensors in asked]) for n in self._inputs}
        answer = self._answer_or_error(joined)
        if isinstance(answer, Exception):
            return [self._answer_or_error(tensors) for tensors in asked]
        ends = np.cumsum([len(tensors[self._inputs[0]]) for tensors in asked])[:-1]
        parts = {name: np.split(np.asarray(values), ends) for name, values in answer.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(asked))]

    def _answer_or_error(self, tensors: Tensors) -> Tensors | Exception:
        try:
            if self._documents:
                return self._answer(tensors[self._inputs[0]][:, 0].tolist())
            return self._answer(tensors)
        except Exception as error:  # noqa: BLE001 -- becomes the request's error
            return error

    def _response(self, answer: Tensors | Exception, wanted: list[str]) -> Any:
        if isinstance(answer, Exception):
            return pb_utils.InferenceResponse(error=_error(answer))
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(
                    name, np.asarray(answer[name], np.object_ if name in self._texts else None)
                )
                for name in wanted
            ]
        )


def _check_files(folder: Path, recorded: str) -> None:
    """Raise unless every file is the one that was published."""
    remedy = "Remedy: publish the model again, or restore the file"
    manifest = (folder / MANIFEST).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != recorded:
        raise pb_utils.TritonModelException(
            f"{folder / MANIFEST} is not the file that was published. {remedy}"
        )
    for name, digest in json.loads(manifest).items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise pb_utils.TritonModelException(
                f"{path} is not the file that was published. {remedy}"
            )


def _ask(model: str, tensors: Tensors) -> dict[str, Any]:
    """Ask another model of this server.

    Raises:
        RuntimeError: it did not answer.
    """
    outputs = ASKED[model]
    request = pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=list(outputs),
        inputs=[pb_utils.Tensor(name, values) for name, values in tensors.items()],
    )
    response = request.exec()
    if response.has_error():
        raise RuntimeError(f"{model}: {response.error().message()}")
    return {n: pb_utils.get_output_tensor_by_name(response, n).as_numpy() for n in outputs}


# The outputs that are wanted of the models that code here asks.
ASKED = {"event_classifier": ("label",)}


def _trim() -> None:
    """Give back to the system what nobody uses; glibc keeps it for later otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _kind(error: Exception) -> str:
    return "invalid_argument" if isinstance(error, InvalidDocument) else "internal"


def _error(error: Exception) -> Any:
    if _kind(error) == "invalid_argument":
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    return pb_utils.TritonError(f"{type(error).__name__}: {error}", pb_utils.TritonError.INTERNAL)

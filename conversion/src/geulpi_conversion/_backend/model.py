"""Serves a scikit-learn estimator on Triton's Python backend: one instance of one version.

`geulpi_conversion` publishes this file and the modules beside it, unchanged, in a version's folder,
with the estimator. The parameters of config.pbtxt say the rest:
    layout               JSON of a `Layout`: what the input tensors become
    sha256.<version>     the digest that the artefact must have
    trusted.<version>    JSON list of the types that skops may load beside the ones it knows
    libraries.<version>  JSON of the library versions that the estimator was converted with; for
                         versions without it, `libraries` is that of all
    batching             `rows`: the requests of an execution are one call of the estimator;
                         `request`: each is its own, for estimators whose answers depend on what
                         else is asked; default `rows`
    trim_every           so many executions after which memory that is not in use is given back to
                         the system; 0 for never; default 1000
"""

from __future__ import annotations

import ctypes
import gc
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from geulpi_artefact import ArtefactRefused, load_estimator
from geulpi_metrics import Execution, Metrics
from geulpi_served import Layout, ServedEstimator, Tensors, UnservableAnswer

BATCHING = ("rows", "request")
TRIM_EVERY = 1000  # at 0.2 ms each


class TritonPythonModel:
    """One instance of one version; the work is done by `ServedEstimator`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's estimator; refusals name their remedy."""
        config: dict[str, Any] = json.loads(args["model_config"])
        version = args["model_version"]
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        try:
            self._batching, self._trim_every = _settings(parameters)
            estimator = load_estimator(Path(args["model_repository"], version), version, parameters)
        except ArtefactRefused as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._model = ServedEstimator(estimator, Layout.from_json(parameters["layout"]))
        self._metrics = Metrics(
            pb_utils, args["model_name"], version, instance=args["model_instance_name"]
        )
        self._executions = 0
        # What was made until now stays. Collections, which stop every answer, pass it over: 45 ms
        # with scikit-learn and a forest become none.
        gc.collect()
        gc.freeze()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests by one call of the estimator; a bad one fails alone."""
        asked = [
            {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self._inputs
            }
            for request in requests
        ]
        wanted = [request.requested_output_names() for request in requests]
        started = time.perf_counter()
        if self._batching == "rows":
            answers = self._model.infer_many(asked, wanted)
        else:
            answers = [
                self._model.infer_many([tensors], [names])[0]
                for tensors, names in zip(asked, wanted, strict=True)
            ]
        seconds = time.perf_counter() - started
        rows = sum(len(tensors[self._inputs[0]]) for tensors in asked)
        errors = Counter(_kind(answer) for answer in answers if isinstance(answer, Exception))
        self._metrics.add(Execution(rows, seconds, errors))
        responses = [_to_response(answer) for answer in answers]
        self._executions += 1
        if self._trim_every and self._executions % self._trim_every == 0:
            _trim()
        return responses

    def finalize(self) -> None:
        """Let go of the estimator."""
        self._metrics.stop()
        del self._model


def _settings(parameters: dict[str, str]) -> tuple[str, int]:
    """Return `batching` and `trim_every`.

    Raises:
        ArtefactRefused: one of them can't be used.
    """
    batching = parameters.get("batching", BATCHING[0])
    if batching not in BATCHING:
        raise ArtefactRefused(
            f"config.pbtxt's parameter batching is '{batching}'. Remedy: set 'rows' or 'request'"
        )
    trim_every = parameters.get("trim_every", str(TRIM_EVERY))
    if not trim_every.isdecimal():
        raise ArtefactRefused(
            f"config.pbtxt's parameter trim_every is '{trim_every}'. Remedy: set a number of "
            "executions, or 0 for never"
        )
    return batching, int(trim_every)


def _trim() -> None:
    """Give back to the system what nobody uses; glibc keeps it for later otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _kind(error: Exception) -> str:
    # Estimators refuse NaN, infinity and unknown categories by ValueError.
    refused = isinstance(error, ValueError) and not isinstance(error, UnservableAnswer)
    return "invalid_argument" if refused else "internal"


def _to_response(answered: Tensors | Exception) -> Any:
    if isinstance(answered, Exception):
        if _kind(answered) == "invalid_argument":
            error = pb_utils.TritonError(str(answered), pb_utils.TritonError.INVALID_ARG)
        else:
            message = f"{type(answered).__name__}: {answered}"
            error = pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL)
        return pb_utils.InferenceResponse(error=error)
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, values) for name, values in answered.items()]
    )

"""What the worker's process does: makes candidates, and answers by them as a server would."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import onnx
import onnxruntime as ort

from geulpi_conversion._backend.geulpi_artefact import load_estimator
from geulpi_conversion._backend.geulpi_served import Layout, ServedEstimator
from geulpi_conversion._converted import Converted, TensorSpec
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._model import NEWEST_IR, OnnxModel, Refusals, build_model
from geulpi_conversion._quantize import with_fewer_bits

SPEED_ROWS = 256  # of a batch
SPEED_ROUNDS = 5
SPEED_ROUND_S = 0.05
Tensors = dict[str, np.ndarray[Any, Any]]
# The answer to a batch, or the words with which it was refused.
Answered = Tensors | str


@dataclass(frozen=True)
class Plan:
    """What a model takes and gives, whichever way it is served.

    Attributes:
        inputs: the tensors of a request.
        outputs: the tensors of the answer.
        refusals: by input, the columns in which the estimator refuses NaN or infinity.
        missing: by input of strings, the text that stands for a missing one.
        nones: inputs in which the estimator sees None there, not NaN.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    refusals: Mapping[str, Refusals]
    missing: Mapping[str, str]
    nones: frozenset[str] = frozenset()


def make_onnx(
    estimator: Path, plan: Plan, batches: Sequence[Tensors], *, double: bool
) -> tuple[OnnxModel, list[Answered]]:
    """Translate the estimator of a file to ONNX, and let the model answer batches.

    Raises:
        Exception: there is no valid graph of it.
    """
    model = build_model(
        _loaded(estimator),
        plan.inputs,
        plan.outputs,
        plan.refusals,
        plan.missing,
        nones=plan.nones,
        double=double,
    )
    return model, answers_of_onnx(model.content, batches)


def answers_of_onnx(content: bytes, batches: Sequence[Tensors]) -> list[Answered]:
    """Let an ONNX model answer batches."""
    return _answers(runner(content), batches)


def _answers(run: Callable[[Tensors], Tensors], batches: Sequence[Tensors]) -> list[Answered]:
    answers: list[Answered] = []
    for batch in batches:
        try:
            answers.append(run(batch))
        except Exception as error:  # noqa: BLE001 -- a refusal is an answer, too
            answers.append(f"{type(error).__name__}: {error}")
    return answers


@functools.lru_cache(maxsize=1)
def _loaded(path: Path) -> Any:
    with path.open("rb") as file:
        return cloudpickle.load(file)


def optimized(content: bytes) -> bytes:
    """Return a model as ONNX Runtime has optimised it, with standard operators only.

    Fusions that only this version of ONNX Runtime may know, or that suit only this processor, are
    left to the server.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = ort.SessionOptions()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        settings.optimized_model_filepath = str(Path(folder, "model.onnx"))
        settings.log_severity_level = 4
        ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        return trimmed(onnx.load(settings.optimized_model_filepath))


def quantized(content: bytes, to: str) -> bytes:
    """Return a model whose weights are float16 or int8.

    Raises:
        ValueError: it has none worth it.
    """
    model = onnx.load_from_string(content)
    if with_fewer_bits(model, to) == 0:
        raise ValueError(f"it has no array of weights that {to} could hold")
    onnx.checker.check_model(model)
    return trimmed(model)


def trimmed(model: onnx.ModelProto) -> bytes:
    """Return a model without what tools add to it: unused operator sets, a newer IR version."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    return bytes(model.SerializeToString())


def speeds(models: Sequence[Converted], batch: Tensors) -> list[float]:
    """Return the rows that each model answers in a second, measured in turns."""
    with contextlib.ExitStack() as stack:
        return _speeds([_run_of(model, stack) for model in models], batch)


def answers_of(model: Converted, batches: Sequence[Tensors]) -> list[Answered]:
    """Let a converted model answer batches, whichever way it is served."""
    with contextlib.ExitStack() as stack:
        return _answers(_run_of(model, stack), batches)


def _run_of(model: Converted, stack: contextlib.ExitStack) -> Callable[[Tensors], Tensors]:
    content = model.files[model.artefact]
    if model.backend == "onnxruntime":
        return runner(content)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geulpi-")))
    (folder / model.artefact).write_bytes(content)
    parameters = as_version_1(model.parameters, content, model.trusted)
    served = _served(folder, parameters)
    return functools.partial(served.infer, wanted=[spec.name for spec in model.outputs])


def as_version_1(
    parameters: Mapping[str, str], content: bytes, trusted: Sequence[str]
) -> dict[str, str]:
    """Return the parameters that config.pbtxt would have, were this the first version."""
    return {
        **parameters,
        "sha256.1": hashlib.sha256(content).hexdigest(),
        "trusted.1": json.dumps(trusted),
    }


def _served(folder: Path, parameters: Mapping[str, str]) -> ServedEstimator:
    estimator = load_estimator(folder, "1", parameters)
    return ServedEstimator(estimator, Layout.from_json(parameters["layout"]))


def _speeds(runs: Sequence[Callable[[Tensors], Tensors]], batch: Tensors) -> list[float]:
    some = {name: values[:SPEED_ROWS] for name, values in batch.items()}
    rows = len(next(iter(some.values())))
    measured: list[list[float]] = [[] for _ in runs]
    for _ in range(SPEED_ROUNDS):
        for run, found in zip(runs, measured, strict=True):
            began, calls = time.perf_counter(), 0
            while (spent := time.perf_counter() - began) < SPEED_ROUND_S:
                run(some)
                calls += 1
            found.append(rows * calls / spent)
    return [statistics.median(found) for found in measured]

"""Tries the ways of serving an estimator, in order, until one is proven right."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from geulpi_conversion._answers import Answers, check_fitted, find_answers
from geulpi_conversion._candidate import Candidate
from geulpi_conversion._converted import Converted, Datatype, TensorSpec
from geulpi_conversion._errors import NoFaithfulRoute
from geulpi_conversion._onnx import onnx_candidate
from geulpi_conversion._parity import prove
from geulpi_conversion._python import joblib_candidate, skops_candidate
from geulpi_conversion._sample import Sample, read_sample

FORMAT = "1"  # of the parameters in config.pbtxt; count up when a reader must tell old from new

Builder = Callable[[Any, Sample, tuple[TensorSpec, ...], Answers], Candidate]

# In the order of preference. A new way of serving is a row here.
ROUTES: dict[str, Builder] = {
    "ONNX": lambda estimator, _, inputs, answers: onnx_candidate(
        estimator, inputs, answers.outputs
    ),
    "Python backend (skops)": lambda estimator, sample, _, answers: skops_candidate(
        estimator, sample.layout, answers.outputs
    ),
    "Python backend (joblib)": lambda estimator, sample, _, answers: joblib_candidate(
        estimator, sample.layout, answers.outputs
    ),
}


def first_faithful(estimator: Any, given: Any, name: str) -> Converted:
    """Convert by the first route whose answers are the estimator's; `convert` documents it."""
    check_fitted(estimator)
    sample = read_sample(given)
    answers = find_answers(estimator, sample)
    tried: list[str] = []
    for title, inputs, candidate in _candidates(estimator, sample, answers, tried):
        tensors = sample.tensors(inputs)
        try:
            parity = prove(answers.reference, tensors, candidate.run)
        except Exception as error:  # noqa: BLE001 -- an estimator may refuse a precision
            tried.append(f"{title}: {_first_line(error)}")
            continue
        if parity.ok:
            return Converted(
                name=name,
                backend=candidate.backend,
                reason="" if candidate.backend == "onnxruntime" else "; ".join(tried),
                parity=parity,
                inputs=inputs,
                outputs=answers.outputs,
                artefact=candidate.artefact,
                files=candidate.files,
                warmup={key: _raw(tensor[:1]) for key, tensor in tensors.items()},
                parameters=_parameters(estimator, sample, candidate),
                trusted=candidate.trusted,
            )
        tried.append(f"{title}: {parity}")
    raise NoFaithfulRoute(name, tried)


def _candidates(
    estimator: Any, sample: Sample, answers: Answers, tried: list[str]
) -> Iterator[tuple[str, tuple[TensorSpec, ...], Candidate]]:
    """Yield what could be served, best first; say in `tried` why a route yields nothing."""
    precisions: tuple[Datatype, ...] = ("FP32", "FP64") if sample.has_float64 else ("FP32",)
    for route, build in ROUTES.items():
        for precision in precisions:
            inputs = sample.inputs(precision)
            try:
                candidate = build(estimator, sample, inputs, answers)
            except Exception as error:  # noqa: BLE001 -- whatever fails, the next route may not
                tried.append(f"{route}: {_first_line(error)}")
                break  # more precision won't help
            title = f"{route}, {precision} input" if len(precisions) > 1 else route
            yield title, inputs, candidate


def _parameters(estimator: Any, sample: Sample, candidate: Candidate) -> dict[str, str]:
    kind = type(estimator)
    versions = {name: importlib.metadata.version(name) for name in candidate.libraries}
    parameters = {
        "geulpi_format": FORMAT,
        "estimator": f"{kind.__module__}.{kind.__qualname__}",
        "classes": _json(_classes(estimator)),
        "inputs": _json([spec.name for spec in sample.specs]),
        "libraries": _json({"python": platform.python_version(), **versions}),
    }
    if candidate.backend == "python":
        parameters["layout"] = sample.layout.to_json()
    return parameters


def _classes(estimator: Any) -> list[Any]:
    """Return the labels in the order of the probabilities; of several outputs, a list each."""
    classes = getattr(estimator, "classes_", [])
    if isinstance(classes, list):
        return [np.asarray(some).tolist() for some in classes]
    found: list[Any] = np.asarray(classes).tolist()
    return found


def _raw(tensor: np.ndarray[Any, Any]) -> bytes:
    """Return a tensor as Triton's warm-up reads it."""
    if tensor.dtype != np.object_:
        return tensor.tobytes()
    return b"".join(len(item).to_bytes(4, "little") + item for item in tensor.ravel())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

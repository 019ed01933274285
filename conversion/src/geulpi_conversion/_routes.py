"""Tries the ways of serving an estimator, in order, until one is proven right."""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geulpi_conversion._answers import Answers, check_fitted, find_answers, output_names
from geulpi_conversion._backend.geulpi_served import Layout, answer
from geulpi_conversion._behaviour import depends_on_batch, is_random
from geulpi_conversion._candidate import Candidate
from geulpi_conversion._converted import Converted, Datatype, Parity, Step
from geulpi_conversion._distill import distill
from geulpi_conversion._errors import NoFaithfulRoute, first_line
from geulpi_conversion._jobs import Answered, Plan, answers_of, make_onnx
from geulpi_conversion._lighter import Lighter, Proof, compress, optimize, quantize, with_change
from geulpi_conversion._modules import pickled
from geulpi_conversion._onnx._candidate import FILE_NAME, LIBRARIES
from geulpi_conversion._onnx._graph import Untranslatable
from geulpi_conversion._parity import prove
from geulpi_conversion._python import joblib_candidate, skops_candidate
from geulpi_conversion._recorded import PROVENANCE, provenance
from geulpi_conversion._reference import Oracle, Questions
from geulpi_conversion._rules import needs_double, needs_wide_tensors
from geulpi_conversion._sample import Sample, read_sample
from geulpi_conversion._worker import Worker

FORMAT = "2"  # of the parameters in config.pbtxt; count up when a reader must tell old from new
ROWS_KEPT = 100  # of the sample, for warm-up and for `geulpi verify`
NOTHING = Parity(rows=0, single_rows=0, outputs=())

_WORKER = Worker()
atexit.register(_WORKER.close)


@dataclass(frozen=True)
class Estimator:
    """An estimator with all that is known of it, and a file that the worker loads it from."""

    fitted: Any
    sample: Sample
    answers: Answers
    file: Path

    def by_precision(self, precision: Datatype) -> tuple[Plan, Questions]:
        """Return what a model of this precision takes and gives, and what it is asked."""
        inputs = self.sample.inputs(precision)
        oracle = Oracle(self.fitted, self.sample, self.answers)
        plan = Plan(
            inputs,
            self.answers.outputs,
            oracle.refusals(inputs),
            self.sample.missing,
            self.sample.nones,
        )
        return plan, oracle.questions(inputs)


def _reorders(estimator: Estimator) -> bool:
    values = [v for v in estimator.sample.columns.values() if v.dtype == np.float64]
    return needs_wide_tensors(estimator.fitted, (column for v in values for column in v.T))


@dataclass(frozen=True)
class Attempt:
    """What a route is given: the estimator, the tensors, the questions, and its time."""

    estimator: Estimator
    plan: Plan
    questions: Questions
    timeout_s: float


Made = tuple[Candidate, list[Answered]]


@dataclass(frozen=True)
class Route:
    """A way of serving.

    Attributes:
        title: what reports call it.
        make: makes the files and lets them answer the questions.
        precision: of the tensors of floats.
        double: whether an ONNX graph computes in float64; None for what is no graph.
    """

    title: str
    make: Callable[[Attempt], Made]
    precision: Datatype = "FP32"
    double: bool | None = None


def first_faithful(
    estimator: Any, given: Any, name: str, *, timeout_s: float, lighter: Lighter
) -> Converted:
    """Convert by the first route whose answers are the estimator's; `convert` documents it."""
    converted, questions = _proven(estimator, given, name, timeout_s)
    proof = Proof(questions, _WORKER, timeout_s)
    if lighter.distill:
        student = distill(estimator, given)
        small, questions = _proven(student.estimator, given, name, timeout_s)
        proof = Proof(questions, _WORKER, timeout_s)
        converted = with_change("distilled", converted, small, proof, fidelity=student.fidelity)
    if lighter.optimize:
        converted = optimize(converted, proof)
    if lighter.quantize is not None:
        converted = quantize(converted, proof, lighter.quantize)
    if lighter.compress:
        converted = compress(converted, proof)
    return converted


def _proven(estimator: Any, given: Any, name: str, timeout_s: float) -> tuple[Converted, Questions]:
    check_fitted(estimator)
    sample = read_sample(given, output_names(estimator))
    answers = find_answers(estimator, sample)
    if is_random(estimator, sample, answers):
        raise NoFaithfulRoute(name, ["it answers the same rows otherwise each time it is asked"])
    with tempfile.TemporaryDirectory(prefix="geulpi-") as folder:
        file = Path(folder, "estimator.pkl")
        try:
            file.write_bytes(pickled(estimator).stream)
        except Exception as error:
            raise NoFaithfulRoute(name, [first_line(error)]) from error
        return _tried(name, Estimator(estimator, sample, answers, file), timeout_s)


def _tried(name: str, estimator: Estimator, timeout_s: float) -> tuple[Converted, Questions]:
    by_precision = functools.cache(estimator.by_precision)
    steps: list[Step] = []
    untranslatable = False
    for route in ROUTES:
        if not _applies(route, estimator) or (untranslatable and route.double is not None):
            continue
        plan, questions = by_precision(route.precision)
        try:
            candidate, found = route.make(Attempt(estimator, plan, questions, timeout_s))
            parity = prove(questions, found)
        except Exception as error:  # noqa: BLE001 -- whatever fails, the next route may not
            untranslatable |= isinstance(error, Untranslatable)  # at any precision
            steps.append(Step(route.title, first_line(error)))
            continue
        if parity.ok:
            steps.append(Step(route.title, ""))
            return _converted(name, estimator, plan, candidate, parity, steps), questions
        steps.append(Step(route.title, str(parity)))
    raise NoFaithfulRoute(name, [f"{step.route}: {step.why}" for step in steps])


def _applies(route: Route, estimator: Estimator) -> bool:
    wide = estimator.sample.has_float64
    if route.precision == "FP64" and not wide:
        return False
    if route.precision == "FP32" and wide and _reorders(estimator):
        return False
    return not (route.double is False and wide and needs_double(estimator.fitted))


def _onnx(attempt: Attempt, *, double: bool) -> Made:
    model, answers = _WORKER.call(
        make_onnx,
        attempt.timeout_s,
        attempt.estimator.file,
        attempt.plan,
        attempt.questions.batches,
        double=double,
    )
    files = {FILE_NAME: model.content}
    return Candidate("onnxruntime", FILE_NAME, files, LIBRARIES, fixes=model.fixes), answers


def _python(attempt: Attempt, *, store: Callable[[Any, Layout], Candidate]) -> Made:
    candidate = store(attempt.estimator.fitted, attempt.estimator.sample.layout)
    unproven = _converted("unproven", attempt.estimator, attempt.plan, candidate, NOTHING, [])
    batches = attempt.questions.batches
    return candidate, _WORKER.call(answers_of, attempt.timeout_s, unproven, batches)


_FLOAT32 = functools.partial(_onnx, double=False)
_FLOAT64 = functools.partial(_onnx, double=True)
_SKOPS = functools.partial(_python, store=skops_candidate)
_JOBLIB = functools.partial(_python, store=joblib_candidate)
# In the order of preference. A new way of serving is a row here.
ROUTES = (
    Route("ONNX", _FLOAT32, double=False),
    Route("ONNX computed in float64", _FLOAT64, double=True),
    Route("ONNX with FP64 tensors", _FLOAT64, "FP64", double=True),
    Route("Python backend (skops)", _SKOPS),
    Route("Python backend (skops) with FP64 tensors", _SKOPS, "FP64"),
    Route("Python backend (joblib)", _JOBLIB),
    Route("Python backend (joblib) with FP64 tensors", _JOBLIB, "FP64"),
)


def _converted(  # noqa: PLR0917 -- it only puts together
    name: str,
    estimator: Estimator,
    plan: Plan,
    candidate: Candidate,
    parity: Parity,
    steps: list[Step],
) -> Converted:
    left = [f"{step.route}: {step.why}" for step in steps if step.why]
    tensors = estimator.sample.tensors(plan.inputs)
    return Converted(
        name=name,
        backend=candidate.backend,
        reason="" if candidate.backend == "onnxruntime" else "; ".join(left),
        parity=parity,
        inputs=plan.inputs,
        outputs=plan.outputs,
        artefact=candidate.artefact,
        files=candidate.files,
        rows={key: tensor[:ROWS_KEPT] for key, tensor in tensors.items()},
        expected=_kept_answers(estimator),
        parameters=_parameters(estimator, candidate)
        | {PROVENANCE: _json(provenance(estimator.fitted, tensors))},
        trusted=candidate.trusted,
        steps=tuple(steps),
        fixes=candidate.fixes,
    )


def _kept_answers(estimator: Estimator) -> dict[str, np.ndarray[Any, Any]]:
    """Return the answers to the rows that are kept, as one batch of their own."""
    reference, native = estimator.answers.reference, estimator.sample.native
    if depends_on_batch(estimator.answers) and estimator.sample.rows > ROWS_KEPT:
        first = native.iloc[:ROWS_KEPT] if hasattr(native, "iloc") else native[:ROWS_KEPT]
        reference = answer(estimator.fitted, first, tuple(reference))
    return {name: values[:ROWS_KEPT] for name, values in reference.items()}


def _parameters(estimator: Estimator, candidate: Candidate) -> dict[str, str]:
    kind = type(estimator.fitted)
    sample = estimator.sample
    versions = {name: importlib.metadata.version(name) for name in candidate.libraries}
    parameters = {
        "geulpi_format": FORMAT,
        "estimator": f"{kind.__module__}.{kind.__qualname__}",
        "classes": _json(_classes(estimator.fitted)),
        "inputs": _json([spec.name for spec in sample.specs]),
        "columns": _json({c.tensor: c.name for c in sample.layout.columns}),
        "libraries": _json({"python": platform.python_version(), **versions}),
    }
    if sample.missing:
        parameters["missing"] = _json(sample.missing)
    if candidate.backend == "python":
        parameters["layout"] = sample.layout.to_json()
        if depends_on_batch(estimator.answers):
            parameters["batching"] = "request"
    return parameters


def _classes(estimator: Any) -> list[Any]:
    """Return the labels in the order of the probabilities; of several outputs, a list each."""
    classes = getattr(estimator, "classes_", [])
    if isinstance(classes, list):
        return [np.asarray(some).tolist() for some in classes]
    found: list[Any] = np.asarray(classes).tolist()
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

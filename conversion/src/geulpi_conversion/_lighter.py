"""Makes a converted model smaller or faster on request, each time with a proof of its own."""

from __future__ import annotations

import dataclasses
import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from geulpi_conversion._converted import Change, Converted, Parity, Tolerance
from geulpi_conversion._errors import LighterRefused, first_line
from geulpi_conversion._jobs import (
    answers_of,
    optimized,
    quantized,
    speeds,
)
from geulpi_conversion._parity import EXACT, prove
from geulpi_conversion._reference import Questions
from geulpi_conversion._worker import Worker

Quantize = Literal["float16", "int8"]

# What rounding to few bits may cost, stated in the report; more is refused.
TOLERANCES: dict[Quantize, Tolerance] = {
    "float16": Tolerance(absolute=1e-3, relative=1e-2, rows=1e-2, labels=5e-3),
    "int8": Tolerance(absolute=5e-2, relative=5e-2, rows=5e-2, labels=2e-2),
}


@dataclass(frozen=True)
class Proof:
    """What a changed model is proven by: the questions, and who asks them for how long."""

    questions: Questions
    worker: Worker
    timeout_s: float

    def of(self, model: Converted, tolerance: Tolerance = EXACT) -> Parity:
        """Compare the answers of a model with the estimator's own."""
        answers = self.worker.call(answers_of, self.timeout_s, model, self.questions.batches)
        return prove(self.questions, answers, tolerance)


@dataclass(frozen=True)
class Lighter:
    """What to do beside converting.

    Attributes:
        optimize: let ONNX Runtime optimise the graph now and not at each start.
        quantize: store an ONNX model's weights with fewer bits.
        compress: store the artefact of the Python backend compressed.
        distill: serve a small student of the estimator in its place.
    """

    optimize: bool = False
    quantize: Quantize | None = None
    compress: bool = False
    distill: bool = False


def optimize(converted: Converted, proof: Proof) -> Converted:
    """Return the model with its graph optimised offline; its answers stay as exact as they were.

    Raises:
        LighterRefused: it is no ONNX model, or the answers are not the estimator's any more.
    """
    what = "optimized"
    after = _remade(converted, proof, what, optimized)
    return with_change(what, converted, _proven(after, proof, what), proof)


def quantize(converted: Converted, proof: Proof, to: Quantize) -> Converted:
    """Return the model with its weights as float16 or int8.

    Raises:
        LighterRefused: it is no ONNX model, nothing in it can be quantized, or the answers are
            farther from the estimator's than `TOLERANCES` allow.
    """
    what = f"quantized to {to}"
    after = _remade(converted, proof, what, quantized, to)
    return with_change(what, converted, _proven(after, proof, what, TOLERANCES[to]), proof)


def compress(converted: Converted, proof: Proof) -> Converted:
    """Return the model with its artefact compressed as far as it goes, slower to write.

    Raises:
        LighterRefused: it is ONNX, which servers read as it is, or its arrays are memory-mapped.
    """
    what = "compressed"
    form = converted.artefact.rpartition(".")[2]
    if form not in SQUEEZERS:
        why = "its arrays are memory-mapped, so that instances share them"
        if converted.backend == "onnxruntime":
            why = "servers read an ONNX file as it is"
        raise LighterRefused(converted.name, what, why)
    after = _with(converted, SQUEEZERS[form](converted.files[converted.artefact]))
    return with_change(what, converted, _proven(after, proof, what), proof)


def with_change(
    what: str,
    before: Converted,
    after: Converted,
    proof: Proof,
    *,
    fidelity: float | None = None,
) -> Converted:
    """Return the later of two forms with the measure of what was changed."""
    small, large = (len(form.files[form.artefact]) for form in (after, before))
    if fidelity is not None and small >= large:
        why = f"the student takes {small:,} bytes, its teacher {large:,}"
        raise LighterRefused(before.name, what, why)
    batch = proof.questions.batches[0]
    slow, fast = proof.worker.call(speeds, proof.timeout_s, [before, after], batch)
    floats = [o.max_abs for o in after.parity.outputs if o.group == "sample" and o.name != "label"]
    change = Change(
        what=what,
        bytes_before=large,
        bytes_after=small,
        rows_per_s_before=slow,
        rows_per_s_after=fast,
        max_abs=max(floats, default=0.0),
        fidelity=fidelity,
    )
    return dataclasses.replace(after, changes=(*before.changes, change))


def _remade(
    converted: Converted, proof: Proof, what: str, make: Callable[..., bytes], *arguments: str
) -> Converted:
    if converted.backend != "onnxruntime":
        why = f"it is served by the Python backend ({converted.reason})"
        raise LighterRefused(converted.name, what, why)
    content = converted.files[converted.artefact]
    try:
        return _with(converted, proof.worker.call(make, proof.timeout_s, content, *arguments))
    except Exception as error:
        raise LighterRefused(converted.name, what, first_line(error)) from error


def _proven(
    converted: Converted, proof: Proof, what: str, tolerance: Tolerance = EXACT
) -> Converted:
    try:
        parity = proof.of(converted, tolerance)
    except Exception as error:
        raise LighterRefused(converted.name, what, first_line(error)) from error
    if not parity.ok:
        raise LighterRefused(converted.name, what, str(parity))
    return dataclasses.replace(converted, parity=parity)


def _with(converted: Converted, content: bytes) -> Converted:
    return dataclasses.replace(converted, files={**converted.files, converted.artefact: content})


def _squeeze_zlib(content: bytes) -> bytes:
    return zlib.compress(zlib.decompress(content), zlib.Z_BEST_COMPRESSION)


def _squeeze_zip(content: bytes) -> bytes:
    squeezed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as before,
        zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as after,
    ):
        for item in before.infolist():
            after.writestr(item.filename, before.read(item))
    return squeezed.getvalue()


# By the end of an artefact's name.
SQUEEZERS = {"joblib": _squeeze_zlib, "skops": _squeeze_zip}

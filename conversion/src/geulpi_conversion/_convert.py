"""From a fitted estimator to something that provably answers as it does."""

from __future__ import annotations

import importlib.metadata
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from geulpi_conversion import _artefact
from geulpi_conversion._artefact import Artefact
from geulpi_conversion._errors import InvalidName, ParityFailed
from geulpi_conversion._onnx import NotConvertible, run, to_onnx
from geulpi_conversion._parity import Parity, compare
from geulpi_conversion._tensors import Inputs, Tensor, estimator_answers, read_sample, tensor_specs
from geulpi_conversion.served import model as served_model
from geulpi_conversion.served.model import ServedEstimator, Tensors

__all__ = ["Converted", "convert"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LIBRARIES = ("scikit-learn", "numpy", "skl2onnx", "onnx", "onnxruntime", "skops", "joblib")
_SINGLE_ROWS = 5


@dataclass(frozen=True)
class Description:
    """What a model was made from.

    Attributes:
        estimator: the estimator's class, with its module.
        classes: the class labels in the order of `probabilities`; empty where there are none.
        libraries: library → version.
    """

    estimator: str
    classes: tuple[int | str, ...]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Converted:
    """A model that is ready to be published.

    Attributes:
        name: the model's name in Triton.
        backend: "onnxruntime" or "python".
        reason: each route that was left, and why; "" where the first one was taken.
        parity: how the served answers compare with the estimator's own.
        inputs: the sample as the tensors that a client sends.
        outputs: name, type and width of the tensors that the model answers with.
        description: what the model was made from.
        artefact: which of the files is the model itself.
        trusted: the types that loading the artefact must trust (Python backend).
        files: file name → content of the version's folder.
    """

    name: str
    backend: str
    reason: str
    parity: Parity
    inputs: Inputs = field(repr=False)
    outputs: tuple[Tensor, ...]
    description: Description
    artefact: str
    trusted: tuple[str, ...]
    files: dict[str, bytes] = field(repr=False)

    @property
    def sha256(self) -> str:
        """The artefact's digest."""
        return sha256(self.files[self.artefact]).hexdigest()


def convert(estimator: Any, sample: Any, *, name: str) -> Converted:
    """Convert a fitted scikit-learn estimator for serving by Triton, never silently wrong.

    ONNX is tried first, with float32 inputs, then with float64 where the sample has it; a route is
    taken only if its answers for the sample are the estimator's. Else the estimator itself is
    served by the Python backend.

    Args:
        estimator: the fitted estimator or pipeline.
        sample: rows as the estimator takes them: a 2-D array, a DataFrame or a sequence of
            strings. More rows prove more; a few hundred are a good number.
        name: the model's name: 1 to 64 ASCII letters, digits, `_`, `-`.

    Raises:
        InvalidName, NotFitted, SampleMismatch, Unservable: before any work.
        ParityFailed: not even the Python backend answers as the estimator does.
    """
    if not _NAME.fullmatch(name):
        raise InvalidName(name)
    inputs = read_sample(sample)
    reference = estimator_answers(estimator, inputs)
    tried: list[str] = []
    for dtype in _float_types(inputs):
        cast = inputs.with_floats(dtype)
        try:
            graph = to_onnx(estimator, cast, reference)
            parity = _prove(partial(run, graph), cast, reference)
        except NotConvertible as error:
            tried.append(f"ONNX, {dtype}: {error}")
            continue
        if parity.ok:
            files = {"model.onnx": graph.SerializeToString()}
            return Converted(
                name, "onnxruntime", "; ".join(tried), parity, cast, tensor_specs(reference),
                describe(estimator), "model.onnx", (), files,
            )  # fmt: skip
        tried.append(f"ONNX, {dtype}: {parity}")
    artefact = _artefact.store(estimator)
    parity = _prove(_reloaded(artefact, inputs, list(reference)).infer, inputs, reference)
    if not parity.ok:
        raise ParityFailed(name, [*tried, f"Python backend: {parity}"])
    files = {
        artefact.file_name: artefact.content,
        "model.py": Path(served_model.__file__).read_bytes(),
    }
    return Converted(
        name, "python", "; ".join(tried), parity, inputs, tensor_specs(reference),
        describe(estimator), artefact.file_name, artefact.trusted, files,
    )  # fmt: skip


def describe(estimator: Any) -> Description:
    """Tell what an estimator is and what it was made with."""
    classes: Any = getattr(estimator, "classes_", None)
    plain = isinstance(classes, np.ndarray) and classes.ndim == 1
    return Description(
        estimator=f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        classes=tuple(_plain_label(label) for label in classes) if plain else (),
        libraries={library: importlib.metadata.version(library) for library in _LIBRARIES},
    )


def _plain_label(label: Any) -> int | str:
    return str(label) if isinstance(label, str) else int(label)


def _float_types(inputs: Inputs) -> list[str]:
    """Return the float types to try: float32 first, the sample's own float64 second."""
    kinds = {tensor.dtype.name for tensor in inputs.tensors.values()}
    return ["float32", "float64"] if "float64" in kinds else ["float32"]


def _prove(infer: Callable[[Tensors], Tensors], inputs: Inputs, reference: Tensors) -> Parity:
    """Compare the answers for all rows at once and, for some, one by one."""
    singles = min(_SINGLE_ROWS, inputs.count)
    found = [infer(inputs.tensors)]
    found += [infer(inputs.take(row, row + 1)) for row in range(singles)]
    wanted = {name: np.concatenate([all_, all_[:singles]]) for name, all_ in reference.items()}
    return compare(
        wanted, {name: np.concatenate([part[name] for part in found]) for name in reference}
    )


def _reloaded(artefact: Artefact, inputs: Inputs, outputs: list[str]) -> ServedEstimator:
    """Return the estimator as Triton will have it: loaded from its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, artefact.file_name)
        path.write_bytes(artefact.content)
        estimator = served_model.load(path, sha256(artefact.content).hexdigest(), artefact.trusted)
    return ServedEstimator(estimator, inputs.layout, inputs.dtypes, outputs)

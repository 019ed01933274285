"""Entries that no estimator stands behind: code of your own, and models in sequence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from geulpi_conversion._backend import geulpi_metrics
from geulpi_conversion._converted import TensorSpec

if TYPE_CHECKING:
    import numpy as np  # takes a moment to import: not for `geulpi --help`

__all__ = [
    "CODE_MANIFEST",
    "STEPS",
    "Ensemble",
    "EnsembleStep",
    "PythonModel",
    "python_backend_metrics",
]

CODE_MANIFEST: Final = "manifest.json"
STEPS: Final = "ensemble.json"


@dataclass(frozen=True)
class PythonModel:
    """A model of Triton's Python backend that is code.

    Its version's folder also gets a `manifest.json` with the SHA-256 of each file; config.pbtxt
    holds that of the manifest.

    Attributes:
        name: of the model in Triton.
        inputs, outputs: the tensors.
        code: the files of the version's folder by their path in it, `model.py` among them.
        rows: example rows by input, `[N, width]`, BYTES as `bytes`; the first is for warm-up.
        expected: the answers to them, for `geulpi verify`; none where they are not always the same.
        parameters: what config.pbtxt tells beside the tensors.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    code: Mapping[str, bytes]
    rows: Mapping[str, np.ndarray[Any, Any]]
    expected: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    backend: Literal["python"] = field(default="python", init=False)
    artefact: str = field(default=CODE_MANIFEST, init=False)

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The files of the version's folder, by their path in it."""
        digests = {name: hashlib.sha256(self.code[name]).hexdigest() for name in sorted(self.code)}
        return {**self.code, CODE_MANIFEST: json.dumps(digests, indent=2).encode() + b"\n"}


@dataclass(frozen=True)
class EnsembleStep:
    """A model within an ensemble.

    Attributes:
        model: its name; its newest version answers.
        inputs: by the model's input, the ensemble's tensor that it reads.
        outputs: by the model's output, the ensemble's tensor that it fills.
    """

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Ensemble:
    """Models that Triton runs one after the other, or side by side, as one request asks for.

    A client keeps answers by the version of the ensemble, so a new version of a step is to be
    followed by one of the ensemble.

    Attributes:
        name: of the model in Triton.
        inputs, outputs: the tensors.
        steps: the models; Triton finds their order by the tensors.
        rows: example rows by input, as in `PythonModel`; the first asks whether all is ready.
        parameters: what config.pbtxt tells beside the tensors.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[EnsembleStep, ...]
    rows: Mapping[str, np.ndarray[Any, Any]]
    parameters: Mapping[str, str] = field(default_factory=dict)
    backend: Literal["ensemble"] = field(default="ensemble", init=False)
    artefact: str = field(default=STEPS, init=False)

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The one file of the version's folder: Triton reads the steps in config.pbtxt."""
        steps = [
            {"model": s.model, "inputs": dict(s.inputs), "outputs": dict(s.outputs)}
            for s in self.steps
        ]
        return {STEPS: json.dumps(steps, indent=2).encode() + b"\n"}


def python_backend_metrics() -> dict[str, bytes]:
    """Return the file `geulpi_metrics.py`, whose `Metrics` any model.py may use, by its name."""
    path = Path(geulpi_metrics.__file__)
    return {path.name: path.read_bytes()}

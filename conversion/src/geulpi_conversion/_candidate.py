"""A model as it would be served, not yet proven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geulpi_conversion._converted import Backend


@dataclass(frozen=True)
class Candidate:
    """The files of a version.

    Attributes:
        backend: the Triton backend that serves it.
        artefact: the file in `files` that holds the model.
        files: the files of the version's folder, by name.
        libraries: distributions whose versions matter to the model.
        trusted: types that skops may load from the artefact beside the ones it knows.
        fixes: what was done other than skl2onnx would do, in words.
    """

    backend: Backend
    artefact: str
    files: Mapping[str, bytes]
    libraries: tuple[str, ...]
    trusted: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()

"""A model as it would be served, not yet proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geulpi_conversion._converted import Backend

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Candidate:
    """The files of a version, and `run`, which answers as the server will.

    Attributes:
        backend: the Triton backend that serves it.
        artefact: the file in `files` that holds the model.
        files: the files of the version's folder, by name.
        libraries: distributions whose versions matter to the model.
        run: inputs by name to outputs by name, as the server computes them from these files.
        trusted: types that skops may load from the artefact beside the ones it knows.
    """

    backend: Backend
    artefact: str
    files: Mapping[str, bytes]
    libraries: tuple[str, ...]
    run: Callable[[Tensors], Tensors]
    trusted: tuple[str, ...] = ()

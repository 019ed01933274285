"""The Python route: the estimator itself, loaded back from its file, behind the served code."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import skops.io

from geulpi_conversion import _served
from geulpi_conversion._candidate import Candidate
from geulpi_conversion._converted import TensorSpec

MODEL_PY = "model.py"
# A class of a script or notebook is stored by this module's name, and the server has no such one.
SCRIPT = "__main__"


def skops_candidate(
    estimator: Any, layout: _served.Layout, outputs: Sequence[TensorSpec]
) -> Candidate:
    """Store the estimator by skops, whose files can't run code that was not named beforehand.

    Raises:
        Exception: skops can't carry the estimator.
    """
    content = skops.io.dumps(estimator)
    trusted = tuple(skops.io.get_untrusted_types(data=content))
    _refuse_script(any(name.startswith(f"{SCRIPT}.") for name in trusted))
    return _candidate("estimator.skops", content, trusted, layout, outputs)


def joblib_candidate(
    estimator: Any, layout: _served.Layout, outputs: Sequence[TensorSpec]
) -> Candidate:
    """Store the estimator by joblib, which carries whatever pickles.

    Raises:
        Exception: the estimator does not pickle.
    """
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    content = buffer.getvalue()
    # As pickle writes a short string: its length, then its bytes.
    _refuse_script(bytes([len(SCRIPT)]) + SCRIPT.encode() in content)
    return _candidate("estimator.joblib", content, (), layout, outputs)


def _candidate(
    artefact: str,
    content: bytes,
    trusted: tuple[str, ...],
    layout: _served.Layout,
    outputs: Sequence[TensorSpec],
) -> Candidate:
    served = _served.ServedEstimator(_served.load(artefact, content, trusted), layout)
    code = Path(_served.__file__).read_bytes()
    frame = ("pandas",) if layout.kind == "frame" else ()
    loader = artefact.rpartition(".")[2]
    return Candidate(
        backend="python",
        artefact=artefact,
        files={artefact: content, MODEL_PY: code},
        libraries=("numpy", "scikit-learn", "scipy", loader, *frame),
        run=functools.partial(served.infer, wanted=[spec.name for spec in outputs]),
        trusted=trusted,
    )


def _refuse_script(found: bool) -> None:
    if found:
        raise ValueError(
            "it holds a class or function that was defined in a script or notebook; move it into a "
            "module that the server can import"
        )

"""The Python route: the estimator itself, in a file that the published code loads."""

from __future__ import annotations

import pickle
import weakref
import zipfile
import zlib
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

import numpy as np
import skops.io

from geulpi_conversion._backend import geulpi_artefact, geulpi_served
from geulpi_conversion._candidate import Candidate
from geulpi_conversion._modules import Pickled, distributions, pickled

BACKEND = Path(geulpi_served.__file__).parent
CODE = ("model.py", "geulpi_served.py", "geulpi_artefact.py", "geulpi_metrics.py")

# Measured on forests, neighbours, boosting and text: level 3 leaves 17-23 % of trees and of counts,
# 43 % of boosting, 54 % of text, 93 % of measured numbers. Level 9 takes two to three points more
# for four to fifty times the time; bz2 and lzma take up to twenty, but load three to fourteen times
# slower. Unpacking costs 2-3 ms for each MB that comes out, whatever the level.
LEVEL = 3

# From here on arrays are worth a file that is as large as they are: so much is saved by each
# instance but the first, and not unpacked at each start.
MAPPED_FROM = 64 * 2**20
ARRAY_FROM = 2**16  # smaller ones stay in the pickle


def skops_candidate(estimator: Any, layout: geulpi_served.Layout) -> Candidate:
    """Store the estimator by skops, whose files can't run code that was not named beforehand.

    Raises:
        Exception: skops can't carry the estimator, or not as well as a pickle.
    """
    stored, arrays = _taken_apart(estimator)
    if stored.own:
        named = ", ".join(sorted(stored.own))
        raise ValueError(f"it uses {named}, which skops can't put into the file")
    if arrays:
        size = sum(array.nbytes for array in arrays) / 2**20
        raise ValueError(f"its arrays of {size:.0f} MiB are to be memory-mapped, which skops can't")
    content = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
    trusted = tuple(skops.io.get_untrusted_types(data=content))
    return _candidate("estimator.skops", content, stored, layout, trusted)


def joblib_candidate(estimator: Any, layout: geulpi_served.Layout) -> Candidate:
    """Store the estimator as a pickle: with the user's own code, and large arrays to be mapped.

    Raises:
        ValueError: the estimator does not pickle.
    """
    stored, arrays = _taken_apart(estimator)
    if arrays:
        content = geulpi_artefact.pack([stored.stream, *arrays])
        return _candidate("estimator.mapped", content, stored, layout)
    stored = pickled(estimator)
    content = zlib.compress(stored.stream, LEVEL)
    return _candidate("estimator.joblib", content, stored, layout)


def _candidate(
    artefact: str,
    content: bytes,
    stored: Pickled,
    layout: geulpi_served.Layout,
    trusted: tuple[str, ...] = (),
) -> Candidate:
    libraries = {"numpy", "scikit-learn", "scipy"} | distributions(stored.others)
    if artefact.endswith(".skops"):
        libraries.add("skops")
    if layout.kind == "frame":
        libraries.add("pandas")
    if stored.own:
        libraries.add(geulpi_artefact.CODE_CARRIER)
    return Candidate(
        backend="python",
        artefact=artefact,
        files={artefact: content, **{name: (BACKEND / name).read_bytes() for name in CODE}},
        libraries=tuple(sorted(libraries)),
        trusted=trusted,
    )


def _taken_apart(estimator: Any) -> tuple[Pickled, list[memoryview]]:
    """Return the estimator as a pickle, and the arrays that are to be mapped beside it.

    These are none where they are small, or where the estimator, once loaded, would not use them in
    place: trees copy their nodes.
    """
    arrays: list[memoryview] = []

    def stays(buffer: PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes >= ARRAY_FROM:
            arrays.append(raw)
        return raw.nbytes < ARRAY_FROM

    stored = pickled(estimator, stays)
    if _used_in_place(stored.stream, arrays) < MAPPED_FROM:
        return stored, []
    return stored, arrays


def _used_in_place(stream: bytes, arrays: list[memoryview]) -> int:
    """Return how many bytes of arrays the loaded estimator would still refer to."""
    if sum(array.nbytes for array in arrays) < MAPPED_FROM:
        return 0
    given = [np.frombuffer(array, dtype=np.uint8) for array in arrays]
    alive = [(weakref.ref(array), array.nbytes) for array in given]
    loaded = pickle.loads(stream, buffers=given)  # noqa: S301 -- written a moment ago
    del given
    size = sum(nbytes for array, nbytes in alive if array() is not None)
    del loaded
    return size

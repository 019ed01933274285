"""Loads the estimator of a published version, once it is known to be the published one.

Published, unchanged, beside `model.py`; it imports nothing of its package, and nothing of Triton.
An artefact is one of
    estimator.skops    a file of skops, which can't run code that was not named beforehand
    estimator.joblib   a pickle, compressed by zlib; `joblib.load` reads it as well
    estimator.mapped   a pickle and, beside it, its large arrays as they lie in memory: the file is
                       mapped, so that all instances share its pages
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import mmap
import pickle
import platform
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ARTEFACTS = ("estimator.skops", "estimator.joblib", "estimator.mapped")
Content = bytes | bytearray | mmap.mmap

# How many places of the version have to agree: an estimator of another minor version may load and
# answer wrong. Of other distributions any version will do, if only it is there.
PLACES = {"scikit-learn": 2, "xgboost": 2, "lightgbm": 2, "numpy": 1}
# One module under several names of distributions.
TWINS = {"xgboost-cpu": "xgboost", "xgboost": "xgboost-cpu"}
# Where this travels with the estimator, its classes and functions do too, as bytecode.
CODE_CARRIER = "cloudpickle"

ALIGNMENT = 64  # of arrays in a mapped file: a cache line, and more than any number needs


class ArtefactRefused(RuntimeError):
    """The published estimator must not or can't be loaded here: what is wrong, and the remedy."""


def load_estimator(folder: Path, version: str, parameters: Mapping[str, str]) -> Any:
    """Load a version's estimator, once digest and libraries are found to be the published ones.

    Args:
        folder: of the version.
        version: its number.
        parameters: what config.pbtxt says about the model.

    Raises:
        ArtefactRefused: the file is missing, or not the one that was published, or can't be loaded;
            or a library is of another version than the estimator was converted with.
    """
    recorded = parameters.get(f"libraries.{version}", parameters.get("libraries", "{}"))
    check_libraries(json.loads(recorded))
    remedy = "Remedy: publish the model again, or restore the file"
    path = next((folder / name for name in ARTEFACTS if (folder / name).is_file()), None)
    if path is None:
        raise ArtefactRefused(f"{folder} holds none of {', '.join(ARTEFACTS)}. {remedy}")
    content = _mapped(path)
    found = hashlib.sha256(content).hexdigest()
    expected = parameters.get(f"sha256.{version}", "(nothing)")
    if found != expected:
        raise ArtefactRefused(
            f"{path} is not the file that was published: SHA-256 {found}, config.pbtxt says "
            f"{expected}. {remedy}"
        )
    try:
        return load(path.name, content, json.loads(parameters.get(f"trusted.{version}", "[]")))
    except Exception as error:
        raise ArtefactRefused(
            f"{path} can't be loaded: {type(error).__name__}: {error}. Remedy: install what the "
            "estimator needs in the server's environment, or publish the model again"
        ) from error


def load(file_name: str, content: Content, trusted: Sequence[str]) -> Any:
    """Load an artefact, of the kind that its name says; all but skops' run code."""
    if file_name.endswith(".skops"):
        import skops.io  # noqa: PLC0415 -- 0.3 s and 16 MB, which the other kinds do without

        return skops.io.loads(bytes(content), trusted=list(trusted))
    if file_name.endswith(".joblib"):
        return pickle.loads(zlib.decompress(content))  # noqa: S301 -- its digest is the published one
    stream, *arrays = unpack(content)
    return pickle.loads(stream, buffers=arrays)  # noqa: S301 -- as above


def pack(parts: Sequence[Any]) -> bytes:
    """Return parts, a pickle and its arrays, as the content of a mapped artefact.

    It starts with the number of parts and the length of each, in 64-bit integers, little-endian.
    """
    views = [memoryview(part).cast("B") for part in parts]
    lengths = [view.nbytes for view in views]
    content: list[bytes | memoryview] = [struct.pack(f"<{1 + len(views)}Q", len(views), *lengths)]
    end = len(content[0])
    for view, (start, after) in zip(views, _spans(lengths), strict=True):
        content += [bytes(start - end), view]
        end = after
    return b"".join(content)


def unpack(content: Content) -> list[memoryview]:
    """Return the parts of a mapped artefact, which are copied nowhere."""
    (count,) = struct.unpack_from("<Q", content)
    lengths = struct.unpack_from(f"<{count}Q", content, 8)
    return [memoryview(content)[start:end] for start, end in _spans(lengths)]


def check_libraries(recorded: Mapping[str, str]) -> None:
    """Check that the libraries here are as those that the estimator was converted with.

    Args:
        recorded: versions by name of the distribution, and Python's as `python`.

    Raises:
        ArtefactRefused: one is missing, or its version is another where that matters.
    """
    if CODE_CARRIER in recorded:
        _check("Python", recorded.get("python", ""), platform.python_version(), 2)
    for name, published in recorded.items():
        if name != "python":
            _check(name, published, installed_version(name), PLACES.get(name.removesuffix("-cpu")))


def installed_version(name: str) -> str:
    """Return the version of an installed distribution, or of its twin; "" where there is none."""
    for known in (name, TWINS.get(name, name)):
        try:
            return importlib.metadata.version(known)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _check(name: str, published: str, here: str, places: int | None) -> None:
    wanted = published.split(".")[:places] if places else []
    if here and here.split(".")[:places][: len(wanted)] == wanted:
        return
    release = ".".join(wanted) or published
    raise ArtefactRefused(
        f"the model was published with {name} {published}, the server has {here or 'none'}. "
        f"Remedy: install {name} {release} in the server's environment, or convert and publish the "
        "model again"
    )


def _mapped(path: Path) -> mmap.mmap | bytes:
    """Return a file's content by the system's own pages; whoever writes gets a copy of the page."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""  # nothing can't be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
    spans = []
    end = 8 * (1 + len(lengths))
    for length in lengths:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        end = start + length
        spans.append((start, end))
    return spans

"""Writes a converted model into a model repository, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from geulpi_conversion._config import VERSIONED, model_config, parse, warmup_file, write
from geulpi_conversion._convert import Converted
from geulpi_conversion._errors import RepositoryNotWritable
from geulpi_conversion._tensors import Inputs

__all__ = ["publish"]


def publish(converted: Converted, repository: str | Path) -> Path:
    """Publish a model as the next version of its entry; return the version's folder.

    A server may look at any moment, so the version's folder appears in one step, and config.pbtxt
    is replaced last. Publishers that run at the same time wait for one another.

    Args:
        converted: what `convert` returned.
        repository: the model repository; made if it is not there.

    Raises:
        RepositoryNotWritable: nothing was written.
    """
    repository = Path(repository)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with _lock(repository), _staging(repository, converted.name) as stage:
            entry = repository / converted.name
            versions = _versions(entry)
            version = max(versions, default=0) + 1
            _write_version(stage / str(version), converted)
            _write_warmup(stage / "warmup", converted.inputs)
            config = model_config(converted, version, _earlier_parameters(entry, versions))
            (stage / "config.pbtxt").write_text(write(config), encoding="utf-8")
            _make_readable(stage)
            if not entry.exists():
                stage.rename(entry)
            else:
                _replace_files(stage / "warmup", entry / "warmup")
                (stage / str(version)).rename(entry / str(version))
                (stage / "config.pbtxt").replace(entry / "config.pbtxt")
            return entry / str(version)
    except OSError as error:
        raise RepositoryNotWritable(repository, error) from error


@contextmanager
def _lock(repository: Path) -> Iterator[None]:
    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _staging(repository: Path, name: str) -> Iterator[Path]:
    """Make a folder on the repository's file system that no server takes for a model."""
    entry = repository / name
    parent = entry if entry.exists() else repository
    stage = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _versions(entry: Path) -> list[int]:
    if not entry.exists():
        return []
    return [int(path.name) for path in entry.iterdir() if path.name.isdecimal()]


def _earlier_parameters(entry: Path, versions: list[int]) -> dict[str, str]:
    """Return what the entry's config says of the versions that are still there."""
    path = entry / "config.pbtxt"
    if not path.exists():
        return {}
    parameters = parse(path.read_text(encoding="utf-8")).parameters
    kept = {f"{key}.{version}" for key in VERSIONED for version in versions}
    return {name: value.string_value for name, value in parameters.items() if name in kept}


def _write_version(folder: Path, converted: Converted) -> None:
    folder.mkdir()
    for name, content in converted.files.items():
        (folder / name).write_bytes(content)
    report = {"backend": converted.backend, "reason": converted.reason}
    report |= converted.parity.to_dict()
    text = json.dumps(report, ensure_ascii=False, indent=2)
    (folder / "parity.json").write_text(text + "\n", encoding="utf-8")


def _write_warmup(folder: Path, inputs: Inputs) -> None:
    folder.mkdir()
    for name, tensor in inputs.take(0, 1).items():
        (folder / warmup_file(name)).write_bytes(_raw(tensor))


def _raw(tensor: np.ndarray[Any, Any]) -> bytes:
    """Return a tensor's bytes as Triton wants them: strings behind their length."""
    if tensor.dtype.kind != "O":
        return tensor.tobytes()
    texts = [str(element).encode() for element in tensor.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _replace_files(new: Path, old: Path) -> None:
    old.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.replace(old / path.name)


def _make_readable(folder: Path) -> None:
    """Let a server that runs as another user read what a private temporary folder held."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

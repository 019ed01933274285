"""`publish`: a converted model becomes the next version in a model repository.

A server may look into the repository at any moment. So a version is staged in a folder that is no
version and appears, whole, by a rename; config.pbtxt, which tells of it, is replaced after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from geulpi_conversion._converted import Converted
from geulpi_conversion._errors import RepositoryNotWritable

CONFIG = "config.pbtxt"


def publish(converted: Converted, repository: str | os.PathLike[str]) -> Path:
    """Write a converted model into a repository as the model's next version.

    The repository is made if it is not there. Publishers at the same time take turns; on failure
    nothing of the version is left.

    Returns:
        The folder of the new version, `<repository>/<name>/<version>`.

    Raises:
        RepositoryNotWritable: the repository, or the model's config.pbtxt, can't be used.
    """
    root = Path(repository)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root):
            model = root / converted.name
            return (
                _add_version(converted, model) if model.exists() else _add_model(converted, model)
            )
    except OSError as error:
        raise RepositoryNotWritable(root, error.strerror or str(error)) from error


def _add_model(converted: Converted, model: Path) -> Path:
    with _staging(model.parent, f".{model.name}.") as staged:
        _write_version(converted, staged / "1")
        _write_config(converted, staged, 1)
        staged.chmod(0o755)
        staged.rename(model)
    return model / "1"


def _add_version(converted: Converted, model: Path) -> Path:
    version = max(_versions(model), default=0) + 1
    with _staging(model, ".version.") as staged:
        _write_version(converted, staged / "new")
        (staged / "new").rename(model / str(version))
    try:
        _write_config(converted, model, version)
    except BaseException:
        # A version that the config does not tell of would be served with the old config.
        shutil.rmtree(model / str(version), ignore_errors=True)
        raise
    return model / str(version)


def _write_version(converted: Converted, folder: Path) -> None:
    report = {
        "backend": converted.backend,
        "reason": converted.reason,
        "parity": converted.parity.to_dict(),
    }
    files = dict(converted.files)
    files["parity.json"] = json.dumps(report, ensure_ascii=False, indent=2).encode() + b"\n"
    _make_folder(folder)
    for name, content in files.items():
        _write(folder / name, content)


def _write_config(converted: Converted, model: Path, version: int) -> None:
    # grpc and protobuf take a moment to import: not for `geulpi --help`.
    from google.protobuf.text_format import ParseError  # noqa: PLC0415

    from geulpi_conversion import _config  # noqa: PLC0415

    by_version: dict[str, str] = {}
    path = model / CONFIG
    if path.exists():
        try:
            earlier = _config.parse_config(path.read_text(encoding="utf-8"))
        except ParseError as error:
            raise RepositoryNotWritable(model, f"its {CONFIG} is damaged ({error})") from error
        by_version = _config.kept_parameters(earlier, _versions(model))
    digest = hashlib.sha256(converted.files[converted.artefact]).hexdigest()
    by_version |= _config.version_parameters(converted, version, digest)
    warmup = {spec.name: f"{version}.{index}" for index, spec in enumerate(converted.inputs)}
    _make_folder(model / "warmup")
    for name, file_name in warmup.items():
        _write(model / "warmup" / file_name, converted.warmup[name])
    config = _config.build_config(converted, warmup, by_version)
    _write(model / CONFIG, _config.write_config(config).encode())
    # A server that has read the earlier config may still read the rows of an earlier version.
    living = {*map(str, _versions(model)), str(version)}
    for file in (model / "warmup").iterdir():
        if file.name.partition(".")[0] not in living:
            file.unlink(missing_ok=True)


def _versions(model: Path) -> list[int]:
    return sorted(int(p.name) for p in model.iterdir() if p.is_dir() and p.name.isdecimal())


def _write(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, and nothing between."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _make_folder(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o755)  # whatever the umask: a container's user must read it


@contextlib.contextmanager
def _staging(parent: Path, prefix: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the repository's lock; the system frees it when its holder dies."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

"""Writes a version into a repository, whole or not at all.

A server may look into the repository at any moment. So a version is staged in a folder that is no
version and appears, whole, by a rename; config.pbtxt, which tells of it, is replaced after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.text_format import ParseError

from geulpi_conversion import _config, _recorded
from geulpi_conversion._composed import Ensemble, PythonModel
from geulpi_conversion._converted import Converted
from geulpi_conversion._errors import EntryDamaged, InvalidServing, RepositoryNotWritable
from geulpi_conversion._repository import CONFIG, WARMUP, versions_in
from geulpi_conversion._serving import ServingConfig

Model = Converted | PythonModel | Ensemble


def write_version(
    converted: Model,
    root: Path,
    *,
    serving: ServingConfig | None,
    keep: int | None,
    sample: bool,
    keep_tuned: bool,
) -> Path:
    """Write the next version of a model; `publish` documents it."""
    if keep is not None and (type(keep) is not int or keep < 1):
        raise InvalidServing("keep", keep, "a whole number of versions from 1 on, or none")
    serving = _config.serving_of(converted, serving)
    files = dict(converted.files)
    if isinstance(converted, Converted):
        files[_recorded.REPORT] = _recorded.write_report(converted)
    expected = {} if isinstance(converted, Ensemble) else converted.expected
    if sample and expected and (content := _recorded.sample(converted.rows, expected)):
        files[_recorded.SAMPLE] = content
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root):
            publication = _Publication(
                converted, serving, files, root / converted.name, keep_tuned=keep_tuned
            )
            if not publication.model.exists():
                return publication.add_model()
            folder = publication.add_version()
            if keep is not None:
                publication.remove_all_but(keep)
            return folder
    except OSError as error:
        raise RepositoryNotWritable(root, error.strerror or str(error)) from error


@dataclass(frozen=True)
class _Publication:
    """A version on its way into the folder of its model."""

    converted: Model
    serving: ServingConfig
    files: Mapping[str, bytes]
    model: Path
    keep_tuned: bool

    def add_model(self) -> Path:
        self._check_policy([1])
        with _staging(self.model.parent, f".{self.model.name}.") as staged:
            self._write_version(staged / "1")
            self._write_config(staged, 1)
            staged.chmod(0o755)
            staged.rename(self.model)
        return self.model / "1"

    def add_version(self) -> Path:
        earlier = versions_in(self.model)
        version = max(earlier, default=0) + 1
        self._check_policy([*earlier, version])
        with _staging(self.model, ".version.") as staged:
            self._write_version(staged / "new")
            (staged / "new").rename(self.model / str(version))
        try:
            self._write_config(self.model, version)
        except BaseException:
            # A version that the config does not tell of would be served with the old config.
            shutil.rmtree(self.model / str(version), ignore_errors=True)
            raise
        return self.model / str(version)

    def remove_all_but(self, keep: int) -> None:
        """Remove the oldest versions, but none that the version policy names."""
        there = versions_in(self.model)
        # The policy "all" names none: it serves what there is.
        named = [] if self.serving.version_policy == "all" else self.serving.serves(there)
        doomed = [version for version in there[:-keep] if version not in named]
        if not doomed:
            return
        with _staging(self.model, ".removed.") as gone:
            for version in doomed:
                (self.model / str(version)).rename(gone / str(version))
        # Only now: until its folder was gone a version might have been loaded, by its digest.
        config = _config.parse_config((self.model / CONFIG).read_text(encoding="utf-8"))
        _config.forget_versions(config, doomed)
        _write(self.model / CONFIG, _config.write_config(config).encode())
        _remove_warmups(self.model, versions_in(self.model))

    def _check_policy(self, versions: Sequence[int]) -> None:
        policy = self.serving.version_policy
        if isinstance(policy, tuple) and (absent := sorted(set(policy) - set(versions))):
            raise InvalidServing(
                "version_policy", policy, f"versions that are there; {absent[0]} is not"
            )

    def _write_version(self, folder: Path) -> None:
        _make_folder(folder)
        for name, content in self.files.items():
            for parent in reversed((folder / name).relative_to(folder).parents[:-1]):
                _make_folder(folder / parent)
            _write(folder / name, content)

    def _write_config(self, model: Path, version: int) -> None:
        converted = self.converted
        by_version: dict[str, str] = {}
        path = model / CONFIG
        earlier = None
        if path.exists():
            try:
                earlier = _config.parse_config(path.read_text(encoding="utf-8"))
            except (ParseError, UnicodeDecodeError) as error:
                raise EntryDamaged(model, f"its {CONFIG} can't be read ({error})") from error
            by_version = _config.kept_parameters(earlier, versions_in(model))
        digest = hashlib.sha256(converted.files[converted.artefact]).hexdigest()
        by_version |= _config.version_parameters(
            converted,
            version,
            digest,
            _recorded.manifest(converted.artefact, converted.parameters),
        )
        warmup: dict[str, str] = {}
        if self.serving.warmup:
            warmup = {spec.name: f"{version}.{i}" for i, spec in enumerate(converted.inputs)}
            _make_folder(model / WARMUP)
        for name, file_name in warmup.items():
            _write(model / WARMUP / file_name, _recorded.raw(converted.rows[name][:1]))
        config = _config.build_config(converted, self.serving, warmup, by_version)
        if earlier is not None and self.keep_tuned:
            _config.take_measured(config, earlier)
        _write(path, _config.write_config(config).encode())
        _remove_warmups(model, [*versions_in(model), version])


def _remove_warmups(model: Path, living: Sequence[int]) -> None:
    """Remove the rows of versions that are gone.

    A server that has read an earlier config may still read those of an earlier version.
    """
    if (model / WARMUP).is_dir():
        for file in (model / WARMUP).iterdir():
            if file.name.partition(".")[0] not in {str(version) for version in living}:
                file.unlink(missing_ok=True)


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

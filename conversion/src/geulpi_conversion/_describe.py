"""Reads an entry of a model repository back: what it is, whence, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.text_format import ParseError
from tritonclient.grpc import model_config_pb2 as pb

from geulpi_conversion import _recorded
from geulpi_conversion._backend.geulpi_artefact import ARTEFACTS
from geulpi_conversion._composed import CODE_MANIFEST, STEPS
from geulpi_conversion._config import DATATYPES, parse_config
from geulpi_conversion._converted import TensorSpec
from geulpi_conversion._errors import EntryDamaged, EntryNotFound, InvalidServing, NoSample
from geulpi_conversion._recorded import Report, read_report
from geulpi_conversion._repository import CONFIG, versions_in
from geulpi_conversion._serving import ServingConfig

__all__ = ["Entry", "Version", "read_entry"]

JSON_PARAMETERS = ("classes", "columns", "libraries")
MODELS = ("model.onnx", *ARTEFACTS, CODE_MANIFEST, STEPS)


@dataclass(frozen=True)
class Version:
    """A version in the folder of a model.

    Attributes:
        number: of the version.
        folder: of the version.
        artefact: the file that holds the model; "" where there is none that is known.
        bytes: of that file.
        recorded: the SHA-256 that the config says it has; "" where it says none.
        found: the SHA-256 that it has.
        report: what was compared, tried and changed; None where there is no parity.json.
        manifest: where the version comes from; empty before releases that tell.
        libraries: versions of what it was converted with.
        served: whether the version policy names it.
    """

    number: int
    folder: Path
    artefact: str
    bytes: int
    recorded: str
    found: str
    report: Report | None
    manifest: Mapping[str, Any]
    libraries: Mapping[str, str]
    served: bool

    @property
    def intact(self) -> bool:
        """Whether the model is the one that was published, as far as that is recorded."""
        return self.found == self.recorded if self.recorded else bool(self.artefact)

    @property
    def has_sample(self) -> bool:
        """Whether it holds rows to verify it by."""
        return (self.folder / _recorded.SAMPLE).is_file()

    def sample(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the recorded rows, and the estimator's answers to them, by tensor.

        Raises:
            NoSample: it holds none.
            EntryDamaged: they can't be read.
        """
        if not self.has_sample:
            raise NoSample(self.folder)
        try:
            return _recorded.read_sample((self.folder / _recorded.SAMPLE).read_bytes())
        except (OSError, ValueError) as error:
            raise EntryDamaged(self.folder, f"its {_recorded.SAMPLE} is none ({error})") from error

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "version": self.number,
            "served": self.served,
            "artefact": self.artefact,
            "bytes": self.bytes,
            "sha256": self.recorded,
            "digest_ok": self.intact,
            "sample": self.has_sample,
            "manifest": dict(self.manifest),
            "libraries": dict(self.libraries),
            **(self.report.to_dict() if self.report else {"parity": None}),
        }


@dataclass(frozen=True)
class Entry:
    """A model in a repository.

    Attributes:
        name: of the model.
        folder: of the model.
        backend: the Triton backend that serves it.
        inputs, outputs: the tensors.
        parameters: of the config, as they stand there.
        known: parameters that hold JSON, read: `classes`, `columns`, `libraries`.
        serving: how it is served; None where somebody wrote what these settings can't say.
        unusual: why `serving` is None.
        versions: those in the folder, the oldest first.
    """

    name: str
    folder: Path
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: Mapping[str, str]
    known: Mapping[str, Any]
    serving: ServingConfig | None
    unusual: str
    versions: tuple[Version, ...]

    def raise_if_damaged(self) -> None:
        """Raise `EntryDamaged` if a version's model is not the one that was published."""
        for version in self.versions:
            if version.intact:
                continue
            if not version.artefact:
                raise EntryDamaged(version.folder, f"it holds none of {', '.join(MODELS)}")
            raise EntryDamaged(
                version.folder,
                f"{version.artefact} has the SHA-256 {version.found}, {CONFIG} says "
                f"{version.recorded}",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        tensors = {"inputs": self.inputs, "outputs": self.outputs}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "backend": self.backend,
            **{
                kind: [{"name": s.name, "datatype": s.datatype, "dims": [s.width]} for s in specs]
                for kind, specs in tensors.items()
            },
            **{
                key: self.parameters[key]
                for key in ("estimator", "reason", "geulpi_format")
                if key in self.parameters
            },
            **self.known,
            "serving": self.serving and self.serving.to_dict(),
            "versions": [version.to_dict() for version in self.versions],
        }


def read_entry(repository: str | os.PathLike[str], name: str) -> Entry:
    """Read an entry of a repository, whichever release wrote it.

    Raises:
        EntryNotFound: there is no such model.
        EntryDamaged: its config.pbtxt, or a file that tells of a version, can't be understood.
    """
    root = Path(repository)
    if name not in (known := _names(root)):
        raise EntryNotFound(root, name, known)
    try:
        return _read(root / name)
    except OSError as error:
        raise EntryDamaged(root / name, f"it can't be read ({error})") from error


def _read(folder: Path) -> Entry:
    config = _read_config(folder)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    serving, unusual = _serving(config)
    numbers = versions_in(folder)
    served = serving.serves(numbers) if serving else numbers
    return Entry(
        name=folder.name,
        folder=folder,
        backend=config.backend or config.platform,
        inputs=_specs(config.input),
        outputs=_specs(config.output),
        parameters=parameters,
        known={
            key: _parsed(folder, key, parameters[key])
            for key in JSON_PARAMETERS
            if key in parameters
        },
        serving=serving,
        unusual=unusual,
        versions=tuple(
            _version(folder, number, parameters, served=number in served) for number in numbers
        ),
    )


def _names(root: Path) -> list[str]:
    try:
        return sorted(path.parent.name for path in root.glob(f"[!.]*/{CONFIG}"))
    except OSError:
        return []


def _read_config(folder: Path) -> pb.ModelConfig:
    try:
        config = parse_config((folder / CONFIG).read_text(encoding="utf-8"))
    except (ParseError, UnicodeDecodeError) as error:
        raise EntryDamaged(folder, f"its {CONFIG} can't be read ({error})") from error
    if config.name not in {"", folder.name}:
        raise EntryDamaged(folder, f"its {CONFIG} names the model '{config.name}'")
    return config


def _serving(config: pb.ModelConfig) -> tuple[ServingConfig | None, str]:
    try:
        return ServingConfig.read(config), ""
    except InvalidServing as error:
        return None, str(error).partition("\n")[0]


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    names = {number: name for name, number in DATATYPES.items()}
    return tuple(
        TensorSpec(
            tensor.name,
            # A hand-written entry may have types that conversion never gives.
            names.get(tensor.data_type) or pb.DataType.Name(tensor.data_type),  # type: ignore[arg-type]
            int(tensor.dims[0]) if tensor.dims else 1,
        )
        for tensor in tensors
    )


def _version(folder: Path, number: int, parameters: Mapping[str, str], *, served: bool) -> Version:
    place = folder / str(number)

    def told(kind: str) -> dict[str, Any]:
        text = parameters.get(f"{kind}.{number}", "{}")
        return _mapping(folder, f"{kind}.{number}", _parsed(folder, f"{kind}.{number}", text))

    libraries = told("libraries") or _parsed(folder, "libraries", parameters.get("libraries", "{}"))
    path = next(
        (place / name for name in _artefacts(told("manifest")) if (place / name).is_file()), None
    )
    return Version(
        number=number,
        folder=place,
        artefact=path.name if path else "",
        bytes=path.stat().st_size if path else 0,
        recorded=parameters.get(f"sha256.{number}", ""),
        found=_digest(path) if path else "",
        report=_report(place),
        manifest=told("manifest"),
        libraries=_mapping(folder, "libraries", libraries),
        served=served,
    )


def _artefacts(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a version's model may have; the recorded one first."""
    recorded = manifest.get("artefact")
    if isinstance(recorded, str) and "/" not in recorded and recorded:
        yield recorded
    yield from MODELS


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(place: Path) -> Report | None:
    path = place / _recorded.REPORT
    if not path.exists():
        return None
    try:
        return read_report(path.read_bytes())
    except ValueError as error:
        raise EntryDamaged(place, f"its {path.name} can't be read ({error})") from error


def _parsed(folder: Path, key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise EntryDamaged(
            folder, f"the parameter {key} of its {CONFIG} is no JSON ({error})"
        ) from error


def _mapping(folder: Path, what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EntryDamaged(folder, f"{what} is no JSON object")
    return value

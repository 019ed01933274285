"""What a version records about itself: its manifest, its report, and rows to verify it by."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from geulpi_conversion._converted import (
    Change,
    Converted,
    OutputParity,
    Parity,
    RefusalParity,
    Step,
    Tolerance,
)

Array = np.ndarray[Any, Any]

SAMPLE = "sample.npz"
REPORT = "parity.json"
ROWS, EXPECTED = "rows/", "expected/"  # in sample.npz, before the name of a tensor
PROVENANCE = "provenance"  # a parameter of `Converted`; JSON of what `provenance` returns
MOST_CHARACTERS = 2000  # of hyperparameters; nested estimators list those of every part


def manifest(artefact: str, parameters: Mapping[str, str]) -> dict[str, object]:
    """Return where a version comes from: what was converted when, by which versions of what.

    No host, user or path is told: entries are copied to where these mean nothing, or too much.
    """
    return {
        "artefact": artefact,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "estimator": parameters.get("estimator", ""),
        "geulpi_conversion": importlib.metadata.version("geulpi-conversion"),
        **json.loads(parameters.get(PROVENANCE, "{}")),
    }


def provenance(estimator: Any, tensors: Mapping[str, Array]) -> dict[str, object]:
    """Return what identifies a training: the hyperparameters and the rows it was proven by.

    Args:
        estimator: a fitted estimator.
        tensors: the whole sample, by input.
    """
    try:
        params = estimator.get_params(deep=True)
    except Exception:  # noqa: BLE001 -- other makers' get_params may do anything
        params = {}
    told = json.dumps({k: _told(v) for k, v in sorted(params.items())}, ensure_ascii=False)
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(raw(values))
    return {
        "hyperparameters": told[:MOST_CHARACTERS] + ("…" if len(told) > MOST_CHARACTERS else ""),
        "hyperparameters_sha256": hashlib.sha256(told.encode()).hexdigest(),
        "sample_rows": len(next(iter(tensors.values()))),
        "sample_sha256": digest.hexdigest(),
    }


def _told(value: Any) -> Any:
    """Return a hyperparameter as JSON can hold it, the same in each process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _told(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _told(value.tolist())
    return getattr(value, "__qualname__", type(value).__qualname__)  # no repr: it holds addresses


def raw(tensor: Array) -> bytes:
    """Return a tensor as Triton's warm-up and protocol carry it."""
    if tensor.dtype != np.object_:
        return tensor.tobytes()
    return b"".join(len(item).to_bytes(4, "little") + item for item in tensor.ravel())


@dataclass(frozen=True)
class Report:
    """What parity.json tells of a version; the attributes are those of `Converted`."""

    reason: str
    parity: Parity
    steps: tuple[Step, ...] = ()
    fixes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "reason": self.reason,
            "steps": [dataclasses.asdict(step) for step in self.steps],
            "fixes": list(self.fixes),
            "changes": [dataclasses.asdict(change) for change in self.changes],
            "parity": self.parity.to_dict(),
        }


def report_of(converted: Converted) -> Report:
    """Return what is to be told of a conversion."""
    return Report(
        converted.reason, converted.parity, converted.steps, converted.fixes, converted.changes
    )


def write_report(converted: Converted) -> bytes:
    """Return the content of parity.json."""
    document = {"backend": converted.backend, **report_of(converted).to_dict()}
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def read_report(content: bytes) -> Report:
    """Read the content of parity.json; earlier releases wrote less of it.

    Raises:
        ValueError: it is none.
    """
    try:
        told = json.loads(content)
        parity = told["parity"]
        return Report(
            reason=str(told.get("reason", "")),
            parity=Parity(
                int(parity["rows"]),
                int(parity["single_rows"]),
                tuple(_output(output) for output in parity["outputs"]),
                tuple(
                    RefusalParity(str(one["group"]), int(one["rows"]), int(one["answered"]))
                    for one in parity.get("refusals", ())
                ),
                Tolerance(**{k: float(v) for k, v in parity.get("tolerance", {}).items()}),
            ),
            steps=tuple(Step(str(s["route"]), str(s["why"])) for s in told.get("steps", ())),
            fixes=tuple(str(fix) for fix in told.get("fixes", ())),
            changes=tuple(Change(**change) for change in told.get("changes", ())),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _output(told: dict[str, Any]) -> OutputParity:
    worst = told["worst_row"]
    return OutputParity(
        name=str(told["output"]),
        rows=int(told["rows"]),
        rows_over=int(told["rows_over"]),
        rows_allowed=int(told["rows_allowed"]),
        # No finite number is null in JSON.
        max_abs=math.inf if told["max_abs"] is None else float(told["max_abs"]),
        max_rel=math.inf if told["max_rel"] is None else float(told["max_rel"]),
        worst_row=None if worst is None else int(worst),
        group=str(told.get("group", "sample")),
        ties=int(told.get("ties", 0)),
    )


def sample(rows: Mapping[str, Array], expected: Mapping[str, Array]) -> bytes:
    """Return the content of sample.npz: rows and the right answers, no pickles; b"" of none.

    Texts are unicode arrays. numpy's drop NULs at an end and clients refuse them anywhere, so rows
    with such texts are left out.
    """
    texts = [values for values in rows.values() if values.dtype == np.object_]
    kept = np.ones(len(next(iter(rows.values()))), dtype=np.bool_)
    for values in texts:
        kept &= [b"\0" not in b"".join(row) for row in values]
    for values in expected.values():
        if values.dtype == np.object_:
            kept &= ["\0" not in "".join(row) for row in values]
    if not kept.any():
        return b""
    arrays = {
        prefix + name: _plain(values[kept])
        for prefix, tensors in ((ROWS, rows), (EXPECTED, expected))
        for name, values in tensors.items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _plain(values: Array) -> Array:
    if values.dtype != np.object_:
        return values
    texts = [item.decode() if isinstance(item, bytes) else item for item in values.ravel()]
    return np.array(texts, dtype=np.str_).reshape(values.shape)


def read_sample(content: bytes) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the rows and the expected answers of a sample.npz, texts as objects of `str`.

    Raises:
        ValueError: it is none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zip, zlib and numpy each have their own
        raise ValueError(f"{type(error).__name__}: {error}") from error
    rows, expected = (
        {
            name.removeprefix(prefix): _objects(values)
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
        for prefix in (ROWS, EXPECTED)
    )
    lengths = {
        len(values) if values.ndim == 2 else -1 for values in [*rows.values(), *expected.values()]
    }
    if not rows or not expected or len(lengths) != 1 or -1 in lengths:
        raise ValueError("its arrays are not rows and their answers")
    return rows, expected


def _objects(values: Array) -> Array:
    return values.astype(np.object_) if values.dtype.kind == "U" else values

"""The Python route: the estimator itself, in a file that can be audited where possible."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import joblib
import skops.io

__all__ = ["Artefact", "store"]


@dataclass(frozen=True)
class Artefact:
    """A stored estimator: file name, content, and the types that loading it must trust."""

    file_name: str
    content: bytes
    trusted: tuple[str, ...]


def store(estimator: Any) -> Artefact:
    """Store an estimator with skops where it can carry it, else with joblib.

    The types named in `trusted` are those this very estimator consists of.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = skops.io.dumps(estimator)
            trusted = tuple(skops.io.get_untrusted_types(data=content))
            skops.io.loads(content, trusted=list(trusted))
        return Artefact("estimator.skops", content, trusted)
    except Exception:  # noqa: BLE001 -- skops says in many ways that it can't
        buffer = io.BytesIO()
        joblib.dump(estimator, buffer)
        return Artefact("estimator.joblib", buffer.getvalue(), ())

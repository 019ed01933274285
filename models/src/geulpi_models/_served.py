"""Code of `geulpi_calendar` as entries of a model repository."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from geulpi_conversion import PythonModel, TensorSpec, python_backend_metrics

__all__ = ["CALENDAR", "code_model", "text_rows"]

PACKAGE = "geulpi_calendar"
CALENDAR = TensorSpec("calendar", "BYTES", 1)


def code_model(
    name: str,
    module: str,
    *,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    rows: Mapping[str, np.ndarray[Any, Any]],
    data: Mapping[str, bytes] | None = None,
) -> PythonModel:
    """Return a module as a model: with all that it imports of its package, and nothing else of it.

    Args:
        name: of the model.
        module: of `geulpi_calendar`, whose `load(folder, ask)` the wrapper calls.
        inputs, outputs: the tensors.
        rows: example rows by input, BYTES as `bytes`.
        data: further files of the version's folder, which `load` reads.
    """
    package = Path(str(resources.files(PACKAGE)))
    wrapper = Path(str(resources.files("geulpi_models"))) / "_backend" / "model.py"
    code = {
        f"{PACKAGE}/{part}.py": (package / f"{part}.py").read_bytes() for part in _needed(module)
    }
    return PythonModel(
        name=name,
        inputs=inputs,
        outputs=outputs,
        code={"model.py": wrapper.read_bytes(), **python_backend_metrics(), **code, **(data or {})},
        rows=rows,
        parameters={"module": f"{PACKAGE}.{module}"},
    )


def text_rows(*documents: str) -> np.ndarray[Any, Any]:
    """Return documents as rows of a BYTES tensor, `[N, 1]`."""
    rows = np.empty((len(documents), 1), dtype=np.object_)
    rows[:, 0] = [document.encode() for document in documents]
    return rows


def _needed(module: str) -> list[str]:
    """Return a module of the package and those that it imports, directly or not, in order."""
    found = {"__init__", "documents"}  # the wrapper imports the latter
    waiting = [*found, module]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += set(_imports(name)) - found
    return sorted(found)


def _imports(module: str) -> Iterator[str]:
    source = (Path(str(resources.files(PACKAGE))) / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if node.module == PACKAGE:  # from geulpi_calendar import names
            yield from (alias.name for alias in node.names)
        elif node.module.startswith(f"{PACKAGE}."):
            yield node.module.removeprefix(f"{PACKAGE}.")

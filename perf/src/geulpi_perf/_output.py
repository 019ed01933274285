"""The folder and the files that results are written into."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geulpi_perf._errors import UnusableOption

__all__ = ["plain", "prepare", "write_csv", "write_json"]


def prepare(folder: Path) -> None:
    """Make the folder of --output, before anything is measured for it.

    Raises:
        UnusableOption: that can't be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wanted = f"a folder that can be made and written to ({error.strerror})"
        raise UnusableOption("--output", str(folder), wanted) from error


def plain(value: Any) -> Any:
    """Return what JSON can hold: mappings, lists, and null in place of what is not finite."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document for people to read."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, of which there is at least one; the first one's names are the head."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

"""Names of tensors for a DataFrame's columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

# What every client, shell and protocol takes as it is.
VALID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
INVALID = re.compile(r"[^A-Za-z0-9_.-]+")


def tensor_names(columns: Sequence[str], reserved: Collection[str]) -> list[str]:
    """Return a name for each column: its own, where that is a valid one and free.

    In others, each run of spaces, slashes, letters beyond ASCII and the like becomes "_"; where
    nothing is left the name is `column_<place>`, counted from 0.

    Args:
        columns: names, each there once.
        reserved: names of the outputs; ONNX has one name space for inputs and outputs.
    """
    own = {name for name in columns if VALID.fullmatch(name)} - set(reserved)
    taken = {*own, *reserved}
    names = []
    for place, column in enumerate(columns):
        if column in own:
            names.append(column)
            continue
        stem = INVALID.sub("_", column).strip("_")[:56] or f"column_{place}"
        stem = f"{stem}_column" if column in reserved else stem
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name)
        names.append(name)
    return names

"""Reads estimators and samples from files, for the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io

from geulpi_conversion._errors import UnreadableFile, UntrustedFile

__all__ = ["read_estimator", "read_sample_file"]


def read_estimator(path: Path, *, trust: bool) -> Any:
    """Load an estimator from a .skops, .joblib or .pkl file.

    Args:
        path: the file.
        trust: whether the caller vouches for the file: loading a pickle runs its code.

    Raises:
        UntrustedFile: the file needs trust that was not given.
        UnreadableFile: the file is missing, damaged or of another kind.
    """
    _check_there(path)
    if path.suffix == ".skops":
        return _guarded(path, lambda: _read_skops(path, trust=trust))
    if path.suffix in {".joblib", ".pkl", ".pickle"}:
        if not trust:
            raise UntrustedFile(path, "loading a pickle runs the code in it")
        return _guarded(path, lambda: joblib.load(path))
    raise UnreadableFile(path, "estimators are read from .skops, .joblib and .pkl files")


def read_sample_file(path: Path) -> Any:
    """Load sample rows from a .npy, .csv or .json file.

    .npy holds a 2-D array, .csv a header and rows, .json a list of strings or of objects.

    Raises:
        UnreadableFile: the file is missing, damaged or of another kind.
    """
    readers: dict[str, Callable[[], Any]] = {
        ".npy": lambda: np.load(path, allow_pickle=False),
        ".csv": lambda: pd.read_csv(path),
        ".json": lambda: _read_json(path),
    }
    if path.suffix not in readers:
        raise UnreadableFile(path, f"samples are read from {', '.join(readers)} files")
    _check_there(path)
    return _guarded(path, readers[path.suffix])


def _read_skops(path: Path, *, trust: bool) -> Any:
    untrusted = skops.io.get_untrusted_types(file=path)
    if untrusted and not trust:
        raise UntrustedFile(path, f"it holds types that nobody vouched for: {sorted(untrusted)}")
    return skops.io.load(path, trusted=untrusted)


def _read_json(path: Path) -> Any:
    rows = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(rows, list) and all(isinstance(row, str) for row in rows):
        return rows
    return pd.DataFrame(rows)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise UnreadableFile(path, "there is no such file")


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except UntrustedFile:
        raise
    except Exception as error:
        line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise UnreadableFile(path, f"it can't be read ({type(error).__name__}: {line})") from error

"""Reads estimators and samples from the files that people keep them in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import skops.io
from sklearn.feature_extraction import DictVectorizer, FeatureHasher

from geulpi_conversion._errors import UnreadableFile, UnsupportedFile, UntrustedFile

PICKLES = {".joblib", ".pkl", ".pickle"}
ESTIMATORS = "an estimator as .skops, .joblib or .pkl"
SAMPLES = (
    "a sample as .npy, .npz (one array, the columns of a table, or a sparse matrix), .csv (with a "
    "header row), .parquet or .json (a list of texts, of records or of rows of numbers)"
)
SPARSE = {"format", "shape", "data"}  # some of what scipy.sparse.save_npz writes


def read_estimator(path: Path, *, trust: bool) -> Any:
    """Load an estimator.

    Args:
        path: a `.skops`, `.joblib` or `.pkl` file.
        trust: accept types that skops does not know to be safe, and files that run code.

    Raises:
        UnsupportedFile: the suffix is none of these.
        UntrustedFile: trust is needed and not given.
        UnreadableFile: the file is missing or damaged.
    """
    suffix = path.suffix.lower()
    if suffix not in {".skops", *PICKLES}:
        raise UnsupportedFile(path, ESTIMATORS)
    if not path.is_file():
        raise UnreadableFile(path, "there is no such file")
    if suffix in PICKLES and not trust:
        raise UntrustedFile(
            path,
            f"loading a {suffix} file runs whatever code is in it (skops.io.dump writes .skops "
            "files, whose types are listed before anything is loaded)",
        )
    try:
        untrusted = [] if suffix in PICKLES else skops.io.get_untrusted_types(file=path)
    except Exception as error:  # skops meets a damaged file with whatever it stumbles over
        raise UnreadableFile(path, f"it is damaged ({error})") from error
    if untrusted and not trust:
        listed = "".join(f"\n  {name}" for name in untrusted)
        raise UntrustedFile(path, f"it holds types that are not known to be safe:{listed}")
    try:
        if suffix in PICKLES:
            return joblib.load(path)
        return skops.io.load(path, trusted=untrusted)
    except Exception as error:  # pickle and skops run the classes' own code
        why = f"{type(error).__name__}: {error}"
        raise UnreadableFile(path, f"it is damaged or needs what is not here ({why})") from error


def takes_records(estimator: Any) -> bool:
    """Whether an estimator wants rows that are dicts, where others want a table of them."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return isinstance(estimator, DictVectorizer | FeatureHasher)


def read_sample_file(path: Path, *, records: bool = False) -> Any:
    """Load a sample: an array, a DataFrame, a sparse matrix, or a list of texts, rows or dicts.

    Args:
        path: the file.
        records: leave the records of a `.json` file dicts, and make no table of them.

    Raises:
        UnsupportedFile: the suffix, or the file's content, is none that is known.
        UnreadableFile: the file is missing or damaged.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UnsupportedFile(path, SAMPLES)
    try:
        with path.open("rb"):  # so that the system's own words tell why it can't be opened
            pass
        rows = read(path)
    except (UnsupportedFile, MemoryError):
        raise
    except Exception as error:  # numpy, pandas, pyarrow, zip and json each have their own
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableFile(path, str(why).partition("\n")[0]) from error
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and not records:
        return pd.DataFrame(rows)
    return rows


def _npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as archive:
        if set(archive.files) >= SPARSE:
            return scipy.sparse.csr_matrix(scipy.sparse.load_npz(path))
        arrays = {name: archive[name] for name in archive.files}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if not arrays or len({array.shape for array in arrays.values()}) > 1:
        raise UnsupportedFile(path, f"{SAMPLES}; its arrays are no columns of one length")
    if next(iter(arrays.values())).ndim != 1:
        raise UnsupportedFile(path, f"{SAMPLES}; its arrays are no columns, [N] each")
    return pd.DataFrame(arrays)


def _json(path: Path) -> Any:
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list):
        raise UnsupportedFile(path, SAMPLES)
    if any(all(isinstance(row, kind) for row in rows) for kind in (str, dict)):
        return rows
    if not all(isinstance(row, list) for row in rows):
        raise UnsupportedFile(path, SAMPLES)
    # Rows of texts may differ in length; what is wrong with others, the sample's reader says.
    values = [value for row in rows for value in row]
    if not _numbers(values) or len({len(row) for row in rows}) > 1:
        return rows
    # As floats, null becomes NaN.
    return np.array(rows, dtype=np.float64 if None in values else None)


def _numbers(values: list[Any]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def _npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".json": _json,
}

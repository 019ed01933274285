"""Reads estimators and samples from the files that people keep them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io

from geulpi_conversion._errors import UnreadableFile, UnsupportedFile, UntrustedFile

PICKLES = {".joblib", ".pkl", ".pickle"}
ESTIMATORS = "an estimator as .skops, .joblib or .pkl"
SAMPLES = "a sample as .npy, .csv (with a header row) or .json (a list of texts or of records)"


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
    if path.suffix not in {".skops", *PICKLES}:
        raise UnsupportedFile(path, ESTIMATORS)
    if not path.is_file():
        raise UnreadableFile(path, "there is no such file")
    if path.suffix in PICKLES and not trust:
        raise UntrustedFile(path, f"loading a {path.suffix} file runs whatever code is in it")
    try:
        untrusted = [] if path.suffix in PICKLES else skops.io.get_untrusted_types(file=path)
    except Exception as error:  # skops meets a damaged file with whatever it stumbles over
        raise UnreadableFile(path, f"it is damaged ({error})") from error
    if untrusted and not trust:
        listed = "".join(f"\n  {name}" for name in untrusted)
        raise UntrustedFile(path, f"it holds types that are not known to be safe:{listed}")
    try:
        if path.suffix in PICKLES:
            return joblib.load(path)
        return skops.io.load(path, trusted=untrusted)
    except Exception as error:  # pickle and skops run the classes' own code
        why = f"{type(error).__name__}: {error}"
        raise UnreadableFile(path, f"it is damaged or needs what is not here ({why})") from error


def read_sample_file(path: Path) -> Any:
    """Load a sample: an array, a DataFrame or a list of texts.

    Raises:
        UnsupportedFile: the suffix, or the JSON's content, is none that is known.
        UnreadableFile: the file is missing or damaged.
    """
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".csv":
            return pd.read_csv(path)
        if path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
        else:
            raise UnsupportedFile(path, SAMPLES)
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from error
    except ValueError as error:  # what numpy, pandas and json make of a damaged file
        raise UnreadableFile(path, str(error)) from error
    if isinstance(rows, list) and all(isinstance(row, str) for row in rows):
        return rows
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return pd.DataFrame(rows)
    raise UnsupportedFile(path, SAMPLES)

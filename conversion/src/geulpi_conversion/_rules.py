"""What is known of an estimator's conversion before anything is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.impute import KNNImputer
from sklearn.neighbors._base import KNeighborsMixin, RadiusNeighborsMixin

Array = np.ndarray[Any, Any]
MOST_DECIMALS = 6  # more are measured numbers, of which no two rows share one


def needs_double(estimator: Any) -> bool:
    """Whether trees stand behind arithmetic, whose float32 rounding would tip their thresholds.

    So it is with rows of float64; of float32 rows scikit-learn itself computes in float32.
    """
    inside = list(parts(estimator))
    trees = any(hasattr(part, "tree_") or hasattr(part, "_predictors") for part in inside)
    return trees and any(_computes(part) for part in inside)


def needs_wide_tensors(estimator: Any, columns: Iterable[Array]) -> bool:
    """Whether FP32 tensors would reorder neighbours: on a grid many are equally far."""
    if not any(few_decimals(column) is not None for column in columns):
        return False
    kinds = (KNeighborsMixin, RadiusNeighborsMixin, KNNImputer)
    return any(isinstance(part, kinds) for part in parts(estimator))


def few_decimals(values: Array) -> int | None:
    """Return how many decimals the values of a column have; None where they are many."""
    finite = values[np.isfinite(values)].astype(np.float64)
    for decimals in range(MOST_DECIMALS + 1):
        if np.allclose(np.round(finite, decimals), finite, rtol=1e-12, atol=1e-12):
            return decimals
    return None


def _computes(part: Any) -> bool:
    fitted = any(hasattr(part, name) for name in ("scale_", "components_", "lambdas_", "idf_"))
    return hasattr(part, "transform") and fitted


def parts(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and every estimator inside it, fitted or not."""
    yield estimator
    for value in vars(estimator).values() if hasattr(estimator, "__dict__") else ():
        yield from _parts_of_value(value)


def _parts_of_value(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _parts_of_value(item)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield from parts(value)

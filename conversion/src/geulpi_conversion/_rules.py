"""What is known of an estimator's conversion before anything is tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.impute import KNNImputer
from sklearn.neighbors._base import KNeighborsMixin, RadiusNeighborsMixin


def needs_double(estimator: Any) -> bool:
    """Whether trees stand behind arithmetic, whose float32 rounding would tip their thresholds.

    So it is with rows of float64; of float32 rows scikit-learn itself computes in float32.
    """
    inside = list(parts(estimator))
    trees = any(hasattr(part, "tree_") or hasattr(part, "_predictors") for part in inside)
    return trees and any(_computes(part) for part in inside)


def needs_wide_tensors(estimator: Any) -> bool:
    """Whether answers hang on which of two near numbers is the larger: those of neighbours do."""
    kinds = (KNeighborsMixin, RadiusNeighborsMixin, KNNImputer)
    return any(isinstance(part, kinds) for part in parts(estimator))


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

"""Estimators whose parameters are known instead of fitted, so that they convert like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

__all__ = ["linear"]


def linear(coefficients: NDArray[Any], intercept: NDArray[Any] | float) -> LinearRegression:
    """Return the regression `x @ coefficients.T + intercept`.

    Args:
        coefficients: `[outputs, features]`, or `[features]` for one output.
        intercept: `[outputs]`, or a number.
    """
    estimator = LinearRegression()
    estimator.coef_ = np.asarray(coefficients, dtype=np.float64)
    estimator.intercept_ = np.asarray(intercept, dtype=np.float64)[()]
    estimator.n_features_in_ = estimator.coef_.shape[-1]
    return estimator

"""What drives a week's risk → its probability, interval and level: the model `burnout_index`.

Inputs, FP32: `burnout_features` [N, 14] (`BURNOUT_FEATURES`), `days_seen` [N, 1] and
`contributions` [N, 10] (log-odds by `BURNOUT_DRIVERS`, from the model `burnout_drivers`).
Outputs: `probability` [N, 1], `interval` [N, 2], `level` BYTES [N, 1], `baseline` [N, 1], where
baseline + sum(contributions) = logit(probability).

The interval holds nine tenths of what is open about the week's log-odds, by three variances:
    of the model         x' V x: its coefficients are known from a few thousand diaries only
    of days not seen     (1 - n / 7) s^2 / n: n of seven days stand for the week, and s^2 is the
                         variance of the log-odds of single days, as between the diaries
    of the person        that of the contributions of age and of employment, where untold
It does not hold what no calendar shows: one person's stress differs from another's in like weeks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar.documents import InvalidDocument
from geulpi_calendar.names import BURNOUT_FEATURES, LEVELS

__all__ = ["FILE", "Index", "load"]

FILE: Final = "burnout_index.json"
_NINE_TENTHS: Final = 1.6449
_AGE: Final = list(BURNOUT_FEATURES.values()).index("age")
_EMPLOYMENT: Final = list(BURNOUT_FEATURES.values()).index("employment")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Index:
    """What the index knows beside the contributions.

    Attributes:
        baseline: log-odds at the mean features.
        means: of the features, by `BURNOUT_FEATURES`.
        covariance: of the baseline and of the coefficients of the features, `[15][15]`.
        day_variance: of the log-odds of single days.
        age_variance, employment_variance: of their contributions between people.
        levels: the lowest probabilities of the levels after the first, rising.
    """

    baseline: float
    means: list[float]
    covariance: list[list[float]]
    day_variance: float
    age_variance: float
    employment_variance: float
    levels: list[float]


def load(
    folder: Path, ask: Callable[..., Any]
) -> Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]:
    """Return the model: tensors by name → tensors by name.

    Args:
        folder: of the published version, where `burnout_index.json` lies.
        ask: another model of the server; nobody is asked.
    """
    del ask
    index = Index(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    means, covariance = np.array(index.means), np.array(index.covariance)

    def answer(tensors: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        features = tensors["burnout_features"].astype(np.float64)
        seen = tensors["days_seen"].astype(np.float64)[:, 0]
        contributions = tensors["contributions"].astype(np.float64)
        if not ((seen >= 1) & (seen <= 7)).all():
            raise InvalidDocument("days_seen", seen.tolist(), "1 to 7 days")
        log_odds = index.baseline + contributions.sum(axis=1)
        from_means = np.nan_to_num(features - means)  # untold is the mean
        with_one = np.column_stack([np.ones(len(features)), from_means])
        variance = np.einsum("ni,ij,nj->n", with_one, covariance, with_one)
        variance += (1 - seen / 7) * index.day_variance / seen
        variance += np.isnan(features[:, _AGE]) * index.age_variance
        variance += np.isnan(features[:, _EMPLOYMENT]) * index.employment_variance
        reach = _NINE_TENTHS * np.sqrt(variance)
        probability = _expit(log_odds)
        steps = np.searchsorted(index.levels, probability, side="right")
        return {
            "probability": probability.astype(np.float32)[:, np.newaxis],
            "interval": _expit(np.column_stack([log_odds - reach, log_odds + reach])).astype(
                np.float32
            ),
            "level": np.array(LEVELS, dtype=np.object_)[steps][:, np.newaxis],
            "baseline": np.full((len(features), 1), index.baseline, dtype=np.float32),
        }

    return answer


def _expit(log_odds: Array) -> Array:
    """Return the probabilities; log-odds of finite features never overflow."""
    probabilities: Array = 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
    return probabilities

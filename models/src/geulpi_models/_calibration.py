"""How well probabilities and percentiles agree with what happened, by weighted rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bin",
    "calibration_error",
    "crps",
    "reliability",
    "spread_ties",
    "unevenness",
    "weighted_rank",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Rows of like probability: the mean one, and the share of those for which it came true."""

    rows: int
    weight: float
    probability: float
    share: float


def reliability(
    probabilities: Array, truth: NDArray[np.bool_], weight: Array, *, bins: int = 10
) -> tuple[Bin, ...]:
    """Return bins of about as many rows each, from the lowest probability to the highest."""
    return tuple(
        Bin(
            len(rows),
            float(weight[rows].sum() / weight.sum()),
            float(np.average(probabilities[rows], weights=weight[rows])),
            float(np.average(truth[rows], weights=weight[rows])),
        )
        for rows in np.array_split(np.argsort(probabilities, kind="stable"), bins)
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: the mean distance of share and probability."""
    return sum(part.weight * abs(part.share - part.probability) for part in bins)


def weighted_rank(values: Array, weight: Array, at: Array) -> Array:
    """Return which share of the values is below each of these, equal ones counted half."""
    order = np.argsort(values, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
    below = np.searchsorted(values[order], at, side="left")
    through = np.searchsorted(values[order], at, side="right")
    ranks: Array = (sums[below] + sums[through]) / 2
    return ranks


def spread_ties(ranks: Array, hours: Array, draws: Array) -> Array:
    """Return ranks where days without such time, or full of it, fill their share evenly.

    A percentile rank puts all of them in the middle of their share. This is the randomised
    probability integral transform (Czado, Gneiting and Held, 2009, Biometrics 65).
    """
    none, full = 2 * ranks * draws, 1 - 2 * (1 - ranks) * draws
    spread: Array = np.where(hours <= 0, none, np.where(hours >= 24, full, ranks))
    return spread


def unevenness(values: Array, weight: Array) -> float:
    """Return the largest difference of a distribution from the even one on 0 to 1 (Kolmogorov)."""
    order = np.argsort(values)
    through = np.cumsum(weight[order]) / weight.sum()
    before = np.concatenate([[0.0], through[:-1]])
    return float(np.maximum(through - values[order], values[order] - before).max())


def crps(curves: Array, hours: Array, grid: Array, weight: Array) -> float:
    """Return the mean continuous ranked probability score, in hours: 0 is perfect.

    Args:
        curves: the predicted share of days below each point of the grid, `[N, G]`.
        hours: what came, `[N]`.
        grid: evenly spaced hours, `[G]`.
        weight: of the rows, `[N]`.
    """
    below = (hours[:, np.newaxis] < grid) + 0.5 * (hours[:, np.newaxis] == grid)
    scores = ((curves - below) ** 2).sum(axis=1) * (grid[1] - grid[0])
    return float(np.average(scores, weights=weight))

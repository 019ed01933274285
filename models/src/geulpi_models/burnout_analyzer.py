"""`burnout_analyzer`: the risk that days as those of a week are strained, and what drives it.

Two models, after the features of `geulpi_calendar.week`:
    burnout_drivers  FP32 X [N, 14] (`BURNOUT_FEATURES`) → prediction [N, 10], log-odds by
                     `BURNOUT_DRIVERS` (ONNX)
    burnout_index    `geulpi_calendar.burnout_index`: probability, interval, level (Python)

A day is *strained* where its diarist's ratings of stress and tiredness, each from 0 to 6 and the
mean of three activities of the day, average `STRAINED` or more: one weighted diary day in thirteen.
That is a proxy. It is no burnout, which no data here measures.

The log-odds of a strained day are a sum over hours by activity, in straight lines with a bend each,
weekend, age and employment. So a week's log-odds are the mean of its days', which is the sum at the
mean of their features, and each driver's part can be told exactly. Signs that sense demands are
kept: hours of work, study and long days never lower the risk, exercise, company and weekends never
raise it.

The coefficients are fitted to three limits of the ratings at once (`LIMITS`), each with its own
intercept: an ordinal logistic regression (McCullagh, 1980, "Regression models for ordinal data",
JRSS B 42) by the sum of its binary likelihoods, which uses more of the ratings than whether they
reach the highest limit. Respondents count by their survey weights.

Errands are left out. Chores fill 2.2 hours of a diary day and next to nothing of a calendar: what
their absence says in a diary it does not say there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from geulpi_calendar.burnout_index import FILE, Index
from geulpi_calendar.documents import EMPLOYMENTS
from geulpi_calendar.names import BURNOUT_DRIVERS, BURNOUT_FEATURES
from geulpi_calendar.week_days import burnout_days, burnout_person
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.impute import SimpleImputer
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline

from geulpi_models._calibration import Bin, calibration_error, reliability
from geulpi_models._known import linear
from geulpi_models.diaries import Diaries, read_diaries

__all__ = [
    "LIMITS",
    "NAME",
    "STRAINED",
    "Burnout",
    "Evaluation",
    "Figures",
    "evaluate",
    "fit",
    "judge",
    "sample",
    "train",
]

NAME: Final = "burnout_analyzer"
STRAINED: Final = 4.0
LIMITS: Final = (3.0, 3.5, STRAINED)

# Of the mean risk: below the first the level is low, from the last on high.
LEVELS_FROM: Final = (0.75, 1.25, 2.0)

Array = NDArray[np.float64]

# Whether more of it never lowers (1) or never raises (−1) the risk; 0 where nobody can say.
_SIGNS: Final = {
    "work_hours": 1, "hours_beyond_10": 1, "study_hours": 1, "social_first_hour": -1,
    "exercise_first_half_hour": -1, "health_first_hour": 1, "weekend": -1,
}  # fmt: skip
_RIDGE: Final = 0.003
_FOLDS: Final = 5


@dataclass(frozen=True)
class Burnout:
    """The fitted models, and how many diary days they learned from."""

    drivers: Pipeline
    index: Index
    training_rows: int

    @property
    def files(self) -> dict[str, bytes]:
        """The data of `burnout_index` by file name."""
        return {FILE: json.dumps(asdict(self.index)).encode()}

    def log_odds(self, features: NDArray[Any]) -> Array:
        """Return the log-odds of features (`BURNOUT_FEATURES`), `[N]`."""
        total: Array = self.index.baseline + self.drivers.predict(features).sum(axis=1)
        return total


@dataclass(frozen=True)
class Figures:
    """How well probabilities of strained days fit.

    Attributes:
        auc: the share of pairs of a strained and another day that are in the right order.
        brier: mean squared error of the probability.
        calibration_error: mean distance of probability and share, over ten bins.
    """

    auc: float
    brier: float
    calibration_error: float


@dataclass(frozen=True)
class Evaluation:
    """Figures, weighted, on days that the model did not learn from.

    Attributes:
        rows, strained: how many days are held out, and which share of them is strained.
        held_out: on these.
        untold: likewise where neither age nor employment is told.
        trivial: likewise of the share of strained days as everybody's probability.
        cross_validated: on the other days, each judged by a fit without it.
        bins: probabilities and shares on the days held out.
        other_labels: AUC on the days held out for mean stress of 3 or more, mean tiredness of 4 or
            more, and not well rested (3 or 4 of 4).
    """

    rows: int
    strained: float
    held_out: Figures
    untold: Figures
    trivial: Figures
    cross_validated: Figures
    bins: tuple[Bin, ...]
    other_labels: dict[str, float]


def train(data: Path, seed: int = 0) -> Burnout:
    """Train on the diaries that are not held out.

    Args:
        data: the folder of real data.
        seed: has no effect: the fit draws nothing. Models are trained by one signature.

    Raises:
        InvalidRows: the diaries are missing or are not what they must be.
    """
    del seed
    diaries = read_diaries(data)
    return fit(diaries.where(~diaries.held_out))


def fit(diaries: Diaries) -> Burnout:
    """Fit the models to the diaries with ratings."""
    rated = diaries.where(~np.isnan(diaries.strain))
    features, weight = diary_features(rated), rated.weight / rated.weight.mean()
    means = np.average(features, axis=0, weights=weight)
    scales = np.sqrt(np.average((features - means) ** 2, axis=0, weights=weight))
    scales[scales == 0] = 1.0  # a feature that never changes says nothing
    fitted = _fit_ordinal((features - means) / scales, rated.strain, weight)
    coefficients = fitted.coefficients / scales
    unscaled = np.concatenate([[1.0], scales])
    owners = np.array(list(BURNOUT_FEATURES.values()))
    grouped = np.array([coefficients * (owners == driver) for driver in BURNOUT_DRIVERS])
    parts = (features - means) * coefficients
    of_person = np.isin(owners, ["age", "employment"])
    risk = np.average(rated.strain >= STRAINED, weights=weight)
    return Burnout(
        drivers=make_pipeline(_filled(means), linear(grouped, -grouped @ means)),
        index=Index(
            baseline=fitted.baseline,
            means=means.tolist(),
            covariance=(fitted.covariance / np.outer(unscaled, unscaled)).tolist(),
            day_variance=_variance(parts[:, ~of_person], weight),
            age_variance=_variance(parts[:, owners == "age"], weight),
            employment_variance=_variance(parts[:, owners == "employment"], weight),
            levels=[float(risk * ratio) for ratio in LEVELS_FROM],
        ),
        training_rows=len(rated),
    )


def diary_features(diaries: Diaries) -> Array:
    """Return diary days as weeks of which one day is seen, `[N, 14]` (`BURNOUT_FEATURES`)."""
    return np.column_stack(
        [
            burnout_days(diaries.days, diaries.weekend),
            burnout_person(diaries.age, diaries.employment),
        ]
    )


def sample(rows: int = 400, seed: int = 0) -> NDArray[np.float32]:
    """Return made-up weeks (`BURNOUT_FEATURES`) to prove the conversion by; no diary is in them."""
    rng = np.random.default_rng(seed)
    days = rng.gamma(1.0, 2.0, (rows, 9)) * (rng.random((rows, 9)) < 0.7)
    ages = rng.uniform(10, 95, rows)
    employments = rng.integers(0, len(EMPLOYMENTS), rows).astype(np.float64)
    for column in (ages, employments):
        column[rng.random(rows) < 0.3] = np.nan
    weekend = rng.integers(0, 8, rows) / 7
    return np.column_stack([burnout_days(days, weekend), burnout_person(ages, employments)]).astype(
        np.float32
    )


def evaluate(burnout: Burnout, data: Path, seed: int = 0) -> Evaluation:
    """Judge the fitted models by the diaries held out, each as a week of one day.

    Args:
        burnout: the fitted models.
        data: the folder of real data.
        seed: of the folds of the cross-validation.

    Raises:
        InvalidRows: the diaries are missing or are not what they must be.
    """
    diaries = read_diaries(data)
    return judge(burnout, diaries.where(~diaries.held_out), diaries.where(diaries.held_out), seed)


def judge(burnout: Burnout, seen: Diaries, held_out: Diaries, seed: int = 0) -> Evaluation:
    """Judge models that are fitted to some diaries by others."""
    seen = seen.where(~np.isnan(seen.strain))
    held_out = held_out.where(~np.isnan(held_out.strain))
    log_odds = burnout.log_odds(diary_features(held_out))
    untold = burnout.log_odds(diary_features(held_out.untold()))
    strained, before = held_out.strain >= STRAINED, seen.strain >= STRAINED
    share = np.average(before, weights=seen.weight)
    others = {
        "mean_stress_from_3": held_out.stress >= 3,
        "mean_tired_from_4": held_out.tired >= 4,
        "not_rested": held_out.rested >= 3,
    }
    return Evaluation(
        rows=len(held_out),
        strained=float(np.average(strained, weights=held_out.weight)),
        held_out=_figures(log_odds, strained, held_out.weight),
        untold=_figures(untold, strained, held_out.weight),
        trivial=_figures(np.full(len(held_out), logit(share)), strained, held_out.weight),
        cross_validated=_figures(_cross_validated(seen, before, seed), before, seen.weight),
        bins=reliability(expit(log_odds), strained, held_out.weight),
        other_labels={
            name: float(roc_auc_score(label, log_odds, sample_weight=held_out.weight))
            for name, label in others.items()
        },
    )


@dataclass(frozen=True)
class _Ordinal:
    """A fit on scaled features; the covariance is that of baseline and coefficients."""

    baseline: float
    coefficients: Array
    covariance: Array


def _fit_ordinal(features: Array, ratings: Array, weight: Array) -> _Ordinal:
    """Fit one set of coefficients to whether ratings reach each of `LIMITS`."""
    reached = (ratings >= np.array(LIMITS)[:, np.newaxis]).astype(np.float64)
    limits, rows = reached.shape
    shares = np.clip(np.average(reached, axis=1, weights=weight), 1e-3, 1 - 1e-3)

    def loss(parameters: Array) -> tuple[float, Array]:
        coefficients = parameters[limits:]
        log_odds = parameters[:limits, np.newaxis] + features @ coefficients
        likelihood = (np.logaddexp(0, log_odds) - reached * log_odds) @ weight
        errors = weight * (expit(log_odds) - reached) / (limits * rows)
        slope = errors.sum(axis=0) @ features + _RIDGE * coefficients
        value = likelihood.sum() / (limits * rows) + _RIDGE * coefficients @ coefficients / 2
        return float(value), np.concatenate([errors.sum(axis=1), slope])

    ends = {1: (0, None), -1: (None, 0), 0: (None, None)}
    signs = [_SIGNS.get(name, 0) for name in BURNOUT_FEATURES]
    found = minimize(
        loss,
        np.concatenate([logit(shares), np.zeros(features.shape[1])]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None)] * limits + [ends[sign] for sign in signs],
        options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-9},
    ).x
    covariance = _covariance(features, reached, weight, found)
    chosen = [LIMITS.index(STRAINED), *range(limits, len(found))]
    return _Ordinal(float(found[chosen[0]]), found[limits:], covariance[np.ix_(chosen, chosen)])


def _covariance(features: Array, reached: Array, weight: Array, found: Array) -> Array:
    """Return the covariance of a fit's parameters: robust, by respondent (the sandwich).

    A coefficient that its sign holds at 0 is taken as known.
    """
    limits, rows = reached.shape
    probabilities = expit(found[:limits, np.newaxis] + features @ found[limits:])
    designs = [
        np.column_stack([np.tile(np.eye(limits)[limit], (rows, 1)), features])
        for limit in range(limits)
    ]
    penalty = np.concatenate([np.zeros(limits), np.full(features.shape[1], _RIDGE)])
    curvature = np.diag(penalty * limits * rows)
    scores = np.zeros_like(designs[0])
    for design, chance, truth in zip(designs, probabilities, reached, strict=True):
        curvature += (design * (weight * chance * (1 - chance))[:, np.newaxis]).T @ design
        scores += design * (weight * (truth - chance))[:, np.newaxis]
    free = np.concatenate([np.ones(limits, dtype=bool), found[limits:] != 0])
    inverse = np.linalg.inv(curvature[np.ix_(free, free)])
    covariance = np.zeros_like(curvature)
    covariance[np.ix_(free, free)] = inverse @ (scores.T @ scores)[np.ix_(free, free)] @ inverse
    return covariance


def _filled(means: Array) -> SimpleImputer:
    """Return the step that takes what is untold for the mean, so that it contributes nothing."""
    filled = SimpleImputer(strategy="mean").fit(np.zeros((1, len(means))))
    filled.statistics_ = means
    return filled


def _variance(parts: Array, weight: Array) -> float:
    totals = parts.sum(axis=1)
    return float(np.average((totals - np.average(totals, weights=weight)) ** 2, weights=weight))


def _cross_validated(diaries: Diaries, strained: NDArray[np.bool_], seed: int) -> Array:
    log_odds = np.zeros(len(diaries))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    for _, rows in folds.split(log_odds, strained):
        left_out = np.isin(np.arange(len(diaries)), rows)
        fitted = fit(diaries.where(~left_out))
        log_odds[left_out] = fitted.log_odds(diary_features(diaries.where(left_out)))
    return log_odds


def _figures(log_odds: Array, strained: NDArray[np.bool_], weight: Array) -> Figures:
    probabilities = expit(log_odds)
    return Figures(
        auc=float(roc_auc_score(strained, probabilities, sample_weight=weight)),
        brier=float(brier_score_loss(strained, probabilities, sample_weight=weight)),
        calibration_error=calibration_error(reliability(probabilities, strained, weight)),
    )

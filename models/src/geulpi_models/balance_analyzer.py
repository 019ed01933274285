"""`balance_analyzer`: how a week's hours stand against those of people like this one.

Three estimators, each fed by the one before, after the features of `geulpi_calendar.week`; one ONNX
model, `balance_index`, holds them all:
    FP32 X [N, 17] (`BALANCE_FEATURES`) → percentiles [N, 7], 0 to 1
                                        → sub_scores [N, 7], 0 to 100
                                        → score [N, 1], 0 to 100
all in the order of `BALANCE_DIMENSIONS`.

A percentile is a percentile rank: the share of diary days of people of this age and employment
that hold less time of the kind, those that hold as much counted half. It is learned by distribution
regression (Foresi and Peracchi, 1995, "The conditional distribution of excess returns", JASA 90):
gradient boosting predicts from hours, age band and employment whether a day holds less than these
hours, with an outcome of one half where it holds as much, and never falls as the hours rise. The
squared error over hours is a continuous ranked probability score (twice the pinball loss over all
quantiles), here with hours as dense as days lie. Weekdays and weekends are learned apart: a week's
mean weekday stands against weekdays, its mean weekend day against weekend days, and the percentile
is their mean by days seen. A mean of several days varies less than one day does, so weeks lie
nearer to the middle than days: diaries hold one day of each person and cannot tell how much.

A sub-score is 100 up to the median of people like this one and falls in a straight line to 0 at the
extreme: the upper one of work, errands and study, the lower one of rest, social life, exercise and
family. The score is their mean by `WEIGHTS`. Both are conventions, stated here, and not learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from geulpi_calendar.documents import EMPLOYMENTS
from geulpi_calendar.names import BALANCE_DIMENSIONS, BALANCE_FEATURES
from geulpi_calendar.week_days import balance_hours, balance_person
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, SplineTransformer
from threadpoolctl import threadpool_limits

from geulpi_models._calibration import crps, spread_ties, unevenness, weighted_rank
from geulpi_models._known import linear
from geulpi_models.diaries import Diaries, read_diaries

__all__ = [
    "BURDENS",
    "NAME",
    "WEIGHTS",
    "Balance",
    "DimensionFigures",
    "Evaluation",
    "diary_features",
    "evaluate",
    "fit",
    "judge",
    "percentile_sample",
    "train",
]

NAME: Final = "balance_analyzer"
BURDENS: Final = ("work", "errands", "study")
"""Of these more is worse; of the others less."""

WEIGHTS: Final = {
    "work": 0.25, "rest": 0.25, "social": 0.125, "exercise": 0.125, "family": 0.125,
    "errands": 0.0625, "study": 0.0625,
}  # fmt: skip

Array = NDArray[np.float64]

_K: Final = len(BALANCE_DIMENSIONS)
_SHARE, _AGE, _EMPLOYMENT = (
    BALANCE_FEATURES.index(name) for name in ("weekend_share", "age_band", "employment")
)
_THRESHOLDS: Final = 32
_UNKNOWN: Final = 0.4
_STEP_HOURS: Final = 0.5


@dataclass(frozen=True)
class Balance:
    """The fitted models, and how many diary days they learned from."""

    percentiles: Pipeline
    sub_scores: Pipeline
    score: LinearRegression
    training_rows: int

    @property
    def chain(self) -> dict[str, BaseEstimator]:
        """The models in the order in which they feed each other, by their output."""
        return {
            "percentiles": self.percentiles,
            "sub_scores": self.sub_scores,
            "score": self.score,
        }


@dataclass(frozen=True)
class DimensionFigures:
    """How well the percentiles of a dimension fit days that nobody trained on.

    Attributes:
        ks: largest difference between the distribution of the percentiles and the even one, with
            ties spread evenly: 0 is perfect.
        ks_unknown: likewise where neither age nor employment is told.
        ks_trivial: likewise of the percentiles among all days alike.
        crps_hours: mean continuous ranked probability score, in hours.
        crps_trivial_hours: likewise of the distribution of all days alike.
    """

    ks: float
    ks_unknown: float
    ks_trivial: float
    crps_hours: float
    crps_trivial_hours: float


@dataclass(frozen=True)
class Evaluation:
    """Figures on the diaries held out, weighted, by dimension."""

    rows: int
    dimensions: dict[str, DimensionFigures]


def train(data: Path, seed: int = 0) -> Balance:
    """Train on the diaries that are not held out.

    Args:
        data: the folder of real data.
        seed: of the hours that days are compared with, and of whose age and employment is hidden.

    Raises:
        InvalidRows: the diaries are missing or are not what they must be.
    """
    diaries = read_diaries(data)
    return fit(diaries.where(~diaries.held_out), seed)


def fit(diaries: Diaries, seed: int = 0) -> Balance:
    """Fit the models to diaries.

    Age and employment are hidden from four in ten of the comparisons each, so that the model knows
    people who tell neither.
    """
    rng = np.random.default_rng(seed)
    hours = balance_hours(diaries.days)
    about = balance_person(diaries.age, diaries.employment)
    ranks = []
    for offset, weekend in ((0, False), (_K, True)):
        chosen = diaries.weekend == weekend
        for position in range(_K):
            rank = _fit_rank(hours[chosen, position], about[chosen], diaries.weight[chosen], rng)
            ranks.append(_of_columns(rank, [offset + position, _AGE, _EMPLOYMENT]))
    return Balance(
        percentiles=_percentiles(ranks),
        sub_scores=_sub_scores(),
        score=linear(np.array([WEIGHTS[name] for name in BALANCE_DIMENSIONS]), 0.0),
        training_rows=len(diaries),
    )


def diary_features(diaries: Diaries) -> Array:
    """Return diary days as weeks of which one day is seen, `[N, 17]` (`BALANCE_FEATURES`)."""
    hours = balance_hours(diaries.days)
    features = np.full((len(diaries), len(BALANCE_FEATURES)), np.nan)
    features[:, _SHARE] = diaries.weekend
    features[~diaries.weekend, :_K] = hours[~diaries.weekend]
    features[diaries.weekend, _K : 2 * _K] = hours[diaries.weekend]
    features[:, _AGE:] = balance_person(diaries.age, diaries.employment)
    return features


def percentile_sample(rows: int = 600, seed: int = 0) -> NDArray[np.float32]:
    """Return made-up weeks (`BALANCE_FEATURES`) to prove the conversion by; no diary is in them."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, [6, 3], (rows, 2))
    seen[seen.sum(axis=1) == 0] = (5, 2)
    hours = rng.gamma(1.0, 2.0, (rows, 2 * _K)) * (rng.random((rows, 2 * _K)) < 0.7)
    hours[:, [1, _K + 1]] = rng.uniform(4, 24, (rows, 2))
    hours[seen[:, 0] == 0, :_K] = np.nan
    hours[seen[:, 1] == 0, _K:] = np.nan
    about = rng.integers(0, [5, len(EMPLOYMENTS)], (rows, 2)).astype(np.float64)
    about[rng.random(about.shape) < _UNKNOWN] = np.nan
    share = seen[:, 1] / seen.sum(axis=1)
    return np.column_stack([hours, share, about]).astype(np.float32)


def evaluate(balance: Balance, data: Path, seed: int = 0) -> Evaluation:
    """Judge the percentiles by the diaries held out, each as a week of one day.

    Args:
        balance: the fitted models.
        data: the folder of real data.
        seed: of how ties are spread.

    Raises:
        InvalidRows: the diaries are missing or are not what they must be.
    """
    diaries = read_diaries(data)
    return judge(balance, diaries.where(~diaries.held_out), diaries.where(diaries.held_out), seed)


def judge(balance: Balance, seen: Diaries, held_out: Diaries, seed: int = 0) -> Evaluation:
    """Judge the percentiles by some diaries, against the distribution of others, all days alike."""
    draws = np.random.default_rng(seed).random(len(held_out))
    days, seen_days = balance_hours(held_out.days), balance_hours(seen.days)
    weight = held_out.weight
    grid = np.arange(0.0, 24.0 + _STEP_HOURS, _STEP_HOURS)
    told = diary_features(held_out)
    ranks = balance.percentiles.predict(told)
    ranks_untold = balance.percentiles.predict(diary_features(held_out.untold()))
    curves = _curves(balance, told, grid)
    figures = {}
    for position, name in enumerate(BALANCE_DIMENSIONS):
        hours = days[:, position]

        def plain(at: Array, position: int = position) -> Array:
            return weighted_rank(seen_days[:, position], seen.weight, at)

        def ks(rank: Array, hours: Array = hours) -> float:
            return unevenness(spread_ties(rank, hours, draws), weight)

        figures[name] = DimensionFigures(
            ks=ks(ranks[:, position]),
            ks_unknown=ks(ranks_untold[:, position]),
            ks_trivial=ks(plain(hours)),
            crps_hours=crps(curves[:, :, position], hours, grid, weight),
            crps_trivial_hours=crps(np.tile(plain(grid), (len(hours), 1)), hours, grid, weight),
        )
    return Evaluation(len(held_out), figures)


def _fit_rank(
    hours: Array, about: Array, weight: Array, rng: np.random.Generator
) -> HistGradientBoostingRegressor:
    """Fit the percentile rank of hours among days of people of an age and employment."""
    positive = hours[hours > 0]
    quantiles = np.quantile(positive, np.linspace(0, 1, 33)) if len(positive) else [1.0]
    points = np.unique([0.0, 1 / 60, *quantiles, 24.0])
    rows = np.repeat(np.arange(len(hours)), _THRESHOLDS)
    # Drawn without regard to the day itself, else its own outcome would lean to one half.
    at = rng.choice(points, len(rows))
    told = about[rows]
    told[rng.random(told.shape) < _UNKNOWN] = np.nan
    ranks = (hours[rows] < at) + 0.5 * (hours[rows] == at)
    boosting = HistGradientBoostingRegressor(
        learning_rate=0.15,
        max_iter=60,
        max_leaf_nodes=12,
        min_samples_leaf=400,
        monotonic_cst=[1, 0, 0],
        early_stopping=False,
    )
    # One thread: sums of several may come in another order, and models would differ.
    with threadpool_limits(1):
        return boosting.fit(np.column_stack([at, told]), ranks, sample_weight=weight[rows])


def _of_columns(estimator: Any, columns: list[int]) -> FrozenEstimator:
    """Return a fitted estimator that takes some of the features."""
    chosen = ColumnTransformer([("chosen", "passthrough", columns)])
    chosen.fit(np.zeros((1, len(BALANCE_FEATURES))))
    return FrozenEstimator(make_pipeline(chosen, estimator))


def _percentiles(ranks: list[FrozenEstimator]) -> Pipeline:
    """Return the pipeline from features to percentiles.

    Args:
        ranks: of weekdays and of weekend days, by dimension.
    """
    share = _of_columns(linear(np.ones(1), 0.0), [_SHARE])
    side_by_side = VotingRegressor([(f"rank{n}", rank) for n, rank in enumerate([*ranks, share])])
    one = np.zeros((1, len(BALANCE_FEATURES)))
    side_by_side.fit(one, np.zeros(1))
    width = len(ranks) + 1
    # Squared errors bring a little more than 1, or less than 0.
    ends = MinMaxScaler(clip=True).fit([[0.0] * width, [1.0] * width])
    products = PolynomialFeatures(interaction_only=True, include_bias=False)
    products.fit(np.zeros((1, width)))
    # weekday · (1 − share) + weekend · share
    powers = products.powers_.astype(bool)
    coefficients = np.zeros((_K, len(powers)))
    for position in range(_K):
        for columns, coefficient in (
            ([position], 1.0),
            ([position, width - 1], -1.0),
            ([_K + position, width - 1], 1.0),
        ):
            column = np.flatnonzero((powers == np.isin(np.arange(width), columns)).all(axis=1))
            coefficients[position, column] = coefficient
    return make_pipeline(side_by_side, ends, products, linear(coefficients, np.zeros(_K)))


def _sub_scores() -> Pipeline:
    """Return the pipeline from percentiles to sub-scores: straight lines between three points."""
    corners = np.tile([[0.0], [0.5], [1.0]], (1, _K))
    lines = SplineTransformer(degree=1, knots=corners, extrapolation="constant").fit(corners)
    burden, good = [100.0, 100.0, 0.0], [0.0, 100.0, 100.0]
    coefficients = np.zeros((_K, 3 * _K))
    for position, name in enumerate(BALANCE_DIMENSIONS):
        at_corners = burden if name in BURDENS else good
        coefficients[position, 3 * position : 3 * position + 3] = at_corners
    return make_pipeline(lines, linear(coefficients, np.zeros(_K)))


def _curves(balance: Balance, features: Array, grid: Array) -> Array:
    """Return the percentiles of these features with other hours, `[N, G, 7]`."""
    rows = np.tile(features, (len(grid), 1))
    own = rows[:, : 2 * _K]
    own[:] = np.where(np.isnan(own), np.nan, np.repeat(grid, len(features))[:, np.newaxis])
    with threadpool_limits(1):
        percentiles: Array = balance.percentiles.predict(rows)
    return percentiles.reshape(len(grid), len(features), _K).swapaxes(0, 1)

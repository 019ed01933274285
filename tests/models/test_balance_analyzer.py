"""The balance against others: percentiles, sub-scores and score."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from geulpi_calendar.names import BALANCE_DIMENSIONS, BALANCE_FEATURES
from geulpi_conversion import chained
from geulpi_models import balance_analyzer
from geulpi_models._build import evaluation_data
from geulpi_models._calibration import crps, spread_ties, unevenness, weighted_rank
from geulpi_models.balance_analyzer import Balance, percentile_sample
from made_diaries import made_diaries
from threadpoolctl import threadpool_limits

AT = {name: position for position, name in enumerate(BALANCE_FEATURES)}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small models wait for each other on a busy machine, here and in conversion."""
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def balance() -> Balance:
    return balance_analyzer.fit(made_diaries())


def week(**features: float) -> np.ndarray:
    """Return a week of five weekdays and two weekend days, by feature; others are usual."""
    row = np.full((1, len(BALANCE_FEATURES)), 1.0)
    row[0, AT["weekend_share"]] = 2 / 7
    for name, value in features.items():
        row[0, AT[name]] = value
    return row


def test_percentiles_of_days_nobody_trained_on_are_even(balance: Balance) -> None:
    """They are spread evenly over 0 to 1, for people who tell age and employment and who do not."""
    seen, others = made_diaries(), made_diaries(seed=1)
    for name, figures in balance_analyzer.judge(balance, seen, others).dimensions.items():
        assert figures.ks < 0.08, name
        assert figures.ks_unknown < 0.12, name
        assert figures.crps_hours < 1.05 * figures.crps_trivial_hours, name


def test_percentiles_are_those_of_people_like_this_one(balance: Balance) -> None:
    """The made-up old move less: the same hours are more among them than among the young."""
    exercise = BALANCE_DIMENSIONS.index("exercise")
    old, young = (
        balance.percentiles.predict(
            week(age_band=band, weekday_exercise_hours=0.7, weekend_exercise_hours=0.7)
        )[0, exercise]
        for band in (4, 0)
    )
    assert old > young + 0.1


@pytest.mark.parametrize("part", ["weekday", "weekend"])
@pytest.mark.parametrize("name", BALANCE_DIMENSIONS)
def test_more_hours_never_lower_a_percentile(balance: Balance, part: str, name: str) -> None:
    """Whoever it is, and told or not."""
    for person in ({}, {"age_band": np.nan, "employment": np.nan}):
        weeks = np.concatenate(
            [week(**person, **{f"{part}_{name}_hours": hours}) for hours in np.arange(0, 24, 0.1)]
        )
        ranks = balance.percentiles.predict(weeks)[:, BALANCE_DIMENSIONS.index(name)]
        assert (np.diff(ranks) >= -1e-12).all()
        assert ranks[-1] > ranks[0]


def test_weekdays_and_weekend_are_taken_by_their_days(balance: Balance) -> None:
    """The percentile is their mean; what was not seen has no part in it."""
    five, two, both = (
        balance.percentiles.predict(week(**features))
        for features in ({"weekend_share": 0}, {"weekend_share": 1}, {"weekend_share": 0.25})
    )
    assert np.allclose(both, 0.75 * five + 0.25 * two)
    unseen = {name: np.nan for name in BALANCE_FEATURES if name.startswith("weekend_")}
    assert np.allclose(balance.percentiles.predict(week(**unseen | {"weekend_share": 0})), five)


def test_sub_scores_fall_from_the_median_to_an_extreme(balance: Balance) -> None:
    """Much work costs, and so does little rest; the other half costs nothing."""
    ranks = np.repeat([[0.0], [0.25], [0.5], [0.75], [1.0], [1.2]], 7, axis=1)
    scores = balance.sub_scores.predict(ranks)
    for position, name in enumerate(BALANCE_DIMENSIONS):
        burden, good = [100, 100, 100, 50, 0, 0], [0, 50, 100, 100, 100, 100]
        expected = burden if name in balance_analyzer.BURDENS else good
        assert np.allclose(scores[:, position], expected), name


def test_the_score_is_the_stated_mean(balance: Balance) -> None:
    """The weights add up to one, by name."""
    assert sum(balance_analyzer.WEIGHTS.values()) == 1
    assert tuple(balance_analyzer.WEIGHTS) == BALANCE_DIMENSIONS
    assert balance.score.predict(np.full((1, 7), 100.0)) == pytest.approx(100)
    assert balance.score.predict(np.eye(7)[:1] * 100) == pytest.approx(25)


def test_same_diaries_and_seed_give_the_same_answers(balance: Balance) -> None:
    """And another seed gives others."""
    rows = percentile_sample()
    answers = [balance_analyzer.fit(made_diaries(), seed) for seed in (0, 1)]
    again, other = (fitted.percentiles.predict(rows) for fitted in answers)
    assert np.array_equal(balance.percentiles.predict(rows), again)
    assert not np.array_equal(again, other)


def test_all_three_become_one_onnx_model(balance: Balance) -> None:
    """With unknown people and days not seen among the rows that prove it."""
    rows = percentile_sample()
    assert np.isnan(rows[:, AT["employment"]]).any()
    assert np.isnan(rows[:, AT["weekend_work_hours"]]).any()
    model = chained(balance.chain, rows, name="x")
    assert [output.name for output in model.outputs] == ["percentiles", "sub_scores", "score"]
    assert model.parity.ok


def test_ranks_count_equal_values_half() -> None:
    """By weight; beyond all values they are 0 and 1."""
    values, weight = np.array([3.0, 1.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0, 1.0])
    ranks = weighted_rank(values, weight, np.array([0.0, 1.0, 1.5, 3.0, 9.0]))
    assert ranks.tolist() == [0, 0.3, 0.6, 0.9, 1]


def test_unevenness_is_told_from_evenness() -> None:
    """Even values have next to none; values of one half alone have a half."""
    even, one = np.linspace(0, 1, 1001), np.ones(1001)
    assert unevenness(even, one) < 0.002
    assert unevenness(np.full(1001, 0.5), one) == 0.5
    assert unevenness(even, np.where(even < 0.5, 3.0, 1.0)) == pytest.approx(0.25, abs=0.002)


def test_ties_at_the_ends_are_spread() -> None:
    """Days without time fill 0 to twice their rank; days full of it the same from above."""
    ranks, hours = np.array([0.2, 0.5, 0.9]), np.array([0.0, 3.0, 24.0])
    assert spread_ties(ranks, hours, np.ones(3)).tolist() == pytest.approx([0.4, 0.5, 0.8])


def test_the_ranked_probability_score_is_in_hours() -> None:
    """A sure forecast costs the hours by which it is wrong."""
    grid = np.arange(0, 24.25, 0.25)
    sure = ((grid > 8) + 0.5 * (grid == 8))[np.newaxis]
    one = np.ones(1)
    assert crps(sure, np.array([8.0]), grid, one) == 0
    assert crps(sure, np.array([10.0]), grid, one) == pytest.approx(2, abs=0.15)


def test_on_real_diaries_it_beats_the_trivial_percentiles() -> None:
    """On respondents that nobody trained on; the card promises it."""
    data = evaluation_data()
    if data is None or not (data / "atus_wellbeing_2013").is_dir():
        pytest.skip("no diaries here: set GEULPI_DATA to a folder with atus_wellbeing_2013/")
    judged = balance_analyzer.evaluate(balance_analyzer.train(data), data)
    assert judged.rows > 1500
    for figures in judged.dimensions.values():
        assert figures.ks < 0.06
        assert figures.ks_unknown < 0.06
    gains = [d.crps_hours / d.crps_trivial_hours for d in judged.dimensions.values()]
    assert np.mean(gains) < 0.88
    assert max(gains) < 1.02


def test_whoever_tells_nothing_is_known_too(balance: Balance) -> None:
    """Diaries whose people tell nothing differ from those who tell all in nothing else."""
    diaries = made_diaries(50)
    told, untold = (balance_analyzer.diary_features(days) for days in (diaries, diaries.untold()))
    assert np.isnan(untold[:, AT["age_band"] :]).all()
    assert np.array_equal(told[:, : AT["age_band"]], untold[:, : AT["age_band"]], equal_nan=True)
    assert dataclasses.replace(diaries).days is diaries.days

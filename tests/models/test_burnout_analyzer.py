"""The risk of strained days: its drivers, index, and judgement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geulpi_calendar.burnout_index import load
from geulpi_calendar.documents import InvalidDocument
from geulpi_calendar.names import BURNOUT_DRIVERS, BURNOUT_FEATURES, LEVELS
from geulpi_conversion import convert
from geulpi_models import InvalidRows, burnout_analyzer
from geulpi_models._build import evaluation_data
from geulpi_models._calibration import Bin, calibration_error, reliability
from geulpi_models.burnout_analyzer import Burnout
from geulpi_models.diaries import FILE, read_diaries
from made_diaries import made_diaries
from threadpoolctl import threadpool_limits

AT = {name: position for position, name in enumerate(BURNOUT_FEATURES)}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small sums wait for each other on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def burnout() -> Burnout:
    return burnout_analyzer.fit(made_diaries())


@pytest.fixture
def index(burnout: Burnout, tmp_path: Path) -> Any:
    """The served index, from its files."""
    for name, content in burnout.files.items():
        (tmp_path / name).write_bytes(content)
    answer = load(tmp_path, lambda *_: pytest.fail("nobody is asked"))

    def judged(features: np.ndarray, seen: int = 5) -> dict[str, np.ndarray]:
        tensors = {
            "burnout_features": features.astype(np.float32),
            "days_seen": np.full((len(features), 1), seen, dtype=np.float32),
            "contributions": burnout.drivers.predict(features).astype(np.float32),
        }
        return {**answer(tensors), "contributions": tensors["contributions"]}

    return judged


def usual(burnout: Burnout, **features: float) -> np.ndarray:
    """Return the mean week, but for some features."""
    row = np.array([burnout.index.means])
    for name, value in features.items():
        row[0, AT[name]] = value
    return row


def test_contributions_add_up_to_the_probability(index: Any) -> None:
    """Baseline and contributions are the log-odds of the probability, to what FP32 holds."""
    told = index(burnout_analyzer.sample())
    log_odds = told["baseline"][:, 0] + told["contributions"].sum(axis=1)
    probability = told["probability"][:, 0].astype(np.float64)
    assert np.allclose(np.log(probability / (1 - probability)), log_odds, atol=1e-4)
    assert np.ptp(probability) > 0.1


def test_the_mean_week_contributes_nothing(burnout: Burnout) -> None:
    """Each driver counts against the population's mean; what is untold is the mean."""
    untold = usual(burnout)
    untold[:, AT["years_to_30"] :] = np.nan
    assert np.allclose(burnout.drivers.predict(usual(burnout)), 0, atol=1e-9)
    assert np.allclose(burnout.drivers.predict(untold), 0, atol=1e-9)


@pytest.mark.parametrize("name", list(BURNOUT_FEATURES))
def test_a_feature_moves_its_own_driver_alone(burnout: Burnout, name: str) -> None:
    """The others' contributions stay."""
    before = burnout.drivers.predict(usual(burnout))
    moved = burnout.drivers.predict(usual(burnout, **{name: 3.0})) - before
    others = np.array(BURNOUT_DRIVERS) != BURNOUT_FEATURES[name]
    assert np.allclose(moved[0, others], 0)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("work_hours", 1),
        ("hours_beyond_10", 1),
        ("study_hours", 1),
        ("health_first_hour", 1),
        ("social_first_hour", -1),
        ("exercise_first_half_hour", -1),
        ("weekend", -1),
    ],
)
def test_signs_are_those_that_sense_demands(burnout: Burnout, name: str, sign: int) -> None:
    """More work never lowers the risk; more exercise never raises it."""
    more, less = (burnout.log_odds(usual(burnout, **{name: value}))[0] for value in (2.0, 1.0))
    assert sign * (more - less) >= 0
    against = made_diaries()
    turned = burnout_analyzer.Diaries(
        **{**vars(against), "stress": 6 - against.stress, "tired": 6 - against.tired}
    )
    contrary = burnout_analyzer.fit(turned)
    more, less = (contrary.log_odds(usual(contrary, **{name: value}))[0] for value in (2.0, 1.0))
    assert sign * (more - less) >= 0


def test_it_finds_what_was_put_into_the_diaries(burnout: Burnout) -> None:
    """Work strains and exercise relieves there, and the ranking is far from chance."""
    assert burnout.log_odds(usual(burnout, work_hours=10)) > burnout.log_odds(usual(burnout)) + 1
    judged = burnout_analyzer.judge(burnout, made_diaries(), made_diaries(seed=1))
    assert judged.held_out.auc > 0.7
    assert judged.untold.auc > 0.7
    assert judged.held_out.calibration_error < 0.06
    assert judged.held_out.brier < judged.trivial.brier
    assert judged.trivial.auc == 0.5


def test_a_week_is_the_mean_of_its_days(burnout: Burnout) -> None:
    """Log-odds of mean features are the mean of the days' log-odds."""
    days = burnout_analyzer.diary_features(made_diaries(7))
    of_week = burnout.log_odds(days.mean(axis=0, keepdims=True))
    assert np.allclose(of_week, burnout.log_odds(days).mean())


def test_the_interval_holds_the_probability_and_narrows_with_days(
    burnout: Burnout, index: Any
) -> None:
    """Fewer days seen, or an unknown person, leave more open."""
    untold = usual(burnout)
    untold[:, AT["years_to_30"] :] = np.nan
    widths = []
    for features, seen in ((usual(burnout), 7), (usual(burnout), 2), (untold, 2)):
        told = index(features, seen)
        (low, high), probability = told["interval"][0], told["probability"][0, 0]
        assert 0 < low < probability < high < 1
        widths.append(high - low)
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]


def test_levels_rise_with_the_probability(burnout: Burnout, index: Any) -> None:
    """They are the stated ratios of the mean risk, each from its limit on."""
    limits = burnout.index.levels
    assert limits == sorted(limits)
    weeks = np.concatenate([usual(burnout, work_hours=hours) for hours in range(0, 25, 2)])
    told = index(weeks)
    levels, probabilities = told["level"][:, 0].tolist(), told["probability"][:, 0]
    expected = [LEVELS[sum(p >= limit for limit in limits)] for p in probabilities]
    assert levels == expected
    assert {levels[0], levels[-1]} == {"low", "high"}


@pytest.mark.parametrize("seen", [0, 8])
def test_a_week_of_no_or_eight_days_is_refused(burnout: Burnout, index: Any, seen: int) -> None:
    """The index is a model of its own: what it is sent may come from elsewhere."""
    with pytest.raises(InvalidDocument, match="days_seen"):
        index(usual(burnout), seen)


def test_the_drivers_become_onnx(burnout: Burnout) -> None:
    """With unknown people among the rows that prove it."""
    rows = burnout_analyzer.sample()
    assert np.isnan(rows).any()
    assert convert(burnout.drivers, rows, name="x").backend == "onnxruntime"


def test_days_without_ratings_teach_nothing(burnout: Burnout) -> None:
    """A day that nobody rated is left out, of training and of judging."""
    diaries = made_diaries()
    diaries.tired[:100] = np.nan
    assert burnout_analyzer.fit(diaries).training_rows == len(diaries) - 100
    assert burnout_analyzer.judge(burnout, made_diaries(), diaries).rows == len(diaries) - 100


def test_calibration_is_measured_by_bins() -> None:
    """Ten bins of like probability; the error is their mean distance, by weight."""
    probabilities = np.repeat([0.1, 0.6], 50)
    truth = np.arange(100) % 10 < np.repeat([1, 8], 50)
    bins = reliability(probabilities, truth, np.ones(100), bins=2)
    assert bins == (
        Bin(50, 0.5, pytest.approx(0.1), pytest.approx(0.1)),
        Bin(50, 0.5, pytest.approx(0.6), pytest.approx(0.8)),
    )
    assert calibration_error(bins) == pytest.approx(0.1)


HEADER = (
    "tucaseid,diary_mo,diary_day,labor_status,ptft,age,WUFINLWGT,mean_stress,mean_tired,WEREST,"
    "min_work,min_work_related,min_education,min_care_hh,min_care_nonhh,min_socializing,"
    "min_arts_events,min_phone,min_sports_exercise,min_household,min_shopping,"
    "min_services_civic,min_travel_work,min_travel_other,min_medical_services\n"
)


def test_diaries_are_read_as_days_of_a_calendar(tmp_path: Path) -> None:
    """Activities become ours, in hours; the date gives the weekday; weights have a mean of 1."""
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text(
        HEADER
        + "1,3,2,employed-at work,PT,40,30,1,2,1,420,60,0,30,30,60,0,0,30,60,30,30,30,30,0\n"
        + "2,3,4,unemployed-looking,,20,10,,2,2,1400,0,400,0,0,0,0,0,0,0,0,0,0,0,60\n"
    )
    diaries = read_diaries(tmp_path)
    assert diaries.days.tolist() == [[8, 0, 1, 1, 0.5, 2, 1, 0, 10], [
        pytest.approx(1400 / 60), pytest.approx(400 / 60), 0, 0, 0, 0, 0, 1, 24]]  # fmt: skip
    assert diaries.weekend.tolist() == [True, False]  # 2 March 2013 was a Saturday
    assert diaries.employment.tolist() == [1, 2]
    assert diaries.weight.tolist() == [1.5, 0.5]
    assert diaries.strain[0] == 1.5
    assert np.isnan(diaries.strain[1])


def test_diaries_that_can_t_be_read_are_named(tmp_path: Path) -> None:
    """The missing file, the missing columns, the unknown status."""
    with pytest.raises(InvalidRows, match=r"days_2013\.csv"):
        read_diaries(tmp_path)
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text("tucaseid\n1\n")
    with pytest.raises(InvalidRows, match="WEREST"):
        read_diaries(tmp_path)
    path.write_text(HEADER + "1,3,2,retired,PT,40,30,1,2,1" + ",0" * 15 + "\n")
    with pytest.raises(InvalidRows, match="retired"):
        read_diaries(tmp_path)


def test_on_real_diaries_it_keeps_what_its_card_promises() -> None:
    """On respondents that nobody trained on, and in cross-validation on the others."""
    data = evaluation_data()
    if data is None or not (data / "atus_wellbeing_2013").is_dir():
        pytest.skip("no diaries here: set GEULPI_DATA to a folder with atus_wellbeing_2013/")
    judged = burnout_analyzer.evaluate(burnout_analyzer.train(data), data)
    assert judged.rows > 1500
    assert judged.held_out.auc >= 0.63
    assert judged.cross_validated.auc >= 0.64
    assert judged.cross_validated.calibration_error < 0.015
    assert judged.held_out.calibration_error < 0.03
    assert judged.held_out.brier < judged.trivial.brier

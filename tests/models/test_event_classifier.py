"""The event classifier's rows, training and judgement."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from geulpi_models import InvalidRows, UnknownModel, event_classifier
from geulpi_models._build import build, evaluation_data
from geulpi_models.event_classifier import CATEGORIES, Evaluation, calibration_error
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline


@pytest.fixture(scope="module")
def fitted() -> Pipeline:
    return event_classifier.fit(*event_classifier.training_rows())


def events(*titles: str) -> pd.DataFrame:
    unknown = event_classifier.UNKNOWN
    return pd.DataFrame(
        {"title": titles, "weekday": unknown, "hour": unknown, "duration_minutes": unknown}
    )


def test_the_training_rows_cover_every_category_in_both_languages() -> None:
    """Each category has at least 80 titles in Korean and in English."""
    rows, categories = event_classifier.training_rows()
    korean = rows["title"].str.contains("[가-힣]")
    for part in (korean, ~korean):
        counts = Counter(categories[part])
        assert set(counts) == set(CATEGORIES)
        assert min(counts.values()) >= 80


def test_no_title_has_two_categories() -> None:
    """Titles that differ in case, blanks and punctuation alone are in one category."""
    rows, categories = event_classifier.training_rows()
    folded = [unicodedata.normalize("NFKC", title).casefold() for title in rows["title"]]
    keys = pd.Series([re.sub(r"[\W_]+", "", title) or title for title in folded])
    pairs = pd.DataFrame({"title": keys, "category": categories}).drop_duplicates()
    assert sorted(pairs["title"][pairs["title"].duplicated()]) == []


def test_the_classes_are_in_the_order_of_the_contract(fitted: Pipeline) -> None:
    """`probabilities` come in the order of CATEGORIES, which is alphabetical."""
    assert tuple(fitted.classes_) == CATEGORIES
    assert tuple(sorted(CATEGORIES)) == CATEGORIES


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("치과 예약", "health"),
        ("Standup with the platform team", "meeting"),
        ("팀 회의", "meeting"),
    ],
)
def test_plain_titles_are_understood(fitted: Pipeline, title: str, category: str) -> None:
    """What nobody would argue about is right."""
    assert fitted.predict(events(title)) == [category]


def test_blanks_and_case_do_not_change_the_answer_much(fitted: Pipeline) -> None:
    """Runs of blanks change nothing; letters are folded to lower case."""
    one, two, upper = fitted.predict_proba(events("team lunch", "team   lunch ", "TEAM LUNCH"))
    assert np.allclose(one, two)
    assert np.allclose(one, upper)


@pytest.mark.parametrize("title", ["", " ", "?", "...", "🎉", "K", "J.", "P & Q", "ㅁㄴㅇㄹ", "김"])
def test_titles_without_words_are_guesses(fitted: Pipeline, title: str) -> None:
    """Blanks, emoji, initials and a name's first letter are not answered with confidence."""
    assert fitted.predict_proba(events(title)).max() < 0.4


def test_the_temperature_divides_the_log_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tempering is exact: the same winners, and log-odds that are divided."""
    rows, categories = event_classifier.training_rows()
    # Every ninth row, so that fitting twice is quick.
    part = (rows[::9], categories[::9])
    tempered = event_classifier.fit(*part)
    monkeypatch.setattr(event_classifier, "TEMPERATURE", 1.0)
    plain = event_classifier.fit(*part)
    some = rows[1::90]
    assert (tempered.predict(some) == plain.predict(some)).all()
    monkeypatch.undo()
    scores = tempered.decision_function(some) * event_classifier.TEMPERATURE
    assert np.allclose(scores, plain.decision_function(some))
    assert isinstance(tempered[-1], LogisticRegression)  # nothing new for conversion
    assert event_classifier.TEMPERATURE != 1.0


@pytest.mark.parametrize(
    ("confidence", "right", "bins", "error"),
    [
        ([0.5, 0.5], [True, False], 1, 0.0),
        ([0.9, 0.9, 0.3, 0.3], [True, False, False, False], 2, 0.35),
        ([0.8, 0.2], [False, True], 2, 0.8),
        # In one bin, what is too sure makes up for what is not sure enough.
        ([0.8, 0.2], [False, True], 1, 0.0),
        # Bins of the two least sure rows and of the other: (|0.3 − 0| + |0.9 − 1|) / 3.
        ([0.1, 0.9, 0.2], [False, True, False], 2, 0.4 / 3),
        ([0.6], [True], 10, 0.4),
    ],
)
def test_the_calibration_error_by_hand(
    confidence: list[float], right: list[bool], bins: int, error: float
) -> None:
    """Bins hold equally many rows, from the least to the most sure."""
    found = calibration_error(np.array(confidence), np.array(right), bins)
    assert found == pytest.approx(error)


class AlwaysSure:
    """Gives the category that a title names the probability 0.8, and the next one 0.2."""

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return [N, 10] in the order of CATEGORIES."""
        first = np.array([CATEGORIES.index(title.split()[0]) for title in rows["title"]])
        probabilities = np.zeros((len(rows), len(CATEGORIES)))
        probabilities[np.arange(len(rows)), first] = 0.8
        probabilities[np.arange(len(rows)), (first + 1) % len(CATEGORIES)] = 0.2
        return probabilities


def test_the_figures_of_an_evaluation(tmp_path: Path) -> None:
    """Five titles of each category, all right but for the errands, which are called health."""
    lines = ["title,lang,label,alt,dow,start,duration_min"]
    for category in CATEGORIES:
        for number in range(5):
            said, alt = ("health", "health") if category == "errand" else (category, "")
            alt = alt if number < 2 else ""
            lines.append(f"{said} {number},{'ko' if number else 'en'},{category},{alt},,,")
    path = tmp_path / "titles.csv"
    path.write_text("\n".join(lines))
    judged = event_classifier.evaluate(AlwaysSure(), path)
    assert isinstance(judged, Evaluation)
    assert judged.rows == 50
    assert judged.strict == pytest.approx(0.9)
    assert judged.lenient == pytest.approx(0.94)
    # 45 titles: (1 − 0.8)² + 0.2²; 5 titles: 1 + 0.8² + 0.2².
    assert judged.brier == pytest.approx((45 * 0.08 + 5 * 1.68) / 50)
    # All are equally sure, so the bins are the categories: one is right never, nine always.
    assert judged.calibration_error == pytest.approx((0.8 + 9 * 0.2) / 10)
    assert judged.baseline_strict == pytest.approx(0.1)
    assert judged.baseline_lenient == pytest.approx(0.1)
    # Learned from the other folds: eight categories, and one of the two that are called health.
    assert judged.baseline_real_strict == pytest.approx(0.8)
    assert judged.baseline_real_lenient == pytest.approx(0.84)
    document = asdict(judged)
    assert list(document["by_language"]) == ["en", "ko"]
    assert document["by_language"]["en"]["rows"] == 10
    assert document["by_language"]["en"]["lenient"] == pytest.approx(1)
    assert document["by_language"]["ko"]["lenient"] == pytest.approx(0.925)


def test_it_judges_well_on_real_titles(fitted: Pipeline) -> None:
    """On real labelled titles the figures stay within the aims, in both languages."""
    data = evaluation_data()
    if data is None:
        pytest.skip("no real titles here: set GEULPI_DATA to the folder that holds event_titles/")
    judged = event_classifier.evaluate(fitted, data / "event_titles" / "titles_labelled.csv")
    assert judged.rows > 400
    assert judged.calibration_error <= 0.05
    assert set(judged.by_language) == {"en", "ko"}
    assert min(part.strict for part in judged.by_language.values()) >= 0.70
    assert min(part.lenient for part in judged.by_language.values()) >= 0.82
    assert judged.baseline_strict == pytest.approx(0.1)
    assert judged.strict > judged.baseline_real_strict > judged.baseline_strict
    assert judged.lenient > judged.baseline_real_lenient > judged.baseline_lenient


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,party,,,", "line 2: category 'party'"),
        ("x,work,Someday,,", "line 2: weekday 'Someday'"),
        ("x,work,Mon,25:00,", "line 2: start '25:00'"),
        ("x,work,Mon,09:00,-5", "line 2: duration_minutes '-5'"),
        (" ,work,,,", "line 2: title ' '"),
    ],
)
def test_a_bad_row_is_named_by_line_field_and_value(tmp_path: Path, row: str, message: str) -> None:
    """Nothing is learned from or judged by a row that is not understood."""
    path = tmp_path / "titles.csv"
    path.write_text(f"title,category,weekday,start,duration_minutes\n{row}\n")
    with pytest.raises(InvalidRows, match=message):
        event_classifier._read(path)


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    """The missing columns are named; so is a file that is not there."""
    path = tmp_path / "titles.csv"
    path.write_text("title\nx\n")
    with pytest.raises(InvalidRows, match="category"):
        event_classifier._read(path)
    with pytest.raises(InvalidRows, match=r"none\.csv"):
        event_classifier._read(tmp_path / "none.csv")
    path.write_text("title,label,dow,start,duration_min\nx,work,,,\n")
    with pytest.raises(InvalidRows, match=r"'alt', 'lang'"):
        event_classifier.evaluate(AlwaysSure(), path)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    """The error lists the models there are."""
    with pytest.raises(UnknownModel, match="event_classifier"):
        list(build(["no_such_model"], tmp_path))

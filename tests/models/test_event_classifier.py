"""The event classifier's rows, training and judgement."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from geulpi_models import InvalidRows, UnknownModel, event_classifier
from geulpi_models._build import build, evaluation_data
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
        assert set(counts) == set(event_classifier.CATEGORIES)
        assert min(counts.values()) >= 80


def test_the_classes_are_in_the_order_of_the_contract(fitted: Pipeline) -> None:
    """`probabilities` come in the order of CATEGORIES, which is alphabetical."""
    assert tuple(fitted.classes_) == event_classifier.CATEGORIES
    assert tuple(sorted(event_classifier.CATEGORIES)) == event_classifier.CATEGORIES


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


def test_it_judges_well_on_real_titles(fitted: Pipeline) -> None:
    """On real labelled titles the macro accuracies stay above what the model's card promises."""
    data = evaluation_data()
    if data is None:
        pytest.skip("no real titles here: set GEULPI_DATA to the folder that holds event_titles/")
    judged = event_classifier.evaluate(fitted, data / "event_titles" / "titles_labelled.csv")
    assert judged.rows > 400
    assert judged.strict >= 0.70
    assert judged.lenient >= 0.82


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


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    """The error lists the models there are."""
    with pytest.raises(UnknownModel, match="event_classifier"):
        build("no_such_model", tmp_path)

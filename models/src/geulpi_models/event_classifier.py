"""`event_classifier`: which of ten categories is this calendar event?

Tensors (KServe v2), one row per event:
    title             BYTES [N, 1]  as people write it, Korean or English
    weekday           INT64 [N, 1]  of the start in the event's own zone, 0 = Monday; −1 unknown
    hour              INT64 [N, 1]  of the start, 0 to 23, same zone; −1 unknown
    duration_minutes  INT64 [N, 1]  −1 unknown
    → label           BYTES [N, 1]
    → probabilities   FP32  [N, 10] in the order of `CATEGORIES`
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder

from geulpi_models._errors import InvalidRows

__all__ = ["CATEGORIES", "NAME", "Evaluation", "evaluate", "fit", "sample", "training_rows"]

NAME = "event_classifier"
CATEGORIES = (
    "errand", "exercise", "family", "health", "meeting",
    "personal", "social", "study", "travel", "work",
)  # fmt: skip
COLUMNS = ["title", "weekday", "hour", "duration_minutes"]
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
UNKNOWN = -1
# Titles say most; at full weight the times that authors imagined win too often.
TIME_WEIGHT = 0.2

# Titles that conversions are known to get wrong, beside the ordinary ones of the training rows.
ODD_TITLES = (
    "", " ", "치과  예약", "치과예약", "가나", "Ｆｕｌｌ　ｗｉｄｔｈ", "会議 @ 本社",
    "🎂 party 🎉🏃", "Ärger Éclair", "STRASSE ß", "a", "a b", "under_score __init__",
    "no\u00a0break", "#hashtag c#", "١٢٣ ½ Ⅷ", "don't", "x" * 300, "가" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """How often the model is right about titles that nobody trained on.

    Accuracies are means over the categories, so that a rare category counts like a common one.
    `strict` takes the main label alone, `lenient` a second acceptable one too.
    """

    rows: int
    strict: float
    lenient: float


def training_rows() -> tuple[pd.DataFrame, pd.Series[str]]:
    """Return the events (`COLUMNS`) and their categories, as written for this project.

    Every event that has a time is there twice, with it and without, so that the title alone is
    learned from all of them.

    Raises:
        InvalidRows: a row has an unknown category or weekday, or a malformed time.
    """
    files = resources.files("geulpi_models") / "data"
    rows = pd.concat(
        [_read(Path(str(files / f"event_titles_{language}.csv"))) for language in ("ko", "en")],
        ignore_index=True,
    )
    timed = rows[(rows[COLUMNS[1:]] != UNKNOWN).any(axis="columns")]
    bare = rows.assign(weekday=UNKNOWN, hour=UNKNOWN, duration_minutes=UNKNOWN)
    both = pd.concat([bare, timed], ignore_index=True)
    return both[COLUMNS], both["category"]


def fit(events: pd.DataFrame, categories: pd.Series[str]) -> Pipeline:
    """Fit the classifier: words and letter n-grams of the title, weekday, hour and duration.

    Letter n-grams run over the title without its blanks: Korean is written with and without them,
    and runs of blanks mean nothing.
    """
    duration = make_pipeline(
        KBinsDiscretizer(6, encode="ordinal", strategy="kmeans", random_state=0),
        OneHotEncoder(handle_unknown="ignore"),
    )
    features = ColumnTransformer(
        [
            ("words", TfidfVectorizer(), "title"),
            ("letters", TfidfVectorizer(token_pattern=r"\S", ngram_range=(2, 4)), "title"),
            (
                "start",
                OneHotEncoder(
                    categories=[list(range(7)), list(range(24))], handle_unknown="ignore"
                ),
                ["weekday", "hour"],
            ),
            ("duration", duration, ["duration_minutes"]),
        ],
        transformer_weights={"start": TIME_WEIGHT, "duration": TIME_WEIGHT},
    )
    return make_pipeline(features, LogisticRegression(C=10, max_iter=2000)).fit(events, categories)


def sample(events: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that conversion is judged by: the training events and odd titles."""
    odd = pd.DataFrame({"title": ODD_TITLES, "weekday": 5, "hour": 19, "duration_minutes": 90})
    return pd.concat([events, odd], ignore_index=True)


def evaluate(classifier: Any, titles: Path) -> Evaluation:
    """Judge a fitted classifier by labelled titles.

    Args:
        classifier: anything whose `predict` takes events (`COLUMNS`).
        titles: a CSV file with the columns `title`, `label`, `alt` (a second acceptable category
            or empty) and, where known, `dow`, `start` and `duration_min`.

    Raises:
        InvalidRows: the file can't be read or lacks a column.
    """
    renamed = {"label": "category", "dow": "weekday", "duration_min": "duration_minutes"}
    rows = _read(titles, renamed)
    predicted = np.asarray(classifier.predict(rows[COLUMNS]))
    right = predicted == rows["category"]
    accepted = right | (predicted == rows["alt"])
    by_category = pd.DataFrame({"strict": right, "lenient": accepted}).groupby(rows["category"])
    means = by_category.mean().mean()
    return Evaluation(len(rows), float(means["strict"]), float(means["lenient"]))


def _read(path: Path, renamed: dict[str, str] | None = None) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, quoting=csv.QUOTE_MINIMAL)
    except (OSError, ValueError) as error:
        raise InvalidRows(path, str(error)) from error
    rows = rows.rename(columns=renamed or {})
    wanted = {"title", "category", "weekday", "start", "duration_minutes"}
    if missing := sorted(wanted - set(rows.columns)):
        raise InvalidRows(path, f"the columns {missing} are missing")
    weekdays = rows["weekday"].str[:3]
    for column, bad in {
        "title": rows["title"].str.strip() == "",
        "category": ~rows["category"].isin(CATEGORIES),
        "weekday": ~weekdays.isin([*WEEKDAYS, ""]),
        "start": ~rows["start"].str.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d|"),
        "duration_minutes": ~rows["duration_minutes"].str.fullmatch(r"\d*"),
    }.items():
        if bad.any():
            row = int(np.argmax(bad))
            value = rows[column][row]
            raise InvalidRows(path, f"line {row + 2}: {column} {value!r} is not valid")
    return rows.assign(
        weekday=weekdays.map({day: number for number, day in enumerate(WEEKDAYS)} | {"": UNKNOWN}),
        hour=_integers(rows["start"].str.partition(":")[0]),
        duration_minutes=_integers(rows["duration_minutes"]),
    )


def _integers(texts: pd.Series[str]) -> pd.Series[int]:
    return texts.replace("", str(UNKNOWN)).astype("int64")

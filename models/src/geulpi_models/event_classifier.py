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
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder

from geulpi_models._errors import InvalidRows

__all__ = [
    "CATEGORIES",
    "NAME",
    "Evaluation",
    "LanguageFigures",
    "calibration_error",
    "evaluate",
    "fit",
    "sample",
    "training_rows",
]

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
# Rows with a time are there twice, so that this leaves the n-grams of at least two titles (of three
# where no time is given). That takes two thirds of them away, and with them latency and size; on
# real titles the accuracy stays within 0.005.
LETTERS_MIN_ROWS = 3
# What divides the log-odds (temperature scaling, Guo et al. 2017). A constant, so that training
# needs no real data. The least log-loss is at 0.78 on the 423 real labelled titles, which were at
# hand when training rows were written, and at 1.0 on 238 that were not; of both together it is flat
# from 0.84 to 0.88. Chosen for each of their sources on the others (0.70 to 0.90), it leaves an
# expected calibration error of 0.036.
TEMPERATURE = 0.84

# Titles that conversions are known to get wrong, beside the ordinary ones of the training rows.
ODD_TITLES = (
    "", " ", "치과  예약", "치과예약", "가나", "Ｆｕｌｌ　ｗｉｄｔｈ", "会議 @ 本社",
    "🎂 party 🎉🏃", "Ärger Éclair", "STRASSE ß", "a", "a b", "under_score __init__",
    "no\u00a0break", "#hashtag c#", "١٢٣ ½ Ⅷ", "don't", "x" * 300, "가" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class LanguageFigures:
    """The figures of `Evaluation` for the titles of one language."""

    rows: int
    strict: float
    lenient: float
    calibration_error: float


@dataclass(frozen=True)
class Evaluation:
    """How often the model is right about real titles, and how rightly sure it is.

    Accuracies are means over the categories, so that a rare category counts like a common one.
    `strict` takes the main label alone, `lenient` a second acceptable one too.

    Attributes:
        rows: titles judged.
        strict: accuracy by the main label.
        lenient: accuracy by the main label or the second.
        calibration_error: of the most probable category, by the main label: `calibration_error`.
        brier: mean squared distance of the probabilities to the main label, 0 to 2 (Brier 1950).
        by_language: the same for each value of the column `lang`.
        baseline_strict: what the most frequent category of the training rows reaches everywhere.
        baseline_lenient: the same, by either label.
        baseline_real_strict: what letter n-grams with logistic regression reach that learn from
            the real titles alone, each title judged by a model that did not see its fifth.
        baseline_real_lenient: the same, by either label.
    """

    rows: int
    strict: float
    lenient: float
    calibration_error: float
    brier: float
    by_language: Mapping[str, LanguageFigures]
    baseline_strict: float
    baseline_lenient: float
    baseline_real_strict: float
    baseline_real_lenient: float


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
    and runs of blanks mean nothing. Probabilities are tempered by `TEMPERATURE`.
    """
    letters = TfidfVectorizer(token_pattern=r"\S", ngram_range=(2, 4), min_df=LETTERS_MIN_ROWS)
    duration = make_pipeline(
        KBinsDiscretizer(6, encode="ordinal", strategy="kmeans", random_state=0),
        OneHotEncoder(handle_unknown="ignore"),
    )
    features = ColumnTransformer(
        [
            ("words", TfidfVectorizer(), "title"),
            ("letters", letters, "title"),
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
    regression = LogisticRegression(C=10, max_iter=2000)
    classifier = make_pipeline(features, regression).fit(events, categories)
    _temper(regression, TEMPERATURE)
    return classifier


def sample(events: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that conversion is judged by: the training events and odd titles."""
    odd = pd.DataFrame({"title": ODD_TITLES, "weekday": 5, "hour": 19, "duration_minutes": 90})
    return pd.concat([events, odd], ignore_index=True)


def evaluate(classifier: Any, titles: Path) -> Evaluation:
    """Judge a fitted classifier by labelled titles.

    Args:
        classifier: anything whose `predict_proba` takes events (`COLUMNS`) and returns
            probabilities in the order of `CATEGORIES`.
        titles: a CSV file with the columns `title`, `lang`, `label`, `alt` (a second acceptable
            category or empty), `dow`, `start` and `duration_min` (each empty where unknown).
            Every category has at least five titles.

    Raises:
        InvalidRows: the file can't be read or lacks a column, or a row is not valid.
    """
    renamed = {"label": "category", "dow": "weekday", "duration_min": "duration_minutes"}
    rows = _read(titles, renamed, also={"alt", "lang"})
    probabilities = np.asarray(classifier.predict_proba(rows[COLUMNS]), dtype=np.float64)
    truth = rows["category"].to_numpy()
    predicted = np.asarray(CATEGORIES)[probabilities.argmax(axis=1)]
    confidence = probabilities.max(axis=1)
    strict, lenient = _accuracies(rows, predicted)

    def figures(part: pd.DataFrame) -> LanguageFigures:
        at = part.index.to_numpy()
        error = calibration_error(confidence[at], predicted[at] == truth[at])
        return LanguageFigures(len(part), *_accuracies(part, predicted[at]), error)

    constant = training_rows()[1].mode()[0]
    constant_strict, constant_lenient = _accuracies(rows, np.full(len(rows), constant))
    real_strict, real_lenient = _accuracies(rows, _learned_from_real_titles(rows))
    distances = probabilities - (truth[:, np.newaxis] == np.asarray(CATEGORIES))
    return Evaluation(
        rows=len(rows),
        strict=strict,
        lenient=lenient,
        calibration_error=calibration_error(confidence, predicted == truth),
        brier=float((distances**2).sum(axis=1).mean()),
        by_language={str(name): figures(part) for name, part in rows.groupby("lang")},
        baseline_strict=constant_strict,
        baseline_lenient=constant_lenient,
        baseline_real_strict=real_strict,
        baseline_real_lenient=real_lenient,
    )


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10
) -> float:
    """Return the expected calibration error, 0 to 1.

    That is the mean distance between how sure a model is and how often it is right, over bins of
    equally many rows: Guo et al. 2017, "On Calibration of Modern Neural Networks". Where the rows
    don't divide, the first bins have one more.

    Args:
        confidence: [N] probability of what was predicted.
        right: [N] whether it was so.
        bins: how many; fewer where there are fewer rows.
    """
    order = np.argsort(confidence, kind="stable")
    gaps = [
        abs(float(confidence[part].sum() - right[part].sum()))
        for part in np.array_split(order, bins)
    ]
    return sum(gaps) / len(confidence)


def _temper(regression: LogisticRegression, temperature: float) -> None:
    """Divide all log-odds by the temperature: exact, and no new step for conversion."""
    regression.coef_ /= temperature
    regression.intercept_ /= temperature


def _accuracies(rows: pd.DataFrame, predicted: NDArray[Any]) -> tuple[float, float]:
    """Return the strict and the lenient accuracy, as means over the categories."""
    right = predicted == rows["category"]
    accepted = right | (predicted == rows["alt"])
    means = pd.DataFrame({"strict": right, "lenient": accepted}).groupby(rows["category"]).mean()
    return float(means["strict"].mean()), float(means["lenient"].mean())


def _learned_from_real_titles(rows: pd.DataFrame) -> NDArray[Any]:
    """Return what a plain model predicts for each title that learned from the other folds."""
    plain = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)),
        LogisticRegression(C=10, max_iter=2000),
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return np.asarray(cross_val_predict(plain, rows["title"], rows["category"], cv=folds))


def _read(
    path: Path,
    renamed: Mapping[str, str] | None = None,
    also: AbstractSet[str] = frozenset(),
) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, quoting=csv.QUOTE_MINIMAL)
    except (OSError, ValueError) as error:
        raise InvalidRows(path, str(error)) from error
    rows = rows.rename(columns=renamed or {})
    wanted = {"title", "category", "weekday", "start", "duration_minutes"} | also
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

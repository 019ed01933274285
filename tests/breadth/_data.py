"""Data of every kind that some estimator of scikit-learn asks for; seeded, small."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from breadth._cases import Data
from scipy import sparse

FITTED, FRESH = 240, 160
N = FITTED + FRESH
FEATURES = 6
LEVELS = np.array(["low", "mid", "높음"], dtype=object)
WORDS = [
    "치과", "예약", "팀", "주간", "회의", "헬스장", "운동", "논문", "읽기", "가족", "저녁",
    "생일", "파티", "병원", "진료", "여행", "공항", "서울", "부산", "dentist", "meeting",
    "standup", "review", "gym", "run", "study", "paper", "family", "dinner", "birthday",
    "party", "flight", "airport", "café", "résumé", "naïve", "über", "größe", "会議", "出張",
    "🎂", "🏃", "✈️", "C++", "e-mail", "2nd", "a", "I",
]  # fmt: skip
ENDINGS = ("", "", "", "!", " 🎉", ", 9am", " (확정)", " #1", " @본사")


def halves(rows: Any, target: Any = None, **more: Any) -> Data:
    """Split rows, and their target, into those to fit with and fresh ones."""
    cut = rows.iloc if hasattr(rows, "iloc") else rows
    return Data(cut[:FITTED], None if target is None else target[:FITTED], cut[FITTED:N], **more)


def dataset(make: Callable[..., Data]) -> Callable[..., Data]:
    """Make the data once; estimators don't change it."""
    return functools.cache(make)


def normal(seed: int = 0, features: int = FEATURES) -> np.ndarray:
    """Rows of correlated normal features of different scales."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(N, features)) @ rng.normal(size=(features, features))
    return mixed * np.geomspace(0.3, 5, features) + np.linspace(-1, 2, features)


def scores(rows: np.ndarray, seed: int = 1) -> np.ndarray:
    """A signal with some noise, of variance about 1."""
    rng = np.random.default_rng(seed)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    signal = scaled[:, 0] - scaled[:, 1] + 0.7 * scaled[:, 2] * scaled[:, 3]
    return (signal + 0.3 * rng.normal(size=len(rows))) / 1.5


def classes(rows: np.ndarray, count: int = 3) -> np.ndarray:
    """Labels 0, 1, …, of about the same number each."""
    return np.asarray(pd.qcut(scores(rows), count, labels=False))


@dataset
def binary(dtype: str = "float64") -> Data:
    rows = normal().astype(dtype)
    return halves(rows, classes(rows, 2))


@dataset
def multi(dtype: str = "float64") -> Data:
    rows = normal().astype(dtype)
    return halves(rows, classes(rows))


@dataset
def labelled(kind: str) -> Data:
    """Classes whose labels are strings, truth values, negative, of floats, or huge."""
    rows = normal()
    index = classes(rows, 2 if kind == "bool" else 3)
    labels: dict[str, Any] = {
        "strings": LEVELS,
        "bool": np.array([False, True]),
        "negative": np.array([-7, 0, 40]),
        "floats": np.array([1.0, 2.0, 5.0]),
        "huge": np.array([-(10**12), 3, 10**12]),
    }
    return halves(rows, labels[kind][index])


@dataset
def many_classes() -> Data:
    """Forty classes, of six rows each."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(40, FEATURES)) * 4
    index = np.arange(N) % 40
    return halves(centres[index] + rng.normal(size=(N, FEATURES)) * 0.4, index)


@dataset
def regression(dtype: str = "float64") -> Data:
    rows = normal().astype(dtype)
    return halves(rows, 10 * scores(rows) + 50)


@dataset
def regressions(count: int = 3) -> Data:
    """Several targets."""
    rows = normal()
    return halves(rows, np.stack([scores(rows, seed) * (seed + 1) for seed in range(count)], 1))


@dataset
def counts(kind: str = "classes") -> Data:
    """Rows of counts, zeros among them, with classes or nothing to learn."""
    rng = np.random.default_rng(4)
    index = np.arange(N) % 3
    rates = rng.gamma(1.5, 2, size=(3, 8))
    rows = rng.poisson(rates[index]).astype(np.float64)
    return halves(rows, index if kind == "classes" else None)


@dataset
def positive_target() -> Data:
    """A target above 0, as counts and prices are."""
    rows = normal()
    return halves(rows, np.exp(scores(rows)) + 0.05)


@dataset
def unit() -> Data:
    """Rows between 0 and 1."""
    rows = normal()
    scaled = (rows - rows.min(axis=0)) / np.ptp(rows, axis=0)
    return halves(scaled, classes(rows))


@dataset
def positive() -> Data:
    """Rows above 0, with classes."""
    rows = normal()
    return halves(np.exp(rows / np.abs(rows).max(axis=0)), classes(rows))


@dataset
def with_missing(kind: str = "classes", dtype: str = "float64") -> Data:
    """A tenth of the values is NaN, fresh ones too."""
    rows = normal().astype(dtype)
    target = classes(rows) if kind == "classes" else scores(rows)
    holed = rows.copy()
    holed[np.random.default_rng(5).random(rows.shape) < 0.1] = np.nan
    return halves(holed, target)


@dataset
def one_decimal(kind: str = "classes") -> Data:
    """Measurements written with one decimal: many values stand exactly at thresholds."""
    rows = np.round(normal(), 1)
    return halves(rows, classes(rows) if kind == "classes" else scores(rows))


@dataset
def far_away() -> Data:
    """Three clusters far from the origin: float32 has no digits left for what tells them apart."""
    rng = np.random.default_rng(6)
    index = np.arange(N) % 3
    centres = 3e6 + rng.normal(size=(3, 4)) * 40
    return halves(centres[index] + rng.normal(size=(N, 4)) * 3, index)


@dataset
def blobs() -> Data:
    """Four clusters."""
    rng = np.random.default_rng(7)
    index = np.arange(N) % 4
    rows = rng.normal(size=(4, 5))[index] * 6 + rng.normal(size=(N, 5))
    return halves(rows, None)


@dataset
def plain(dtype: str = "float64") -> Data:
    """Rows and nothing to learn."""
    return halves(normal().astype(dtype))


@dataset
def wide() -> Data:
    """Thirty features, most of them noise."""
    rows = np.concatenate([normal(), np.random.default_rng(8).normal(size=(N, 24))], axis=1)
    return halves(rows, classes(rows))


@dataset
def codes(kind: str = "classes") -> Data:
    """Small non-negative integers that stand for categories; all are seen."""
    rng = np.random.default_rng(9)
    rows = rng.integers(0, [4, 3, 7, 2], size=(N, 4))
    rows[:7] = np.minimum(np.arange(7)[:, None], [3, 2, 6, 1])
    index = (rows[:, 0] + rows[:, 2]) % 3
    return halves(rows, index if kind == "classes" else rows @ np.array([1.0, -2, 0.5, 3]))


@dataset
def strings(kind: str = "", *, missing: bool = False) -> Data:
    """A matrix of strings."""
    rng = np.random.default_rng(10)
    names = [np.array(v, object) for v in (["서울", "부산", "Jeju", "d'Or"], ["a", "b"],
             ["x", "y", "z", "Z", " z"])]  # fmt: skip
    picked = [rng.integers(0, len(some), N) for some in names]
    rows = np.stack([some[index] for some, index in zip(names, picked, strict=True)], axis=1)
    if missing:
        rows[rng.random(rows.shape) < 0.08] = np.nan
    targets = {"classes": (picked[0] + picked[2]) % 3, "numbers": picked[0] * 1.5 - picked[1]}
    unseen = rows[FITTED : FITTED + 4].copy()
    # Where strings are missing, an empty one may be what stands for them on the wire.
    unseen[[0, 1, 2], [0, 1, 2]] = "geheim", "b " if missing else "", "Ｚ"
    return halves(rows, targets.get(kind), groups={"unseen": unseen})


@dataset
def texts(kind: str = "classes") -> Data:
    """Titles of a calendar."""
    rng = np.random.default_rng(11)
    rows, target = [], []
    for row in range(N):
        label = row % 3
        own = WORDS[label * 14 : label * 14 + 14]
        picked = [*rng.choice(own, 2), *rng.choice(WORDS, rng.integers(1, 4))]
        rows.append(" ".join(rng.permutation(picked)) + ENDINGS[rng.integers(len(ENDINGS))])
        target.append(label)
    rows[5], rows[6] = "", "Café  RÉSUMÉ"
    odd = [
        "", "   ", "가", "ㅋㅋㅋ 회의", "치과\t예약\n확정", "Ｆｕｌｌ　ｗｉｄｔｈ", "👨‍👩‍👧 여행",
        "🇰🇷 출장", "cafe\u0301 re\u0301sume\u0301", "CAFÉ", "ÜBER GRÖSSE Straße",
        "İstanbul ΣΊΣΥΦΟΣ", "a b c d", "the meeting of the and", "don't re-view e-mail", "x" * 500,
        "회의 " * 60, "C++ C# .NET", "under_score 3.14 1,000", "한글english혼용",
        "\u200b공백\u00a0없음", "会議@本社", "nan", "치과", "review review review 치과 치과", "ㅎ",
        "１２３", "😀" * 20, "\\d+ [a-z]", "null\x7f",
    ]  # fmt: skip
    learnt = None if kind == "none" else LEVELS[target] if kind == "strings" else np.array(target)
    cut: Data = halves(rows, learnt, groups={"odd texts": odd})
    return cut


@dataset
def dicts(kind: str = "") -> Data:
    """Rows of names and values."""
    rng = np.random.default_rng(12)
    cities = ["서울", "부산", "Jeju"]
    rows: list[dict[str, Any]] = [
        {"city": cities[rng.integers(3)], "age": float(rng.integers(18, 80)), f"k{row % 4}": 1.5}
        for row in range(N)
    ]
    odd: list[dict[str, Any]] = [{}, {"city": "런던", "age": 1.0}, {"other": 2.0}, {"age": -3.0}]
    if kind == "hash":  # takes numbers only
        rows, odd = ([_of_numbers(row) for row in some] for some in (rows, odd))
    return halves(rows, None, groups={"odd rows": odd})


def _of_numbers(row: dict[str, Any]) -> dict[str, float]:
    return {
        f"{name}={value}" if isinstance(value, str) else name: 1.0
        if isinstance(value, str)
        else value
        for name, value in row.items()
    }


@dataset
def names(kind: str = "strings") -> Data:
    """A column of labels and nothing else, as label encoders take it."""
    rng = np.random.default_rng(13)
    index = rng.integers(0, 3, N)
    index[:3] = [0, 1, 2]
    values = LEVELS[index] if kind == "strings" else np.array([-5, 2, 100])[index]
    unseen = np.array(["무엇", "low"], object) if kind == "strings" else np.array([7, 2])
    return halves(values, None, groups={"unseen": unseen})


@dataset
def tag_sets() -> Data:
    """Sets of tags of different sizes."""
    rng = np.random.default_rng(14)
    tags = ["회의", "운동", "gym", "home", "work"]
    rows = [sorted(rng.choice(tags, rng.integers(0, 4), replace=False).tolist()) for _ in range(N)]
    rows[0] = tags
    return halves(rows)


@dataset
def one_number() -> Data:
    """A single feature as a 1-D array."""
    rng = np.random.default_rng(15)
    rows = rng.uniform(-3, 5, N)
    ends = np.array([-4.0, 6.0, rows[0], np.nextafter(rows[0], 9), 1e6])
    return halves(rows, rows**3 / 20 + rng.normal(size=N), groups={"ends": ends})


@dataset
def kernel(kind: str = "classes") -> Data:
    """Similarities to the fitted rows."""
    rows = normal() / 5
    distances = ((rows[:, None] - rows[None, :120]) ** 2).sum(axis=2)
    similar = np.exp(-distances / 8)
    targets = {"classes": classes(rows), "numbers": scores(rows)}
    target = targets.get(kind)
    return Data(similar[:120], None if target is None else target[:120], similar[120:220])


@dataset
def distances() -> Data:
    """Distances to the fitted rows, none below zero, with classes."""
    rows = normal() / 5
    apart = np.sqrt(((rows[:, None] - rows[None, :120]) ** 2).sum(axis=2))
    return Data(apart[:120], classes(rows)[:120], apart[120:220])


@dataset
def frame_of_strings() -> Data:
    """A DataFrame of strings."""
    data = strings()
    columns = ["도시", "kind of event", "size/größe"]
    rows, fresh, unseen = (
        pd.DataFrame(part, columns=columns)
        for part in (data.rows, data.fresh, data.groups["unseen"])
    )
    return Data(rows, None, fresh, {"unseen": unseen})


@dataset
def signals_and_target() -> Data:
    """Features of the same scale, as descent by gradients wants them, and a target."""
    rows = normal()
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return halves(scaled, scores(rows))


@dataset
def images() -> Data:
    """Small pictures in grey."""
    pictures = np.random.default_rng(16).random((60, 8, 8))
    return Data(pictures[:40], None, pictures[40:])


@dataset
def signals() -> Data:
    """Rows of sixteen features, as sparse coders take them."""
    return halves(normal(17, 16))


@dataset
def multilabel() -> Data:
    """Of four labels any number."""
    rows = normal()
    flags = [scores(rows, seed) > 0.2 * seed - 0.2 for seed in range(4)]
    return halves(rows, np.stack(flags, axis=1).astype(int))


@dataset
def two_questions(kind: str = "integers") -> Data:
    """Two classifications at once."""
    rows = normal()
    answers = np.stack([classes(rows), (rows[:, 4] > 0).astype(int)], axis=1)
    return halves(rows, LEVELS[answers] if kind == "strings" else answers)


@dataset
def half_labelled() -> Data:
    """Most labels are unknown: -1."""
    rows = normal()
    target = classes(rows)
    target[np.random.default_rng(18).random(N) < 0.6] = -1
    return halves(rows, target)


@dataset
def sparse_counts(kind: str = "classes") -> Data:
    """A sparse matrix of counts."""
    data = counts()
    target = data.target if kind == "classes" else None
    return Data(sparse.csr_matrix(data.rows), target, sparse.csr_matrix(data.fresh))


@dataset
def with_outliers() -> Data:
    """A cloud and a few rows far off."""
    rng = np.random.default_rng(19)
    rows = rng.normal(size=(N, 4)) @ rng.normal(size=(4, 4))
    rows[rng.random(N) < 0.08] *= 6
    return halves(rows)


@dataset
def categories(kind: str = "classes", *, missing: bool = False) -> Data:
    """A DataFrame with categorical and numeric columns, as gradient boosting takes it."""
    rng = np.random.default_rng(20)
    frame = pd.DataFrame(
        {
            "city": pd.Categorical(
                np.array(["서울", "부산", "Jeju", "대구"])[rng.integers(0, 4, N)]
            ),
            "size": pd.Categorical(rng.integers(1, 6, N)),
            "age": rng.normal(40, 12, N),
            "income": rng.lognormal(10, 0.5, N),
        }
    )
    signal = (frame["city"].cat.codes * 2 % 3 - frame["size"].cat.codes * 3 % 4
              + (frame["age"] - 40) / 10)  # fmt: skip
    if missing:
        for column in frame:
            frame.loc[rng.random(N) < 0.08, column] = np.nan
    target = np.asarray(pd.qcut(signal + rng.normal(size=N) / 3, 3, labels=False))
    return halves(frame, target if kind == "classes" else signal.to_numpy() + rng.normal(size=N))

"""Data and estimators that several of the conversion tests share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from geulpi_conversion import Converted, convert
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TITLES = [
    "치과 예약", "팀 주간 회의", "헬스장 운동 a", "논문 읽기 study", "Éclair 파티 🎉",
    "team standup  meeting", "Dentist, 9am", "", "会議 @ 本社", "under_score __init__",
]  # fmt: skip


class OwnClassifier(ClassifierMixin, BaseEstimator):
    """A class that ONNX knows nothing of."""

    def fit(self, x, y):
        self.classes_, self.n_features_in_ = np.unique(y), x.shape[1]
        return self

    def predict(self, x):
        return self.classes_[(np.asarray(x)[:, 0] > 0).astype(int)]


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """400 rows of four normal features, float32."""
    return np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)


@pytest.fixture(scope="session")
def labels(rows: np.ndarray) -> np.ndarray:
    """A label of 0, 1 or 2 for each of `rows`."""
    return (rows[:, 0] + rows[:, 1] > 0).astype(int) + (rows[:, 2] > 1)


@pytest.fixture(scope="session")
def forest(rows: np.ndarray, labels: np.ndarray) -> Converted:
    """A converted pipeline of a scaler and a forest: ONNX."""
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(15, random_state=0))
    return convert(pipeline.fit(rows, labels), rows, name="forest")


@pytest.fixture(scope="session")
def neighbors(rows: np.ndarray, labels: np.ndarray) -> Converted:
    """A converted estimator that has no ONNX form, for its metric: Python backend."""
    model = KNeighborsClassifier(metric="canberra").fit(rows, labels)
    return convert(model, rows, name="neighbors")


@pytest.fixture(scope="session")
def own(rows: np.ndarray, labels: np.ndarray) -> Converted:
    """A converted estimator of a class of our own: Python backend."""
    return convert(OwnClassifier().fit(rows, labels), rows, name="own")


@pytest.fixture(scope="session")
def titles() -> list[str]:
    """Titles that conversions are known to get wrong, among ordinary ones."""
    return TITLES


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """60 rows of text, category, integer, boolean and float columns."""
    n = 60
    return pd.DataFrame(
        {
            "title": [TITLES[i % len(TITLES)] for i in range(n)],
            "my col": np.linspace(-2, 5, n).astype(np.float32),
            "age": np.arange(n),
            "member": [i % 3 == 0 for i in range(n)],
            "city": pd.Categorical([("서울", "부산", "Jeju")[i % 3] for i in range(n)]),
        }
    )


@pytest.fixture(scope="session")
def mixed(people: pd.DataFrame) -> Pipeline:
    """A classifier over all the columns of `people`."""
    columns = ColumnTransformer(
        [
            ("words", TfidfVectorizer(), "title"),
            ("numbers", StandardScaler(), ["my col", "age"]),
            ("places", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    labels = np.where(np.arange(len(people)) % 4 == 0, "예", "아니오")
    return make_pipeline(columns, LogisticRegression()).fit(people, labels)

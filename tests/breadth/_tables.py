"""Tables as people have them; seeded, with missing values, odd names and odd types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from breadth._cases import Data
from breadth._data import LEVELS, N, dataset, halves, texts

CITIES = np.array(["서울", "부산", "Jeju", "대구", "São Paulo"], dtype=object)
PLANS = np.array(["basic", "plus", "pro"], dtype=object)


def holed(rng: np.random.Generator, values: Any, share: float = 0.1, missing: Any = np.nan) -> Any:
    """Return values with some of them missing."""
    kept = values.copy()
    kept[rng.random(len(values)) < share] = missing
    return kept


def binned(signal: Any, labels: Any) -> Any:
    """Return labels by the signal, each as often as the others."""
    index = np.asarray(pd.qcut(np.asarray(signal), len(labels), labels=False))
    return np.asarray(labels)[index]


def churn_frame() -> pd.DataFrame:
    """Customers: numbers, categories, strings, truth values, times, all but a few missing."""
    rng = np.random.default_rng(30)
    when = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 4 * 365 * 24, N), unit="h")
    return pd.DataFrame(
        {
            "customer id": rng.integers(2**30, 2**31, N),
            "age": rng.integers(18, 85, N),
            "tenure (months)": holed(rng, rng.gamma(2, 12, N)),
            "월 요금": rng.normal(45, 15, N).round(2),
            "plan": pd.Categorical(PLANS[rng.integers(0, 3, N)], categories=PLANS, ordered=True),
            "city": holed(rng, CITIES[rng.integers(0, 5, N)], 0.07, None),
            "newsletter": rng.random(N) < 0.4,
            "signed_up": when,
            "label": rng.integers(0, 6, N),
        }
    )


@dataset
def churn(labels: str = "strings") -> Data:
    """Who leaves? Two labels."""
    frame = churn_frame()
    signal = (frame["월 요금"] / 15 - frame["tenure (months)"].fillna(24) / 20
              + frame["label"] / 2 - (frame["plan"] == "pro") + frame["newsletter"]
              + np.random.default_rng(31).normal(size=N) / 2)  # fmt: skip
    named: dict[str, Any] = {"strings": ["가입 유지", "leaves"], "integers": [0, 1],
                             "bools": [False, True]}  # fmt: skip
    return halves(frame, binned(signal, named[labels]))


@dataset
def credit() -> Data:
    """Loans: no value is missing, an unknown purpose is refused. Three ratings."""
    rng = np.random.default_rng(32)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(8, 0.8, N).round(0),
            "duration": rng.integers(6, 72, N),
            "income/year": rng.lognormal(10.3, 0.5, N),
            "purpose": np.array(["car", "집", "education", "business"], object)[
                rng.integers(0, 4, N)
            ],
            "housing": np.array(["rent", "own"], object)[rng.integers(0, 2, N)],
            "foreign": rng.random(N) < 0.1,
            "score": rng.normal(650, 60, N).astype(np.float32),
        }
    )
    signal = (frame["amount"] / frame["income/year"] * 8 - frame["score"] / 100
              + (frame["purpose"] == "business") + rng.normal(size=N) / 2)  # fmt: skip
    return halves(frame, binned(signal, [3, 2, 1]))


@dataset
def houses() -> Data:
    """Prices of houses, by place, size and age."""
    rng = np.random.default_rng(33)
    frame = pd.DataFrame(
        {
            "area": rng.gamma(6, 14, N).round(1),
            "rooms": rng.integers(1, 7, N),
            "year": rng.integers(1960, 2025, N),
            "lat": rng.normal(37.55, 0.06, N),
            "lon": rng.normal(126.99, 0.08, N),
            "district": CITIES[rng.integers(0, 5, N)],
            "parking": holed(rng, rng.integers(0, 3, N).astype(float)),
        }
    )
    dear = (1 + (frame["district"] == "서울")) * (1 + (frame["year"] - 1960) / 100)
    price = np.exp(rng.normal(size=N) / 8) * frame["area"] * 1e5 * dear
    return halves(frame, price.to_numpy())


@dataset
def house_numbers(dtype: str = "float64") -> Data:
    """The numeric columns of the houses, none missing."""
    data = houses()
    columns = ["area", "rooms", "year", "lat", "lon"]
    rows, fresh = (part[columns].to_numpy(dtype) for part in (data.rows, data.fresh))
    return Data(rows, data.target / 1e6, fresh)


@dataset
def sensors() -> Data:
    """Readings with a time stamp in seconds and a device number above 2²⁴."""
    rng = np.random.default_rng(34)
    frame = pd.DataFrame(
        {
            "timestamp": 1_700_000_000 + rng.integers(0, 40_000, N),
            "device": 16_777_216 + rng.integers(0, 40, N),
            "temperature": rng.normal(21, 3, N).round(1),
            "pressure": rng.normal(101_325, 300, N),
        }
    )
    signal = (frame["timestamp"] // 3600 % 5) + (frame["device"] % 3) + frame["temperature"] / 5
    return halves(frame, binned(signal, [0, 1, 2]))


@dataset
def journeys() -> Data:
    """Two times, one of them of a time zone and sometimes missing; minutes as the target."""
    rng = np.random.default_rng(35)
    start = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 60 * 24 * 60, N), unit="m")
    minutes = rng.gamma(3, 20, N)
    frame = pd.DataFrame(
        {
            "start": start,
            "booked": pd.Series(
                start - pd.to_timedelta(rng.integers(1, 99, N), unit="h")
            ).dt.tz_localize("Asia/Seoul"),
            "distance": minutes * rng.normal(1, 0.1, N),
        }
    )
    return halves(frame, minutes + start.hour.to_numpy())


@dataset
def events(labels: str = "strings") -> Data:
    """Titles with weekday, hour and length."""
    rng = np.random.default_rng(36)
    data = texts()
    index = np.concatenate([data.target, np.arange(len(data.fresh)) % 3])
    frame = pd.DataFrame(
        {
            "title": [*data.rows, *data.fresh],
            "place": np.array(["본사", "집 앞", "gym", "online meeting", ""], object)[
                rng.integers(0, 5, N)],
            "weekday": rng.integers(0, 7, N),
            "hour": np.clip(9 + index * 4 + rng.integers(-3, 4, N), 0, 23),
            "minutes": rng.choice([15.0, 30.0, 60.0, 90.0], N),
        }
    )  # fmt: skip
    odd = frame.iloc[: len(data.groups["odd texts"])].copy()
    odd["title"] = data.groups["odd texts"]
    return halves(frame, LEVELS[index] if labels == "strings" else index, groups={"odd texts": odd})


@dataset
def text_tags() -> Data:
    """Titles with any number of three tags."""
    data = texts()
    rng = np.random.default_rng(37)
    flags = np.eye(3, dtype=int)[data.target]
    flags |= rng.random(flags.shape) < 0.15
    return Data(data.rows, flags, data.fresh, data.groups)


@dataset
def many_words() -> Data:
    """A hundred labels, named in two scripts."""
    rng = np.random.default_rng(38)
    centres = rng.normal(size=(100, 10)) * 3
    index = np.arange(N) % 100
    names = np.array([f"분류 {i:03d} 🎈" if i % 2 else f"class {i}" for i in range(100)], object)
    return halves(centres[index] + rng.normal(size=(N, 10)) * 0.4, names[index])


@dataset
def nullable() -> Data:
    """pandas' own nullable types."""
    rng = np.random.default_rng(39)
    frame = pd.DataFrame(
        {
            "visits": pd.array(
                holed(rng, rng.integers(0, 9, N).astype(object), 0.1, pd.NA), "Int64"
            ),
            "spent": pd.array(
                holed(rng, rng.normal(20, 5, N).astype(object), 0.1, pd.NA), "Float64"
            ),
            "city": pd.array(CITIES[rng.integers(0, 5, N)], "string"),
        }
    )
    signal = frame["visits"].fillna(4).astype(float) + (frame["city"] == "Jeju") * 3
    return halves(frame, binned(signal + rng.normal(size=N), ["no", "yes"]))

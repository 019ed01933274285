"""Diaries of the American Time Use Survey 2013, as days that a calendar could have held.

`days_2013.csv`: a respondent's one day each, with minutes by activity, ratings of three of its
activities from 0 to 6, and survey weights (U.S. Bureau of Labor Statistics, public domain; the
Well-Being Module). Diaries oversample weekends and some groups: every figure is weighted.

A fifth of the respondents, chosen by a hash of their number, are held out: no model here is fitted
to them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from geulpi_calendar.documents import EMPLOYMENTS
from geulpi_calendar.week_days import ACTIVITIES, DUTIES
from numpy.typing import NDArray

from geulpi_models._errors import InvalidRows

__all__ = ["FILE", "Diaries", "read_diaries"]

FILE: Final = "atus_wellbeing_2013/days_2013.csv"

Array = NDArray[np.float64]

# The survey's activities behind ours. Sleep, meals, television and care of oneself are in none:
# calendars do not hold them.
_GROUPS: Final = {
    "work": ("work", "work_related"),
    "study": ("education",),
    "family": ("care_hh", "care_nonhh"),
    "social": ("socializing", "arts_events", "phone"),
    "exercise": ("sports_exercise",),
    "errand": ("household", "shopping", "services_civic"),
    "travel": ("travel_work", "travel_other"),
    "health": ("medical_services",),
}
_STATUS: Final = {
    "not_in_labor_force": "not_in_labor_force",
    "unemployed-looking": "unemployed",
    "unemployed-layoff": "unemployed",
    "employed-at work": "full_time",
    "employed-absent": "full_time",
}
_COLUMNS: Final = (
    "tucaseid", "diary_mo", "diary_day", "labor_status", "ptft", "age", "WUFINLWGT",
    "mean_stress", "mean_tired", "WEREST",
    *(f"min_{group}" for groups in _GROUPS.values() for group in groups),
)  # fmt: skip
_HELD_OUT_OF: Final = 5


@dataclass(frozen=True)
class Diaries:
    """Days, one of each respondent, `[N]` or `[N, k]`.

    Attributes:
        days: hours by `ACTIVITIES`.
        weekend: whether the day is a Saturday or Sunday.
        age: in years; NaN is unknown.
        employment: index in `EMPLOYMENTS`; NaN is unknown.
        stress, tired: mean ratings of the day's activities, 0 to 6; NaN without one.
        rested: how well rested, 1 (very) to 4 (not at all).
        weight: of the respondent in the survey, mean 1.
        held_out: whether the respondent is kept for judging.
    """

    days: Array
    weekend: NDArray[np.bool_]
    age: Array
    employment: Array
    stress: Array
    tired: Array
    rested: Array
    weight: Array
    held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.days)

    @property
    def strain(self) -> Array:
        """The mean of stress and tiredness, 0 to 6."""
        return (self.stress + self.tired) / 2

    def untold(self) -> Diaries:
        """Return the days of the same respondents, who tell neither age nor employment."""
        unknown = np.full(len(self), np.nan)
        return replace(self, age=unknown, employment=unknown)

    def where(self, chosen: NDArray[np.bool_]) -> Diaries:
        """Return the days that are chosen."""
        return Diaries(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def read_diaries(data: Path) -> Diaries:
    """Read the diaries from the folder of real data.

    Raises:
        InvalidRows: `atus_wellbeing_2013/days_2013.csv` is missing or is not what it must be.
    """
    path = data / FILE
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InvalidRows(path, str(error)) from error
    if missing := sorted(set(_COLUMNS) - set(rows.columns)):
        raise InvalidRows(path, f"the columns {missing} are missing")
    if unknown := sorted(set(rows["labor_status"].unique()) - set(_STATUS)):
        raise InvalidRows(path, f"labor_status {unknown} is not known")
    hours = {
        name: rows[[f"min_{group}" for group in groups]].sum(axis="columns") / 60
        for name, groups in _GROUPS.items()
    }
    # An activity that ran on beyond the day's end is stored whole.
    duties = pd.DataFrame({name: hours[name] for name in DUTIES if name in hours})
    hours["duty"] = duties.sum(axis="columns").clip(upper=24)
    dates = pd.to_datetime({"year": 2013, "month": rows["diary_mo"], "day": rows["diary_day"]})
    employment = rows["labor_status"].map(_STATUS)
    employment = employment.mask((employment == "full_time") & (rows["ptft"] == "PT"), "part_time")
    weight = _floats(rows["WUFINLWGT"])
    return Diaries(
        days=_floats(pd.DataFrame({name: hours[name] for name in ACTIVITIES})),
        weekend=np.asarray(dates.dt.weekday >= 5, dtype=np.bool_),
        age=_floats(rows["age"]),
        employment=_floats([EMPLOYMENTS.index(name) for name in employment]),
        stress=_floats(rows["mean_stress"]),
        tired=_floats(rows["mean_tired"]),
        rested=_floats(rows["WEREST"]),
        weight=weight / weight.mean(),
        held_out=np.array([_held_out(str(number)) for number in rows["tucaseid"]]),
    )


def _held_out(number: str) -> bool:
    digest = hashlib.sha256(number.encode()).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT_OF == 0


def _floats(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64)

"""A day's hours by activity → what the models take of a day; for calendars and diaries alike."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geulpi_calendar.documents import EMPLOYMENTS

__all__ = [
    "ACTIVITIES",
    "DUTIES",
    "balance_hours",
    "balance_person",
    "burnout_days",
    "burnout_person",
]

Array = NDArray[np.float64]

ACTIVITIES: Final = (
    "work", "study", "family", "social", "exercise", "errand", "travel", "health", "duty",
)  # fmt: skip
"""The columns of a day's hours. `work` holds meetings too; `duty` is the time of `DUTIES`."""

DUTIES: Final = ("work", "meeting", "study", "family", "travel", "health")
"""Categories whose time is no rest. Errands are left out: calendars hardly ever hold them."""

_AT: Final = {name: position for position, name in enumerate(ACTIVITIES)}
_LONG_DAY_HOURS: Final = 10.0
_AGES: Final = (15.0, 30.0, 55.0, 85.0)
_AGE_BANDS: Final = (25.0, 35.0, 50.0, 65.0)


def balance_hours(days: Array) -> Array:
    """Return hours by `BALANCE_DIMENSIONS` of days (`ACTIVITIES`), `[D, 7]`.

    Rest is what a day of 24 hours leaves beside duties.
    """
    rest = np.maximum(24.0 - days[:, _AT["duty"]], 0.0)
    columns = [days[:, _AT[n]] for n in ("social", "exercise", "family", "errand", "study")]
    return np.column_stack([days[:, _AT["work"]], rest, *columns])


def burnout_days(days: Array, weekend: NDArray[Any]) -> Array:
    """Return what `BURNOUT_FEATURES` says of days (`ACTIVITIES`), without the person, `[D, 8]`."""
    social, exercise, health = (days[:, _AT[n]] for n in ("social", "exercise", "health"))
    return np.column_stack(
        [
            days[:, _AT["work"]],
            np.maximum(days[:, _AT["duty"]] - _LONG_DAY_HOURS, 0.0),
            days[:, _AT["study"]],
            days[:, _AT["family"]],
            np.minimum(social, 1.0),
            np.minimum(exercise, 0.5),
            np.minimum(health, 1.0),
            weekend.astype(np.float64),
        ]
    )


def balance_person(ages: Array, employments: Array) -> Array:
    """Return the last two of `BALANCE_FEATURES`, `[N, 2]`.

    Args:
        ages: in years; NaN is unknown.
        employments: index in `EMPLOYMENTS`; NaN is unknown.
    """
    bands = np.where(np.isnan(ages), np.nan, np.digitize(ages, _AGE_BANDS))
    return np.column_stack([bands, employments])


def burnout_person(ages: Array, employments: Array) -> Array:
    """Return what `BURNOUT_FEATURES` says of people, `[N, 6]`; arguments as of `balance_person`.

    The age as years within each of three stretches of life (a linear spline; 15 to 85, beyond which
    the diaries hold nobody), the employment as indicators against full-time.
    """
    years = [np.clip(ages - low, 0.0, high - low) for low, high in pairwise(_AGES)]
    unknown = np.isnan(employments)
    others = [
        np.where(unknown, np.nan, employments == index) for index in range(1, len(EMPLOYMENTS))
    ]
    return np.column_stack([*years, *others])

"""The names of what the week's models are asked and answer, in the order of their tensors."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BALANCE_DIMENSIONS",
    "BALANCE_FEATURES",
    "BURNOUT_DRIVERS",
    "BURNOUT_FEATURES",
    "LEVELS",
    "MEASURES",
]

BALANCE_DIMENSIONS: Final = (
    "work", "rest", "social", "exercise", "family", "errands", "study",
)  # fmt: skip
"""What a week's balance is made of."""

MEASURES: Final = (
    "events", "days_with_events", "work_hours", "meeting_hours", "meeting_count",
    "after_hours_hours", "weekend_work_hours", "fragmentation", "longest_stretch_hours",
    "breaks_per_day", "sleep_window_hours", "exercise_hours", "social_hours", "family_hours",
    "travel_hours", "free_evenings", "overlap_hours",
)  # fmt: skip
"""What is measured of a week before any model judges it; `geulpi_calendar.week` defines each."""

BURNOUT_DRIVERS: Final = (
    "work", "long_days", "study", "family", "social", "exercise", "health", "weekend", "age",
    "employment",
)  # fmt: skip
"""What moves a burnout risk up or down."""

LEVELS: Final = ("low", "moderate", "elevated", "high")
"""The levels of a burnout risk, from the lowest."""

BALANCE_FEATURES: Final = (
    *(f"weekday_{name}_hours" for name in BALANCE_DIMENSIONS),
    *(f"weekend_{name}_hours" for name in BALANCE_DIMENSIONS),
    "weekend_share", "age_band", "employment",
)  # fmt: skip
"""Hours a day; the share of weekend days among the days seen; a band of ages from 0 (below 25) over
25, 35 and 50 to 4 (from 65); the index in `EMPLOYMENTS`.

NaN is unknown: an age or employment not given, the hours of days that no event touches.
"""

BURNOUT_FEATURES: Final = {
    "work_hours": "work",
    "hours_beyond_10": "long_days",
    "study_hours": "study",
    "family_hours": "family",
    "social_first_hour": "social",
    "exercise_first_half_hour": "exercise",
    "health_first_hour": "health",
    "weekend": "weekend",
    "years_to_30": "age",
    "years_30_to_55": "age",
    "years_from_55": "age",
    "part_time": "employment",
    "unemployed": "employment",
    "not_in_labor_force": "employment",
}
"""The features of a day, whose mean over a week's days the model takes, and each one's driver."""

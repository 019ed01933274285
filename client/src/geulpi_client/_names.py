"""The words that the calendar models share with their callers, in the order of their tensors.

The server's `geulpi_calendar` has the same lists; a test compares them.
"""

from __future__ import annotations

from typing import Final

CATEGORIES: Final = (
    "errand", "exercise", "family", "health", "meeting",
    "personal", "social", "study", "travel", "work",
)  # fmt: skip
"""What an event can be, in the order of the classifier's probabilities."""

EMPLOYMENTS: Final = ("full_time", "part_time", "unemployed", "not_in_labor_force")
"""What a person's employment can be."""

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""The days of a week as RFC 5545 writes them, from Monday."""

LEVELS: Final = ("low", "moderate", "elevated", "high")
"""The levels of a burnout risk, from the lowest."""

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
"""What is measured of a week before any model judges it; hours where the name says so."""

BURNOUT_DRIVERS: Final = (
    "work", "long_days", "study", "family", "social", "exercise", "health", "weekend", "age",
    "employment",
)  # fmt: skip
"""What moves a burnout risk up or down."""

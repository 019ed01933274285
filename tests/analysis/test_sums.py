"""What events add up to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from geulpi_analysis._sums import by_category, by_hour_of_week, hours_of, over_time
from geulpi_client import CATEGORIES, Event

SEOUL, BERLIN = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin")


def event(start: datetime, hours: float, category: str = "work") -> Event:
    end = (start.astimezone(UTC) + timedelta(hours=hours)).astimezone(start.tzinfo)
    return Event("x", start, end, category=category)


MONDAY = datetime(2026, 3, 2, 9, tzinfo=SEOUL)


def test_hours_are_those_of_events_shorter_than_a_day() -> None:
    """Days, trips and events without an end have none."""
    assert hours_of(event(MONDAY, 1.5)) == 1.5
    assert hours_of(event(MONDAY, 24)) == 0
    assert hours_of(Event("x", MONDAY)) == 0
    assert hours_of(Event("x", date(2026, 3, 2), all_day=True)) == 0


def test_categories_in_the_order_of_their_hours() -> None:
    """Those that do not occur are not there; the shares are of the hours."""
    days = Event("trip", date(2026, 3, 2), all_day=True, category="travel")
    times = by_category([event(MONDAY, 1), event(MONDAY, 3, "study"), days])
    assert [(one.category, one.events, one.hours, one.share) for one in times] == [
        ("study", 1, 3, 0.75), ("work", 1, 1, 0.25), ("travel", 1, 0, 0),
    ]  # fmt: skip
    assert by_category([days])[0].share == 0


def test_an_hour_of_the_week_holds_what_touches_it() -> None:
    """Over hours, midnight and the end of the week, a week's average."""
    cells = by_hour_of_week(
        [event(MONDAY + timedelta(minutes=30), 1), event(MONDAY + timedelta(days=6, hours=14), 2)],
        weeks=2,
    )
    assert (cells[0][9], cells[0][10]) == (0.25, 0.25)
    assert (cells[6][23], cells[0][0]) == (0.5, 0.5)
    assert sum(map(sum, cells)) == pytest.approx(1.5)


def test_clock_changes_lose_and_add_no_hours() -> None:
    """At the end of summer time the hour from 2:00 is there twice."""
    spring = event(datetime(2026, 3, 29, 1, tzinfo=BERLIN), 3)
    autumn = event(datetime(2026, 10, 25, 1, tzinfo=BERLIN), 3)
    assert [by_hour_of_week([spring], 1)[6][hour] for hour in range(1, 5)] == [1, 0, 1, 1]
    assert [by_hour_of_week([autumn], 1)[6][hour] for hour in range(1, 5)] == [1, 2, 0, 0]


def test_weeks_without_events_are_there_and_long_periods_are_months() -> None:
    """At most 60 weeks; events count where they begin."""
    start, end = MONDAY.replace(hour=0), MONDAY.replace(hour=0) + timedelta(days=21)
    later = MONDAY + timedelta(days=14)
    stretches = over_time([event(MONDAY, 1), event(later, 2, "study")], start, end)
    assert [(one.first, one.total) for one in stretches] == [
        (date(2026, 3, 2), 1), (date(2026, 3, 9), 0), (date(2026, 3, 16), 2),
    ]  # fmt: skip
    assert stretches[2].hours[CATEGORIES.index("study")] == 2
    months = over_time([event(MONDAY, 1)], start - timedelta(days=430), end)
    assert [one.first.day for one in months] == [1] * 16
    assert months[-1].total == 1

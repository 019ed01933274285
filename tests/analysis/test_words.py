"""Rules and times as a person says them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from geulpi_analysis._words import (
    duration_in_words,
    hours_in_words,
    joined,
    moment_in_words,
    name_in_words,
    ordinal,
    rule_in_words,
)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=DAILY", "every day"),
        ("FREQ=DAILY;INTERVAL=3", "every 3rd day"),
        ("FREQ=WEEKLY", "every Tuesday"),
        ("FREQ=WEEKLY;BYDAY=MO", "every Monday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "every 2nd Tuesday"),
        ("FREQ=WEEKLY;BYDAY=TH,MO", "every Monday and Thursday"),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR", "every Monday, Wednesday and Friday"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "every Monday to Friday"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU", "every day"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR", "every 2nd week, Monday to Friday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", "every 2nd week on Monday and Thursday"),
        ("FREQ=MONTHLY", "on the 6th of every month"),
        ("FREQ=MONTHLY;BYMONTHDAY=25", "on the 25th of every month"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "on the last day of every month"),
        ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1", "on the 1st of every 3rd month"),
        ("FREQ=MONTHLY;BYDAY=1WE", "on the first Wednesday of every month"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "on the last Friday of every month"),
        ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=2", "on the second Friday of every month"),
        ("FREQ=YEARLY", "every year on 6 January"),
        ("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=22", "every year on 22 May"),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "every year on the fourth Thursday of November"),
        ("FREQ=WEEKLY;BYDAY=XX", "FREQ=WEEKLY;BYDAY=XX"),
        ("FREQ=DAILY;BYMONTH=1", "FREQ=DAILY;BYMONTH=1"),
        ("FREQ=YEARLY;BYMONTH=13", "FREQ=YEARLY;BYMONTH=13"),
        ("nonsense", "nonsense"),
    ],
)
def test_rules(rule: str, words: str) -> None:
    """What has no words stays a rule."""
    assert rule_in_words(rule, date(2026, 1, 6)) == words


def test_durations_and_moments() -> None:
    """Short, with the unit."""
    minutes = [0, 45, 60, 90, 24 * 60, 3 * 24 * 60, 25 * 60]
    assert [duration_in_words(timedelta(minutes=m)) for m in minutes] == [
        "0 min", "45 min", "1 h", "1 h 30 min", "1 day", "3 days", "25 h",
    ]  # fmt: skip
    assert [hours_in_words(hours) for hours in (0.25, 1, 12.34)] == ["15 min", "1.0 h", "12.3 h"]
    assert moment_in_words(datetime(2026, 1, 6, 9, 5)) == "Tue 6 Jan, 09:05"  # noqa: DTZ001
    assert moment_in_words(date(2026, 1, 6), year=True) == "Tue 6 Jan 2026"


def test_names_and_lists() -> None:
    """Names lose their underscores; numbers get their endings."""
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
    assert [joined(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "a", "a and b", "a, b and c",
    ]  # fmt: skip
    assert name_in_words("free_evenings") == "free evenings"
    assert name_in_words("travel_hours") == "travel"

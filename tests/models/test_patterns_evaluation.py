"""How the pattern detector is judged, and that it stands the judgement."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from geulpi_calendar._recurrence_confidence import confidence
from geulpi_calendar._recurrence_score import gain_over_chance, gain_over_repulsion
from geulpi_calendar._recurrence_search import KIND_COSTS
from geulpi_calendar.documents import CalendarDocument, CalendarEvent
from geulpi_calendar.patterns import detect
from geulpi_models import InvalidRows, pattern_detector
from geulpi_models._build import evaluation_data
from geulpi_models._made_calendars import KINDS, Blur, made_series

HEADER = "series,title,start,end,repeating"


def occurrences(path: Path, weeks: int, title: str = "Demo") -> Path:
    rows = [HEADER]
    for week in range(weeks):
        day = date(2025, 1, 6) + timedelta(weeks=week)
        rule = '"""RRULE:FREQ=WEEKLY;UNTIL=20250201T000000Z;BYDAY=MO"""'
        rows.append(f"a,{title},{day}T10:00:00-05:00,{day}T11:00:00-05:00,{rule}")
    rows.append("b,Party,2025-02-01T20:00:00-05:00,2025-02-01T23:00:00-05:00,")
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_series_are_read_with_their_rules(tmp_path: Path) -> None:
    """UNTIL, which may be of an earlier version, is left out; events without a rule are apart."""
    (known,), others = pattern_detector.real_series(occurrences(tmp_path / "o.csv", 8))
    assert known.title == "Demo"
    assert known.days == known.by_rule == {date(2025, 1, 6) + timedelta(weeks=w) for w in range(8)}
    assert [event.title for event in others] == ["Party"]


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    """The error names the file and what is expected; so for one that is not there."""
    path = tmp_path / "o.csv"
    path.write_text("title\nx\n")
    with pytest.raises(InvalidRows, match="repeating"):
        pattern_detector.real_series(path)
    with pytest.raises(InvalidRows, match=r"none\.csv"):
        pattern_detector.real_series(tmp_path / "none.csv")


def test_the_score_is_that_of_days(tmp_path: Path) -> None:
    """A pattern that knows all days has 1, one that knows half of them 2/3, none 0."""
    (known,), _ = pattern_detector.real_series(occurrences(tmp_path / "o.csv", 8))
    zone = ZoneInfo("America/New_York")
    whole = detect(CalendarDocument(zone, "America/New_York", known.events))
    half = detect(CalendarDocument(zone, "America/New_York", known.events[:4]))
    assert pattern_detector._score([known], whole).macro == 1
    assert pattern_detector._score([known], half).macro == pytest.approx(2 / 3)
    assert pattern_detector._score([known], []).macro == 0


def test_a_backtest_knows_what_came() -> None:
    """Of a series that is kept every expected occurrence comes; of one that ends, not."""
    zone = ZoneInfo("UTC")
    first = datetime(2025, 1, 6, 10, tzinfo=zone)
    kept = [first + timedelta(weeks=week) for week in range(40)]
    events = [CalendarEvent("Kept", at, at) for at in kept]
    forecasts = pattern_detector.backtest(
        CalendarDocument(zone, "UTC", tuple(events)), Random(1), cuts=10
    )
    assert forecasts
    assert all(one.happened for one in forecasts)
    ended = [CalendarEvent("Ended", at + timedelta(hours=1), at) for at in kept[:10]]
    both = tuple(sorted(events + ended, key=lambda event: event.start))
    later = pattern_detector.backtest(CalendarDocument(zone, "UTC", both), Random(1), cuts=10)
    assert not all(one.happened for one in later if one.pattern.title == "Ended")


@pytest.mark.parametrize("kind", KINDS)
def test_made_series_keep_what_they_promise(kind: str) -> None:
    """Without noise a series is on the days of its rule, and on no other."""
    made = made_series(kind, "x", ZoneInfo("Asia/Seoul"), Blur(), Random(4))
    assert {event.start.date() for event in made.events} == made.days
    assert len(made.days) >= 4


def test_the_code_lengths_of_the_kinds_obey_kraft() -> None:
    """Their probabilities sum to one at most, so that the bound on false patterns holds."""
    assert np.exp(-KIND_COSTS).sum() <= 1 + 1e-9


def test_the_gain_is_a_ratio_of_likelihoods() -> None:
    """Four hits of four slots in 22 days: 4/7 by the rule against 3!/21³ by chance."""
    arguments = [np.array([number]) for number in (4, 4, 4, 22)]
    gain = gain_over_chance(*arguments, np.zeros(1))[0]
    assert gain == pytest.approx(np.log(4 / 7 / (6 / 21**3)))


def test_both_kinds_of_chance_forbid_a_dense_rule() -> None:
    """A title on six of ten days is daily neither by chance nor by chance that avoids itself."""
    hits, slots, events, days = (np.array([number]) for number in (60, 100, 60, 100))
    assert gain_over_repulsion(hits, slots, events, days, np.zeros(1))[0] < 12
    crowded = np.array([140])
    assert gain_over_chance(hits, slots, crowded, days, np.zeros(1))[0] < 0


def test_confidence_falls_with_every_miss() -> None:
    """After each missed slot the habit is likelier over; more history makes it surer."""
    after = [confidence(20, 20, missed) for missed in range(8)]
    assert after == sorted(after, reverse=True)
    assert after[0] > 0.9
    assert after[-1] < 0.01
    assert confidence(4, 4, 0) < confidence(40, 40, 0)


def test_it_stands_the_judgement_of_real_series() -> None:
    """Figures as the model's card promises them, on real series and on chance."""
    data = evaluation_data()
    if data is None or not (data / "recurring_meetings").is_dir():
        pytest.skip("no real series here: set GEULPI_DATA to the folder of recurring_meetings/")
    judged = pattern_detector.evaluate(data)
    assert judged.series >= 15
    assert judged.days.macro >= 0.93
    assert judged.written.macro >= 0.90
    assert judged.noisy.macro >= 0.85
    assert judged.noisy.macro > judged.baseline_noisy.macro + 0.2
    assert judged.invented == 0
    assert max(judged.false_per_100.values()) < 1
    assert min(min(pair) for pair in judged.made.values()) > 0.8
    assert judged.confidence.brier < judged.confidence.baseline_brier
    assert judged.confidence_made.brier < judged.confidence_made.baseline_brier

"""Which period, which moment and which week are chosen."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from geulpi_analysis import Asked, Export, InvalidOption, NoEvents, chosen_span, read_export

NOW = datetime(2026, 6, 10, 3, tzinfo=UTC)  # a Wednesday, noon in Seoul


def export_of(tmp_path: Path, *events: str) -> Export:
    lines = ["BEGIN:VCALENDAR", "X-WR-TIMEZONE:Asia/Seoul"]
    for number, event in enumerate(events):
        lines += ["BEGIN:VEVENT", f"UID:{number}", *event.split(), "END:VEVENT"]
    path = tmp_path / "my.ics"
    path.write_text("\n".join([*lines, "END:VCALENDAR"]))
    return read_export(str(path))


def single(first: str, days: int, every: int = 1) -> list[str]:
    begins = date.fromisoformat(first)
    return [
        f"DTSTART:{begins + timedelta(days=every * n):%Y%m%d}T100000 DURATION:PT1H"
        for n in range(days)
    ]


def test_a_calendar_in_use_is_analysed_as_of_now(tmp_path: Path) -> None:
    """From its first event; the week is the last one that is over."""
    span = chosen_span(export_of(tmp_path, *single("2026-05-01", 60)), Asked(), NOW)
    assert span.as_of == NOW
    assert span.week == date(2026, 6, 1)
    assert span.reading.start == datetime(2026, 4, 30, 15, tzinfo=UTC)  # midnight in Seoul
    assert len(span.reading.events) == 41  # not those of the future


def test_an_old_export_ends_with_the_week_of_its_last_event(tmp_path: Path) -> None:
    """Also where a birthday or a forgotten series goes on for ever."""
    ongoing = ["DTSTART:20150105T090000 RRULE:FREQ=WEEKLY",
               "DTSTART;VALUE=DATE:19800105 RRULE:FREQ=YEARLY"]  # fmt: skip
    span = chosen_span(export_of(tmp_path, *single("2017-01-02", 10), *ongoing), Asked(), NOW)
    assert span.as_of.isoformat() == "2017-01-16T00:00:00+09:00"
    assert span.week == date(2017, 1, 9)
    assert span.reading.start.date() == date(2015, 1, 5)


def test_a_calendar_of_series_alone_is_of_now(tmp_path: Path) -> None:
    """It has no single event that could be old."""
    span = chosen_span(
        export_of(tmp_path, "DTSTART:20150105T090000 RRULE:FREQ=WEEKLY"), Asked(), NOW
    )
    assert span.as_of == NOW


def test_a_few_old_events_and_a_birthday_are_old(tmp_path: Path) -> None:
    """A birthday does not say that a calendar is in use."""
    birthday = "DTSTART;VALUE=DATE:19800610 RRULE:FREQ=YEARLY"
    span = chosen_span(export_of(tmp_path, *single("2020-03-02", 3), birthday), Asked(), NOW)
    assert span.as_of.date() == date(2020, 3, 9)


def test_a_calendar_of_the_future_is_seen_from_its_end(tmp_path: Path) -> None:
    """Else there would be nothing to see."""
    span = chosen_span(export_of(tmp_path, *single("2026-06-15", 7)), Asked(), NOW)
    assert span.as_of.date() == date(2026, 6, 22)


def test_a_large_calendar_is_analysed_for_a_year(tmp_path: Path) -> None:
    """Up to 1,000 events, all of it."""
    daily = "DTSTART:20230101T090000 RRULE:FREQ=DAILY"
    span = chosen_span(export_of(tmp_path, daily), Asked(), NOW)
    assert len(span.reading.events) == 366
    weekly = daily.replace("DAILY", "WEEKLY")
    span = chosen_span(export_of(tmp_path, weekly), Asked(), NOW)
    assert span.reading.start.date() == date(2023, 1, 1)


def test_named_days(tmp_path: Path) -> None:
    """The last day belongs to the period; as-of is its end unless it is named."""
    export = export_of(tmp_path, *single("2026-01-01", 150))
    span = chosen_span(export, Asked(date(2026, 2, 1), date(2026, 2, 28)), NOW)
    assert len(span.reading.events) == 28
    assert span.as_of.isoformat() == "2026-03-01T00:00:00+09:00"
    assert span.week == date(2026, 2, 16)
    span = chosen_span(export, Asked(week=date(2026, 2, 2), as_of=NOW - timedelta(days=90)), NOW)
    assert span.week == date(2026, 2, 2)


def test_a_week_of_the_future_is_read(tmp_path: Path) -> None:
    """Plans can be judged, too."""
    span = chosen_span(
        export_of(tmp_path, *single("2026-06-01", 60)), Asked(week=date(2026, 7, 6)), NOW
    )
    assert span.reading.events[-1].start.date() == date(2026, 7, 12)
    assert span.as_of == NOW


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(week=date(2026, 3, 3)), "--week is '2026-03-03'; expected a Monday"),
        (Asked(first=date(2026, 3, 3), last=date(2026, 3, 2)), "--from is '2026-03-03'"),
        (Asked(first=date(1, 1, 1)), "years 2 to 9997"),
        (Asked(last=date(9999, 12, 31)), "years 2 to 9997"),
    ],
)
def test_days_that_can_not_be(tmp_path: Path, asked: Asked, said: str) -> None:
    """Wrong use: exit code 2, with the option and the remedy."""
    with pytest.raises(InvalidOption, match=said) as caught:
        chosen_span(export_of(tmp_path, *single("2026-01-01", 3)), asked, NOW)
    assert caught.value.exit_code == 2


def test_no_event_in_the_period(tmp_path: Path) -> None:
    """Told with the period and the remedy."""
    export = export_of(tmp_path, *single("2026-01-01", 3))
    with pytest.raises(NoEvents, match=r"from 2020-01-01 to 2020-01-31\.\nRemedy"):
        chosen_span(export, Asked(date(2020, 1, 1), date(2020, 1, 31)), NOW)
    with pytest.raises(NoEvents):
        chosen_span(export_of(tmp_path), Asked(), NOW)

"""Calendars as documents: what the server reads of them is what the caller meant."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import geulpi_client
import pytest
from geulpi_calendar import documents, names
from geulpi_client import Event, InvalidEvent, InvalidSetting, Person
from geulpi_client._constants import MAX_ELEMENT_BYTES, MAX_EVENTS
from geulpi_client._documents import About, calendar_document
from geulpi_client._zones import named_zone, zone_for
from hypothesis import given
from hypothesis import strategies as st

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2026, 3, 2, 9, tzinfo=SEOUL)  # a Monday
HOUR = timedelta(hours=1)
ABOUT = About()

instants = st.datetimes(
    datetime(2025, 10, 1),  # noqa: DTZ001 -- hypothesis adds the zone
    datetime(2026, 11, 1),  # noqa: DTZ001
    timezones=st.sampled_from([SEOUL, BERLIN, UTC, timezone(timedelta(hours=-9, minutes=-30))]),
)
categories = st.none() | st.sampled_from(geulpi_client.CATEGORIES)
timed = st.builds(
    lambda title, start, length, category: Event(
        title, start, (start.astimezone(UTC) + length).astimezone(start.tzinfo), category=category
    ),
    st.sampled_from(["치과", "Team  sync", "cafe\u0301"]),
    instants,
    st.timedeltas(timedelta(), timedelta(days=2)),
    categories,
)
dates = st.dates(date(2025, 10, 1), date(2026, 11, 1))
all_day = st.builds(
    lambda start, days: Event("여행", start, start + timedelta(days), all_day=True),
    dates,
    st.integers(0, 9),
)
open_ended = st.builds(Event, st.just("약"), instants)


def sent(events: list[Event], about: About = ABOUT) -> dict[str, object]:
    return json.loads(calendar_document(events, about))


def read(events: list[Event], about: About = ABOUT) -> documents.CalendarDocument:
    return documents.parse_calendar(calendar_document(events, about))


def test_the_words_are_those_of_the_server() -> None:
    """Order counts: tensors are read by it."""
    assert geulpi_client.CATEGORIES == documents.CATEGORIES
    assert geulpi_client.EMPLOYMENTS == documents.EMPLOYMENTS
    assert geulpi_client.BALANCE_DIMENSIONS == names.BALANCE_DIMENSIONS
    assert geulpi_client.MEASURES == names.MEASURES
    assert geulpi_client.BURNOUT_DRIVERS == names.BURNOUT_DRIVERS
    assert geulpi_client.LEVELS == names.LEVELS
    assert MAX_EVENTS == documents.MAX_EVENTS


def test_a_document_says_what_was_said_and_nothing_else() -> None:
    """Keys sorted, no blanks, letters as they are, moments in UTC."""
    event = Event("치과", NINE, NINE + HOUR, category="health")
    assert calendar_document([event], ABOUT) == (
        '{"events":[{"category":"health","end":"2026-03-02T01:00:00+00:00",'
        '"start":"2026-03-02T00:00:00+00:00","title":"치과"}],"time_zone":"Asia/Seoul"}'
    )
    about = About(date(2026, 3, 2), NINE, Person(34, "full_time"), "Europe/Berlin")
    assert sent([Event("생일", date(2026, 3, 2), all_day=True)], about) == {
        "events": [{"all_day": True, "start": "2026-03-02", "title": "생일"}],
        "week": "2026-03-02",
        "as_of": "2026-03-02T00:00:00+00:00",
        "person": {"age": 34, "employment": "full_time"},
        "time_zone": "Europe/Berlin",
    }
    assert sent([event], About(person=Person())) == sent([event])


@given(st.lists(timed | all_day | open_ended, min_size=1, max_size=6))
def test_the_server_reads_the_events_that_were_meant(events: list[Event]) -> None:
    """Title, category, moments to the microsecond, days as days, over clock changes too."""
    found = read(events)
    assert len(found.events) == len(events)
    meant = {
        (
            event.normalized_title,
            event.category,
            event.all_day,
            *(
                (event.start, event.start + event.duration)
                if event.all_day
                else (event.bounds[0], event.bounds[1] or event.bounds[0])
            ),
        )
        for event in events
    }
    assert meant == {
        (
            event.title,
            event.category,
            event.all_day,
            *(
                bound.date() if event.all_day else bound.astimezone(UTC)
                for bound in (event.start, event.end)
            ),
        )
        for event in found.events
    }


def test_equal_calendars_are_equal_documents() -> None:
    """Whatever the order, and in whatever zone a moment was written: they share a cached answer."""
    events = [Event("a", NINE), Event("b", NINE), Event("b", NINE, NINE + HOUR), Event("c", NINE)]
    events += [Event("d", date(2026, 3, day), all_day=True) for day in (2, 3)]
    document = calendar_document(events, ABOUT)
    shuffled = random.Random(0).sample(events, len(events))
    assert calendar_document(shuffled, ABOUT) == document
    about = About(time_zone="Asia/Seoul")
    in_utc = [Event(e.title, e.start.astimezone(UTC)) for e in events[:2]]
    assert calendar_document(in_utc, about) == calendar_document(events[:2], about)
    assert calendar_document([Event("a  \u3000b", NINE)], ABOUT) == calendar_document(
        [Event("a b", NINE)], ABOUT
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([Event("a", NINE)], "Asia/Seoul"),
        ([Event("late", NINE + HOUR), Event("early", NINE.astimezone(BERLIN))], "Europe/Berlin"),
        ([Event("a", NINE.astimezone(UTC))], "UTC"),
        ([Event("a", NINE.astimezone(ZoneInfo("UTC")))], "UTC"),
        ([Event("a", NINE.astimezone(timezone(timedelta(hours=9))))], "+09:00"),
        ([Event("a", NINE.astimezone(timezone(-timedelta(hours=3, minutes=30))))], "-03:30"),
        ([Event("a", date(2026, 3, 1), all_day=True), Event("b", NINE)], "Asia/Seoul"),
        ([Event("a", date(2026, 3, 1), all_day=True)], "UTC"),
        ([], "UTC"),
    ],
)
def test_the_zone_is_that_of_the_earliest_event(events: list[Event], expected: str) -> None:
    """By its name, or its offset where it has none; days alone have none."""
    assert sent(events)["time_zone"] == expected
    assert read(events).zone_name == expected


def test_the_zone_may_come_from_the_present_or_the_caller() -> None:
    """Where days say nothing `as_of` does; a given one counts before all."""
    days = [Event("a", date(2026, 3, 1), all_day=True)]
    assert sent(days, About(as_of=NINE))["time_zone"] == "Asia/Seoul"
    assert sent([Event("a", NINE)], About(time_zone="-03:30"))["time_zone"] == "-03:30"
    assert named_zone("-0330").tzinfo == timezone(-timedelta(hours=3, minutes=30))


class _Odd(tzinfo):
    def utcoffset(self, _moment: datetime | None) -> timedelta:
        return timedelta(hours=8, minutes=27, seconds=52)


@pytest.mark.parametrize("name", ["Asia/Seul", "", "+9", "../etc/passwd", "\0", 9, SEOUL])
def test_zones_that_are_none_are_refused(name: object) -> None:
    """With examples of what is one."""
    with pytest.raises(InvalidSetting, match=r"time_zone .*'Asia/Seoul'"):
        zone_for(name, [])


def test_a_zone_that_cant_be_named_asks_for_a_name() -> None:
    """An offset with seconds, as local mean times have it."""
    with pytest.raises(InvalidSetting, match=r"8:27:52.*whole minutes"):
        zone_for(None, [datetime(2026, 3, 2, tzinfo=_Odd())])


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (
            {"week": date(2026, 3, 4)},
            "week is '2026-03-04'; expected a Monday, such as 2026-03-02",
        ),
        ({"week": NINE}, "week .* date"),
        ({"week": "2026-03-02"}, "week .* date"),
        ({"as_of": NINE.replace(tzinfo=None)}, "as_of .* time zone"),
        ({"as_of": date(2026, 3, 2)}, "as_of .* datetime"),
        ({"person": {"age": 34}}, "person .* a Person"),
    ],
)
def test_what_cant_be_asked_is_refused(about: dict[str, object], expected: str) -> None:
    """The setting, its value and what is expected."""
    with pytest.raises(InvalidSetting, match=expected):
        calendar_document([Event("a", NINE)], About(**about))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"age": -1}, "Person.age is -1; expected years from 0 to 130"),
        ({"age": 131}, "Person.age"),
        ({"age": float("nan")}, "Person.age"),
        ({"age": True}, "Person.age"),
        ({"age": "34"}, "Person.age"),
        ({"employment": "boss"}, "Person.employment is 'boss'; expected one of full_time"),
    ],
)
def test_a_person_that_nobody_is_is_refused(given: dict[str, object], expected: str) -> None:
    """Ages and employments are checked when a person is made."""
    with pytest.raises(InvalidSetting, match=expected):
        Person(**given)


def test_events_that_no_document_can_hold_are_refused() -> None:
    """Without a start, or so early or late that a week has no date."""
    with pytest.raises(InvalidEvent, match=r"events\[1\].start is None"):
        calendar_document([Event("a", NINE), Event("b")], ABOUT)
    for year in (1, 9999):
        with pytest.raises(InvalidEvent, match=r"events\[0\].*within the years 2 to 9998"):
            calendar_document([Event("a", NINE.replace(year=year))], ABOUT)
    with pytest.raises(InvalidEvent, match="'50001 events'; expected at most 50000"):
        calendar_document([Event("a", NINE)] * (MAX_EVENTS + 1), ABOUT)


def test_the_largest_calendar_fits_an_element() -> None:
    """50,000 events with long Korean titles are below what the client sends as one text."""
    one = Event("가" * 60, NINE, NINE + HOUR, category="personal")
    assert (
        len(calendar_document([one] * 100, ABOUT).encode()) * MAX_EVENTS / 100 < MAX_ELEMENT_BYTES
    )

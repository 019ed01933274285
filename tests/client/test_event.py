"""Events: what is one, and what is sent of it."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from geulpi_client import (
    CATEGORIES,
    Event,
    GeulpiError,
    InferResult,
    InvalidEvent,
    Target,
    UnexpectedAnswer,
)
from geulpi_client._answers import Answered
from geulpi_client._classify import classifications, event_tensors
from geulpi_client._event import checked_events, some_events

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2026, 3, 2, 9, 30, tzinfo=SEOUL)  # a Monday; in UTC 00:30


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (None, "text"),
        (7, "text"),
        ("", "not blank"),
        (" \t\u3000\n", "not blank"),
        ("x" * 1001, "at most 1000"),
        ("x" * 10_000_000, "at most 1000"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogates"),
    ],
)
def test_a_title_that_no_event_has_is_refused(title: object, expected: str) -> None:
    """The error names the field and what is expected, and stays short."""
    with pytest.raises(InvalidEvent, match=expected) as caught:
        Event(title=title)
    assert "title" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, GeulpiError)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"start": NINE.replace(tzinfo=None)}, "start .* time zone"),
        ({"start": NINE, "end": datetime(2026, 3, 2, 10)}, "end .* time zone"),  # noqa: DTZ001
        ({"start": date(2026, 3, 2)}, "start .* datetime .* all_day=True"),
        ({"start": NINE, "end": date(2026, 3, 3)}, "end .* all_day=True"),
        ({"start": "2026-03-02"}, "start .* datetime"),
        ({"end": NINE}, "has an end"),
        ({"start": NINE, "end": NINE - timedelta(minutes=1)}, "end .* or later"),
        ({"start": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "years"),
    ],
)
def test_times_that_no_event_has_are_refused(times: dict[str, object], expected: str) -> None:
    """Naive, turned round or half times are refused with the field's name."""
    with pytest.raises(InvalidEvent, match=expected):
        Event("치과", **times)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "start .* all-day"),
        ({"start": NINE}, "start .* midnight"),
        ({"start": datetime(2026, 3, 2)}, "start .* time zone"),  # noqa: DTZ001
        ({"start": "2026-03-02"}, "start .* a date"),
        ({"start": date(2026, 3, 2), "end": date(2026, 3, 1)}, "end .* or later"),
        ({"start": date(2026, 3, 2), "all_day": 1}, "all_day is 1; expected True or False"),
        ({"start": date(2026, 3, 2), "category": "spam"}, "category is 'spam'; expected one of"),
    ],
)
def test_all_day_events_and_categories_that_no_calendar_has_are_refused(
    given: dict[str, object], expected: str
) -> None:
    """A day has no hours, a flag is a flag, and there are ten categories."""
    with pytest.raises(InvalidEvent, match=expected):
        Event("생일", **({"all_day": True} | given))


def test_an_all_day_event_lasts_whole_days() -> None:
    """The end is the day after the last; dates and midnights are the same days."""
    first, after = date(2026, 3, 28), date(2026, 3, 30)
    assert Event("생일", first, all_day=True).duration == timedelta(days=1)
    assert Event("여행", first, after, all_day=True).duration == timedelta(days=2)
    # A clock change in between shortens the hours, not the days.
    midnights = (datetime(2026, 3, day, tzinfo=BERLIN) for day in (28, 30))
    event = Event("여행", *midnights, all_day=True)
    assert event.duration == timedelta(days=2)
    assert event.bounds == (first, after)


def test_an_all_day_event_has_a_weekday_and_no_hour() -> None:
    """Its midnight was chosen by nobody."""
    for start in (date(2026, 3, 2), datetime(2026, 3, 2, tzinfo=SEOUL)):
        tensors = event_tensors([Event("생일", start, all_day=True)])
        assert {name: tensors[name].item() for name in tensors if name != "title"} == {
            "weekday": 0,
            "hour": -1,
            "duration_minutes": 1440,
        }


def test_an_event_survives_a_process_boundary() -> None:
    """Also after its bounds were computed; equal events stay equal, and hash alike."""
    event = Event("치과", NINE, category="health")
    copy = pickle.loads(pickle.dumps(event))
    assert (copy, hash(copy)) == (event, hash(event))
    assert event != Event("치과", NINE)


def test_an_event_that_takes_no_time_is_one() -> None:
    """An end at the start is a reminder."""
    assert Event("약 먹기", NINE, NINE).duration == timedelta(0)


def test_features_are_of_the_events_own_zone() -> None:
    """Weekday and hour are those that the calendar's owner sees, not those of UTC."""
    tensors = event_tensors([Event("치과", NINE, NINE + timedelta(minutes=45)), Event("치과")])
    assert {name: tensor[:, 0].tolist() for name, tensor in tensors.items()} == {
        "title": ["치과", "치과"],
        "weekday": [0, -1],
        "hour": [9, -1],
        "duration_minutes": [45, -1],
    }
    assert {name: t.dtype for name, t in tensors.items() if name != "title"} == dict.fromkeys(
        ["weekday", "hour", "duration_minutes"], np.dtype(np.int64)
    )
    assert event_tensors([Event("a", NINE.astimezone(UTC))])["hour"].tolist() == [[0]]


def test_a_night_of_clock_change_has_its_real_length() -> None:
    """From 1:00 to 4:00 on the night of the change to summer time are two hours."""
    start, end = (datetime(2026, 3, 29, hour, tzinfo=BERLIN) for hour in (1, 4))
    tensors = event_tensors([Event("Nachtschicht", start, end)])
    assert tensors["duration_minutes"].tolist() == [[120]]


def test_titles_are_sent_composed_and_with_single_blanks() -> None:
    """Decomposed Hangul and doubled blanks are the same title to the model; the event keeps its."""
    event = Event(" \u110e\u1175과 \u3000 예약\n")
    assert event_tensors([event])["title"].tolist() == [["치과 예약"]]
    assert event.title.startswith(" \u110e")


@pytest.mark.parametrize("events", [[], "치과", Event("치과"), None, 3])
def test_what_is_no_list_of_events_is_refused(events: object) -> None:
    """An empty list, a bare title and a bare event are misuse."""
    with pytest.raises(InvalidEvent, match="events"):
        some_events(events)


def test_a_title_among_events_is_named_by_its_place() -> None:
    """The error says which element is no event."""
    with pytest.raises(InvalidEvent, match=r"events\[1\] is 'dentist'"):
        checked_events([Event("a"), "dentist"])


def answer(label: str, probabilities: list[float]) -> Answered:
    outputs = {
        "label": np.array([[label]], dtype=np.object_),
        "probabilities": np.array([probabilities], dtype=np.float32),
    }
    result = InferResult(outputs, "1", np.array([True]), 1)
    return Answered(result, Target("u", "event_classifier"))


def test_an_answer_becomes_a_classification() -> None:
    """The category, its confidence and the probability of all ten."""
    likely = [0.0] * 9 + [1.0]
    (found,) = classifications([Event(" 회의  ")], answer("work", likely))
    assert (found.title, found.category, found.confidence) == (" 회의  ", "work", 1.0)
    assert found.probabilities == dict(zip(CATEGORIES, likely, strict=True))
    assert found.cached is True


@pytest.mark.parametrize(
    ("label", "probabilities"),
    [
        ("errand", [0.0] * 9 + [1.0]),  # another order of categories
        ("spam", [0.1] * 10),  # another category
        ("work", [0.5, 0.5]),  # another number of them
        ("work", [float("nan")] * 10),
    ],
)
def test_an_answer_of_another_model_is_not_read_wrong(
    label: str, probabilities: list[float]
) -> None:
    """A label that its own probabilities do not support raises instead of misleading."""
    with pytest.raises(UnexpectedAnswer):
        classifications([Event("a")], answer(label, probabilities))


def test_categories_are_in_the_order_of_the_model() -> None:
    """Alphabetical, as scikit-learn orders classes."""
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert len(CATEGORIES) == 10

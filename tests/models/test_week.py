"""A week's features and measures, by weeks made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geulpi_client._names as client_names
import numpy as np
import pytest
from geulpi_calendar import _week_categories, names
from geulpi_calendar._week_spans import gaps, longest_gap, merged, overlapped, parts
from geulpi_calendar.documents import CATEGORIES, InvalidDocument, parse_calendar
from geulpi_calendar.week import load
from geulpi_client import Event
from geulpi_client._classify import event_tensors

Answer = Mapping[str, Any]


def nobody(model: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """Stand for a server that must not be asked."""
    pytest.fail(f"{model} was asked for {tensors['title'][:, 0].tolist()}")


def event(start: str, end: str | None = None, category: str | None = "work", **more: Any) -> Any:
    """Return an event of the document; `start` and `end` as `2 09:00`, in March 2026, in UTC."""

    def moment(text: str) -> str:
        day, clock = text.split()
        return f"2026-03-{int(day):02}T{clock}:00+00:00"

    bounds = {"start": moment(start)} | ({"end": moment(end)} if end else {})
    return {"title": "x", "category": category, **bounds, **more}


def whole(first: str, end: str | None = None, category: str = "personal") -> Any:
    """Return an all-day event."""
    bounds = {"start": first} | ({"end": end} if end else {})
    return {"title": "x", "category": category, "all_day": True, **bounds}


def document(*events: Any, zone: str = "UTC", **more: Any) -> bytes:
    return json.dumps({"time_zone": zone, "events": events, **more}).encode()


def answer(*events: Any, ask: Callable[..., Any] = nobody, **more: Any) -> dict[str, Any]:
    """Return the tensors of one document by name, the measures and hours by theirs."""
    tensors = load(Path(), ask)([document(*events, **more)])
    row = {name: values[0] for name, values in tensors.items()}
    named = {
        "measures": names.MEASURES,
        "hours_per_day": names.BALANCE_DIMENSIONS,
        "balance_features": names.BALANCE_FEATURES,
        "burnout_features": tuple(names.BURNOUT_FEATURES),
    }
    told = {key: dict(zip(keys, row[key].tolist(), strict=True)) for key, keys in named.items()}
    return {**told, "days_seen": row["days_seen"].tolist()}


WORK_WEEK = [
    event("2 09:00", "2 10:00", "meeting"),
    event("2 10:30", "2 12:00"),
    event("2 13:00", "2 19:00"),
    event("3 08:00", "3 09:30", "exercise"),
    event("3 09:30", "3 12:30"),
    event("3 20:00", "3 23:00", "social"),
    event("4 09:00", "4 13:00", "study"),
    event("5 12:00", "5 13:00", "errand"),
    event("7 10:00", "7 14:00"),
    event("8 15:00", "8 17:00", "family"),
]


def test_the_measures_of_a_week_made_by_hand() -> None:
    """Every measure is what its definition says of ten events."""
    assert answer(*WORK_WEEK)["measures"] == {
        "events": 10,
        "days_with_events": 6,
        "work_hours": 15.5,
        "meeting_hours": 1,
        "meeting_count": 1,
        "after_hours_hours": 1,
        "weekend_work_hours": 4,
        "fragmentation": 0.5,  # gaps of 30 and of 60 minutes
        "longest_stretch_hours": 6,
        "breaks_per_day": pytest.approx(2 / 3),  # both on Monday; three days hold work
        # Mon 12 h (20 to 8), Tue 10 h (23 to 9), Wed 14 h; Sat to Sun 14 h
        "sleep_window_hours": (12 + 10 + 14 + 14) / 4,
        "exercise_hours": 1.5,
        "social_hours": 3,
        "family_hours": 2,
        "travel_hours": 0,
        "free_evenings": 5,  # Monday's work reaches into the evening; Friday is not seen
        "overlap_hours": 0,
    }


def test_the_features_of_a_week_made_by_hand() -> None:
    """Hours are means over the days seen, weekdays and weekend apart."""
    told = answer(*WORK_WEEK, person={"age": 34, "employment": "part_time"})
    assert told["days_seen"] == [6]
    assert told["hours_per_day"] == pytest.approx(
        {
            "work": 15.5 / 6, "rest": 24 - 21.5 / 6, "social": 0.5, "exercise": 0.25,
            "family": 2 / 6, "errands": 1 / 6, "study": 4 / 6,
        }, rel=1e-6
    )  # fmt: skip
    features = told["balance_features"]
    assert features["weekday_work_hours"] == 11.5 / 4
    assert features["weekend_work_hours"] == 2
    assert features["weekend_rest_hours"] == 24 - 3
    assert features["weekend_share"] == pytest.approx(2 / 6)
    assert (features["age_band"], features["employment"]) == (1, 1)
    assert told["burnout_features"] == pytest.approx(
        {
            "work_hours": 15.5 / 6, "hours_beyond_10": 0, "study_hours": 4 / 6,
            "family_hours": 2 / 6, "social_first_hour": 1 / 6, "exercise_first_half_hour": 0.5 / 6,
            "health_first_hour": 0, "weekend": 2 / 6, "years_to_30": 15, "years_30_to_55": 4,
            "years_from_55": 0, "part_time": 1, "unemployed": 0, "not_in_labor_force": 0,
        }, rel=1e-6
    )  # fmt: skip


def test_a_long_day_counts_beyond_ten_hours_of_duties() -> None:
    """Work, study and travel add up; time that two of them share is taken once."""
    told = answer(
        event("2 07:00", "2 09:00", "travel"),
        event("2 08:00", "2 18:00"),
        event("2 19:00", "2 21:00", "study"),
    )
    assert told["burnout_features"]["hours_beyond_10"] == 3
    assert told["hours_per_day"]["rest"] == 24 - 13


@pytest.mark.parametrize(
    ("age", "band"), [(0, 0), (24.9, 0), (25, 1), (35, 2), (50, 3), (65, 4), (130, 4)]
)
def test_ages_fall_into_bands(age: float, band: int) -> None:
    """A band begins with its first year."""
    features = answer(event("2 09:00", "2 10:00"), person={"age": age})["balance_features"]
    assert features["age_band"] == band
    assert np.isnan(features["employment"])


def test_an_unknown_person_is_nan() -> None:
    """What a person does not say is unknown, not zero."""
    told = answer(event("2 09:00", "2 10:00"))
    assert np.isnan([told["balance_features"][name] for name in ("age_band", "employment")]).all()
    of_person = [name for name, d in names.BURNOUT_FEATURES.items() if d in {"age", "employment"}]
    assert np.isnan([told["burnout_features"][name] for name in of_person]).all()


def test_a_week_without_weekend_says_nothing_of_it() -> None:
    """Hours of days that no event touches are unknown; no mean takes them in."""
    features = answer(event("2 09:00", "2 17:00"), event("3 09:00", "3 13:00"))["balance_features"]
    assert features["weekday_work_hours"] == 6
    assert np.isnan(features["weekend_work_hours"])
    assert features["weekend_share"] == 0


def test_events_of_one_category_that_overlap_count_once() -> None:
    """Two meetings at once are one hour; the overlap is told."""
    told = answer(
        event("2 09:00", "2 11:00", "meeting"),
        event("2 10:00", "2 11:30"),
        event("2 09:30", "2 10:30", "meeting"),
    )["measures"]
    assert told["work_hours"] == 2.5
    assert told["meeting_hours"] == 2
    assert told["meeting_count"] == 2
    assert told["overlap_hours"] == 1.5


def test_an_event_without_duration_is_seen_and_counts_no_hours() -> None:
    """It makes its day a day with events, and nothing else."""
    told = answer(event("3 09:00", category="meeting"))
    assert told["measures"]["events"] == told["measures"]["days_with_events"] == 1
    assert told["measures"]["meeting_count"] == 1
    assert told["measures"]["meeting_hours"] == told["measures"]["overlap_hours"] == 0
    assert told["days_seen"] == [1]


def test_an_event_without_duration_at_midnight_is_seen() -> None:
    """It stands on the day that begins there, the week's first too."""
    assert answer(event("2 00:00"))["days_seen"] == [1]
    assert answer(event("2 00:00"), event("3 00:00"))["measures"]["days_with_events"] == 2


def test_an_event_across_midnight_belongs_to_both_days() -> None:
    """Its hours are split at midnight, and the stretch is one."""
    told = answer(event("3 22:00", "4 02:00"))
    assert told["days_seen"] == [2]
    assert told["hours_per_day"]["work"] == 2
    assert told["measures"]["longest_stretch_hours"] == 4
    assert told["measures"]["after_hours_hours"] == 4


def test_only_what_lies_within_the_week_counts() -> None:
    """Events that reach over its ends are cut there."""
    told = answer(event("1 22:00", "2 03:00"), event("8 20:00", "9 06:00"), week="2026-03-02")
    assert told["measures"]["work_hours"] == 3 + 4
    assert told["measures"]["events"] == 2
    assert told["measures"]["days_with_events"] == 2


def test_an_event_that_ends_as_the_week_begins_is_not_in_it() -> None:
    """Ends are exclusive; a week that holds no event is refused with the one that does."""
    events = [event("1 22:00", "2 00:00"), event("9 00:00")]
    with pytest.raises(InvalidDocument, match=r"week is '2026-03-02'; .* of '2026-03-09'"):
        answer(*events, week="2026-03-02")


def test_the_last_week_with_an_event_is_taken() -> None:
    """Without `week` it is the one in which the last event begins."""
    told = answer(event("2 09:00", "2 10:00"), event("15 23:00", "16 09:00"))
    assert told["measures"]["work_hours"] == 1
    assert told["measures"]["weekend_work_hours"] == 1


def test_an_empty_calendar_is_refused() -> None:
    """The error names the field and what is expected."""
    with pytest.raises(InvalidDocument, match=r"events is \[\]; expected at least one event"):
        answer()


def test_all_day_events_make_days_seen_and_count_no_hours() -> None:
    """A holiday of three days is no work of 72 hours; nor is a timed event of a day or more."""
    told = answer(whole("2026-03-02", "2026-03-05", "work"), event("7 00:00", "8 00:00"))
    assert told["days_seen"] == [4]
    assert told["hours_per_day"]["work"] == 0
    assert told["hours_per_day"]["rest"] == 24
    assert told["measures"]["overlap_hours"] == 0
    assert answer(whole("2026-03-08"))["balance_features"]["weekend_share"] == 1


@pytest.mark.parametrize(
    ("monday", "sunday", "hours"),
    [("2026-03-23", "2026-03-29", 2), ("2026-10-19", "2026-10-25", 4)],
)
def test_days_of_23_and_25_hours(monday: str, sunday: str, hours: int) -> None:
    """Where clocks change, an event lasts as long as it lasts; the rest of the day is whole."""
    offset = {2: ("+01:00", "+02:00"), 4: ("+02:00", "+01:00")}[hours]
    night = {
        "title": "x",
        "category": "work",
        "start": f"{sunday}T00:30:00{offset[0]}",
        "end": f"{sunday}T03:30:00{offset[1]}",
    }
    told = answer(night, zone="Europe/Berlin", week=monday)
    assert told["measures"]["work_hours"] == hours
    assert told["measures"]["weekend_work_hours"] == hours
    assert told["days_seen"] == [1]


def test_the_last_hours_of_a_day_of_25_hours_are_its_own() -> None:
    """The week ends at its last midnight, an hour after seven times 24."""
    late = {
        "title": "x",
        "category": "work",
        "start": "2026-10-25T22:30:00+01:00",
        "end": "2026-10-26T01:00:00+01:00",
    }
    told = answer(late, zone="Europe/Berlin", week="2026-10-19")
    assert told["measures"]["weekend_work_hours"] == 1.5
    assert told["days_seen"] == [1]


def test_days_are_those_of_the_calendar_s_zone() -> None:
    """A Sunday evening in UTC is Monday in Seoul."""
    told = answer(event("8 20:00", "8 22:00"), zone="Asia/Seoul")
    assert told["measures"]["weekend_work_hours"] == 0
    assert told["measures"]["after_hours_hours"] == 2  # 05:00 to 07:00 on Monday


def test_rows_of_several_users_batch() -> None:
    """Each row gets what it would get alone, however many events it has."""
    rows = [document(*WORK_WEEK), document(event("2 09:00", "2 10:00"))]
    model = load(Path(), nobody)
    together, alone = model(rows), [model([row]) for row in rows]
    for name, values in together.items():
        assert values.dtype == np.float32
        assert np.array_equal(values, np.concatenate([a[name] for a in alone]), equal_nan=True)


def test_fifty_thousand_events_of_one_week_are_answered() -> None:
    """They overlap by the thousand, and each hour counts once."""
    start = datetime(2026, 3, 2, tzinfo=UTC)
    events = []
    for position in range(50_000):
        begins = start + timedelta(minutes=position % (7 * 24 * 60))
        ends = min(begins + timedelta(minutes=30), start + timedelta(days=7))
        events.append(
            {
                "title": "x",
                "category": CATEGORIES[position % 10],
                "start": begins.isoformat(),
                "end": ends.isoformat(),
            }
        )
    told = answer(*events, week="2026-03-02")
    assert told["measures"]["events"] == 50_000
    assert told["measures"]["overlap_hours"] == pytest.approx(7 * 24, abs=0.1)
    assert max(told["hours_per_day"].values()) <= 24


class Classifier:
    """A server that calls all titles that begin with m a meeting, and keeps what it was asked."""

    def __init__(self, *, text: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self.text = text

    def __call__(self, model: str, tensors: dict[str, Any]) -> dict[str, Any]:
        """Answer as Triton does: labels as bytes, or as text."""
        assert model == "event_classifier"
        self.asked.append(tensors)
        labels = ["meeting" if t.startswith("m") else "social" for t in tensors["title"][:, 0]]
        coded = labels if self.text else [label.encode() for label in labels]
        return {"label": np.array(coded, dtype=np.object_)[:, np.newaxis]}


@pytest.mark.parametrize("text", [True, False])
def test_only_timed_events_of_the_week_without_category_are_asked_for(text: bool) -> None:
    """Others need no category; labels may come as bytes or text."""
    classifier = Classifier(text=text)
    told = answer(
        event("2 09:00", "2 10:00", None, title="m 1"),
        event("2 11:00", "2 14:00", None, title="party"),
        event("3 11:00", "3 12:00", "work", title="m 2"),
        event("20 09:00", "20 10:00", None, title="m 3"),
        {"title": "m 4", "start": "2026-03-04", "all_day": True},
        week="2026-03-02",
        ask=classifier,
    )
    assert [asked["title"][:, 0].tolist() for asked in classifier.asked] == [["m 1", "party"]]
    assert told["measures"]["meeting_hours"] == 1
    assert told["measures"]["social_hours"] == 3


def test_the_classifier_is_asked_as_the_client_asks_it() -> None:
    """Title, weekday, hour and duration are those of `geulpi_client`, to the type and shape."""
    rows = [
        ("  팀   회의 ", "2 09:10", "2 10:05"),
        ("no end", "5 12:00", None),
        ("Cafe\u0301 ☕", "7 23:59", "8 00:30"),
    ]
    events = [event(start, end, None, title=title) for title, start, end in rows]
    classifier = Classifier()
    answer(*events, ask=classifier)
    expected = event_tensors(
        [
            Event(e["title"], *(datetime.fromisoformat(e[k]) for k in ("start", "end") if k in e))
            for e in events
        ]
    )
    (asked,) = classifier.asked
    assert asked.keys() == expected.keys()
    for name, values in expected.items():
        assert asked[name].dtype == values.dtype
        assert asked[name].tolist() == values.tolist()


def test_the_classifier_is_asked_in_chunks_and_not_again() -> None:
    """At most 256 events a question; an answer is remembered for five minutes."""
    now = 0.0
    classifier = Classifier()
    rows = [
        event("2 09:00", f"2 {9 + i // 60:02}:{i % 60:02}", None, title=f"m {i}")
        for i in range(1, 300)
    ]
    events = parse_calendar(document(*rows)).events
    categories = _week_categories.Categories(classifier, clock=lambda: now)
    assert set(categories.of(events)) == {"meeting"}
    assert [len(asked["title"]) for asked in classifier.asked] == [256, 43]
    now = 299.0
    assert list(categories.of(events[:2])) == ["meeting", "meeting"]
    assert len(classifier.asked) == 2
    now = 301.0
    list(categories.of(events[:2]))
    assert len(classifier.asked) == 3


def test_remembered_categories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unused are forgotten first."""
    monkeypatch.setattr(_week_categories, "REMEMBERED", 2)
    classifier = Classifier()
    rows = [event("2 09:00", "2 10:00", None, title=f"m {i}") for i in range(3)]
    one, two, three = parse_calendar(document(*rows)).events
    categories = _week_categories.Categories(classifier)
    for events in ([one], [two], [one], [three], [one]):
        list(categories.of(events))
    assert len(classifier.asked) == 3
    list(categories.of([two]))
    assert len(classifier.asked) == 4


def test_spans_are_joined_cut_and_measured() -> None:
    """Touching spans join; a tolerance closes gaps that are shorter than it."""
    assert merged([(5, 6), (0, 2), (1, 3), (3, 4)]) == [(0, 4), (5, 6)]
    assert merged([(0, 1), (2, 3), (5, 6)], tolerance=2) == [(0, 3), (5, 6)]
    assert overlapped([(0, 4), (1, 2), (1, 3), (5, 6)]) == [(1, 3)]
    assert parts([(0, 4), (5, 9)], [(1, 2), (3, 6), (9, 10)]) == [[(1, 2)], [(3, 4), (5, 6)], []]
    assert gaps([(0, 1), (3, 4), (4.5, 5)]) == [2, 0.5]
    assert longest_gap([(1, 2), (3, 9)], (0, 10)) == 1
    assert longest_gap([], (0, 10)) == 10


def test_client_and_server_have_the_same_names() -> None:
    """The order of names is the order of the tensors."""
    for name in ("BALANCE_DIMENSIONS", "MEASURES", "BURNOUT_DRIVERS", "LEVELS"):
        assert getattr(client_names, name) == getattr(names, name), name

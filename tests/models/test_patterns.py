"""What the pattern detector finds in histories whose habits are known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from dateutil.rrule import rrulestr
from geulpi_calendar.documents import (
    MAX_EVENTS,
    CalendarDocument,
    CalendarEvent,
    InvalidDocument,
)
from geulpi_calendar.patterns import Pattern, detect, load

SEOUL = "Asia/Seoul"
NEW_YORK = "America/New_York"


def event(title: str, start: datetime, minutes: float = 60, **more: object) -> CalendarEvent:
    return CalendarEvent(title, start, start + timedelta(minutes=minutes), **more)  # type: ignore[arg-type]


def calendar(
    events: Iterable[CalendarEvent], zone: str = SEOUL, as_of: datetime | None = None
) -> CalendarDocument:
    ordered = sorted(events, key=lambda one: one.start.timestamp())
    return CalendarDocument(ZoneInfo(zone), zone, tuple(ordered), as_of=as_of)


def series(
    rule: str, count: int, *, first: str = "2025-01-06T10:00", title: str = "Team sync",
    zone: str = SEOUL, jitter: float = 0, random: Random | None = None,
) -> list[CalendarEvent]:  # fmt: skip
    """Events by a rule, on the wall clock of a zone."""
    random = random or Random(0)
    slots = rrulestr(rule, dtstart=datetime.fromisoformat(first))
    return [
        event(
            title,
            slot.replace(tzinfo=ZoneInfo(zone))
            + timedelta(minutes=round(random.uniform(-jitter, jitter))),
        )
        for slot, _ in zip(slots, range(count), strict=False)
    ]


def only(patterns: list[Pattern]) -> Pattern:
    (found,) = patterns
    return found


RULES = [
    ("FREQ=DAILY", 20),
    ("FREQ=DAILY;INTERVAL=3", 10),
    ("FREQ=WEEKLY;BYDAY=MO", 6),
    ("FREQ=WEEKLY;BYDAY=MO,WE,FR", 15),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", 15),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", 6),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", 12),
    ("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO", 6),
    ("FREQ=WEEKLY;INTERVAL=4;BYDAY=MO", 8),
    ("FREQ=MONTHLY;BYDAY=1MO", 8),
    ("FREQ=MONTHLY;BYDAY=3TH", 8),
    ("FREQ=MONTHLY;BYDAY=-1FR", 8),
    ("FREQ=MONTHLY;INTERVAL=3;BYDAY=1TU", 7),
    ("FREQ=MONTHLY;BYMONTHDAY=15", 8),
    ("FREQ=MONTHLY;BYMONTHDAY=31", 8),
    ("FREQ=MONTHLY;BYMONTHDAY=-1", 8),
    ("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=8", 4),
    ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", 5),
]


@pytest.mark.parametrize(("rule", "count"), RULES)
def test_each_kind_of_rule_is_found_as_it_was_written(rule: str, count: int) -> None:
    """A series without noise gives its own rule, all of its occurrences and no exception."""
    events = series(rule, count)
    found = only(detect(calendar(events)))
    assert (found.rrule, found.title, found.dtstart) == (rule, "Team sync", events[0].start)
    assert (found.support, found.expected, found.exceptions, found.extra) == (count, count, (), 0)
    assert (found.duration_minutes, found.start_spread_minutes) == (60, 0)
    assert found.last_seen == events[-1].start
    following = rrulestr(rule, dtstart=events[0].start.replace(tzinfo=None))
    after = [moment.replace(tzinfo=ZoneInfo(SEOUL)) for moment in following[count : count + 3]]
    assert list(found.next) == after


@pytest.mark.parametrize(("rule", "count"), [(rule, 2 * count) for rule, count in RULES[:13]])
def test_jitter_gaps_and_extras_do_not_hide_a_rule(rule: str, count: int) -> None:
    """Starts off by 15 minutes, every eighth occurrence missing, two more elsewhere: same rule."""
    events = series(rule, count, jitter=15)
    missed = events[5:-1:8]
    strays = [event("Team sync", events[3].start + timedelta(days=1, hours=5 + i)) for i in (0, 4)]
    kept = [one for one in events if one not in missed]
    found = max(detect(calendar([*kept, *strays])), key=lambda one: one.support)
    assert found.rrule == rule
    assert found.expected == count
    days = {moment.date() for moment in found.exceptions if isinstance(moment, datetime)}
    assert days <= {one.start.date() for one in missed}
    assert found.support + len(found.exceptions) == count
    assert 0 < found.start_spread_minutes < 20


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_events_show_no_habit(count: int) -> None:
    """None, one or two events have no rule, and are no error."""
    assert detect(calendar(series("FREQ=DAILY", count))) == []


def test_single_events_show_no_habit() -> None:
    """Titles that happen once each make no pattern, however many they are."""
    events = [one for at in range(60) for one in series("FREQ=DAILY", 1, title=f"{chr(97 + at)}x")]
    assert detect(calendar(events)) == []


def test_a_series_that_moved_to_another_day_is_two_habits() -> None:
    """Each has its own rule and span; the one that goes on is the confident one."""
    before = series("FREQ=WEEKLY;BYDAY=MO", 15)
    after = series("FREQ=WEEKLY;BYDAY=TH", 15, first="2025-04-24T10:00")
    now, then = detect(calendar(before + after))
    assert (now.rrule, now.dtstart) == ("FREQ=WEEKLY;BYDAY=TH", after[0].start)
    assert (then.rrule, then.last_seen) == ("FREQ=WEEKLY;BYDAY=MO", before[-1].start)
    assert now.confidence > 0.8
    assert then.confidence < 0.05


def test_a_series_that_moved_to_another_hour_is_two_habits() -> None:
    """The hours are those of each half."""
    before = series("FREQ=WEEKLY;BYDAY=MO", 15)
    after = series("FREQ=WEEKLY;BYDAY=MO", 15, first="2025-04-21T15:00")
    now, then = detect(calendar(before + after))
    assert now.rrule == then.rrule == "FREQ=WEEKLY;BYDAY=MO"
    assert (now.dtstart, then.dtstart) == (after[0].start, before[0].start)
    assert now.confidence > then.confidence


def test_the_usual_start_is_that_of_the_latest_occurrences() -> None:
    """A series that moved by ten minutes stays one, and is expected at its new time."""
    before = series("FREQ=WEEKLY;BYDAY=MO", 12)
    after = series("FREQ=WEEKLY;BYDAY=MO", 12, first="2025-03-31T10:10")
    found = only(detect(calendar(before + after)))
    assert (found.support, found.expected) == (24, 24)
    assert found.dtstart == before[0].start + timedelta(minutes=10)
    assert found.next[0] == after[-1].start + timedelta(days=7)


def test_an_occurrence_moved_within_its_day_is_no_exception() -> None:
    """One Monday at 15:00 in a series at 10:00 counts as seen."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 12)
    moved = replace(
        events[6],
        start=events[6].start + timedelta(hours=5),
        end=events[6].end + timedelta(hours=5),
    )
    found = only(detect(calendar([*events[:6], moved, *events[7:]])))
    assert (found.support, found.exceptions, found.extra) == (12, (), 0)


def test_a_moved_occurrence_is_found_among_another_series_of_the_title() -> None:
    """A Monday that went to the hour of the Thursdays is still one of the Mondays."""
    mondays = series("FREQ=WEEKLY;BYDAY=MO", 20)
    thursdays = series("FREQ=WEEKLY;BYDAY=TH", 20, first="2025-01-09T16:00")
    moved = replace(
        mondays[7], start=mondays[7].start.replace(hour=16), end=mondays[7].end.replace(hour=17)
    )
    found = detect(calendar([*mondays[:7], moved, *mondays[8:], *thursdays]))
    assert {one.rrule: (one.support, one.exceptions, one.extra) for one in found} == {
        "FREQ=WEEKLY;BYDAY=MO": (20, (), 0),
        "FREQ=WEEKLY;BYDAY=TH": (20, (), 0),
    }


def test_two_series_of_one_title_stay_two() -> None:
    """Tuesdays at 9:00 and every second Wednesday at 11:00 are told apart."""
    tuesdays = series("FREQ=WEEKLY;BYDAY=TU", 20, first="2025-01-07T09:00")
    wednesdays = series("FREQ=WEEKLY;INTERVAL=2;BYDAY=WE", 12, first="2025-01-08T11:00")
    found = detect(calendar(tuesdays + wednesdays))
    assert {(one.rrule, one.dtstart) for one in found} == {
        ("FREQ=WEEKLY;BYDAY=TU", tuesdays[0].start),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=WE", wednesdays[0].start),
    }
    assert {one.extra for one in found} == {0}


def test_company_makes_a_habit_of_its_own_where_times_say_so() -> None:
    """Two people met in turn, every second Tuesday each, are two habits and not a weekly one."""
    ana = series(
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", 16, first="2025-01-07T10:00", title="1:1 w/ Ana"
    )
    bo = series("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", 16, first="2025-01-14T10:00", title="1:1 w/ Bo")
    found = detect(calendar(ana + bo))
    assert {(one.title, one.rrule, one.support) for one in found} == {
        ("1:1 w/ Ana", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", 16),
        ("1:1 w/ Bo", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", 16),
    }


def test_a_series_that_was_renamed_is_one() -> None:
    """A remark that all titles have from some day on ends no habit."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 20)
    renamed = [replace(one, title="[members only] Team sync") for one in events[12:]]
    found = only(detect(calendar(events[:12] + renamed)))
    assert (found.title, found.support) == ("Team sync", 20)


def test_many_series_of_one_title_are_told_apart_by_the_half_hour() -> None:
    """Seven series of one title at half-hours of one morning are found, each with its own rule."""
    rules = [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2025-01-06T09:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=WE", "2025-01-08T09:30"),
        ("FREQ=WEEKLY;BYDAY=TH", "2025-01-09T10:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", "2025-01-09T10:30"),
        ("FREQ=MONTHLY;BYDAY=2TU", "2025-01-14T11:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR", "2025-01-10T11:30"),
        ("FREQ=WEEKLY;BYDAY=TU", "2025-01-07T12:00"),
    ]
    events = [one for rule, first in rules for one in series(rule, 14, first=first)]
    found = detect(calendar(events))
    assert {(one.rrule, one.dtstart.isoformat()[:16]) for one in found} == set(rules)


def test_twice_a_day_is_two_habits() -> None:
    """A title at 8:00 and at 20:00 every day recurs daily at either."""
    morning = series("FREQ=DAILY", 25, first="2025-01-06T08:00", title="비타민")
    evening = series("FREQ=DAILY", 25, first="2025-01-06T20:00", title="비타민")
    found = detect(calendar(morning + evening))
    assert [one.rrule for one in found] == ["FREQ=DAILY", "FREQ=DAILY"]
    assert {one.dtstart for one in found} == {morning[0].start, evening[0].start}


def test_titles_that_vary_are_one_habit_under_the_most_usual_spelling() -> None:
    """Numbers, dates, company, emoji, case and hyphens do not part a series."""
    spellings = (
        "Team sync", "team-sync w/ Ana", "Team Sync #12", "Team sync", "🎉 TEAM SYNC",
        "Team sync (3/2)", "2025-02-17 Team sync", "Team sync", "3월 2일 team sync", "Team  sync!",
    )  # fmt: skip
    events = [
        replace(one, title=spelling)
        for one, spelling in zip(series("FREQ=WEEKLY;BYDAY=MO", 10), spellings, strict=True)
    ]
    found = only(detect(calendar(events)))
    assert (found.title, found.support) == ("Team sync", 10)


def test_titles_that_mean_something_else_stay_apart() -> None:
    """A "Team sync" on Mondays and a "Team lunch" on Thursdays are two habits."""
    lunches = series("FREQ=WEEKLY;BYDAY=TH", 10, first="2025-01-09T12:00", title="Team lunch")
    found = detect(calendar(series("FREQ=WEEKLY;BYDAY=MO", 10) + lunches))
    assert {one.title: one.rrule for one in found} == {
        "Team sync": "FREQ=WEEKLY;BYDAY=MO",
        "Team lunch": "FREQ=WEEKLY;BYDAY=TH",
    }


def test_what_recurs_is_the_wall_clock() -> None:
    """Over New York's clock changes a meeting at 10:00 stays at 10:00, now and in what is next."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 40, zone=NEW_YORK, first="2025-01-06T10:00")
    found = only(detect(calendar(events, NEW_YORK)))
    assert (found.support, found.start_spread_minutes, found.time_zone) == (40, 0, NEW_YORK)
    late = only(detect(calendar(events[:9], NEW_YORK)))  # the clocks change on 9 March
    assert [moment.isoformat() for moment in late.next] == [
        "2025-03-10T10:00:00-04:00",
        "2025-03-17T10:00:00-04:00",
        "2025-03-24T10:00:00-04:00",
    ]


def test_a_moment_that_the_clocks_leave_out_moves_on() -> None:
    """What happens at 2:30 is expected at 3:30 on the night when there is no 2:30."""
    events = series("FREQ=DAILY", 20, zone=NEW_YORK, first="2025-02-17T02:30")
    found = only(detect(calendar(events, NEW_YORK)))
    assert found.next[0] == datetime(2025, 3, 9, 3, 30, tzinfo=ZoneInfo(NEW_YORK))
    assert found.next[1] == datetime(2025, 3, 10, 2, 30, tzinfo=ZoneInfo(NEW_YORK))


@pytest.mark.parametrize("hour", [9, 10, 20])
def test_a_series_that_keeps_the_clock_of_another_zone_is_one(hour: int) -> None:
    """In Seoul a New York meeting jumps by an hour, over midnight too; it is one habit there."""
    events = series("FREQ=WEEKLY;BYDAY=TU", 52, zone=NEW_YORK, first=f"2025-01-07T{hour:02}:00")
    here = [
        replace(
            one,
            start=one.start.astimezone(ZoneInfo(SEOUL)),
            end=one.end.astimezone(ZoneInfo(SEOUL)),
        )
        for one in events
    ]
    found = only(detect(calendar(here)))
    assert (found.rrule, found.time_zone) == ("FREQ=WEEKLY;BYDAY=TU", NEW_YORK)
    assert (found.support, found.expected, found.start_spread_minutes) == (52, 52, 0)
    assert found.next[0] == events[-1].start + timedelta(days=7)


def test_starts_about_midnight_belong_to_one_day() -> None:
    """23:50 on Sunday and 0:10 on Monday are both of the series at Monday 0:00."""
    random = Random(3)
    events = series("FREQ=WEEKLY;BYDAY=MO", 20, first="2025-01-06T00:00", jitter=15, random=random)
    assert len({one.start.date().weekday() for one in events}) == 2
    found = only(detect(calendar(events)))
    assert (found.support, found.expected) == (20, 20)
    assert isinstance(found.dtstart, datetime)
    assert abs(found.dtstart - events[0].start) <= timedelta(minutes=30)
    assert found.rrule == f"FREQ=WEEKLY;BYDAY={'SU' if found.dtstart.weekday() == 6 else 'MO'}"


def test_events_across_midnight_recur_on_the_day_they_start() -> None:
    """A night shift from 22:00 to 6:00 is a habit of its first day."""
    shifts = [
        event("Night shift", one.start, 480)
        for one in series("FREQ=WEEKLY;BYDAY=FR", 10, first="2025-01-10T22:00")
    ]
    found = only(detect(calendar(shifts)))
    assert (found.rrule, found.duration_minutes) == ("FREQ=WEEKLY;BYDAY=FR", 480)


def test_zero_length_and_overlapping_events_are_events() -> None:
    """Reminders without a length and meetings at one time have habits of their own."""
    reminders = [event("Pay rent", one.start, 0) for one in series("FREQ=MONTHLY;BYMONTHDAY=1", 8)]
    overlapping = [
        event("Standup", one.start, 30) for one in series("FREQ=MONTHLY;BYMONTHDAY=1", 8)
    ]
    found = {one.title: one.duration_minutes for one in detect(calendar(reminders + overlapping))}
    assert found == {"Pay rent": 0, "Standup": 30}


def test_all_day_habits_are_told_in_dates() -> None:
    """A birthday has dates for its moments, the 29 February only those of leap years."""
    zone = ZoneInfo(SEOUL)
    events = [
        event("생일", datetime(year, 2, 29, tzinfo=zone), 1440, all_day=True)
        for year in range(2004, 2025, 4)
    ]
    found = only(detect(calendar(events)))
    assert found.rrule == "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"
    assert (found.dtstart, found.all_day) == (date(2004, 2, 29), True)
    assert found.next == (date(2028, 2, 29), date(2032, 2, 29), date(2036, 2, 29))
    assert found.to_dict()["next"][0] == "2028-02-29"


def test_an_event_that_is_there_twice_counts_once() -> None:
    """A calendar that was imported twice has the habits of one that was not."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 10)
    assert detect(calendar(events * 2)) == detect(calendar(events))


def test_as_of_is_the_present() -> None:
    """Later events teach nothing, and what is next is after it."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 20)
    now = events[9].start + timedelta(hours=1)
    assert detect(calendar(events, as_of=now)) == detect(calendar(events[:10], as_of=now))
    later = only(detect(calendar(events, as_of=events[-1].start + timedelta(days=30))))
    assert later.next[0] == events[-1].start + timedelta(days=35)
    assert later.confidence < only(detect(calendar(events))).confidence


def test_missed_occurrences_lower_the_confidence() -> None:
    """A habit kept nine times of ten is surer than one kept two times of three."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 30)
    nine = only(detect(calendar([one for at, one in enumerate(events) if at % 10 != 5])))
    two = only(detect(calendar([one for at, one in enumerate(events) if at % 3 != 1])))
    assert 0.99 > nine.confidence > two.confidence > 0.5
    assert 0.6 < two.confidence < 0.75


def test_the_most_frequent_category_is_told() -> None:
    """It is None where no event has one."""
    events = series("FREQ=WEEKLY;BYDAY=MO", 6)
    labelled = [replace(one, category="meeting" if at else "work") for at, one in enumerate(events)]
    assert only(detect(calendar(labelled))).category == "meeting"
    assert only(detect(calendar(events))).category is None


@pytest.mark.parametrize("titles", [1, 5, 12_000])
def test_the_longest_calendar_is_answered(titles: int) -> None:
    """50,000 events at random times are searched, and have hardly any habit."""
    random, zone = Random(5), ZoneInfo(SEOUL)
    names = ["".join(random.choices("abcdefghij", k=6)) for _ in range(titles)]
    first = datetime(2005, 1, 1, tzinfo=zone)
    minutes = np.random.default_rng(5).integers(0, 20 * 365 * 1440, MAX_EVENTS).tolist()
    events = [
        event(names[at % titles], first + timedelta(minutes=minute))
        for at, minute in enumerate(minutes)
    ]
    assert len(detect(calendar(events))) < MAX_EVENTS / 1000


def test_offsets_are_read_as_moments() -> None:
    """Events given in mixed offsets recur at one time of the calendar's zone."""
    starts = [moment.start for moment in series("FREQ=WEEKLY;BYDAY=MO", 9)]
    zones = (UTC, ZoneInfo(NEW_YORK), ZoneInfo(SEOUL))
    rows = [
        {"title": "회의", "start": start.astimezone(zones[at % 3]).isoformat()}
        for at, start in enumerate(starts)
    ]
    answer = answered({"time_zone": SEOUL, "events": rows})
    assert [(one["rrule"], one["dtstart"]) for one in answer] == [
        ("FREQ=WEEKLY;BYDAY=MO", "2025-01-06T10:00:00+09:00")
    ]


def test_the_tensors_are_those_of_the_contract() -> None:
    """A row per document, each a JSON list, in the order of the documents."""
    infer = load(Path(), _nobody)
    empty = json.dumps({"time_zone": SEOUL, "events": []}).encode()
    rows = [{"title": "회의", "start": one.start.isoformat()} for one in series("FREQ=DAILY", 20)]
    full = json.dumps({"time_zone": SEOUL, "events": rows}).encode()
    answers = infer([empty, full])["patterns"]
    assert answers.shape == (2, 1)
    assert [len(json.loads(row)) for row in answers[:, 0]] == [0, 1]
    assert json.loads(answers[1, 0])[0].keys() == {
        "title", "rrule", "dtstart", "time_zone", "all_day", "duration_minutes",
        "start_spread_minutes", "support", "expected", "exceptions", "extra", "confidence", "next",
        "last_seen", "category",
    }  # fmt: skip
    with pytest.raises(InvalidDocument, match="time_zone"):
        infer([b"{}"])


def test_the_end_of_the_calendar_ends_what_is_next() -> None:
    """Where years end, fewer than three occurrences are foretold."""
    events = series("FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=5", 9, first="9990-11-05T20:00")
    honolulu = [
        replace(one, start=one.start.replace(tzinfo=ZoneInfo("Pacific/Honolulu"))) for one in events
    ]
    found = only(detect(calendar(honolulu, "Pacific/Honolulu")))
    assert [moment.year for moment in found.next] == [9999]


def _nobody(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    raise AssertionError(name)


def answered(document: object) -> list[dict[str, object]]:
    rows = load(Path(), _nobody)([json.dumps(document).encode()])["patterns"]
    patterns: list[dict[str, object]] = json.loads(rows[0, 0])
    return patterns

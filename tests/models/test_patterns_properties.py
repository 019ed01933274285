"""What holds of every calendar's habits, whatever its events."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from geulpi_calendar._recurrence_rules import LAST, Rule
from geulpi_calendar.documents import CalendarDocument, CalendarEvent
from geulpi_calendar.patterns import Pattern, detect
from geulpi_models._made_calendars import CHANCE, KINDS, Blur, chance_calendar, made_calendar
from hypothesis import given, settings
from hypothesis import strategies as st

ZONES = st.sampled_from(["Asia/Seoul", "America/New_York", "Europe/London", "UTC"])
BLURS = st.builds(
    Blur,
    jitter_minutes=st.sampled_from([0, 5, 15, 40]),
    missed=st.sampled_from([0, 0.1, 0.3]),
    extra=st.sampled_from([0, 0.1, 0.3]),
    retitled=st.sampled_from([0, 0.5]),
)


@st.composite
def made(draw: st.DrawFn) -> CalendarDocument:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    random = Random(draw(st.integers(0, 10**6)))
    return made_calendar(kinds, draw(ZONES), draw(BLURS), random)[0]


@st.composite
def wild(draw: st.DrawFn) -> CalendarDocument:
    """Any events at all, of few titles, so that rules are found by accident too."""
    name = draw(ZONES)
    first = datetime(draw(st.integers(2, 9990)), 1, 1, tzinfo=ZoneInfo(name))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["", "a", "🎉", "회의", "회의 #3"]),
                st.integers(0, 60),
                st.sampled_from([0, 5, 540, 545, 1435]),
                st.sampled_from([0, 30, 3000]),
                st.booleans(),
            ),
            max_size=60,
        )
    )
    events = []
    for title, day, minute, length, all_day in rows:
        start = first + timedelta(days=day, minutes=0 if all_day else minute)
        end = start + timedelta(days=1) if all_day else start + timedelta(minutes=length)
        events.append(CalendarEvent(title, start, end, all_day=all_day))
    return CalendarDocument(ZoneInfo(name), name, tuple(events))


def local(moment: datetime | date) -> datetime:
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=None)
    return datetime.combine(moment, time())


def slots(pattern: Pattern, until: datetime) -> list[datetime]:
    return rrulestr(pattern.rrule, dtstart=local(pattern.dtstart)).between(
        local(pattern.dtstart), until, inc=True
    )


@given(st.one_of(made(), wild()))
@settings(max_examples=80, deadline=None)
def test_a_pattern_is_what_its_rule_says(calendar: CalendarDocument) -> None:
    """Its RRULE parses, begins at DTSTART, has the expected days, exceptions and next in it."""
    for one in detect(calendar):
        last = datetime.combine(local(one.last_seen).date(), time.max) + timedelta(days=1)
        days = [slot.date() for slot in slots(one, last)]
        # A start just before midnight may be of the day after, and the other way round.
        counts = [sum(day <= (last - timedelta(back)).date() for day in days) for back in (0, 1, 2)]
        assert days[0] == local(one.dtstart).date()
        assert one.expected in counts
        assert one.support + len(one.exceptions) == one.expected
        assert {local(moment).date() for moment in one.exceptions} <= set(days)
        assert one.support > one.expected / 2
        assert one.support >= 3
        assert 0 <= one.confidence < 1
        far = local(one.next[-1]) + timedelta(days=1) if one.next else last
        assert {local(moment).date() for moment in one.next} <= {s.date() for s in slots(one, far)}


@given(st.one_of(made(), wild()), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_events_does_not_matter(calendar: CalendarDocument, random: Random) -> None:
    """Shuffled events give the same patterns."""
    events = list(calendar.events)
    random.shuffle(events)
    assert detect(replace(calendar, events=tuple(events))) == detect(calendar)


@given(made(), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_calendar_moved_by_weeks_has_its_weekly_patterns_moved(
    calendar: CalendarDocument, weeks: int
) -> None:
    """Where no clock changes, weeks later the same rule has the same days weeks later."""
    zone, step = ZoneInfo("UTC"), timedelta(weeks=12 * weeks)
    here = replace(
        calendar,
        time_zone=zone,
        zone_name="UTC",
        events=tuple(
            replace(
                event, start=event.start.replace(tzinfo=zone), end=event.end.replace(tzinfo=zone)
            )
            for event in calendar.events
        ),
    )
    there = replace(
        here,
        events=tuple(
            replace(event, start=event.start + step, end=event.end + step) for event in here.events
        ),
    )

    def weekly(document: CalendarDocument, by: timedelta) -> set[tuple[str, datetime, int, int]]:
        return {
            (one.rrule, local(one.dtstart) + by, one.support, one.expected)
            for one in detect(document)
            if "WEEKLY" in one.rrule and one.support >= 12
        }

    assert weekly(here, step) == weekly(there, timedelta(0))


@given(
    st.builds(
        Rule,
        st.just("day"),
        st.integers(1, 6),
    )
    | st.builds(
        Rule,
        st.just("week"),
        st.integers(1, 8),
        st.sets(st.integers(0, 6), min_size=1, max_size=6).map(lambda days: tuple(sorted(days))),
    )
    | st.builds(
        Rule,
        st.just("month"),
        st.sampled_from([1, 2, 3, 4, 6, 12]),
        st.integers(0, 6).map(lambda day: (day,)),
        st.sampled_from([1, 2, 3, 4, LAST]),
    )
    | st.builds(
        Rule,
        st.just("month"),
        st.sampled_from([1, 2, 3, 4, 6, 12]),
        st.just(()),
        st.sampled_from([*range(1, 32), LAST]),
    ),
    st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    st.integers(0, 1000),
)
@settings(max_examples=300, deadline=None)
def test_a_rule_names_the_days_that_its_text_does(rule: Rule, near: date, later: int) -> None:
    """Its days, from its first and from any later one, are those of `dateutil` for its text."""
    anchor = next(rule.days(near.toordinal()), None)
    if anchor is None:
        return  # 30 February every year
    begin = datetime.fromordinal(anchor)
    text = rule.text(anchor)
    until = begin + timedelta(days=later + 1500)
    named = [
        slot.toordinal() for slot in rrulestr(text, dtstart=begin).between(begin, until, inc=True)
    ]
    mine = []
    for day in rule.days(anchor):
        if day > until.toordinal():
            break
        mine.append(day)
    assert mine == named
    following = [day for day in named if day >= anchor + later]
    if following:
        assert next(rule.days(anchor, anchor + later)) == following[0]


@pytest.mark.parametrize("how", CHANCE)
def test_chance_makes_less_than_one_pattern_per_200_events(how: str) -> None:
    """Of each kind of calendar without habits, long and short: half of what the bound allows."""
    random = Random(11)
    found = [
        len(detect(chance_calendar(how, 500, "Asia/Seoul", random, days)))
        for days in (100, 365, 1000)
        for _ in range(4)
    ]
    assert sum(found) < 500 * len(found) / 200


def test_made_series_are_found_again() -> None:
    """Of 130 series of all kinds with jitter and gaps at least nine of ten have their own rule."""
    random = Random(12)
    right = 0
    for _ in range(10):
        calendar, series = made_calendar(KINDS, "Europe/London", Blur(15, 0.1), random)
        days = {
            one.title: {
                slot.date()
                for slot in slots(one, datetime.combine(local(one.last_seen).date(), time.max))
            }
            for one in reversed(detect(calendar))
        }
        right += sum(len(days.get(one.title, set()) ^ one.days) <= 2 for one in series)
    assert right >= 117

"""Calendars made by chance, with habits that are known and without any.

They judge the pattern detector where no real series shows a kind of rule, and how often it sees a
habit where there is none. Rules are expanded by `dateutil`, which the detector does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import permutations
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from geulpi_calendar.documents import CalendarDocument, CalendarEvent

__all__ = [
    "CHANCE",
    "KINDS",
    "Blur",
    "MadeSeries",
    "chance_calendar",
    "made_calendar",
    "made_series",
]

TITLES: Final = (
    "Team sync", "Standup", "주간 회의", "1:1", "Gym", "요가", "Piano lesson", "영어 스터디",
    "Design review", "Lunch with Ana", "독서 모임", "Therapy", "Board meeting", "Retro", "축구",
    "Call mum", "분리수거", "월세", "Rent", "Payday", "Water the plants", "Sprint planning",
    "팀 점심", "Book club", "Choir", "Swimming", "병원", "Office hours", "Town hall", "Haircut",
)  # fmt: skip
_WORDS: Final = (
    "dentist", "flight", "party", "interview", "delivery", "exam", "concert", "repair", "서류",
    "면접", "여행", "결혼식", "visa", "budget", "parents", "museum", "picnic", "검진", "세미나",
)  # fmt: skip
_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WORKING: Final = _CODES[:5]


@dataclass(frozen=True)
class Blur:
    """What happens to a series: minutes of jitter, shares of occurrences missed and added."""

    jitter_minutes: float = 0.0
    missed: float = 0.0
    extra: float = 0.0
    retitled: float = 0.0


@dataclass(frozen=True)
class MadeSeries:
    """A series: its events, and the days on which its rule has it, from first to last event."""

    kind: str
    title: str
    events: tuple[CalendarEvent, ...]
    days: frozenset[date]


def _some_days(random: Random) -> str:
    return ",".join(sorted(random.sample(_CODES, random.choice((2, 3))), key=_CODES.index))


# For each kind the rule and the fewest and most occurrences that a series of it has.
_RULES: Final[dict[str, tuple[Callable[[Random], str], int, int]]] = {
    "daily": (lambda _: "DAILY", 15, 120),
    "workdays": (lambda _: "WEEKLY;BYDAY=MO,TU,WE,TH,FR", 12, 120),
    "every n days": (lambda random: f"DAILY;INTERVAL={random.choice((2, 3))}", 10, 60),
    "weekly": (lambda random: f"WEEKLY;BYDAY={random.choice(_CODES)}", 6, 60),
    "weekly set": (lambda random: f"WEEKLY;BYDAY={_some_days(random)}", 10, 90),
    "every 2 weeks": (lambda random: f"WEEKLY;INTERVAL=2;BYDAY={random.choice(_WORKING)}", 6, 40),
    "every 3 weeks": (lambda random: f"WEEKLY;INTERVAL=3;BYDAY={random.choice(_WORKING)}", 6, 25),
    "every 4 weeks": (lambda random: f"WEEKLY;INTERVAL=4;BYDAY={random.choice(_WORKING)}", 6, 25),
    "monthly by day": (
        lambda random: f"MONTHLY;BYMONTHDAY={random.choice((*range(1, 32), -1))}",
        6,
        24,
    ),
    "monthly nth": (
        lambda random: f"MONTHLY;BYDAY={random.randint(1, 4)}{random.choice(_WORKING)}",
        6,
        24,
    ),
    "monthly last": (lambda random: f"MONTHLY;BYDAY=-1{random.choice(_WORKING)}", 6, 24),
    "quarterly": (
        lambda random: f"MONTHLY;INTERVAL=3;BYDAY={random.randint(1, 4)}{random.choice(_WORKING)}",
        6,
        12,
    ),
    "yearly": (
        lambda random: f"YEARLY;BYMONTH={random.randint(1, 12)};BYMONTHDAY={random.randint(1, 28)}",
        4,
        7,
    ),
}
KINDS: Final = tuple(_RULES)
"""What a series may be; "yearly" ones last all day."""


def made_series(kind: str, title: str, zone: ZoneInfo, blur: Blur, random: Random) -> MadeSeries:
    """Return a series of a kind that begins in 2022 or soon after."""
    rule_of, fewest, most = _RULES[kind]
    all_day = kind == "yearly"
    first = datetime(2022, 1, 1) + timedelta(days=random.randrange(400))  # noqa: DTZ001
    at = time(0) if all_day else time(random.randint(6, 22), random.choice((0, 0, 15, 30, 45)))
    rule = rrulestr(f"FREQ={rule_of(random)}", dtstart=datetime.combine(first, at))
    count = random.randint(fewest, most)
    slots = [slot for slot, _ in zip(rule, range(count), strict=False)]
    kept = [slot for slot in slots if random.random() >= blur.missed]
    length = timedelta(days=1) if all_day else timedelta(minutes=random.choice((15, 30, 60, 90)))

    def event(start: datetime) -> CalendarEvent:
        moved = timedelta(minutes=round(random.uniform(-1, 1) * blur.jitter_minutes))
        begin = (start + (timedelta(0) if all_day else moved)).replace(tzinfo=zone)
        return CalendarEvent(
            _retitled(title, start.date(), random) if random.random() < blur.retitled else title,
            begin,
            begin + length,
            all_day=all_day,
        )

    span = (slots[-1] - slots[0]).days + 1
    extras = [
        datetime.combine(
            slots[0] + timedelta(days=random.randrange(span)), time(random.randint(8, 20))
        )
        for slot in slots
        if not all_day and random.random() < blur.extra
    ]
    days = {slot.date() for slot in slots if kept and kept[0] <= slot <= kept[-1]}
    return MadeSeries(kind, title, tuple(event(start) for start in kept + extras), frozenset(days))


def made_calendar(
    kinds: Sequence[str], zone_name: str, blur: Blur, random: Random
) -> tuple[CalendarDocument, list[MadeSeries]]:
    """Return a calendar with a series of each kind, each of another title, among single events."""
    zone = ZoneInfo(zone_name)
    titles = random.sample(TITLES, len(kinds))
    series = [
        made_series(kind, title, zone, blur, random)
        for kind, title in zip(kinds, titles, strict=True)
    ]
    singles = [_single(zone, random) for _ in range(sum(len(one.events) for one in series) // 3)]
    events = [event for one in series for event in one.events] + singles
    return CalendarDocument(zone, zone_name, tuple(sorted(events, key=_order))), series


def chance_calendar(
    how: str, events: int, zone_name: str, random: Random, days: int = 365
) -> CalendarDocument:
    """Return a calendar without habits; `how` is one of `CHANCE`."""
    zone = ZoneInfo(zone_name)
    chance = CHANCE[how]
    pool = [*TITLES, *(f"{one} {two}" for one, two in permutations(_WORDS, 2))][: chance.titles]
    # Some titles are common and most are rare, as in real calendars.
    weights = [1.0 if chance.equal else 1 / (rank + 1) for rank in range(len(pool))]
    first = date(2024, 1, 1)
    made = []
    for rank in random.choices(range(len(pool)), weights, k=events):
        day = first + timedelta(days=chance.day(days, rank, random))
        start = datetime.combine(day, chance.time(random), zone)
        made.append(CalendarEvent(pool[rank], start, start + timedelta(hours=1)))
    return CalendarDocument(zone, zone_name, tuple(sorted(made, key=_order)))


def _any_day(days: int, _: int, random: Random) -> int:
    return random.randrange(days)


def _workday(days: int, _: int, random: Random) -> int:
    week, day = divmod(random.randrange(days // 7 * 5), 5)
    return week * 7 + day


def _in_bursts(days: int, title: int, random: Random) -> int:
    """Draw a day of the three weeks in which a title is busy, three times in all."""
    return (37 * title + days // 3 * random.randrange(3) + random.randrange(21)) % days


def _any_time(random: Random) -> time:
    return time(random.randrange(24), random.choice((0, 15, 30, 45)))


def _same_hour(random: Random) -> time:
    return time(random.choice((9, 10, 14)))


def _working_hour(random: Random) -> time:
    return time(random.randint(9, 17), random.choice((0, 30)))


class Chance(NamedTuple):
    """How days (of so many, for a title's rank) and times are drawn, and from how many titles."""

    day: Callable[[int, int, Random], int]
    time: Callable[[Random], time]
    titles: int
    equal: bool = False


CHANCE: Final = {
    "any time": Chance(_any_day, _any_time, 50),
    "same hours": Chance(_any_day, _same_hour, 50),
    "working hours": Chance(_workday, _working_hour, 50),
    "few titles": Chance(_any_day, _any_time, 6),
    "few titles, working hours": Chance(_workday, _same_hour, 6),
    "many titles": Chance(_any_day, _same_hour, 120, equal=True),
    "bursts": Chance(_in_bursts, _same_hour, 30),
}


def _single(zone: ZoneInfo, random: Random) -> CalendarEvent:
    day = date(2022, 1, 1) + timedelta(days=random.randrange(700))
    start = datetime.combine(day, time(random.randint(7, 22)), zone)
    return CalendarEvent(" ".join(random.sample(_WORDS, 2)), start, start + timedelta(hours=1))


def _retitled(title: str, day: date, random: Random) -> str:
    return random.choice(
        (
            f"{title} #{random.randint(1, 99)}",
            f"{title} ({day.month}/{day.day})",
            f"{title} 🎉",
            title.upper(),
            f"{title} w/ Kim",
            f"{day.isoformat()} {title}",
            f"{day.month}월 {day.day}일 {title}",
            title.replace(" ", "-"),
        )
    )


def _order(event: CalendarEvent) -> tuple[float, str]:
    return event.start.timestamp(), event.title

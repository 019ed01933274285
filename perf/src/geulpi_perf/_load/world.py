"""People with calendars, and what they ask: made up from a seed, a few of them most of the time.

People and titles are drawn by Zipf's law: the one of rank n with a probability that goes as 1/n.
Now and then a calendar changes before its owner asks, and what the cache knows is out of date.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from types import MappingProxyType
from typing import Final, cast

from geulpi_client import AsyncGeulpiClient, Event, Task

from geulpi_perf._errors import UnusableOption
from geulpi_perf.calendar_models import CATEGORIES, MONDAY, TITLES

MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "classify": "event_classifier",
        "schedule": "schedule_optimizer",
        "patterns": "pattern_detector",
        "balance": "balance_analyzer",
        "burnout": "burnout_analyzer",
    }
)
# Titles are typed all day, a week is looked at now and then, and planned once.
MIX: Final[Mapping[str, float]] = MappingProxyType(
    {"classify": 70.0, "schedule": 2.0, "patterns": 8.0, "balance": 12.0, "burnout": 8.0}
)
WEEKS, HABITS = 25, 20  # a history of 500 events
RECENT = 100  # events that balance and burnout are asked about
WEEK: Final = timedelta(weeks=1)
BUSY: Final = timedelta(hours=1)  # of each event that a plan has to go round

Ask = Callable[[AsyncGeulpiClient], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Question:
    """What one user asks, and how to ask it."""

    kind: str
    ask: Ask


@dataclass(frozen=True)
class WorldSettings:
    """Who lives in a made-up world.

    Attributes:
        people: calendars; the first is asked about most.
        titles: different titles; the first is the most usual.
        changes: how often a calendar has changed when its owner asks about it, 0 to 1.
        exponent: of Zipf's law: 0 draws all alike, 1 is as words are in a text.
        tasks: to plan, in each plan.
        plan_s: seconds of search for a plan, at most.
        seed: of everything that is drawn.
    """

    people: int = 300
    titles: int = 20_000
    changes: float = 0.1
    exponent: float = 1.0
    tasks: int = 8
    plan_s: float = 1.0
    seed: int = 0


class World:
    """Draws questions, one after the other."""

    def __init__(self, mix: Mapping[str, float], settings: WorldSettings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)
        self._kinds = list(mix)
        self._shares = list(accumulate(mix.values()))
        self._title_shares = _zipf(settings.titles, settings.exponent)
        self._people_shares = _zipf(settings.people, settings.exponent)
        self._people = [self._person(number) for number in range(settings.people)]

    def next(self) -> Question:
        """Return what is asked next."""
        kind = self._kinds[self._drawn(self._shares)]
        if kind == "classify":
            event = _titled(self._drawn(self._title_shares))
            return Question(kind, lambda client: client.classify([event]))
        person = self._people[self._drawn(self._people_shares)]
        if self._random.random() < self._settings.changes:
            person.change(self._random)
        return Question(kind, person.question(kind, self._settings.plan_s))

    def pause_s(self, mean_s: float) -> float:
        """Return a time that passes at random: short ones often, long ones now and then."""
        return self._random.expovariate(1 / mean_s) if mean_s else 0.0

    def _drawn(self, shares: Sequence[float]) -> int:
        return bisect(shares, self._random.random() * shares[-1], hi=len(shares) - 1)

    def _person(self, number: int) -> _Person:
        draw = self._random
        history = []
        for place in range(HABITS):
            title = _title(self._drawn(self._title_shares))
            start = MONDAY + timedelta(days=draw.randrange(7), minutes=15 * draw.randrange(32, 84))
            length = timedelta(minutes=30 * draw.randint(1, 4))
            # Half of the people had their calendar classified before.
            category = CATEGORIES[place % len(CATEGORIES)] if number % 2 else None
            for week in range(WEEKS):
                begin = start + week * WEEK + timedelta(minutes=15 * draw.randint(-1, 1))
                history.append(Event(title, begin, begin + length, category=category))
        history.sort(key=_start_of)
        return _Person(f"user:{number}", history, self._tasks())

    def _tasks(self) -> list[Task]:
        draw = self._random
        last = MONDAY + WEEKS * WEEK
        return [
            Task(
                id=f"t{place}",
                duration=timedelta(minutes=15 * draw.randint(1, 6)),
                priority=draw.randint(1, 5),
                deadline=last + timedelta(days=draw.randint(2, 6), hours=18),
                category=CATEGORIES[place % len(CATEGORIES)],
            )
            for place in range(self._settings.tasks)
        ]


@dataclass(slots=True)
class _Person:
    tag: str
    history: list[Event]
    tasks: list[Task]

    def change(self, draw: random.Random) -> None:
        """Move one of the latest events by some quarters of an hour."""
        place = len(self.history) - draw.randint(1, HABITS)
        event, shift = self.history[place], timedelta(minutes=15 * draw.choice((-2, -1, 1, 2)))
        start = _start_of(event) + shift
        self.history[place] = Event(
            event.title, start, start + timedelta(hours=1), category=event.category
        )

    def question(self, kind: str, plan_s: float) -> Ask:
        """Return how to ask about this calendar as it is now."""
        tags = [self.tag]
        recent = self.history[-RECENT:]
        if kind == "balance":
            return lambda client: client.analyze_balance(recent, tags=tags)
        if kind == "burnout":
            return lambda client: client.predict_burnout(recent, tags=tags)
        if kind == "patterns":
            history = self.history.copy()
            return lambda client: client.detect_patterns(history, tags=tags)
        first = MONDAY + WEEKS * WEEK
        busy = [
            Event(event.title, _start_of(event) + WEEK, _start_of(event) + WEEK + BUSY)
            for event in self.history[-HABITS:]
        ]
        return lambda client: client.optimize_schedule(
            self.tasks, window=(first, first + WEEK), busy=busy, time_limit_s=plan_s, tags=tags
        )


def parsed_mix(text: str | None) -> dict[str, float]:
    """Read `classify=70,balance=30`; what is not named is not asked. None is the usual mix.

    Raises:
        UnusableOption: an unknown question, or a share that is no positive number.
    """
    if text is None:
        return dict(MIX)
    expected = f"shares as classify=70,balance=30, of {', '.join(MODELS)}"
    mix: dict[str, float] = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        try:
            mix[kind.strip()] = float(share)
        except ValueError as error:
            raise UnusableOption("--mix", text, expected) from error
    if not mix.keys() <= MODELS.keys() or not all(0 < share < 1e9 for share in mix.values()):
        raise UnusableOption("--mix", text, expected)
    return mix


def _zipf(count: int, exponent: float) -> list[float]:
    return list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))


def _title(rank: int) -> str:
    which, more = rank % len(TITLES), rank // len(TITLES)
    return f"{TITLES[which]} {more}" if more else TITLES[which]


def _titled(rank: int) -> Event:
    """Return an event of a title: the same title comes at the same time of the week."""
    start = MONDAY + timedelta(days=rank % 7, minutes=15 * (32 + rank % 52))
    return Event(_title(rank), start, start + timedelta(hours=1))


def _start_of(event: Event) -> datetime:
    return cast("datetime", event.start)  # all events here have one

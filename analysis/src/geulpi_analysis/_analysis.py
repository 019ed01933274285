"""A calendar's events through the models: what is asked, and the answers in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from geulpi_client import (
    Balance,
    BurnoutRisk,
    Event,
    GeulpiClient,
    Pattern,
    Person,
    Schedule,
    ServedModel,
    Task,
)

from geulpi_analysis._ics import Export
from geulpi_analysis._problem import Problem
from geulpi_analysis._span import Span
from geulpi_analysis._sums import CategoryTime, Stretch, by_category, by_hour_of_week, over_time
from geulpi_analysis._tasks import Plan
from geulpi_analysis._words import rule_in_words


@dataclass(frozen=True)
class Planned:
    """A proposed schedule, with the tasks and the events that it was made around."""

    tasks: tuple[Task, ...]
    window: tuple[datetime, datetime]
    taken: tuple[Event, ...]
    schedule: Schedule

    def title_of(self, task_id: str) -> str:
        """The title of a task, or its id where it has none."""
        return next((t.title for t in self.tasks if t.id == task_id and t.title), task_id)


@dataclass(frozen=True)
class Analysis:
    """A calendar, and what the models say about it.

    Attributes:
        calendar_name, time_zone: see `Export`.
        start, end: the period; its moments, as all others here, are in the time zone.
        as_of: what was taken for now.
        week: the Monday of the week that `balance` and `burnout` are about.
        events: those of the period, each with its category.
        categories: hours and shares.
        heat_map: hours a week by weekday (from Monday) and hour of the day.
        stretches: hours of each category by week or month.
        patterns, balance, burnout: see `WeekInsights`.
        planned: the proposed schedule, where there were tasks.
        problems: what was wrong in the files.
        models: what answered, with the versions, where the caller says so.
    """

    calendar_name: str
    time_zone: str
    start: datetime
    end: datetime
    as_of: datetime
    week: date
    events: tuple[Event, ...]
    categories: tuple[CategoryTime, ...]
    heat_map: tuple[tuple[float, ...], ...]
    stretches: tuple[Stretch, ...]
    patterns: tuple[Pattern, ...]
    balance: Balance
    burnout: BurnoutRisk
    planned: Planned | None
    problems: tuple[Problem, ...]
    models: tuple[ServedModel, ...] = ()

    @property
    def hours(self) -> float:
        """The hours of all events."""
        return sum(one.hours for one in self.categories)

    def local(self, moment: date) -> date:
        """A time in the calendar's time zone; a date stays as it is."""
        if not isinstance(moment, datetime):
            return moment
        return moment.astimezone(self.start.tzinfo)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it; times are ISO 8601, durations minutes."""
        return {
            "calendar": {
                "name": self.calendar_name,
                "time_zone": self.time_zone,
                "from": self.start.isoformat(),
                "to": self.end.isoformat(),
                "as_of": self.as_of.isoformat(),
                "events": len(self.events),
                "hours": round(self.hours, 2),
            },
            "categories": [asdict(one) for one in self.categories],
            "heat_map": [[round(hours, 4) for hours in day] for day in self.heat_map],
            "over_time": [
                {"first": one.first.isoformat(), "hours": list(one.hours)} for one in self.stretches
            ],
            "patterns": [_pattern_document(one) for one in self.patterns],
            "week": self.week.isoformat(),
            "balance": asdict(self.balance),
            "burnout": asdict(self.burnout),
            "schedule": None if self.planned is None else _plan_document(self.planned),
            "problems": [asdict(one) | {"text": str(one)} for one in self.problems],
            "models": [asdict(one) for one in self.models],
        }


def analyse(
    models: GeulpiClient,
    export: Export,
    span: Span,
    *,
    person: Person | None = None,
    plan: Plan | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Analysis:
    """Ask the models about a calendar.

    Args:
        models: the client to ask with.
        export, span: the calendar, and what of it is analysed.
        person: whose it is, as far as known.
        plan: tasks to find a place for.
        step: is told what is being done.

    Raises:
        TooManyEvents: the window of the plan holds more than the models take.
        GeulpiError: the server could not be asked, or refused.
    """
    reading, zone = span.reading, export.zone
    step("classifying events")
    events = classified(models, reading.events)
    step("looking for habits, balance and risk")
    insights = models.week_insights(
        events, week=span.week, person=person, as_of=span.as_of, time_zone=export.time_zone
    )
    planned = None
    if plan is not None:
        step("planning tasks")
        planned = _planned(models, export, events, plan)
    start, end = reading.start.astimezone(zone), reading.end.astimezone(zone)
    return Analysis(
        calendar_name=export.name,
        time_zone=export.time_zone,
        start=start,
        end=end,
        as_of=span.as_of,
        week=span.week,
        events=events,
        categories=by_category(events),
        heat_map=by_hour_of_week(events, max((end - start) / timedelta(days=7), 1.0)),
        stretches=over_time(events, start, end),
        patterns=insights.patterns,
        balance=insights.balance,
        burnout=insights.burnout,
        planned=planned,
        problems=reading.problems,
    )


def classified(models: GeulpiClient, events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the events with the category that the model gives each; alike ones are asked once."""
    kinds: dict[tuple[object, ...], Event] = {}
    for event in events:
        kinds.setdefault(_kind(event), event)
    if not kinds:
        return ()
    answers = models.classify(list(kinds.values()))
    categories = dict(zip(kinds, (answer.category for answer in answers), strict=True))
    return tuple(
        event if event.category else replace(event, category=categories[_kind(event)])
        for event in events
    )


def _kind(event: Event) -> tuple[object, ...]:
    """What the classifier sees of an event."""
    start = event.start
    hour = start.hour if isinstance(start, datetime) else None
    weekday = start.weekday() if start else None
    return event.normalized_title, weekday, hour, event.duration, event.all_day


def _planned(models: GeulpiClient, export: Export, events: Sequence[Event], plan: Plan) -> Planned:
    window = export.between(*plan.window)
    taken = tuple(one.event for one in window.occurrences if one.takes_time)
    schedule = models.optimize_schedule(
        plan.tasks,
        window=plan.window,
        busy=[*taken, *plan.busy],
        working_hours=plan.working_hours,
        breaks=plan.breaks,
        buffer=plan.buffer,
        history=events,
        step=plan.step,
        time_limit_s=plan.time_limit_s,
        seed=plan.seed,
        time_zone=plan.time_zone,
    )
    return Planned(plan.tasks, plan.window, taken, schedule)


def _pattern_document(pattern: Pattern) -> dict[str, Any]:
    return {
        "title": pattern.title,
        "rule": rule_in_words(pattern.rrule, pattern.dtstart),
        "rrule": pattern.rrule,
        "dtstart": pattern.dtstart.isoformat(),
        "time_zone": pattern.time_zone,
        "all_day": pattern.all_day,
        "duration_minutes": pattern.duration / timedelta(minutes=1),
        "start_spread_minutes": pattern.start_spread / timedelta(minutes=1),
        "support": pattern.support,
        "expected": pattern.expected,
        "exceptions": [moment.isoformat() for moment in pattern.exceptions],
        "extra": pattern.extra,
        "confidence": pattern.confidence,
        "next": [moment.isoformat() for moment in pattern.next],
        "last_seen": pattern.last_seen.isoformat(),
        "category": pattern.category,
    }


def _plan_document(planned: Planned) -> dict[str, Any]:
    schedule = planned.schedule
    return {
        "window": {
            "start": planned.window[0].isoformat(),
            "end": planned.window[1].isoformat(),
        },
        "status": schedule.status,
        "objective": schedule.objective,
        "bound": schedule.bound,
        "gap": schedule.gap,
        "placements": [
            {
                "task": one.task,
                "title": planned.title_of(one.task),
                "start": one.start.isoformat(),
                "end": one.end.isoformat(),
                "chunks": [
                    {"start": start.isoformat(), "end": end.isoformat()}
                    for start, end in one.chunks
                ],
            }
            for one in schedule.placements
        ],
        "not_placed": [
            asdict(one) | {"title": planned.title_of(one.task)} for one in schedule.not_placed
        ],
        "cached": schedule.cached,
    }

"""`schedule_optimizer`: tasks and what is in their way to a plan; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import partial
from typing import Final

from geulpi_client._answers import Answered, list_in, moment_of, number_in, text_in
from geulpi_client._checks import checked_duration, checked_whole, minutes_of
from geulpi_client._documents import Row, canonical_json, in_order
from geulpi_client._errors import InvalidSetting
from geulpi_client._event import Event, checked_events
from geulpi_client._problem import (
    busy_rows,
    limit_s,
    span_rows,
    step_minutes,
    task_rows,
    window_row,
    working_hours_row,
)
from geulpi_client._question import Question
from geulpi_client._task import Busy, Task
from geulpi_client._zones import zone_for

MODEL: Final = "schedule_optimizer"
OUTPUT: Final = "schedule"
STATUSES: Final = ("optimal", "feasible")
_MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Placement:
    """When a task is done; moments are in the time zone of the question.

    `chunks` are (start, end) of its parts, one unless the task was split.
    """

    task: str
    start: datetime
    end: datetime
    chunks: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class NotPlaced:
    """A task that found no place: the reason as a word, such as `deadline`, and as a sentence."""

    task: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Schedule:
    """A plan.

    Attributes:
        status: `optimal`, or `feasible` where the time limit ended the search before the proof.
        objective: the value of this plan, in the optimizer's own units.
        bound: the value that the best plan can't pass.
        gap: how far the objective may be from the best plan's, as a share; 0 is proven best.
        placements: the tasks that found a place.
        not_placed: those that did not, with the reason.
        cached: whether the answer came from the cache.
    """

    status: str
    objective: float
    bound: float
    gap: float
    placements: tuple[Placement, ...]
    not_placed: tuple[NotPlaced, ...]
    cached: bool


def schedule_question(  # noqa: PLR0913 -- a problem has that many parts, all by name
    tasks: Sequence[Task],
    *,
    window: tuple[datetime, datetime],
    busy: Sequence[Busy | Event],
    working_hours: Mapping[str, Sequence[tuple[time, time]]] | None,
    breaks: Sequence[tuple[time, time]],
    buffer: timedelta,
    history: Sequence[Event],
    step: timedelta,
    time_limit_s: float,
    seed: int,
    time_zone: str | None,
) -> Question[Schedule]:
    """Return the question where these tasks go.

    Raises:
        InvalidTask, InvalidEvent, InvalidSetting: before anything is sent.
    """
    span, search_s = window_row(window), limit_s(time_limit_s)
    zone = zone_for(time_zone, window)
    problem = {
        "time_zone": zone.name,
        "window": span,
        "tasks": task_rows(tasks),
        "busy": busy_rows(busy, zone.tzinfo),
        "working_hours": working_hours_row(working_hours),
        "breaks": span_rows("breaks", breaks),
        "buffer_minutes": minutes_of(checked_duration(InvalidSetting, "buffer", buffer)),
        "history": [
            json.loads(event.said[-1]) for event in in_order(checked_events(history), "history")
        ],
        "step_minutes": step_minutes(step),
        "time_limit_s": search_s,
        "seed": checked_whole(InvalidSetting, "seed", seed, 0, _MAX_SEED),
    }
    inputs = {"problem": [canonical_json(problem)]}
    return Question(MODEL, inputs, partial(read_schedule, zone.tzinfo), extra_s=search_s)


def read_schedule(zone: tzinfo, answered: Answered) -> Schedule:
    """Return the plan of an answer, its moments in a time zone.

    Raises:
        UnexpectedAnswer: it is not what this client knows.
    """
    with answered.document(OUTPUT) as plan:
        status = text_in(plan, "status")
        if status not in STATUSES:
            raise ValueError(f"status is '{status}', none of {', '.join(STATUSES)}")
        return Schedule(
            status=status,
            objective=number_in(plan, "objective"),
            bound=number_in(plan, "bound"),
            gap=number_in(plan, "gap"),
            placements=tuple(_placement(row, zone) for row in list_in(plan, "placements")),
            not_placed=tuple(
                NotPlaced(text_in(row, "task"), text_in(row, "reason"), text_in(row, "detail"))
                for row in list_in(plan, "not_placed")
            ),
            cached=answered.cached,
        )


def _placement(row: Row, zone: tzinfo) -> Placement:
    return Placement(
        text_in(row, "task"),
        *_span(row, zone),
        chunks=tuple(_span(chunk, zone) for chunk in list_in(row, "chunks")),
    )


def _span(row: Row, zone: tzinfo) -> tuple[datetime, datetime]:
    return moment_of(row["start"], zone), moment_of(row["end"], zone)

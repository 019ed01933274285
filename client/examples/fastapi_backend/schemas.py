"""The JSON that the backend reads; names and meanings are those of `geulpi_client`.

A request's parts are read straight into the client's own objects: `CalendarEvent` is an `Event`
to the code, and the fields of `EventBody` to JSON and to the documentation. What the client
refuses is so refused where its place in the request is still known. Answers need no schemas: they
are the client's dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from geulpi_client import Busy, Event, Person, Task, TimeRange
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

Category: TypeAlias = Literal[
    "errand", "exercise", "family", "health", "meeting",
    "personal", "social", "study", "travel", "work",
]  # fmt: skip
Employment: TypeAlias = Literal["full_time", "part_time", "unemployed", "not_in_labor_force"]
Weekday: TypeAlias = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]

_DATE_CHARACTERS: Final = len("2026-03-02")


class Body(BaseModel):
    """A part of a request; what it does not know is refused, since it may be a slip of the pen."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class ReadThrough:
    """Marks one of the client's types, `Annotated[Event, ReadThrough(EventBody)]`.

    JSON is checked by the body, and the object is made of the body's fields.
    """

    body: type[Body]

    def __get_pydantic_core_schema__(self, made: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return how to read it: first the body, then the object."""
        return core_schema.no_info_after_validator_function(
            lambda body: made(**dict(body)), handler.generate_schema(self.body)
        )


def read_moment(raw: object) -> datetime | date:
    """Read a date or a date-time; which of them an event wants is for the event to say.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(raw, str):
        # Pydantic takes a ValueError for a refusal, a TypeError for a bug.
        raise ValueError("expected '2026-03-02T10:00:00+09:00' or '2026-03-02'")  # noqa: TRY004
    return (date if len(raw) == _DATE_CHARACTERS else datetime).fromisoformat(raw)


Moment = Annotated[
    datetime | date,
    PlainValidator(read_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
            ]
        }
    ),
]


class EventBody(Body):
    """A calendar event."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "팀 주간 회의",
                    "start": "2026-03-02T10:00:00+09:00",
                    "end": "2026-03-02T11:00:00+09:00",
                },
                {
                    "title": "제주도 여행",
                    "start": "2026-03-06",
                    "end": "2026-03-09",
                    "all_day": True,
                },
            ]
        }
    )

    title: str
    """As its owner wrote it, Korean or English, at most 1000 characters."""
    start: Moment | None = None
    """With an offset, or the date of an all-day event."""
    end: Moment | None = None
    """Likewise; of an all-day event the day after the last one, as in iCalendar."""
    category: Category | None = None
    """Where it is known; otherwise the models classify the event."""
    all_day: bool = False
    """Whether it belongs to days instead of hours."""


CalendarEvent = Annotated[Event, ReadThrough(EventBody)]


class BusyBody(Body):
    """A time that is taken."""

    start: AwareDatetime
    """With an offset."""
    end: AwareDatetime
    """With an offset."""
    attendee: str | None = None
    """Whose time it is, by a name that tasks' `attendees` hold; unless given, the user's."""


class TimeRangeBody(Body):
    """Hours of a day, by the wall clock of the request's time zone."""

    start: time
    """In whole minutes, such as `09:00`."""
    end: time
    """Likewise; `00:00` is the end of the day."""
    days: list[Weekday] | None = None
    """The days that are meant; unless given, every day."""


Hours = Annotated[TimeRange, ReadThrough(TimeRangeBody)]


class TaskBody(Body):
    """Something that wants time."""

    id: str
    """What the answer and other tasks call it."""
    duration: timedelta
    """How long it takes, such as `PT1H30M`."""
    title: str = ""
    """As its owner wrote it; tells which past events are alike."""
    deadline: AwareDatetime | None = None
    """It must have ended by then."""
    earliest: AwareDatetime | None = None
    """It can't begin before."""
    priority: int = Field(default=3, ge=1, le=5)
    """1 to 5, 5 the most urgent."""
    category: Category | None = None
    """Where it is known."""
    preferred: list[Hours] = []
    """Hours that suit it."""
    forbidden: list[Hours] = []
    """Hours that it must not touch."""
    splittable: bool = False
    """Whether it may be done in parts, none shorter than `min_chunk`."""
    min_chunk: timedelta = timedelta(minutes=30)
    """The shortest part."""
    depends_on: list[str] = []
    """Ids of the tasks that must have ended before it begins."""
    attendees: list[str] = []
    """Who must be free too, by the names that busy times hold."""


class PersonBody(Body):
    """Whose calendar it is, as far as they say."""

    age: float | None = Field(default=None, ge=0, le=130)
    """In years."""
    employment: Employment | None = None
    """As labor statistics ask for it."""


class EventsRequest(Body):
    """Events, each asked about by itself."""

    events: list[CalendarEvent]
    """At least one."""


class CalendarRequest(Body):
    """A calendar."""

    events: list[CalendarEvent]
    """Each with a start, at most 50,000 of them."""
    time_zone: str | None = Field(default=None, examples=["Asia/Seoul"])
    """An IANA name, or an offset such as `+09:00`; unless given, that of the earliest event."""


class PatternsRequest(CalendarRequest):
    """A history of events."""

    as_of: AwareDatetime | None = None
    """Occurrences after it are foretold; unless given, those after the history's end."""


class WeekRequest(CalendarRequest):
    """A calendar, and which of its weeks is meant."""

    week: date | None = Field(default=None, examples=["2026-03-02"])
    """Its Monday; unless given, the last week that holds an event."""
    person: Annotated[Person, ReadThrough(PersonBody)] | None = None
    """A week is judged against people like this one."""


class InsightsRequest(PatternsRequest, WeekRequest):
    """What patterns, balance and burnout risk ask for, at once."""


class ScheduleRequest(Body):
    """What is to be planned, and around what."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tasks": [
                        {"id": "draft", "title": "보고서 초안", "duration": "PT2H", "priority": 5},
                        {"id": "review", "duration": "PT45M", "depends_on": ["draft"]},
                    ],
                    "window": ["2026-03-02T09:00:00+09:00", "2026-03-06T18:00:00+09:00"],
                    "events": [
                        {
                            "title": "팀 주간 회의",
                            "start": "2026-03-02T10:00:00+09:00",
                            "end": "2026-03-02T11:00:00+09:00",
                        }
                    ],
                    "breaks": [["12:00", "13:00"]],
                    "time_zone": "Asia/Seoul",
                }
            ]
        }
    )

    tasks: list[Annotated[Task, ReadThrough(TaskBody)]]
    """What is to be planned."""
    window: tuple[AwareDatetime, AwareDatetime]
    """The first and the last moment of the plan."""
    busy: list[Annotated[Busy, ReadThrough(BusyBody)]] = []
    """Times that are taken, the user's and other people's."""
    events: list[CalendarEvent] = []
    """The user's events in the window; they take their time too."""
    working_hours: dict[str, list[tuple[time, time]]] | None = Field(
        default=None, examples=[{"MO": [["09:00", "18:00"]], "SA": [["10:00", "13:00"]]}]
    )
    """By day, `MO` to `SU`; one that is missing is off. Unless given, 9:00 to 18:00, Mon to Fri."""
    breaks: list[tuple[time, time]] = []
    """Times of every day that stay free."""
    buffer: timedelta = timedelta()
    """What stays free between a task and anything else."""
    history: list[CalendarEvent] = []
    """Past events, from which the usual hours of such tasks are learned."""
    step: timedelta = timedelta(minutes=15)
    """The grid that starts lie on, 1 to 60 minutes."""
    time_limit_s: float = Field(default=2.0, ge=0.01, le=60)
    """The longest search, in seconds; at its end the best plan so far is taken."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """The same seed gives the same plan where the search could end."""
    time_zone: str | None = None
    """Of hours and answer; unless given, that of the window's start."""

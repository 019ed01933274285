"""The calendar's questions as typed methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from types import TracebackType
from typing import Self, TypeVar, Unpack

from geulpi_client._answers import Answered
from geulpi_client._async.model_client import AsyncModelClient
from geulpi_client._async.transports import AsyncServer
from geulpi_client._balance import Balance, balance_question
from geulpi_client._burnout import BurnoutRisk, burnout_question
from geulpi_client._classify import Classification, classify_question
from geulpi_client._constants import DEFAULT_URL
from geulpi_client._documents import About
from geulpi_client._errors import Target
from geulpi_client._event import Event
from geulpi_client._insights import WeekInsights, insights_question
from geulpi_client._patterns import Pattern, patterns_question
from geulpi_client._person import Person
from geulpi_client._question import Question
from geulpi_client._schedule import Schedule, schedule_question
from geulpi_client._settings import Options
from geulpi_client._statistics import Stats
from geulpi_client._task import Busy, Task

T = TypeVar("T")


class AsyncGeulpiClient:
    """Asks the calendar models of a Triton server; takes what `AsyncModelClient` takes.

    Safe to share between callers; one for a process is enough.

    Every question takes `timeout_s`, in place of the client's, and `tags`, names under which its
    cached rows can be dropped (such as `user:42`), and raises `InvalidInput` for what
    can't be asked (nothing was computed) and `CallFailed` where the server could not be reached,
    was too slow, or said no. A calendar holds at most 50,000 events, each with a start. `time_zone`
    is an IANA name or an offset as `+09:00`; unless given, it is that of the earliest event, by its
    name where its `tzinfo` is a `ZoneInfo`, else by its offset.
    """

    def __init__(
        self,
        url: str | AsyncServer | Sequence[str | AsyncServer] = DEFAULT_URL,
        **options: Unpack[Options],
    ) -> None:
        self._models = AsyncModelClient(url, **options)

    @property
    def models(self) -> AsyncModelClient:
        """The client of any model, over the same connections and cache."""
        return self._models

    async def classify(
        self,
        events: Sequence[Event],
        *,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> list[Classification]:
        """Say of each event which category it belongs to, in the order of the events.

        Raises:
            InvalidInput: there is no event, or something else among them.
            CallFailed: the server could not be reached, was too slow, or said no.
        """
        return await self._ask(classify_question(events), timeout_s, tags)

    async def optimize_schedule(  # noqa: PLR0913 -- a problem has that many parts, all by name
        self,
        tasks: Sequence[Task],
        *,
        window: tuple[datetime, datetime],
        busy: Sequence[Busy | Event] = (),
        working_hours: Mapping[str, Sequence[tuple[time, time]]] | None = None,
        breaks: Sequence[tuple[time, time]] = (),
        buffer: timedelta = timedelta(),
        history: Sequence[Event] = (),
        step: timedelta = timedelta(minutes=15),
        time_limit_s: float = 2.0,
        seed: int = 0,
        time_zone: str | None = None,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> Schedule:
        """Find a place for each task; one that finds none is told with the reason, no error.

        Args:
            tasks: what to plan.
            window: the first and the last moment of the plan, with a time zone.
            busy: times that are taken; an all-day event takes its whole days.
            working_hours: by day of the week (`MO` to `SU`), a day that is missing is off; an end
                of 0:00 is the end of the day. `None` is 9:00 to 18:00, Monday to Friday.
            breaks: times of every day that stay free.
            buffer: what stays free between a task and any other task or busy time.
            history: past events, from which the usual hours of such tasks are learned.
            step: the grid that starts lie on, 1 to 60 minutes.
            time_limit_s: 0.01 to 60 seconds of search; at its end the best plan so far is taken.
            seed: 0 to 2³¹ − 1; the same seed gives the same plan where the search could end.
            time_zone: of hours and answer; unless given, that of the window's start.
            timeout_s: unless given, the time limit and the client's time-out together.

        Raises:
            InvalidTask: also for dependencies that are unknown or go round.
            InvalidInput, CallFailed.
        """
        question = schedule_question(
            tasks,
            window=window,
            busy=busy,
            working_hours=working_hours,
            breaks=breaks,
            buffer=buffer,
            history=history,
            step=step,
            time_limit_s=time_limit_s,
            seed=seed,
            time_zone=time_zone,
        )
        return await self._ask(question, timeout_s, tags)

    async def detect_patterns(
        self,
        events: Sequence[Event],
        *,
        as_of: datetime | None = None,
        time_zone: str | None = None,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> list[Pattern]:
        """Find the habits in a history, the most confident first; none in no events, unasked.

        Args:
            events: the history.
            as_of: the next occurrences are those after it; unless given, after the history's end.
            time_zone, timeout_s, tags: see the class.

        Raises:
            InvalidInput, CallFailed.
        """
        question = patterns_question(events, About(as_of=as_of, time_zone=time_zone))
        return await self._ask(question, timeout_s, tags) if events else []

    async def analyze_balance(
        self,
        events: Sequence[Event],
        *,
        week: date | None = None,
        person: Person | None = None,
        time_zone: str | None = None,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> Balance:
        """Say how balanced a week is, against people like this one.

        Args:
            events: at least one; those of other weeks do no harm.
            week: its Monday; unless given, the last week that holds an event.
            person: who it is about, as far as known.
            time_zone, timeout_s, tags: see the class.

        Raises:
            InvalidInput, CallFailed.
        """
        about = About(week=week, person=person, time_zone=time_zone)
        return await self._ask(balance_question(events, about), timeout_s, tags)

    async def predict_burnout(
        self,
        events: Sequence[Event],
        *,
        week: date | None = None,
        person: Person | None = None,
        time_zone: str | None = None,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> BurnoutRisk:
        """Say how high the risk of a week is, and what drives it; takes what a balance takes.

        Raises:
            InvalidInput, CallFailed.
        """
        about = About(week=week, person=person, time_zone=time_zone)
        return await self._ask(burnout_question(events, about), timeout_s, tags)

    async def week_insights(
        self,
        events: Sequence[Event],
        *,
        week: date | None = None,
        person: Person | None = None,
        as_of: datetime | None = None,
        time_zone: str | None = None,
        timeout_s: float | None = None,
        tags: Collection[str] = (),
    ) -> WeekInsights:
        """Ask for patterns, balance and burnout risk at once; takes what these take.

        Raises:
            InvalidInput, CallFailed.
        """
        about = About(week=week, as_of=as_of, person=person, time_zone=time_zone)
        return await self._ask(insights_question(events, about), timeout_s, tags)

    def stats(self) -> Stats:
        """Return hit rates, latencies and errors since this client was made."""
        return self._models.stats()

    async def invalidate(self, model: str | None = None, *, tag: str | None = None) -> int:
        """Drop the cached answers of a model, with a tag, or all; return how many there were.

        Raises:
            InvalidSetting, CacheUnavailable.
        """
        return await self._models.invalidate(model, tag=tag)

    async def aclose(self) -> None:
        """Let calls under way end, then let go of the connections; later calls are refused."""
        await self._models.aclose()

    async def __aenter__(self) -> Self:
        """Return the client; nothing is connected before the first call."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.aclose()

    def __repr__(self) -> str:
        """Return the address; never the cache's, which may hold a password."""
        return f"{type(self).__name__}({self._models.url!r})"

    async def _ask(
        self, question: Question[T], timeout_s: float | None, tags: Collection[str]
    ) -> T:
        seconds = self._models.timeout_s + question.extra_s if timeout_s is None else timeout_s
        result = await self._models.infer_detailed(
            question.model, question.inputs, timeout_s=seconds, tags=tags
        )
        target = Target(self._models.url, question.model, result.version)
        return question.read(Answered(result, target))

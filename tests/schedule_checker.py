"""What a plan must keep, read from the documents alone: no code of the scheduler."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
OFFICE = {day: [["09:00", "18:00"]] for day in DAYS[:5]}
REASONS = {
    "no_free_slot", "deadline", "earliest", "forbidden", "attendees",
    "dependency", "displaced", "time_limit",
}  # fmt: skip

Document: TypeAlias = Mapping[str, Any]
Span: TypeAlias = tuple[int, int]
"""Start and end in minutes of the Unix epoch."""
Plan: TypeAlias = Mapping[str, Sequence[Span]]
"""The parts of the placed tasks, by their ids."""


def minute(text: str) -> int:
    """Return a moment, which must be a whole minute, in minutes of the Unix epoch."""
    whole, rest = divmod(datetime.fromisoformat(text).timestamp(), 60)
    assert rest == 0, f"{text} is no whole minute"
    return int(whole)


class Rules:
    """A problem document of whole minutes, and what it allows minute by minute."""

    def __init__(self, problem: Document) -> None:
        self.problem = problem
        self.zone = ZoneInfo(problem["time_zone"])
        self.window = (minute(problem["window"]["start"]), minute(problem["window"]["end"]))
        self.tasks = {task["id"]: task for task in problem["tasks"]}
        self.buffer = problem.get("buffer_minutes", 0)
        self.step = problem.get("step_minutes", 15)
        first = datetime.fromtimestamp(60 * self.window[0], self.zone)
        midnight = datetime(first.year, first.month, first.day, tzinfo=self.zone)
        self.origin = int(midnight.timestamp()) // 60
        self._clock = {at: self._wall_clock(at) for at in range(*self.window)}
        self._free = [at for at in range(*self.window) if self._is_free(at)]

    def allowed(self, task: Document, *, without: str | None = None) -> set[int]:
        """Return the minutes that a task may take, `without` one of its limits."""
        first, last = self.window
        if task.get("earliest") and without != "earliest":
            first = max(first, minute(task["earliest"]))
        if task.get("deadline") and without != "deadline":
            last = min(last, minute(task["deadline"]))
        forbidden = [] if without == "forbidden" else task.get("forbidden", [])
        attendees = [] if without == "attendees" else task.get("attendees", [])
        return {
            at
            for at in self._free
            if first <= at < last
            and not any(self._is_within(at, one) for one in forbidden)
            and not any(self._is_taken(at, attendee) for attendee in attendees)
        }

    def starts(self, task: Document, *, without: str | None = None) -> list[int]:
        """Return where a task that is not split may begin on the grid."""
        allowed = self.allowed(task, without=without)
        length = task["duration_minutes"]
        return [
            at for at in sorted(allowed)
            if (at - self.origin) % self.step == 0 and allowed.issuperset(range(at, at + length))
        ]  # fmt: skip

    def broken(self, plan: Plan) -> Iterator[str]:
        """Yield what a plan breaks."""
        for name, parts in plan.items():
            yield from self._broken_alone(self.tasks[name], parts)
            for other in self.tasks[name].get("depends_on", []):
                if other not in plan:
                    yield f"{name} is placed without {other}"
                elif parts[0][0] < plan[other][-1][1] + self.buffer:
                    yield f"{name} does not wait for {other}"
        for (one, parts), (other, others) in itertools.combinations(plan.items(), 2):
            for (start, end), (from_, until) in itertools.product(parts, others):
                if start < until + self.buffer and from_ < end + self.buffer:
                    yield f"{one} and {other} are nearer than the buffer"

    def _broken_alone(self, task: Document, parts: Sequence[Span]) -> Iterator[str]:
        name, shortest = task["id"], task.get("min_chunk_minutes", 30)
        allowed = self.allowed(task)
        if sum(end - start for start, end in parts) != task["duration_minutes"]:
            yield f"{name} does not last its duration"
        if len(parts) > 1 and not task.get("splittable", False):
            yield f"{name} is split"
        if len(parts) > 1 and any(end - start < shortest for start, end in parts):
            yield f"{name} has a part that is too short"
        if any(end > start for (_, end), (start, _) in itertools.pairwise(parts)):
            yield f"the parts of {name} overlap"
        for start, end in parts:
            if (start - self.origin) % self.step:
                yield f"{name} begins off the grid"
            if not allowed.issuperset(range(start, end)):
                yield f"{name} takes time that it may not"

    def _wall_clock(self, at: int) -> tuple[str, str]:
        local = datetime.fromtimestamp(60 * at, self.zone)
        return DAYS[local.weekday()], f"{local:%H:%M}"

    def _is_free(self, at: int) -> bool:
        day, clock = self._clock[at]
        working = (self.problem.get("working_hours") or OFFICE).get(day, [])
        return (
            any(first <= clock < last for first, last in working)
            and not any(first <= clock < last for first, last in self.problem.get("breaks", []))
            and not self._is_taken(at, None)
        )

    def _is_taken(self, at: int, attendee: str | None) -> bool:
        return any(
            start - self.buffer < at + 1 and at < end + self.buffer
            for start, end in (
                (minute(busy["start"]), minute(busy["end"]))
                for busy in self.problem.get("busy", [])
                if busy.get("attendee") == attendee
            )
            if start < end
        )

    def _is_within(self, at: int, hours: Document) -> bool:
        day, clock = self._clock[at]
        return day in (hours.get("days") or DAYS) and hours["start"] <= clock < hours["end"]


def plan_of(answer: Document) -> dict[str, list[Span]]:
    """Return the parts of each placed task."""
    return {
        placed["task"]: [(minute(part["start"]), minute(part["end"])) for part in placed["chunks"]]
        for placed in answer["placements"]
    }


def check(problem: Document, answer: Document) -> None:
    """Assert that an answer keeps all that a problem asks for, and says what it must."""
    rules = Rules(problem)
    plan = plan_of(answer)
    assert list(rules.broken(plan)) == []
    missing = {one["task"]: one["reason"] for one in answer["not_placed"]}
    named = [one["task"] for one in (*answer["placements"], *answer["not_placed"])]
    assert sorted(named) == sorted(rules.tasks), "each task is answered once"
    for placed in answer["placements"]:
        chunks = placed["chunks"]
        assert (placed["start"], placed["end"]) == (chunks[0]["start"], chunks[-1]["end"])
        _check_offsets(rules.zone, itertools.chain(*(chunk.values() for chunk in chunks)))
    assert answer["status"] in {"optimal", "feasible"}
    assert answer["bound"] >= answer["objective"] >= 0
    assert answer["gap"] >= 0
    assert answer["solve_s"] >= 0
    assert set(missing.values()) <= REASONS
    assert all(one["detail"].endswith(".") for one in answer["not_placed"])
    for name, reason in missing.items():
        _check_reason(rules, rules.tasks[name], reason, plan)


def _check_offsets(zone: ZoneInfo, moments: Iterable[str]) -> None:
    for text in moments:
        moment = datetime.fromisoformat(text)
        offset = datetime.fromtimestamp(moment.timestamp(), zone).utcoffset()
        assert moment.utcoffset() == offset


def _check_reason(rules: Rules, task: Document, reason: str, plan: Plan) -> None:
    """Assert that a reason is true, as far as the task may not be split."""
    if task.get("splittable", False):
        return
    alone = rules.starts(task)
    if reason in {"displaced", "dependency", "time_limit"}:
        assert alone, f"{task['id']}: {reason}, but it fits nowhere"
    else:
        assert not alone, f"{task['id']}: {reason}, but it fits at {alone}"
    if reason == "dependency":
        needed = task["depends_on"]
        after = max((plan[one][-1][1] + rules.buffer for one in needed if one in plan), default=0)
        assert not set(needed) <= plan.keys() or not any(at >= after for at in alone)
    elif reason in {"deadline", "earliest", "forbidden", "attendees"}:
        gone = task.get("deadline") and minute(task["deadline"]) <= rules.window[0]
        assert rules.starts(task, without=reason) or (reason == "deadline" and gone)

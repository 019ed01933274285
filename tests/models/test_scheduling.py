"""`schedule_optimizer`: plans are valid, best, the same each time, and say what is left out."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from geulpi_calendar import scheduling
from geulpi_calendar._schedule_answer import document
from geulpi_calendar._schedule_slots import TaskCalendar
from geulpi_calendar._schedule_values import PART_COST, Values, placed_worth
from geulpi_calendar.documents import CATEGORIES, InvalidDocument
from geulpi_calendar.scheduling import SlotPreferences, load, parse_problem, solve
from schedule_checker import DAYS, Plan, Rules, Span, check, plan_of

EVEN = SlotPreferences(np.full((10, 168), 1 / 168))
MONDAY = "2026-03-02"
Row = dict[str, Any]


def problem(*tasks: Row, **fields: Any) -> Row:
    """Return a problem of the Monday 2026-03-02 in Seoul, 9 to 18 o'clock."""
    window = {"start": f"{MONDAY}T00:00:00+09:00", "end": "2026-03-03T00:00:00+09:00"}
    return {"time_zone": "Asia/Seoul", "window": window, "tasks": list(tasks), **fields}


def task(name: str = "a", minutes: float = 60, **fields: Any) -> Row:
    return {"id": name, "duration_minutes": minutes, **fields}


def at(clock: str, day: str = MONDAY) -> str:
    return f"{day}T{clock}:00+09:00"


def busy(start: str, end: str, attendee: str | None = None) -> Row:
    return {"start": at(start), "end": at(end), "attendee": attendee}


def answer(row: Row, preferences: SlotPreferences = EVEN) -> Row:
    """Return the checked answer to a problem."""
    parsed = parse_problem(json.dumps(row))
    found: Row = json.loads(document(solve(parsed, preferences), parsed.zone))
    check(row, found)
    return found


def starts(found: Row) -> dict[str, str]:
    return {one["task"]: one["start"] for one in found["placements"]}


def reasons(found: Row) -> dict[str, str]:
    return {one["task"]: one["reason"] for one in found["not_placed"]}


# Any problem at all.


def made_problem(random: Random) -> Row:
    """Return a problem of one to three days with all that a task may have."""
    days = random.randint(1, 3)
    step = random.choice([10, 15, 20, 30, 60])

    def some(chance: float, value: Any) -> Any:
        return value if random.random() < chance else None

    def moment() -> str:
        day = f"2026-03-{2 + random.randrange(days):02}"
        return at(f"{random.randrange(24):02}:{random.choice([0, 7, 15, 30]):02}", day)

    def hours() -> list[Row]:
        first, last = sorted(random.sample(range(7, 22), 2))
        chosen = random.sample(DAYS, random.randint(1, 7))
        span = {"start": f"{first:02}:00", "end": f"{last:02}:30"}
        return [{"days": some(0.5, chosen), **span}]

    def one(place: int) -> Row:
        splittable = random.random() < 0.5
        return task(
            f"t{place}",
            random.choice([125, 240, 300] if splittable else [15, 20, 45, 60, 90, 125]),
            priority=random.randint(1, 5),
            category=some(0.5, random.choice(CATEGORIES)),
            deadline=some(0.2, moment()),
            earliest=some(0.2, moment()),
            preferred=some(0.4, hours()),
            forbidden=some(0.2, hours()) or [],
            splittable=splittable,
            min_chunk_minutes=random.choice([10, 20, 25, 30]),
            depends_on=[f"t{other}" for other in range(place) if random.random() < 0.15],
            attendees=some(0.3, random.sample(["ana", "bo"], random.randint(1, 2))) or [],
        )

    def short() -> list[str]:
        start = datetime.fromisoformat(moment())
        length = timedelta(minutes=random.choice([0, 25, 50, 60, 120, 300]))
        return [start.isoformat(), (start + length).isoformat()]

    taken = [short() for _ in range(random.randrange(8))]
    owners = [random.choice([None, None, "ana", "bo"]) for _ in taken]
    return problem(
        *(one(place) for place in range(random.randint(0, 7))),
        window={"start": at("00:00"), "end": at("00:00", f"2026-03-{2 + days:02}")},
        busy=[
            {"start": start, "end": end, "attendee": owner}
            for (start, end), owner in zip(taken, owners, strict=True)
        ],
        working_hours=some(0.4, {"MO": [["08:10", "12:00"], ["13:00", "22:00"]], "TU": []}),
        breaks=some(0.5, [["12:00", "13:00"], ["15:20", "15:30"]]) or [],
        buffer_minutes=random.choice([0, 0, 5, 15, 40]),
        step_minutes=step,
        time_limit_s=0.3,
        seed=random.randrange(100),
    )


def test_any_plan_keeps_all_rules() -> None:
    """Random problems: an independent checker finds nothing broken, and no reason that is false."""
    found = [answer(made_problem(Random(seed))) for seed in range(60)]
    placed = [one for row in found for one in row["placements"]]
    split = [one for one in placed if len(one["chunks"]) > 1]
    told = {reason for row in found for reason in reasons(row).values()}
    assert len(placed) > 100
    assert len(split) > 10
    assert told >= {"no_free_slot", "deadline", "earliest", "forbidden", "dependency"}


def test_a_hundredth_of_a_second_is_enough_for_a_valid_answer() -> None:
    """The time limit ends the search, never the answer."""
    for seed in range(20):
        answer({**made_problem(Random(seed)), "time_limit_s": 0.01})


def test_a_grid_that_is_too_fine_for_a_search_is_planned_all_the_same() -> None:
    """Forty tasks, a week of minutes: each is placed, and no optimum is claimed wrongly."""
    random = Random(0)
    rows = [task(f"t{i}", random.randint(20, 50), priority=1 + i % 5) for i in range(40)]
    week = {"start": at("00:00"), "end": at("00:00", "2026-03-09")}
    found = answer(problem(*rows, window=week, step_minutes=1, time_limit_s=0.5))
    assert len(found["placements"]) == len(rows)
    assert found["status"] == "feasible" or found["gap"] <= scheduling.TOLERANCE


def test_the_search_never_makes_the_first_plan_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands at once is kept where the time limit ends the search with less."""
    row = problem(task("a", 60), task("b", 120), time_limit_s=60)
    best = answer(row)

    full = scheduling.search

    def poor(*model: Any, **limits: Any) -> Any:
        outcome = full(*model, **limits)
        assert outcome is not None
        return dataclasses.replace(outcome, uses=((), ()), objective=0, proven=False)

    monkeypatch.setattr(scheduling, "search", poor)
    found = answer(row)
    assert starts(found) == starts(best)
    assert found["status"] == "feasible"


def test_the_same_problem_has_the_same_plan() -> None:
    """Twice the same document, twice the same placements, objective and bound."""
    for seed in range(8):
        row = {**made_problem(Random(seed)), "time_limit_s": 20}
        one, other = answer(row), answer(row)
        assert {**one, "solve_s": 0} == {**other, "solve_s": 0}


# The best plan, by trying all.


def tiny_problem(random: Random) -> Row:
    """Return two or three tasks and five or six cells of half an hour."""

    def one(place: int) -> Row:
        splittable = random.random() < 0.5
        minutes = random.choice([60, 90, 120]) if splittable else random.choice([20, 30, 60, 75])
        return task(
            f"t{place}",
            minutes,
            priority=random.randint(1, 5),
            splittable=splittable,
            min_chunk_minutes=30,
            deadline=at("11:30") if random.random() < 0.2 else None,
            preferred=[{"start": "10:00", "end": "11:30"}] if random.random() < 0.5 else [],
            depends_on=[f"t{other}" for other in range(place) if random.random() < 0.3],
        )

    return problem(
        *(one(place) for place in range(random.randint(2, 3))),
        working_hours={"MO": [["09:00", random.choice(["11:30", "12:00"])]]},
        busy=[busy("10:00", "10:30")] if random.random() < 0.3 else [],
        buffer_minutes=random.choice([0, 0, 30]),
        step_minutes=30,
        time_limit_s=20,
    )


def options(rules: Rules, row: Row) -> Iterator[list[Span]]:
    """Yield each place of a task, as its parts; none is a place, too."""
    yield []
    length, step = row["duration_minutes"], rules.step
    if not row["splittable"] or length < 2 * row["min_chunk_minutes"]:
        yield from ([(start, start + length)] for start in rules.starts(row))
        return
    allowed = rules.allowed(row)
    cells = [
        start
        for start in range(rules.origin, rules.window[1], step)
        if allowed.issuperset(range(start, start + step))
    ]
    for used in itertools.combinations(cells, length // step):
        starts = [cell for cell in used if cell - step not in used]
        ends = [cell + step for cell in used if cell + step not in used]
        # The buffer is kept between parts of a task, too.
        if all(start - end >= rules.buffer for end, start in zip(ends, starts[1:], strict=False)):
            yield list(zip(starts, ends, strict=True))


class Worth:
    """What plans are worth by `Values`, which knows nothing of how they are found."""

    def __init__(self, row: Row) -> None:
        parsed = parse_problem(json.dumps(row))
        self._tasks, self._step = {one.id: one for one in parsed.tasks}, 60 * row["step_minutes"]
        self._values = Values(parsed, TaskCalendar(parsed), EVEN)

    def of(self, plan: Plan) -> float:
        """Return the worth; of a split task each cell of the grid counts alike."""
        return sum(self._of_task(name, parts) for name, parts in plan.items() if parts)

    @functools.cache  # noqa: B019  # as long as a test
    def _of(self, name: str, start: int, seconds: int) -> int:
        return int(self._values.of(self._tasks[name], np.array([60 * start]), seconds)[0])

    def _of_task(self, name: str, parts: Sequence[Span]) -> float:
        one, step = self._tasks[name], self._step
        worth = float(placed_worth(one.priority, len(self._tasks)))
        if not one.splittable or one.seconds < 2 * one.min_chunk:
            return worth + self._of(name, parts[0][0], one.seconds)
        cells = [cell for start, end in parts for cell in range(start, end, step // 60)]
        return worth + np.mean([self._of(name, c, step) for c in cells]) - PART_COST * len(parts)


def best_of_all(row: Row) -> float:
    """Return what the best of all valid plans is worth."""
    rules, worth = Rules(row), Worth(row)
    places = [list(options(rules, one)) for one in row["tasks"]]
    best = 0.0
    for chosen in itertools.product(*places):
        plan = {one["id"]: parts for one, parts in zip(row["tasks"], chosen, strict=True) if parts}
        if worth.of(plan) > best and not any(rules.broken(plan)):
            best = worth.of(plan)
    return best


def test_no_plan_of_all_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no tolerance, the objective is that of the best among all combinations of starts."""
    monkeypatch.setattr(scheduling, "TOLERANCE", 0.0)
    placed = []
    for seed in range(30):
        row = tiny_problem(Random(seed))
        found = answer(row)
        assert found["status"] == "optimal"
        assert found["gap"] == pytest.approx(0, abs=1e-9)
        # Parts are worth whole points: up to 2 a task are lost in rounding where any is split.
        lost = 2 * len(row["tasks"]) if any(one["splittable"] for one in row["tasks"]) else 0
        best = best_of_all(row)
        assert found["objective"] == pytest.approx(best, abs=lost, rel=0), f"seed {seed}"
        assert Worth(row).of(plan_of(found)) == pytest.approx(best, abs=lost, rel=0)
        placed.append(len(found["placements"]) / len(row["tasks"]))
    assert min(placed) < 1 == max(placed)


def test_within_the_tolerance_the_plan_is_called_optimal() -> None:
    """`optimal` promises a gap of a hundredth of what the starts could reach, and keeps it."""
    for seed in range(30, 40):
        row = tiny_problem(Random(seed))
        found = answer(row)
        assert found["status"] == "optimal"
        best = best_of_all(row)
        assert found["objective"] - 1e-6 <= best <= found["bound"] + 2 * len(row["tasks"])
        assert found["gap"] <= scheduling.TOLERANCE + 1e-9


# Clock changes.


@pytest.mark.parametrize(
    ("day", "before", "after", "hours"),
    [("2026-03-08", "-05:00", "-04:00", 23), ("2026-11-01", "-04:00", "-05:00", 25)],
)
def test_durations_are_absolute_over_a_clock_change(
    day: str, before: str, after: str, hours: int
) -> None:
    """The night on which New York changes its clocks has an hour less, or more, to give."""
    following = day[:-1] + str(int(day[-1]) + 1)
    row = problem(
        task("across", 120, earliest=f"{day}T00:30:00{before}", priority=5),
        task("day", 60 * (hours - 6)),
        time_zone="America/New_York",
        window={"start": f"{day}T00:00:00{before}", "end": f"{following}T00:00:00{after}"},
        working_hours={"SU": [["00:00", "24:00"]]},
        step_minutes=30,
    )
    found = answer(row)
    plan = plan_of(found)
    assert plan["across"][0][1] - plan["across"][0][0] == 120
    assert starts(found)["across"] == f"{day}T00:30:00{before}"
    (across,) = (one for one in found["placements"] if one["task"] == "across")
    wall = "03:30:00" if hours == 23 else "01:30:00"
    assert across["end"] == f"{day}T{wall}{after}"
    window = Rules(row).window
    assert window[1] - window[0] == 60 * hours
    whole = answer({**row, "tasks": [task("all", 60 * hours)]})
    assert not whole["not_placed"]
    too_long = answer({**row, "tasks": [task("all", 60 * hours + 30)]})
    assert reasons(too_long) == {"all": "no_free_slot"}


def test_working_hours_follow_the_wall_clock_over_a_clock_change() -> None:
    """9 o'clock is 9 o'clock before and after the change."""
    row = problem(
        task("a", 540, deadline="2026-03-06T23:00:00-05:00"),
        task("b", 540),
        time_zone="America/New_York",
        window={"start": "2026-03-06T00:00:00-05:00", "end": "2026-03-10T00:00:00-04:00"},
    )
    expected = {"a": "2026-03-06T09:00:00-05:00", "b": "2026-03-09T09:00:00-04:00"}
    assert starts(answer(row)) == expected


# What is in the way.


def test_busy_times_may_overlap_take_no_time_and_lie_outside() -> None:
    """They are what calendars hold; only the time that they really take counts."""
    row = problem(
        task("a", 60),
        busy=[
            busy("09:00", "11:00"),
            busy("10:00", "12:00"),
            busy("10:30", "10:45"),
            busy("13:00", "18:00"),
            busy("12:30", "12:30"),
            {"start": "2026-02-01T00:00:00+09:00", "end": "2026-02-02T00:00:00+09:00"},
            {"start": "2026-03-02T20:00:00+09:00", "end": "2027-02-02T00:00:00+09:00"},
        ],
    )
    assert starts(answer(row)) == {"a": at("12:00")}


def test_another_zone_s_offset_is_the_same_moment() -> None:
    """Offsets may differ within a document; answers are in the zone of the document."""
    row = problem(
        task("a", 60, deadline="2026-03-02T02:00:00+00:00", earliest="2026-03-01T20:00:00-04:30"),
        window={"start": "2026-03-01T15:00:00Z", "end": "2026-03-02T10:00:00-05:00"},
        busy=[{"start": "2026-03-02T00:00:00+00:00", "end": "2026-03-02T05:45:00+05:00"}],
    )
    assert starts(answer(row)) == {"a": at("09:45")}


def test_a_buffer_keeps_its_distance() -> None:
    """Between tasks, and to busy times, but not to the ends of the working hours."""
    row = problem(
        task("a", 60),
        task("b", 60),
        buffer_minutes=15,
        busy=[busy("11:45", "18:00")],
        step_minutes=15,
    )
    assert sorted(starts(answer(row)).values()) == [at("09:00"), at("10:15")]
    row["buffer_minutes"] = 20
    assert len(answer(row)["placements"]) == 1


def test_a_split_task_fills_what_is_free() -> None:
    """Its parts are no shorter than the least length, and no more than it needs."""
    row = problem(
        task("a", 100, splittable=True, min_chunk_minutes=40),
        busy=[busy("09:50", "10:30"), busy("11:00", "13:00"), busy("13:50", "18:00")],
        step_minutes=10,
    )
    (placed,) = answer(row)["placements"]
    spans = [(part["start"], part["end"]) for part in placed["chunks"]]
    assert spans == [(at("09:00"), at("09:50")), (at("13:00"), at("13:50"))]
    row["tasks"][0]["min_chunk_minutes"] = 51
    assert reasons(answer(row)) == {"a": "no_free_slot"}


# Why a task found no place.


@pytest.mark.parametrize(
    ("fields", "others", "reason"),
    [
        ({"duration_minutes": 600}, {}, "no_free_slot"),
        ({}, {"working_hours": {"TU": [["09:00", "18:00"]]}}, "no_free_slot"),
        ({"deadline": at("09:30")}, {}, "deadline"),
        ({"deadline": "2020-01-01T00:00:00+09:00"}, {}, "deadline"),
        ({"deadline": at("00:00"), "duration_minutes": 600}, {}, "deadline"),
        ({"earliest": at("17:30")}, {}, "earliest"),
        ({"earliest": "2030-01-01T00:00:00+09:00"}, {}, "earliest"),
        ({"forbidden": [{"start": "00:00", "end": "24:00"}]}, {}, "forbidden"),
        ({"attendees": ["ana"]}, {"busy": [busy("00:00", "17:30", "ana")]}, "attendees"),
        ({"deadline": at("11:00"), "forbidden": [{"start": "09:00", "end": "11:00"}]}, {},
         "deadline"),
        ({"deadline": at("09:30"), "earliest": at("17:30")}, {}, "no_free_slot"),
    ],
)  # fmt: skip
def test_a_task_without_room_says_which_limit_it_is(fields: Row, others: Row, reason: str) -> None:
    """The limit without which there would be room; none of them where that is not enough."""
    found = answer(problem({**task("a", 60), **fields}, task("b", 15), **others))
    assert reasons(found)["a"] == reason
    assert found["status"] == "optimal"


def test_a_task_that_waits_for_one_without_a_place_has_none() -> None:
    """The reason is the dependency, and the sentence names it."""
    found = answer(problem(task("a", 600), task("b", 60, depends_on=["a"])))
    assert reasons(found) == {"a": "no_free_slot", "b": "dependency"}
    assert "a" in found["not_placed"][1]["detail"]


def test_a_task_that_waits_too_long_has_no_place() -> None:
    """What it waits for ends too late for it."""
    waited = task("a", 60, earliest=at("17:00"), priority=5)
    found = answer(problem(waited, task("b", 60, depends_on=["a"])))
    assert reasons(found) == {"b": "dependency"}


@pytest.mark.parametrize("priority", [1, 2, 4])
def test_the_more_urgent_task_displaces(priority: int) -> None:
    """Two tasks and room for one: the one of the higher priority is placed."""
    found = answer(
        problem(task("a", 300, priority=priority), task("b", 300, priority=priority + 1))
    )
    assert set(starts(found)) == {"b"}
    assert reasons(found) == {"a": "displaced"}


def test_when_time_ran_out_the_reason_is_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a proof nobody knows whether a better plan has room for it."""
    monkeypatch.setattr(scheduling, "search", lambda *_, **__: None)
    found = answer(problem(task("a", 300), task("b", 300)))
    assert found["status"] == "feasible"
    assert list(reasons(found).values()) == ["time_limit"]
    assert found["gap"] > 0


def test_an_empty_problem_has_an_empty_plan() -> None:
    """No task, nothing to do."""
    found = answer(problem())
    assert (found["status"], found["objective"], found["placements"]) == ("optimal", 0, [])


def test_any_unicode_id_can_be_answered() -> None:
    """Half a surrogate pair is valid in JSON, not in UTF-8: the answer is UTF-8 all the same."""
    row = problem(task("회의 🎉", 60), task("\ud83c", 600), task("z", 15, depends_on=["\ud83c"]))
    parsed = parse_problem(json.dumps(row))
    told = document(solve(parsed, EVEN), parsed.zone).encode()
    assert {one["task"] for one in json.loads(told)["not_placed"]} == {"\ud83c", "z"}


# What a start is worth.


def test_a_preferred_window_is_taken() -> None:
    """It outweighs being early, and must hold the whole task."""
    wish = [{"days": ["MO"], "start": "15:00", "end": "16:15"}]
    assert starts(answer(problem(task("a", 60, preferred=wish)))) == {"a": at("15:00")}
    assert starts(answer(problem(task("a", 90, preferred=wish)))) == {"a": at("09:00")}
    other_day = [{**wish[0], "days": ["TU"]}]
    assert starts(answer(problem(task("a", 60, preferred=other_day)))) == {"a": at("09:00")}


def history(title: str, category: str, clock: str) -> list[Row]:
    days = [f"2026-02-{day:02}" for day in (2, 9, 16, 23)]
    return [{"title": title, "category": category, "start": at(clock, day)} for day in days]


def test_the_user_s_history_moves_a_task_to_the_usual_hour() -> None:
    """Events of the same title, however it is written, or of the same category."""
    quiet = problem(task("a", 60, title="Gym", priority=1))
    assert starts(answer(quiet)) == {"a": at("09:00")}
    by_title = {**quiet, "history": history("  gYM ", "exercise", "16:00")}
    assert starts(answer(by_title)) == {"a": at("16:00")}
    other_title = {**quiet, "history": history("Chess", "social", "16:00")}
    assert starts(answer(other_title)) == {"a": at("09:00")}
    by_category = problem(task("a", 60, category="exercise", priority=1))
    rows = 5 * history("Run", "exercise", "14:00")
    assert starts(answer({**by_category, "history": rows})) == {"a": at("14:00")}


def test_all_day_events_are_no_habit_of_an_hour() -> None:
    """A holiday says nothing about midnight."""
    row = problem(task("a", 60, title="Holiday"), working_hours={"MO": [["00:00", "24:00"]]})
    row["tasks"][0]["earliest"] = at("00:00")
    days = [
        {"title": "Holiday", "start": f"2026-02-{day:02}", "all_day": True} for day in (2, 9, 16)
    ]
    plain, with_days = answer(row), answer({**row, "history": days})
    assert plain["objective"] == with_days["objective"]


def test_what_people_do_decides_where_the_user_s_history_is_silent() -> None:
    """The table of preferences moves a task of its category alone."""
    shares = np.full((10, 168), 1 / 168)
    shares[CATEGORIES.index("exercise"), 13] += 1
    table = SlotPreferences(shares / shares.sum(axis=1, keepdims=True))
    row = problem(task("a", 60, category="exercise", priority=1), task("b", 60, category="work"))
    assert starts(answer(row, table)) == {"a": at("13:00"), "b": at("09:00")}


def test_the_more_urgent_task_goes_first() -> None:
    """Being late costs an urgent task more."""
    found = answer(problem(task("a", 60, priority=1), task("b", 60, priority=5)))
    assert starts(found) == {"a": at("10:00"), "b": at("09:00")}


# As the server calls it.


def test_rows_are_answered_one_by_one(tmp_path: Path) -> None:
    """`load` reads the table next to the code; a row's answer does not depend on the others."""
    table = {category: [1 / 168] * 168 for category in CATEGORIES}
    (tmp_path / scheduling.PREFERENCES).write_text(json.dumps(table))
    infer = load(tmp_path, lambda *_: pytest.fail("it needs no other model"))
    rows = [json.dumps(problem(task("a"), task(str(i), 30))).encode() for i in range(3)]
    plans = infer(rows)["schedule"]
    assert plans.shape == (3, 1)
    for row, plan in zip(rows, plans[:, 0], strict=True):
        check(json.loads(row), json.loads(plan))
        (alone,) = infer([row])["schedule"][:, 0]
        assert plan_of(json.loads(alone)) == plan_of(json.loads(plan))


def test_one_bad_row_refuses_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any search."""
    table = {category: [1 / 168] * 168 for category in CATEGORIES}
    (tmp_path / scheduling.PREFERENCES).write_text(json.dumps(table))
    monkeypatch.setattr(scheduling, "solve", lambda *_: pytest.fail("searched"))
    with pytest.raises(InvalidDocument, match=r"tasks\[0\]\.priority is 9"):
        load(tmp_path, lambda *_: {})(
            [json.dumps(problem(task())).encode(), json.dumps(problem(task(priority=9))).encode()]
        )

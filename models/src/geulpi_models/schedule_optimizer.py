"""`schedule_optimizer`: its table of slot preferences, and how plans compare with known optima.

The optimizer is `geulpi_calendar.scheduling`; its tensors are described there. What is learned is
when events of each category usually begin.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from geulpi_calendar._schedule_core import Item, Model, Outcome, Part, search
from geulpi_calendar._schedule_values import HOURS, habits
from geulpi_calendar.documents import CATEGORIES
from geulpi_calendar.scheduling import NAME, PREFERENCES
from numpy.typing import NDArray

from geulpi_models import event_classifier
from geulpi_models._errors import InvalidRows

__all__ = [
    "JUDGED_SECONDS", "NAME", "Evaluation", "Guesses", "Judged",
    "evaluate", "judge_meetings", "judge_precedence", "judge_tardiness", "least_tardiness",
    "preference_table", "preferences", "to_json", "train", "training_rows",
]  # fmt: skip

_ONE_PERSON: Final = "nesa_calendar"  # the labelled events of the calendar that is kept back
# Events of all categories together, and even ones over all hours, that each category begins with.
_SHARED_EVENTS: Final = 20.0
_EVEN_EVENTS: Final = 60.0
_SMOOTH: Final = (0.25, 0.5, 0.25)  # 10:05 is as good as 9:55
JUDGED_SECONDS: Final = 10.0
"""For each instance with a known optimum."""
_JOBS: Final = 12  # of 40, so that dynamic programming finds the optimum
_JOB_CELL: Final = 10  # of their time units: jobs take 1 to 10 cells, as tasks do
_WEEKDAYS: Final = {day: place for place, day in enumerate(event_classifier.WEEKDAYS)}


@dataclass(frozen=True, slots=True)
class Judged:
    """Instances with a known optimum.

    Attributes:
        instances: so many were tried.
        solved: so many reached the optimum, or the proof that there is no solution.
        proven: so many of them with the proof that there is no better.
        mean_gap: how far the answers are from the optima, as a share of them.
    """

    instances: int
    solved: int
    proven: int
    mean_gap: float


@dataclass(frozen=True, slots=True)
class Guesses:
    """How well the hour of the week in which events begin is foretold.

    Attributes:
        events: so many were foretold.
        bits: the mean of −log₂ of the probability of their hour.
        bits_all: the same with one table for all categories.
        bits_even: the same where each of the 168 hours is as likely.
        reciprocal_rank: the mean of 1 / the rank of their hour.
        reciprocal_rank_all: the same with one table for all categories.
    """

    events: int
    bits: float
    bits_all: float
    bits_even: float
    reciprocal_rank: float
    reciprocal_rank_all: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well hours are foretold, and how plans compare with known optima.

    Attributes:
        people: labelled real events, by a table that was learned from written titles alone.
        one_person: the later half of one calendar, by a table learned without it and its earlier
            half as history.
        precedence: PSPLIB j30, every tenth instance here: 30 activities with precedence and four
            resources; the makespan.
        tardiness: OR-Library wt40, every tenth instance, its first 12 of 40 jobs, with times
            in tens: one machine; the weighted tardiness, against dynamic programming.
        meetings: CSPLib 046: meetings of people who travel between them; whether all fit.
    """

    people: Guesses
    one_person: Guesses
    precedence: Judged
    tardiness: Judged
    meetings: Judged


class Events(NamedTuple):
    """Places in `CATEGORIES` (−1 is unknown) and hours of the week, `[N]` each."""

    categories: NDArray[np.int64]
    hours: NDArray[np.int64]


def train(data: Path | None) -> dict[str, list[float]]:
    """Return the shares of 168 hours of the week, from Monday 0:00, by category.

    The same rows give the same numbers.

    Args:
        data: the folder of real data; None learns from the titles written for this project alone.
    """
    table = preference_table(_written(), _labelled(data) if data else _none())
    return {
        category: [round(share, 7) for share in row]
        for category, row in zip(CATEGORIES, table.tolist(), strict=True)
    }


def training_rows(data: Path | None) -> int:
    """Return how many events `train` learns from."""
    return len(_written().hours) + (len(_labelled(data).hours) if data else 0)


def preferences() -> bytes:
    """Return the file that is served: what `train` gave with the real data, as JSON."""
    return (resources.files("geulpi_models") / "data" / PREFERENCES).read_bytes()


def to_json(table: Mapping[str, Sequence[float]]) -> bytes:
    """Return a table as that file holds it."""
    return (json.dumps(table, indent=0, separators=(",", ":")) + "\n").encode()


def preference_table(*several: Events) -> NDArray[np.float64]:
    """Return how likely events of each category begin in each hour of the week, `[10, 168]`.

    A hierarchical Dirichlet prior: even over the hours, then the events of all categories, then the
    category's own. Weekdays and hours are counted apart, on weekends and other days, because there
    are few events for 168 hours.
    """
    counts = np.zeros((len(CATEGORIES), 7, 24))
    for events in several:
        np.add.at(counts, (events.categories, events.hours // 24, events.hours % 24), 1.0)
    shared = _SHARED_EVENTS * _shares(counts.sum(axis=0)) + _EVEN_EVENTS / HOURS
    table = np.array([own.sum() * _shares(own) + shared for own in counts])
    return np.asarray((table / table.sum(axis=(1, 2), keepdims=True)).reshape(-1, HOURS))


def evaluate(data: Path) -> Evaluation:
    """Judge the preferences by real events, and the search by instances with known optima.

    Args:
        data: the folder of real data.
    """
    others = preference_table(_written(), _labelled(data, but=_ONE_PERSON))
    return Evaluation(
        people=_guesses_of_people(preference_table(_written()), _labelled(data)),
        one_person=_guesses_of_one(others, data),
        precedence=judge_precedence(_lines(data / "sched_rcpsp_j30" / "j30.jsonl")[::10]),
        tardiness=judge_tardiness(
            _lines(data / "sched_weighted_tardiness" / "instances.jsonl")[::10]
        ),
        meetings=judge_meetings(
            json.loads((data / "sched_meetings_csplib046" / "instances.json").read_text())
        ),
    )


def judge_precedence(
    instances: Sequence[Mapping[str, Any]], seconds: float = JUDGED_SECONDS
) -> Judged:
    """Find the shortest makespan of projects (Kolisch & Sprecher 1997, "PSPLIB")."""
    answers = []
    for one in instances:
        jobs, best, capacities = one["jobs"], int(one["optimum"]), tuple(one["capacity"])
        earliest, begun = _earliest(jobs), _in_turn(jobs, capacities)
        horizon = max(start + job["d"] for start, job in zip(begun, jobs, strict=True))
        items = []
        for first, job in zip(earliest, jobs, strict=True):
            starts = range(first, horizon - job["d"] + 1)
            last = not job["succ"]  # only the end of the last job counts
            parts = [Part(s, 1, s + job["d"], horizon - s if last else 0) for s in starts]
            items.append(Item(parts, 1, placed=0, needs=tuple(job["req"])))
        hint = [(start - first,) for start, first in zip(begun, earliest, strict=True)]
        before = [(place, other) for place, job in enumerate(jobs) for other in job["succ"]]
        model = Model(items, before, capacities=capacities, hint=hint, required=True)
        found = search(model, seconds=seconds)
        makespan = None if found is None else horizon - found.objective
        answers.append(_Answer(found, makespan, best))
    return _judged(answers)


def judge_tardiness(
    instances: Sequence[Mapping[str, Any]], jobs: int = _JOBS, seconds: float = JUDGED_SECONDS
) -> Judged:
    """Order the first jobs of single-machine instances by weighted tardiness (OR-Library, wt40)."""
    answers = []
    for one in instances:
        p = [math.ceil(length / _JOB_CELL) for length in one["p"][:jobs]]
        w = one["w"][:jobs]
        # Due dates of 40 jobs are loose for few: brought nearer by the share of work that is left.
        d = [due * sum(p) // sum(one["p"]) for due in one["d"][:jobs]]
        horizon = sum(p)
        items = []
        for length, weight, due in zip(p, w, d, strict=True):
            starts = range(horizon - length + 1)
            late = [weight * max(0, start + length - due) for start in starts]
            parts = [Part(s, 1, s + length, -c) for s, c in zip(starts, late, strict=True)]
            items.append(Item(parts, 1, placed=0))
        found = search(Model(items, required=True), seconds=seconds)
        reached = None if found is None else -found.objective
        answers.append(_Answer(found, reached, least_tardiness(p, w, d)))
    return _judged(answers)


def judge_meetings(
    instances: Sequence[Mapping[str, Any]], seconds: float = JUDGED_SECONDS
) -> Judged:
    """Place meetings so that whoever attends two can travel between them, or prove that none can.

    The core's buffers do not depend on what follows: distances are added to its parts.
    """
    answers = []
    for one in instances:
        slots, count = range(one["domain"]), one["meetings"]
        parts = [Part(slot, 1, slot + 1, 0) for slot in slots]
        model = Model([Item(parts, 1, placed=1, needs=(0,)) for _ in range(count)])
        pairs = {
            tuple(sorted(pair))
            for meetings in one["agent_meetings"]
            for pair in itertools.combinations(meetings, 2)
        }
        for first, second in sorted(pairs):
            near = one["distance"][first][second]
            for at, other in itertools.product(slots, slots):
                if abs(at - other) - 1 < near:
                    model.at_most_one([model.parts[first][at], model.parts[second][other]])
        found = search(model, seconds=seconds)
        if one["satisfiable"]:
            answers.append(_Answer(found, None if found is None else count - found.objective, 0))
        else:  # how many must be left out is not known, only that some must
            proven = found is not None and found.bound < count
            answers.append(_Answer(found, 0 if proven else 1, 0))
    return _judged(answers)


def least_tardiness(p: Sequence[int], w: Sequence[int], d: Sequence[int]) -> int:
    """Return the least weighted tardiness of jobs on one machine.

    By dynamic programming over the sets of jobs that go first (Held & Karp 1962).

    Args:
        p, w, d: how long each takes, its weight, when it is due.
    """
    best, lengths = [0], [0]
    for done in range(1, 1 << len(p)):
        lowest = done & -done
        lengths.append(lengths[done ^ lowest] + p[lowest.bit_length() - 1])
        best.append(
            min(
                best[done ^ (1 << job)] + w[job] * max(0, lengths[done] - d[job])
                for job in range(len(p))
                if done >> job & 1
            )
        )
    return best[-1]


class _Answer(NamedTuple):
    """What was found, the cost that it reaches, and the least possible."""

    found: Outcome | None
    reached: float | None
    best: int


def _judged(answers: Sequence[_Answer]) -> Judged:
    gaps = [
        1.0 if one.reached is None else (one.reached - one.best) / max(one.best, 1)
        for one in answers
    ]
    return Judged(
        instances=len(answers),
        solved=sum(gap == 0 for gap in gaps),
        proven=sum(
            gap == 0 and one.found is not None and one.found.proven
            for gap, one in zip(gaps, answers, strict=True)
        ),
        mean_gap=fmean(gaps),
    )


def _earliest(jobs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return when each job can begin at the earliest, by what must come before it."""
    earliest = [0] * len(jobs)
    for place, job in enumerate(jobs):  # successors come later in the list
        for other in job["succ"]:
            earliest[other] = max(earliest[other], earliest[place] + job["d"])
    return earliest


def _in_turn(jobs: Sequence[Mapping[str, Any]], capacities: Sequence[int]) -> list[int]:
    """Return starts that are valid: each job in turn, as early as what came before it lets it."""
    earliest, begun = [0] * len(jobs), []
    used: dict[tuple[int, int], int] = defaultdict(int)
    for place, job in enumerate(jobs):
        start = earliest[place]
        while any(
            used[resource, at] + need > capacities[resource]
            for resource, need in enumerate(job["req"])
            for at in range(start, start + job["d"])
        ):
            start += 1
        for resource, need in enumerate(job["req"]):
            for at in range(start, start + job["d"]):
                used[resource, at] += need
        for other in job["succ"]:
            earliest[other] = max(earliest[other], start + job["d"])
        begun.append(start)
    return begun


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shares of a week as a product of days and hours, weekends apart, `[7, 24]`."""
    days = counts.sum(axis=1) + 0.5
    everywhere = counts.sum(axis=0) + 1 / 24
    shares = np.empty((7, 24))
    for part in (slice(0, 5), slice(5, 7)):
        hours = counts[part].sum(axis=0) + 10 * everywhere / everywhere.sum()
        hours = np.convolve(hours, _SMOOTH, mode="same")
        shares[part] = hours / hours.sum()
    return np.asarray(shares * (days / days.sum())[:, np.newaxis])


def _guesses_of_people(table: NDArray[np.float64], events: Events) -> Guesses:
    together = np.broadcast_to(table.mean(axis=0), (len(events.hours), HOURS))
    return _guesses(table[events.categories], together, events.hours)


def _guesses_of_one(table: NDArray[np.float64], data: Path) -> Guesses:
    rows = _read(data / "nesa_user_calendar" / "calendar.csv", ["title", "start"])
    titles = _read(data / "event_titles" / "titles_labelled.csv", ["title", "label"])
    rows = rows.sort_values("start", kind="stable")  # all of one zone
    label_of = dict(zip(titles["title"], titles["label"], strict=True))
    places = rows["title"].map(label_of).map({c: i for i, c in enumerate(CATEGORIES)})
    categories = places.fillna(-1).to_numpy(dtype=np.int64)
    starts = pd.to_datetime(rows["start"].str[:19])
    hours = np.asarray(starts.dt.weekday * 24 + starts.dt.hour, dtype=np.int64)
    names = rows["title"].str.casefold().to_numpy()
    half, everyone = len(rows) // 2, table.mean(axis=0)

    def counted(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(hours[:half][which], minlength=HOURS).astype(np.float64)

    foretold = [
        habits(
            everyone if category < 0 else table[category],
            counted((categories[:half] == category) & (category >= 0)),
            counted(names[:half] == name),
        )
        for category, name in zip(categories[half:], names[half:], strict=True)
    ]
    together = np.broadcast_to(everyone, (len(foretold), HOURS))
    return _guesses(np.array(foretold), together, hours[half:])


def _guesses(
    own: NDArray[np.float64], together: NDArray[np.float64], hours: NDArray[np.int64]
) -> Guesses:
    bits, ranks = zip(*(_bits_and_rank(shares, hours) for shares in (own, together)), strict=True)
    return Guesses(len(hours), bits[0], bits[1], float(np.log2(HOURS)), ranks[0], ranks[1])


def _bits_and_rank(shares: NDArray[np.float64], hours: NDArray[np.int64]) -> tuple[float, float]:
    hit = shares[np.arange(len(hours)), hours]
    ranks = (shares >= hit[:, np.newaxis]).sum(axis=1)
    return float(-np.log2(hit).mean()), float((1 / ranks).mean())


def _written() -> Events:
    """Return the titles written for this project that have a day and an hour."""
    events, categories = event_classifier.training_rows()
    timed = (events["weekday"] >= 0) & (events["hour"] >= 0)
    hours = (events["weekday"] * 24 + events["hour"])[timed].to_numpy(dtype=np.int64)
    return Events(_places(categories[timed]), hours)


def _labelled(data: Path, *, but: str = "") -> Events:
    """Return the labelled real events that have a day and an hour, without those of a source."""
    columns = ["label", "start", "dow", "source"]
    rows = _read(data / "event_titles" / "titles_labelled.csv", columns)
    rows = rows[rows["start"].str.contains(":") & (rows["dow"] != "") & (rows["source"] != but)]
    days = rows["dow"].str[:3].map(_WEEKDAYS)
    hours = days * 24 + rows["start"].str.partition(":")[0].astype("int64")
    return Events(_places(rows["label"]), np.asarray(hours, dtype=np.int64))


def _none() -> Events:
    nothing = np.empty(0, dtype=np.int64)
    return Events(nothing, nothing)


def _places(categories: pd.Series[str]) -> NDArray[np.int64]:
    places = categories.map({category: place for place, category in enumerate(CATEGORIES)})
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InvalidRows(path, str(error)) from error
    if missing := [column for column in columns if column not in rows]:
        raise InvalidRows(path, f"the columns {missing} are missing")
    return rows


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

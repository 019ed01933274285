"""`schedule_optimizer`: its table of slot preferences, and how plans compare with known optima.

Tensors (KServe v2), one row per problem:
    problem   BYTES [N, 1]  a JSON document, see `geulpi_calendar._schedule_problem`
    → schedule  BYTES [N, 1]  a JSON document, see `geulpi_calendar.scheduling`
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from geulpi_calendar._schedule_core import Item, Model, Outcome, search
from geulpi_calendar._schedule_values import HOURS
from geulpi_calendar.documents import CATEGORIES
from numpy.typing import NDArray

from geulpi_models import event_classifier

__all__ = ["NAME", "Evaluation", "Judged", "evaluate", "preference_table", "train", "training_rows"]

NAME = "schedule_optimizer"
# Of a category's table: so many events are spread over all hours like those of every category,
# and so many evenly.
SHARED_EVENTS: Final = 20.0
EVEN_EVENTS: Final = 5.0
JUDGED_SECONDS: Final = 10.0  # for each instance


@dataclass(frozen=True)
class Judged:
    """Instances with a known optimum.

    Attributes:
        instances: so many were tried.
        solved: so many were brought to the known optimum (or proven to have no solution).
        proven: so many of them with a proof.
        mean_gap: how far the answers are above the optima, as a share, on average.
    """

    instances: int
    solved: int
    proven: int
    mean_gap: float


@dataclass(frozen=True)
class Evaluation:
    """How well hours are guessed, and how plans compare with known optima.

    Attributes:
        events: real events whose hour of the week was guessed; none was trained on.
        bits: the mean of −log₂ of the share that the table gives their hour of the week.
        bits_all: the same with one table for all categories.
        bits_even: the same where each of the 168 hours is as likely.
        precedence: PSPLIB j30: 30 activities, precedence, four resources; the makespan.
        tardiness: OR-Library: one machine, the first 12 of 40 jobs, weighted tardiness; the optimum
            is found by dynamic programming.
        meetings: CSPLib 046: meetings of people who travel between them.
    """

    events: int
    bits: float
    bits_all: float
    bits_even: float
    precedence: Judged
    tardiness: Judged
    meetings: Judged


def train() -> bytes:
    """Return the table of slot preferences, JSON: 168 shares by category.

    It is learned from the titles written for this project that have a time; the same rows give the
    same bytes.
    """
    table = preference_table(*_timed_rows())
    rows = {c: [round(float(v), 6) for v in row] for c, row in zip(CATEGORIES, table, strict=True)}
    return json.dumps(rows).encode()


def training_rows() -> int:
    """Return how many titles with a time the table is learned from."""
    return len(_timed_rows()[0])


def preference_table(events: pd.DataFrame, categories: pd.Series[str]) -> NDArray[np.float64]:
    """Return how often events of each category begin in each hour of the week, `[10, 168]`.

    Weekday and hour are counted apart, because there are few rows for 168 hours: weekends have
    hours of their own. A Dirichlet prior draws rare categories towards the others.

    Args:
        events: with `weekday` (0 is Monday) and `hour`.
        categories: of the events.
    """
    counts = np.zeros((len(CATEGORIES), 7, 24))
    places = categories.map({c: i for i, c in enumerate(CATEGORIES)}).to_numpy()
    np.add.at(counts, (places, events["weekday"].to_numpy(), events["hour"].to_numpy()), 1.0)
    shared = _apart(counts.sum(axis=0))
    even = np.full((7, 24), 1 / HOURS)
    total = counts.sum(axis=(1, 2))
    tables = []
    for own, events_of_it in zip(counts, total, strict=True):
        mixed = events_of_it * _apart(own) + SHARED_EVENTS * shared + EVEN_EVENTS * even
        tables.append((mixed / mixed.sum()).ravel())
    return np.array(tables)


def evaluate(data: Path) -> Evaluation:
    """Judge the preferences by real events, and the search by instances with known optima.

    Args:
        data: the folder of real data.
    """
    table = preference_table(*_timed_rows())
    places, hours = _real_events(data / "event_titles" / "titles_labelled.csv")
    return Evaluation(
        events=len(hours),
        bits=float(-np.log2(table[places, hours]).mean()),
        bits_all=float(-np.log2(table.mean(axis=0)[hours]).mean()),
        bits_even=float(np.log2(HOURS)),
        precedence=judge_precedence(_lines(data / "sched_rcpsp_j30" / "j30.jsonl")[::10]),
        tardiness=judge_tardiness(
            _lines(data / "sched_weighted_tardiness" / "instances.jsonl")[::10]
        ),
        meetings=judge_meetings(
            json.loads((data / "sched_meetings_csplib046" / "instances.json").read_text())
        ),
    )


def judge_precedence(instances: Sequence[Mapping[str, Any]]) -> Judged:
    """Find the shortest makespan of projects (Kolisch & Sprecher 1996, PSPLIB)."""
    answers = []
    for one in instances:
        jobs, best = one["jobs"], int(one["optimum"])
        horizon = min(sum(job["d"] for job in jobs), 2 * best)
        earliest = _earliest(jobs)
        items = [
            Item(
                starts=range(earliest[i], horizon - job["d"] + 1),
                # Only the end of the last job counts.
                values=[
                    (horizon - start if not job["succ"] else 0)
                    for start in range(earliest[i], horizon - job["d"] + 1)
                ],
                length=job["d"],
                placed=0,
                needs=tuple(job["req"]),
            )
            for i, job in enumerate(jobs)
        ]
        before = [(i, j) for i, job in enumerate(jobs) for j in job["succ"]]
        model = Model(items, before, capacities=tuple(one["capacity"]))
        for placed in model.placed:
            model.model.add(placed == 1)
        found = search(model, seconds=JUDGED_SECONDS, seed=0)
        answers.append((found, None if found is None else horizon - found.objective, best))
    return _judged(answers)


def judge_tardiness(instances: Sequence[Mapping[str, Any]], jobs: int = 12) -> Judged:
    """Order the first jobs of single-machine instances by weighted tardiness."""
    answers = []
    for one in instances:
        p, w = one["p"][:jobs], one["w"][:jobs]
        # Due dates of 40 jobs are loose for 12: brought nearer by the share of work that is left.
        d = [due * sum(p) // sum(one["p"]) for due in one["d"][:jobs]]
        horizon = sum(p)
        most = max(w) * horizon
        items = [
            Item(
                starts=range(horizon - p[i] + 1),
                values=[most - w[i] * max(0, s + p[i] - d[i]) for s in range(horizon - p[i] + 1)],
                length=p[i],
                placed=0,
            )
            for i in range(jobs)
        ]
        model = Model(items)
        for placed in model.placed:
            model.model.add(placed == 1)
        found = search(model, seconds=JUDGED_SECONDS, seed=0)
        reached = None if found is None else jobs * most - found.objective
        answers.append((found, reached, least_tardiness(p, w, d)))
    return _judged(answers)


def least_tardiness(p: Sequence[int], w: Sequence[int], d: Sequence[int]) -> int:
    """Return the least weighted tardiness, by dynamic programming over sets (Held & Karp 1962)."""
    best = [0]
    lengths = [0]
    for jobs in range(1, 1 << len(p)):
        last = (jobs & -jobs).bit_length() - 1
        lengths.append(lengths[jobs ^ (1 << last)] + p[last])
        end = lengths[jobs]
        best.append(
            min(
                best[jobs ^ (1 << job)] + w[job] * max(0, end - d[job])
                for job in range(len(p))
                if jobs >> job & 1
            )
        )
    return best[-1]


def judge_meetings(instances: Sequence[Mapping[str, Any]]) -> Judged:
    """Place meetings so that whoever attends two can travel between them, or prove it impossible.

    The core's cells know no travel: these constraints are added to its starts.
    """
    answers: list[tuple[Outcome | None, float | None, float]] = []
    for one in instances:
        slots, count = range(one["domain"]), one["meetings"]
        items = [Item(slots, [0] * len(slots), 1, 1, needs=(0,)) for _ in range(count)]
        model = Model(items)
        pairs = {
            tuple(sorted(pair))
            for meetings in one["agent_meetings"]
            for pair in itertools.combinations(meetings, 2)
        }
        for first, second in sorted(pairs):
            near = one["distance"][first][second]
            for at, other in itertools.product(slots, slots):
                if abs(at - other) - 1 < near:
                    clash = [model.starts[first][at], model.starts[second][other]]
                    model.model.add_at_most_one(clash)
        found = search(model, seconds=JUDGED_SECONDS, seed=0)
        placed = None if found is None else count - found.objective
        # Meetings left out: none where all fit; else how many is not known, only that some are.
        if one["cpsat_status"] == "OPTIMAL":
            answers.append((found, placed, 0))
        else:
            proven = found is not None and found.bound < count
            answers.append((found, 0.0 if proven else 1.0, 0))
    return _judged(answers)


def _judged(answers: Iterable[tuple[Outcome | None, float | None, float]]) -> Judged:
    answers = list(answers)
    gaps = [
        1.0 if reached is None else (reached - best) / max(best, 1) for _, reached, best in answers
    ]
    return Judged(
        instances=len(answers),
        solved=sum(1 for gap in gaps if gap < 1e-9),
        proven=sum(1 for found, _, _ in answers if found is not None and found.proven),
        mean_gap=statistics.mean(gaps),
    )


def _earliest(jobs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return when each job can begin at the earliest, by what must come before it."""
    earliest = [0] * len(jobs)
    for place, job in enumerate(jobs):  # successors come later in the list
        for other in job["succ"]:
            earliest[other] = max(earliest[other], earliest[place] + job["d"])
    return earliest


def _apart(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shares by weekday and hour as a product of both, weekends apart from other days."""
    days = counts.sum(axis=1) + 0.5
    shares = np.empty((7, 24))
    everywhere = counts.sum(axis=0) + 1 / 24
    for part in (slice(0, 5), slice(5, 7)):
        hours = counts[part].sum(axis=0) + 10 * everywhere / everywhere.sum()
        hours = np.convolve(hours, [0.25, 0.5, 0.25], mode="same")  # 10:05 is as good as 9:55
        shares[part] = hours / hours.sum()
    return np.asarray(shares * (days / days.sum())[:, np.newaxis])


def _timed_rows() -> tuple[pd.DataFrame, pd.Series[str]]:
    events, categories = event_classifier.training_rows()
    timed = (events["weekday"] >= 0) & (events["hour"] >= 0)
    return events[timed], categories[timed]


def _real_events(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return category and hour of the week of the labelled real events that have both."""
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = rows[rows["start"].str.contains(":") & (rows["dow"] != "")]
    days = rows["dow"].str[:3].map({d: i for i, d in enumerate(event_classifier.WEEKDAYS)})
    hours = rows["start"].str.partition(":")[0].astype("int64")
    places = rows["label"].map({c: i for i, c in enumerate(CATEGORIES)})
    hours_of_week = (days * 24 + hours).to_numpy()
    return np.asarray(places, dtype=np.int64), np.asarray(hours_of_week, dtype=np.int64)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

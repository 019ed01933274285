"""The table of usual hours, and plans against known optima."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from geulpi_models import schedule_optimizer
from geulpi_models._build import evaluation_data
from geulpi_models.event_classifier import CATEGORIES


@pytest.fixture(scope="module")
def data() -> Path:
    folder = evaluation_data()
    if folder is None or not (folder / "sched_meetings_csplib046").is_dir():
        pytest.skip("the instances with known optima are not here (set GEULPI_DATA)")
    return folder


def test_the_table_is_made_of_shares() -> None:
    """Each category's 168 hours add up to one, none of them is impossible."""
    table = json.loads(schedule_optimizer.train())
    assert tuple(table) == CATEGORIES
    shares = np.array(list(table.values()))
    assert shares.shape == (10, 168)
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert shares.min() > 0


def test_the_same_rows_give_the_same_bytes() -> None:
    """Training is reproducible."""
    assert schedule_optimizer.train() == schedule_optimizer.train()


def test_the_table_knows_nights_and_working_hours() -> None:
    """Meetings begin at ten on a Tuesday more often than at three in the night."""
    meetings = json.loads(schedule_optimizer.train())["meeting"]
    assert meetings[24 + 10] > 10 * meetings[24 + 3]


def test_least_tardiness_is_that_of_the_best_order() -> None:
    """The dynamic programme agrees with all orders tried."""
    p, w, d = [3, 5, 2, 4], [2, 1, 4, 3], [4, 6, 3, 9]

    def tardiness(order: tuple[int, ...]) -> int:
        ends = np.cumsum([p[job] for job in order])
        return int(sum(w[job] * max(0, end - d[job]) for job, end in zip(order, ends, strict=True)))

    best = min(tardiness(order) for order in itertools.permutations(range(4)))
    assert schedule_optimizer.least_tardiness(p, w, d) == best


def test_meetings_with_travel_are_solved_or_proven_impossible(data: Path) -> None:
    """All instances of CSPLib 046 that are here."""
    path = data / "sched_meetings_csplib046" / "instances.json"
    judged = schedule_optimizer.judge_meetings(json.loads(path.read_text()))
    assert judged.solved == judged.instances > 10


def test_weighted_tardiness_is_the_optimum(data: Path) -> None:
    """Eight jobs of an OR-Library instance."""
    lines = schedule_optimizer._lines(data / "sched_weighted_tardiness" / "instances.jsonl")
    judged = schedule_optimizer.judge_tardiness(lines[:1], jobs=8)
    assert (judged.solved, judged.proven, judged.mean_gap) == (1, 1, 0)


def test_the_usual_hours_tell_something_of_real_events(data: Path) -> None:
    """Fewer bits than even hours, and than one table for all categories."""
    table = schedule_optimizer.preference_table(*schedule_optimizer._timed_rows())
    path = data / "event_titles" / "titles_labelled.csv"
    places, hours = schedule_optimizer._real_events(path)
    bits = -np.log2(table[places, hours]).mean()
    assert bits < -np.log2(table.mean(axis=0)[hours]).mean() < np.log2(168)

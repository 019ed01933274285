"""The table of slot preferences, and how plans compare with known optima."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from geulpi_calendar._schedule_values import HOURS, habits
from geulpi_calendar.documents import CATEGORIES
from geulpi_calendar.scheduling import PREFERENCES, SlotPreferences
from geulpi_models import schedule_optimizer
from geulpi_models._build import evaluation_data
from geulpi_models.schedule_optimizer import (
    Events,
    Judged,
    judge_meetings,
    judge_precedence,
    judge_tardiness,
    least_tardiness,
    preference_table,
    preferences,
    train,
)

WORK, SOCIAL = CATEGORIES.index("work"), CATEGORIES.index("social")
MONDAY_10, SATURDAY_20 = 10, 5 * 24 + 20


def events(*rows: tuple[int, int]) -> Events:
    """Return events of (category, hour of the week)."""
    places, hours = zip(*rows, strict=True) if rows else ((), ())
    return Events(np.array(places, dtype=np.int64), np.array(hours, dtype=np.int64))


# The table.


def test_each_row_of_the_table_is_a_distribution() -> None:
    """Over all hours of the week, none of which is impossible; without events they are alike."""
    some = events(*[(WORK, MONDAY_10)] * 50, *[(SOCIAL, SATURDAY_20)] * 5)
    for table in (preference_table(some), preference_table(events())):
        assert table.shape == (len(CATEGORIES), HOURS)
        assert table.sum(axis=1) == pytest.approx(1)
        assert table.min() > 0
    assert np.ptp(preference_table(events()), axis=0).max() == 0


def test_a_category_s_own_events_decide_the_more_there_are() -> None:
    """The others only lend it theirs."""
    few, many = (
        preference_table(events(*[(WORK, MONDAY_10)] * 200, *[(SOCIAL, SATURDAY_20)] * count))
        for count in (2, 100)
    )
    assert few[WORK].argmax() == many[WORK].argmax() == MONDAY_10
    assert many[SOCIAL].argmax() == SATURDAY_20
    assert few[SOCIAL, SATURDAY_20] < many[SOCIAL, SATURDAY_20]
    assert few[SOCIAL, MONDAY_10] > many[SOCIAL, MONDAY_10]


def test_events_of_several_sources_are_counted_together() -> None:
    """In whatever parts they come."""
    rows = [(WORK, MONDAY_10), (SOCIAL, SATURDAY_20), (WORK, 34)]
    whole = preference_table(events(*rows))
    assert np.array_equal(preference_table(events(*rows[:1]), events(*rows[1:])), whole)


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    """Twice the same bytes, which `SlotPreferences` reads."""
    one, other = (schedule_optimizer.to_json(train(None)) for _ in range(2))
    assert one == other
    (tmp_path / PREFERENCES).write_bytes(one)
    shares = SlotPreferences.read(tmp_path / PREFERENCES).shares
    assert shares.shape == (len(CATEGORIES), HOURS)
    assert shares.sum(axis=1) == pytest.approx(1)
    written = np.array(list(json.loads(one).values()))
    assert written.sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert list(json.loads(one)) == list(CATEGORIES)


def test_the_table_knows_when_people_do_what() -> None:
    """Work is of weekday mornings rather than Sunday nights; social events are later in the day."""
    table = np.array([train(None)[category] for category in ("work", "social")]).reshape(2, 7, 24)
    work, social = table
    assert work[1, 10] > 5 * work[6, 3]
    hours = np.arange(24)
    late_work, late_social = ((day.sum(axis=0) * hours).sum() for day in (work, social))
    assert late_social > late_work + 2


def test_the_served_table_is_that_of_the_real_data() -> None:
    """The file in the package is what training gives."""
    data = evaluation_data()
    if data is None or not (data / "event_titles").is_dir():
        pytest.skip("no titles here: set GEULPI_DATA to a folder with event_titles/")
    assert schedule_optimizer.to_json(train(data)) == preferences()


def test_habits_are_the_prior_until_the_user_has_some() -> None:
    """Own events move them: those of the very title more than those of the category."""
    prior, none = np.full(HOURS, 1 / HOURS), np.zeros(HOURS)
    once = np.eye(HOURS)[MONDAY_10]
    assert habits(prior, none, none) == pytest.approx(prior)
    by_category, by_title = habits(prior, once, none), habits(prior, none, once)
    assert by_title.sum() == by_category.sum() == pytest.approx(1)
    assert by_title.argmax() == by_category.argmax() == MONDAY_10
    assert by_title[MONDAY_10] > by_category[MONDAY_10] > prior[MONDAY_10]
    assert by_title[MONDAY_10 - 1] == pytest.approx(by_title[MONDAY_10 + 1])
    assert by_title[MONDAY_10 + 1] > by_title[MONDAY_10 + 2]


def test_an_event_s_weight_does_not_reach_the_next_day() -> None:
    """23:30 on Sunday says nothing about Monday morning."""
    prior, last = np.full(HOURS, 1 / HOURS), np.eye(HOURS)[HOURS - 1]
    moved = habits(prior, np.zeros(HOURS), last)
    assert moved[0] == pytest.approx(moved[1])
    noon = habits(prior, np.zeros(HOURS), np.eye(HOURS)[23])
    assert noon[24] == pytest.approx(noon[25])


# Known optima.


def test_the_least_tardiness_is_that_of_the_best_order() -> None:
    """All orders of five jobs, one after the other."""
    random = Random(0)
    late = 0
    for _ in range(20):
        p, w = ([random.randint(1, 9) for _ in range(5)] for _ in range(2))
        d = [random.randint(0, 25) for _ in range(5)]

        def tardiness(order: tuple[int, ...], p: Any = p, w: Any = w, d: Any = d) -> int:
            ends = itertools.accumulate(p[job] for job in order)
            return sum(w[job] * max(0, end - d[job]) for job, end in zip(order, ends, strict=True))

        best = min(map(tardiness, itertools.permutations(range(5))))
        assert least_tardiness(p, w, d) == best
        late += best > 0
    assert late > 10
    assert least_tardiness([], [], []) == 0


def test_a_small_project_has_its_shortest_makespan() -> None:
    """Two jobs that one resource can't hold at once, one after both, and one beside them."""
    jobs = [
        {"d": 0, "req": [0, 0], "succ": [1, 2, 3]},
        {"d": 4, "req": [2, 0], "succ": [4]},
        {"d": 3, "req": [2, 1], "succ": [4]},
        {"d": 5, "req": [1, 1], "succ": [5]},
        {"d": 2, "req": [0, 2], "succ": [5]},
        {"d": 0, "req": [0, 0], "succ": []},
    ]
    project = {"jobs": jobs, "capacity": [3, 2], "optimum": 9}
    assert judge_precedence([project]) == Judged(1, 1, 1, 0.0)
    assert judge_precedence([{**project, "optimum": 6}]).solved == 0
    tight = judge_precedence([{**project, "capacity": [2, 2], "optimum": 14}])
    assert tight == Judged(1, 1, 1, 0.0)


def test_meetings_keep_the_way_between_them() -> None:
    """Two meetings of one person and a way of two slots need four slots."""
    pair = {"meetings": 2, "agent_meetings": [[0, 1]], "distance": [[0, 2], [2, 0]]}
    fits = {**pair, "domain": 4, "satisfiable": True}
    too_short = {**pair, "domain": 3, "satisfiable": False}
    assert judge_meetings([fits, too_short]) == Judged(2, 2, 2, 0.0)
    wrong = [{**fits, "satisfiable": False}, {**too_short, "satisfiable": True}]
    assert judge_meetings(wrong).solved == 0
    apart = {**too_short, "agent_meetings": [[0], [1]], "satisfiable": True}
    assert judge_meetings([apart]).solved == 1


def test_jobs_are_ordered_by_what_being_late_costs() -> None:
    """Dynamic programming and the search agree on hand-made jobs."""
    jobs = {"p": [3, 2, 4, 1], "w": [1, 5, 2, 9], "d": [3, 3, 4, 2]}
    assert judge_tardiness([jobs], jobs=4) == Judged(1, 1, 1, 0.0)


def real(folder: str, file: str) -> Path:
    data = evaluation_data()
    if data is None or not (data / folder).is_dir():
        pytest.skip(f"no instances here: set GEULPI_DATA to a folder with {folder}/")
    return data / folder / file


def test_real_projects_reach_their_known_optimum() -> None:
    """Two of PSPLIB's j30, with the proof."""
    lines = real("sched_rcpsp_j30", "j30.jsonl").read_text().splitlines()
    found = judge_precedence([json.loads(lines[place]) for place in (0, 4)])
    assert (found.solved, found.proven, found.mean_gap) == (2, 2, 0.0)


def test_real_meetings_fit_where_they_can() -> None:
    """CSPLib's meetings: placed where they fit, refuted where they don't."""
    instances = json.loads(real("sched_meetings_csplib046", "instances.json").read_text())
    quick = [one for one in instances if one["instance"] not in {7, 9, 11}]  # 1 to 2 s each
    assert {one["satisfiable"] for one in quick} == {True, False}
    found = judge_meetings(quick)
    assert (found.instances, found.solved) == (len(quick), len(quick))


def test_real_jobs_reach_their_least_tardiness() -> None:
    """The first six jobs of an OR-Library instance, with the proof."""
    lines = real("sched_weighted_tardiness", "instances.jsonl").read_text().splitlines()
    assert judge_tardiness([json.loads(lines[60])], jobs=6) == Judged(1, 1, 1, 0.0)

"""Diaries made by chance, so that the week's models are trained in tests without real rows."""

from __future__ import annotations

import numpy as np
from geulpi_calendar.week_days import ACTIVITIES
from geulpi_models.diaries import Diaries


def made_diaries(rows: int = 1200, seed: int = 0) -> Diaries:
    """Return days on which work strains, exercise relieves, and the young move more."""
    rng = np.random.default_rng(seed)
    weekend = rng.random(rows) < 0.5
    age, employment = rng.uniform(15, 85, rows), rng.integers(0, 4, rows).astype(float)
    hours = rng.gamma(2.0, 1.0, (rows, len(ACTIVITIES))) * (rng.random((rows, 9)) < 0.6)
    at = {name: position for position, name in enumerate(ACTIVITIES)}
    hours[:, at["work"]] *= np.where(weekend, 0.5, 3.0)
    hours[:, at["exercise"]] *= np.where(age < 40, 1.0, 0.3)
    hours[:, at["duty"]] = np.minimum(
        hours[:, [at[n] for n in ("work", "study", "family", "travel", "health")]].sum(axis=1), 24
    )
    pull = 0.25 * hours[:, at["work"]] - np.minimum(hours[:, at["exercise"]], 0.5)
    strain = np.clip(2 + pull + rng.normal(0, 1.2, rows), 0, 6)
    return Diaries(
        days=hours,
        weekend=weekend,
        age=age,
        employment=employment,
        stress=strain,
        tired=strain,
        rested=rng.integers(1, 5, rows).astype(float),
        weight=rng.uniform(0.5, 1.5, rows),
        held_out=np.arange(rows) % 5 == 0,
    )

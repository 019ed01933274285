"""The suite's own comparator tells what is unequal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from breadth._judge import Question, difference


def question(
    reference: dict[str, Any] | None, tied: dict[int, list[Any]] | None = None
) -> Question:
    arrays = None if reference is None else {k: np.array(v) for k, v in reference.items()}
    return Question("rows", {}, arrays, tied or {})


@pytest.mark.parametrize(
    ("reference", "found", "why"),
    [
        ({"label": [[1], [2]]}, {"label": [[1], [1]]}, "label differs on 1 of 2 rows"),
        ({"label": [["a"]]}, {"label": [["b"]]}, "label differs on 1 of 1 rows"),
        ({"label": [[1]]}, {"label": [[1, 1]]}, "label has the shape"),
        ({"prediction": [[1.0]]}, {"prediction": [[1.0002]]}, "prediction differs"),
        ({"prediction": [[1.0]]}, {"prediction": [[np.nan]]}, "prediction differs"),
        ({"features": [[np.nan]]}, {"features": [[0.0]]}, "features differs"),
        ({"features": [[np.inf]]}, {"features": [[-np.inf]]}, "features differs"),
        ({"features": [[0.0, 1.0]]}, {"features": [[0.0, -1.0]]}, "features differs"),
        ({"probabilities": [[0.5, 0.5]]}, {"label": [[1]]}, "no probabilities"),
        ({"label": [[1]]}, "too slow", "refused"),
        (None, {"label": [[1]]}, "answered, where the estimator refuses"),
    ],
)
def test_what_is_unequal_is_told(reference: Any, found: Any, why: str) -> None:
    """A label, a number, a shape, an output, a refusal: each alone is enough."""
    if isinstance(found, dict):
        found = {name: np.array(values) for name, values in found.items()}
    assert why in difference(question(reference), found)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"label": [[True], [False]]}, {"label": [[1], [0]]}),
        ({"prediction": [[1.0]]}, {"prediction": [[1.00005]]}),
        ({"features": [[np.nan, np.inf]]}, {"features": [[np.nan, np.inf]]}),
        ({"prediction": [[1e200]]}, {"prediction": [[np.inf]]}),
        (None, "NaN is refused"),
    ],
)
def test_what_is_equal_passes(reference: Any, found: Any) -> None:
    """Rounding, NaN where NaN is, infinity for what float32 can't hold, refusals of both."""
    if isinstance(found, dict):
        found = {name: np.array(values) for name, values in found.items()}
    assert not difference(question(reference), found)


def test_of_exact_ties_any_label_will_do() -> None:
    """And only of those that are level."""
    asked = question({"label": [[0]]}, {0: [0, 2]})
    assert not difference(asked, {"label": np.array([[2]])})
    assert difference(asked, {"label": np.array([[1]])})

"""The comparator itself: it must see differences, and only real ones."""

from __future__ import annotations

import numpy as np
import pytest
from geulpi_conversion._parity import compare

ONES = np.ones((1000, 2), dtype=np.float32)


def changed(rows: int, by: float) -> np.ndarray:
    found = ONES.copy()
    found[:rows, 1] += by
    return found


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        (ONES, True),
        (changed(1000, 5e-5), True),  # within the tolerance everywhere
        (changed(1, 0.5), True),  # one row of a thousand
        (changed(2, 0.5), False),
        (changed(1000, 1e-3), False),
        (ONES[:, :1], False),
        (ONES[:999], False),
        (np.full_like(ONES, np.nan), False),
        (np.full_like(ONES, np.inf), False),
    ],
)
def test_floats_may_differ_a_little_on_few_rows(found: np.ndarray, ok: bool) -> None:
    """Every known-unequal pair is seen, every known-equal one passes."""
    assert compare({"p": ONES}, {"p": found}).ok is ok


def test_a_single_wrong_label_is_too_many() -> None:
    """Labels have no tolerance."""
    labels = np.zeros((5000, 1), dtype=np.int64)
    wrong = labels.copy()
    wrong[4321] = 1
    parity = compare({"label": labels}, {"label": wrong})
    assert not parity.ok
    assert parity.outputs[0].rows_over == 1
    assert parity.outputs[0].worst_row == 4321
    assert compare({"label": labels}, {"label": labels.copy()}).ok


def test_nan_and_infinity_equal_themselves() -> None:
    """What the estimator itself answers with NaN is reproduced, not excused."""
    odd = np.array([[np.nan], [np.inf], [-np.inf]], dtype=np.float32)
    assert compare({"p": odd}, {"p": odd.copy()}).ok
    assert not compare({"p": odd}, {"p": np.zeros_like(odd)}).ok
    assert not compare({"p": odd}, {"p": -odd}).ok


def test_the_report_names_the_worst_row() -> None:
    """What `parity.json` and the reason tell; a missing output is a difference too."""
    assert not compare({"p": ONES}, {}).ok
    parity = compare({"p": ONES}, {"p": changed(7, 0.25)})
    assert "p differs on 7 of 1000 rows" in str(parity)
    report = parity.to_dict()
    assert report["ok"] is False
    assert report["outputs"][0]["max_abs"] == pytest.approx(0.25)

"""The comparison itself: what is equal passes, what is not does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from geulpi_conversion import OutputParity
from geulpi_conversion._parity import compare, prove


def compared(reference: list, found: list, **options: int) -> OutputParity:
    reference_array, found_array = np.array(reference), np.array(found)
    return compare("scores", reference_array, [found_array], rows=options.get("rows", len(found)))


def test_equal_floats_pass() -> None:
    """Equal values have no difference and no worst row."""
    parity = compared([[1.0, 2.0], [np.nan, np.inf]], [[1.0, 2.0], [np.nan, np.inf]])
    assert parity.ok
    assert (parity.max_abs, parity.max_rel, parity.worst_row) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    "found", [[[1.0], [2.1], [3.0]], [[1.0], [np.nan], [3.0]], [[1.0], [np.inf], [3.0]]]
)
def test_one_differing_row_of_three_fails(found: list) -> None:
    """A differing row is counted and named; NaN and infinity differ from numbers."""
    parity = compared([[1.0], [2.0], [3.0]], found)
    assert not parity.ok
    assert (parity.rows_over, parity.worst_row) == (1, 1)
    assert "scores differ on 1 of 3 rows (worst: row 1)" in str(parity)


@pytest.mark.parametrize(
    ("reference", "found", "ok"),
    [
        ([[-np.inf]], [[np.inf]], False),
        ([[np.nan]], [[0.0]], False),
        ([[0.0]], [[0.9e-5]], True),
        ([[0.0]], [[1.1e-5]], False),
        ([[100.0]], [[100.010]], True),
        ([[100.0]], [[100.012]], False),
        ([[0.0, 100.0]], [[0.0009, 100.0]], True),  # of the output's largest value
        ([[np.inf, 0.0]], [[np.inf, 1.0]], False),  # infinity is no licence for the rest
    ],
)
def test_rounding_is_allowed_and_no_more(reference: list, found: list, ok: bool) -> None:
    """1e-5 of the largest value, or of one, and 1e-4 of the value itself may differ."""
    assert compared(reference, found).ok is ok


def test_one_row_of_a_thousand_may_exceed() -> None:
    """float32 may move one row in a thousand over a threshold, not two."""
    reference, found = np.zeros((1000, 1)), np.zeros((1000, 1))
    found[7] = 1
    assert compare("scores", reference, [found], rows=1000).ok
    found[8] = 1
    assert not compare("scores", reference, [found], rows=1000).ok


@pytest.mark.parametrize("kind", [np.int64, np.object_])
def test_labels_must_all_be_equal(kind: type) -> None:
    """Not one label of a thousand may differ."""
    reference = np.zeros((1000, 1), dtype=np.int64).astype(kind)
    found = reference.copy()
    assert compare("label", reference, [found], rows=1000).ok
    found[999] = 1
    parity = compare("label", reference, [found], rows=1000)
    assert not parity.ok
    assert (parity.rows_over, parity.worst_row, parity.rows_allowed) == (1, 999, 0)


def test_another_shape_is_another_answer() -> None:
    """A missing row, a missing column or changing widths fail."""
    two = np.zeros((2, 2))
    assert not compare("scores", two, [np.zeros((2, 1))], rows=2).ok
    assert not compare("scores", two, [np.zeros((1, 2))], rows=2).ok
    assert not compare("scores", two, [np.zeros((1, 2)), np.zeros((1, 1))], rows=2).ok


def test_single_rows_are_asked_too() -> None:
    """A model that is right for the batch and wrong for a single row is found out."""
    x = np.arange(8.0).reshape(-1, 1)

    def right(tensors: dict) -> dict:
        return {"y": tensors["x"] * 2}

    def wrong_alone(tensors: dict) -> dict:
        return {"y": tensors["x"] * (3 if len(tensors["x"]) == 1 else 2)}

    assert prove({"y": x * 2}, {"x": x}, right).ok
    parity = prove({"y": x * 2}, {"x": x}, wrong_alone)
    assert not parity.ok
    assert (parity.rows, parity.single_rows) == (8, 5)
    assert (parity.outputs[0].rows_over, parity.outputs[0].worst_row) == (4, 4)  # 0 · 3 is 0 · 2


def test_the_report_is_strict_json() -> None:
    """An infinite difference becomes null, which every JSON reader takes."""
    report = compared([[1.0]], [[np.nan]]).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False))["max_abs"] is None
    assert report["rows_over"] == 1

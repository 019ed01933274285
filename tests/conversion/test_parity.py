"""The comparison itself: what is equal passes, what is not does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from geulpi_conversion import OutputParity
from geulpi_conversion._parity import NotAnswered, compare, compare_case, prove
from geulpi_conversion._reference import Case, Questions


def compared(reference: list, found: list) -> OutputParity:
    return compare("scores", np.array(reference), [np.array(found)])


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
    assert compare("scores", reference, [found]).ok
    found[8] = 1
    assert not compare("scores", reference, [found]).ok


@pytest.mark.parametrize("kind", [np.int64, np.object_])
def test_labels_must_all_be_equal(kind: type) -> None:
    """Not one label of a thousand may differ."""
    reference = np.zeros((1000, 1), dtype=np.int64).astype(kind)
    found = reference.copy()
    assert compare("label", reference, [found]).ok
    found[999] = 1
    parity = compare("label", reference, [found])
    assert not parity.ok
    assert (parity.rows_over, parity.worst_row, parity.rows_allowed) == (1, 999, 0)


def test_another_shape_is_another_answer() -> None:
    """A missing row, a missing column or changing widths fail."""
    two = np.zeros((2, 2))
    assert not compare("scores", two, [np.zeros((2, 1))]).ok
    assert not compare("scores", two, [np.zeros((1, 2))]).ok
    assert not compare("scores", two, [np.zeros((1, 2)), np.zeros((1, 1))]).ok


def test_every_group_of_rows_counts() -> None:
    """A model that is right for the batch and wrong for single rows is found out."""
    x = np.arange(8.0).reshape(-1, 1)
    singles = tuple({"x": x[row : row + 1]} for row in range(5))
    questions = Questions(
        (Case("sample", ({"x": x},), {"y": x * 2}), Case("single rows", singles, {"y": x[:5] * 2}))
    )
    right = [{"y": batch["x"] * 2} for batch in questions.batches]
    assert prove(questions, right).ok
    wrong_alone = [right[0], *({"y": one["y"] * 1.5} for one in right[1:])]
    parity = prove(questions, wrong_alone)
    assert not parity.ok
    assert (parity.rows, parity.single_rows) == (8, 5)
    assert (parity.outputs[1].rows_over, parity.outputs[1].worst_row) == (4, 4)  # 0 · 3 is 0 · 2
    assert "y differs on 4 of 5 rows of the group 'single rows' (worst: row 4)" in str(parity)


def test_what_the_estimator_refuses_must_be_refused() -> None:
    """An answer where the estimator gives none is a difference; a refusal too many is, too."""
    x = np.ones((2, 1))
    questions = Questions(
        (Case("sample", ({"x": x},), {"y": x}),), refused=(("missing", {"x": x * np.nan}),)
    )
    assert prove(questions, [{"y": x}, "ValueError: NaN"]).ok
    parity = prove(questions, [{"y": x}, {"y": x}])
    assert not parity.ok
    assert "1 of 1 rows of the group 'missing' are answered that the estimator" in str(parity)
    with pytest.raises(NotAnswered, match="'sample' \\(no\\)"):
        prove(questions, ["no", "no"])


@pytest.mark.parametrize(
    ("scores", "found", "ok"),
    [
        ({"probabilities": [[0.5, 0.5]]}, "b", True),
        ({"probabilities": [[0.5, 0.5 - 1e-15]]}, "b", False),
        ({"probabilities": [[0.5, 0.5]]}, "c", False),
        ({"decision": [[0.0]]}, "b", True),
        ({"decision": [[-1e-15]]}, "b", False),
    ],
)
def test_a_label_may_flip_at_an_exact_tie_only(scores: dict, found: str, ok: bool) -> None:
    """Where the estimator's own scores are level, either of their labels is right."""
    scores = {name: np.array(values) for name, values in scores.items()}
    expected = {"label": np.array([["a"]], object), **scores}
    case = Case("sample", ({},), expected, ("a", "b"))
    label = compare_case(case, [{"label": np.array([[found]], object), **scores}])[0]
    assert label.ok is ok
    assert label.ties == int(ok)


def test_texts_are_not_numbers() -> None:
    """A label of text where a number belongs is another answer, whatever it says."""
    assert not compare("label", np.array([[1]]), [np.array([["1"]], object)]).ok


def test_the_report_is_strict_json() -> None:
    """An infinite difference becomes null, which every JSON reader takes."""
    report = compared([[1.0]], [[np.nan]]).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False))["max_abs"] is None
    assert report["rows_over"] == 1

"""What callers may pass as tensors, and what is refused before anything is sent."""

from __future__ import annotations

import numpy as np
import pytest
from geulpi_client import InvalidTensor
from geulpi_client._contract import Contract
from geulpi_client._inputs import checked_inputs
from geulpi_client._tensors import Spec, to_array


def contract(datatype: str, shape: tuple[int, ...] = (-1, 1)) -> Contract:
    return Contract("m", "1", (Spec("X", datatype, shape),), (Spec("Y", datatype, shape),))


def sent(datatype: str, value: object, shape: tuple[int, ...] = (-1, 1)) -> np.ndarray:
    (tensor,) = checked_inputs(contract(datatype, shape), {"X": value})
    return to_array(tensor)


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("FP32", np.array([[0.5]]), [[0.5]]),
        ("FP32", [1, 2], [[1.0], [2.0]]),
        ("FP32", np.array([1.5, 2.5], dtype=">f8"), [[1.5], [2.5]]),
        ("FP64", np.float32([[0.5]]), [[0.5]]),
        ("FP32", [[True]], [[1.0]]),
        ("INT32", [[2**31 - 1]], [[2**31 - 1]]),
        ("UINT8", [[0], [255]], [[0], [255]]),
        ("INT64", np.array([[7]], dtype=np.uint64), [[7]]),
        ("BOOL", [[True], [False]], [[True], [False]]),
        ("FP32", [[np.inf], [np.nan]], None),
        ("BYTES", ["치과", b"dentist"], [["치과"], ["dentist"]]),
        ("BYTES", np.array(["a", "bc"]), [["a"], ["bc"]]),
        ("BYTES", np.array([b"a", b"bc"]), [["a"], ["bc"]]),
        ("BYTES", [[""]], [[""]]),
    ],
)
def test_values_are_cast_where_nothing_is_lost_but_digits(
    datatype: str, value: object, expected: list[object] | None
) -> None:
    """Lists, other widths and byte orders, and [N] for [N, 1] are taken."""
    array = sent(datatype, value)
    assert expected is None or array.tolist() == expected


@pytest.mark.parametrize(
    ("datatype", "value", "complaint"),
    [
        ("INT64", [[0.5]], "dtype float64"),
        ("INT32", [[2**31]], str(2**31)),
        ("UINT8", [[-1]], "-1"),
        ("INT64", np.array([[2**63]], dtype=np.uint64), str(2**63)),
        ("FP32", [[1e300]], "1e"),
        ("FP16", [[70000]], "70000"),
        ("BOOL", [[1]], "dtype int64"),
        ("FP32", [["1.5"]], "dtype <U3"),
        ("FP32", [[1 + 2j]], "dtype complex128"),
        ("FP32", [[None]], "dtype object"),
        ("FP32", [[1], [2, 3]], "no array"),
        ("FP32", 1.0, r"shape \[\]"),
        ("FP32", [[1.0, 2.0]], r"shape \[1, 2\]"),
        ("FP32", [], "0 rows"),
        ("BF16", [[1.0]], "no type for"),
        ("BYTES", [["a"], ["b\0"]], "row 1"),
        ("BYTES", np.array([["a"], ["b"], [b"\xff"]], dtype=object), "row 2; .*UTF-8"),
        ("BYTES", [["\ud800"]], "UTF-8"),
        ("BYTES", [[1]], "int"),
        ("BYTES", [["a"], [None]], "None in row 1"),
        ("BYTES", [["x" * (2**24 + 1)]], "at most"),
    ],
)
def test_what_would_be_read_wrong_is_refused(datatype: str, value: object, complaint: str) -> None:
    """The error names the tensor, what came and what the model takes."""
    with pytest.raises(InvalidTensor, match=complaint) as caught:
        sent(datatype, value)
    assert "'X' of model 'm'" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_names_and_row_counts_must_agree() -> None:
    """A name too many, one too few and ragged row counts are told apart."""
    two = Contract("m", "1", (Spec("a", "FP32", (-1, 1)), Spec("b", "FP32", (-1, 1))), ())
    with pytest.raises(InvalidTensor, match=r"'c' .* does not take; expected the inputs 'a', 'b'"):
        checked_inputs(two, {"a": [1], "b": [1], "c": [1]})
    with pytest.raises(InvalidTensor, match="'b' of model 'm': got nothing"):
        checked_inputs(two, {"a": [1]})
    with pytest.raises(InvalidTensor, match=r"'b' .* 2 rows; expected 1 rows as in 'a'"):
        checked_inputs(two, {"a": [1], "b": [1, 2]})
    with pytest.raises(InvalidTensor, match="mapping"):
        checked_inputs(two, [[1.0]])


def test_a_free_dimension_takes_any_length_but_not_any_rank() -> None:
    """[-1, -1] needs two dimensions: [N] could be one row or N."""
    assert sent("FP32", [[1, 2, 3]], (-1, -1)).shape == (1, 3)
    with pytest.raises(InvalidTensor, match="shape"):
        sent("FP32", [1, 2, 3], (-1, -1))


def test_a_model_without_batches_takes_its_shape() -> None:
    """Where the first dimension is fixed it is not counted as rows."""
    assert sent("FP32", [1, 2, 3], (3,)).tolist() == [1, 2, 3]
    with pytest.raises(InvalidTensor):
        sent("FP32", [1, 2], (3,))

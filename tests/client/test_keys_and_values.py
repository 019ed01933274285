"""Cache keys and values: equal where a model can't tell rows apart, different everywhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geulpi_client._codec import decode_row, encode_row, layout
from geulpi_client._keys import cache_key, row_digests
from geulpi_client._tensors import (
    DTYPES,
    MalformedTensor,
    Spec,
    Tensor,
    from_array,
    split_rows,
    to_array,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def digest(datatype: str, values: object, name: str = "X") -> str:
    if datatype == "BYTES":
        array = np.array([[v.encode() for v in values]], dtype=np.object_)
    else:
        array = np.array([values], dtype=DTYPES[datatype])
    return row_digests([from_array(name, datatype, array)])[0]


def test_a_key_names_model_version_and_row() -> None:
    """The form is what operators look for; another digest would need another format number."""
    key = cache_key("churn", "3", digest("FP32", [1.0, 2.0]))
    assert key == "ml_cache:churn:3:812c8e26f59df2feb83594a8c3452ea7"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("FP32", [1.0]), ("FP64", [1.0])),
        (("INT32", [1]), ("UINT32", [1])),
        (("FP32", [1.0, 2.0]), ("FP32", [2.0, 1.0])),
        (("BYTES", ["ab", "c"]), ("BYTES", ["a", "bc"])),
        (("BYTES", ["a"]), ("BYTES", ["a", ""])),
        (("FP32", [1.0]), ("FP32", [1.0], "Z")),
        (("FP32", [[1.0, 2.0]]), ("FP32", [[1.0], [2.0]])),  # same bytes, other shape
    ],
)
def test_rows_that_a_model_can_tell_apart_have_different_keys(
    left: tuple[object, ...], right: tuple[object, ...]
) -> None:
    """Name, datatype, shape and every byte count."""
    assert digest(*left) != digest(*right)


def test_there_is_one_zero_and_one_nan() -> None:
    """−0.0 is 0.0, and NaNs of other bits are NaN."""
    assert digest("FP32", [-0.0]) == digest("FP32", [0.0])
    odd_nans = np.array([0x7FC00001, 0xFFC00000, 0x7F800001], dtype="<u4").view("<f4")
    digests = row_digests([from_array("X", "FP32", odd_nans[:, np.newaxis])])
    assert set(digests) == {digest("FP32", [math.nan])}


def test_the_order_of_inputs_does_not_matter() -> None:
    """A key is of the named values, however the model lists them."""
    a, b = (from_array(n, "INT64", np.array([[v]])) for n, v in (("a", 1), ("b", 2)))
    assert row_digests([a, b]) == row_digests([b, a])
    swapped = (from_array(n, "INT64", np.array([[v]])) for n, v in (("a", 2), ("b", 1)))
    assert row_digests(list(swapped)) != row_digests([a, b])


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=6))
def test_digests_are_equal_exactly_where_rows_are(rows: list[tuple[str, str]]) -> None:
    """Whatever the texts: no two rows share a digest, and equal rows do."""
    array = np.array([[v.encode() for v in row] for row in rows], dtype=np.object_)
    digests = row_digests([from_array("T", "BYTES", array)])
    assert len(set(digests)) == len(set(rows))


@given(
    arrays(
        st.sampled_from([d.str for d in DTYPES.values()]),
        st.tuples(st.integers(1, 4), st.integers(0, 3)),
    )
)
def test_numbers_come_back_as_they_went(array: np.ndarray) -> None:
    """Every datatype, bit by bit."""
    datatype = next(name for name, dtype in DTYPES.items() if dtype == array.dtype)
    tensor = from_array("X", datatype, array)
    assert to_array(tensor).tobytes() == array.tobytes()
    assert b"".join(split_rows(tensor)) == tensor.raw


OUTPUTS = (Spec("label", "BYTES", (-1, 1)), Spec("probabilities", "FP32", (-1, 2)))
HEAD = layout(OUTPUTS)


def row_of(label: str) -> tuple[bytes, ...]:
    label_tensor = from_array("label", "BYTES", np.array([[label.encode()]], dtype=np.object_))
    numbers = from_array("probabilities", "FP32", np.array([[0.25, 0.75]], dtype=np.float32))
    return (label_tensor.raw, numbers.raw)


@given(texts)
def test_a_value_comes_back_as_it_went(label: str) -> None:
    """decode(encode(row)) is the row."""
    row = row_of(label)
    assert decode_row(OUTPUTS, HEAD, encode_row(HEAD, row)) == row


@given(st.binary(max_size=200))
def test_what_is_no_value_is_a_miss(value: bytes) -> None:
    """Nothing in the cache can make a call fail."""
    assert decode_row(OUTPUTS, HEAD, value) is None
    assert decode_row(OUTPUTS, HEAD, HEAD + value) is None


@pytest.mark.parametrize(
    "outputs",
    [
        OUTPUTS[:1],
        (OUTPUTS[0], Spec("probabilities", "FP32", (-1, 3))),
        (OUTPUTS[0], Spec("probabilities", "INT32", (-1, 2))),
        (OUTPUTS[0], Spec("scores", "FP32", (-1, 2))),
    ],
)
def test_a_value_of_other_outputs_is_a_miss(outputs: tuple[Spec, ...]) -> None:
    """Another release's names, types and shapes are not read as this one's."""
    value = encode_row(HEAD, row_of("work"))
    assert decode_row(outputs, layout(outputs), value) is None


def test_every_cut_of_a_value_is_a_miss() -> None:
    """A value that lost or gained bytes is not half read."""
    value = encode_row(HEAD, row_of("work"))
    assert all(decode_row(OUTPUTS, HEAD, value[:end]) is None for end in range(len(value)))
    assert decode_row(OUTPUTS, HEAD, value + b"\0") is None


def test_bytes_that_are_no_tensor_are_told() -> None:
    """Too few, too many, cut within an element."""
    for raw in (b"\3\0\0\0ab", b"\1\0\0\0a\1\0\0\0b", b"\1\0"):
        with pytest.raises(MalformedTensor):
            to_array(Tensor("T", "BYTES", (1, 1), raw))
    with pytest.raises(MalformedTensor):
        to_array(Tensor("X", "FP32", (1, 2), b"abcd"))


def test_text_that_is_not_utf8_stays_bytes() -> None:
    """A model may answer anything; what is text is str."""
    array = to_array(Tensor("T", "BYTES", (2, 1), b"\1\0\0\0\xff\1\0\0\0a"))
    assert array.tolist() == [[b"\xff"], ["a"]]

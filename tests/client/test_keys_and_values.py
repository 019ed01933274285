"""Cache keys and values: equal where a model can't tell rows apart, different everywhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geulpi_client._codec import decode_row, encode_row, layout
from geulpi_client._contract import Contract
from geulpi_client._keys import model_of, row_keys
from geulpi_client._tensors import (
    DTYPES,
    MalformedTensor,
    Spec,
    Tensor,
    from_array,
    spec_of,
    split_rows,
    to_array,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

OUTPUTS = (Spec("label", "BYTES", (-1, 1)), Spec("probabilities", "FP32", (-1, 2)))
HEAD = layout(OUTPUTS)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def digests_of(*tensors: Tensor, outputs: tuple[Spec, ...] = (), digest: str = "") -> list[str]:
    inputs = tuple(spec_of(tensor) for tensor in tensors)
    keys = row_keys(Contract("churn", "3", inputs, outputs, digest=digest), tensors)
    return [key.rpartition(":")[2] for key in keys]


def digest(datatype: str, values: object, name: str = "X") -> str:
    if datatype == "BYTES":
        array = np.array([[v.encode() for v in values]], dtype=np.object_)
    else:
        array = np.array([values], dtype=DTYPES[datatype])
    return digests_of(from_array(name, datatype, array))[0]


def test_a_key_names_model_version_and_row() -> None:
    """The form is what operators look for; another digest would need another format number."""
    tensor = from_array("X", "FP32", np.array([[1.0, 2.0]], dtype=np.float32))
    contract = Contract("churn", "3", (spec_of(tensor),), OUTPUTS, digest="abc")
    (key,) = row_keys(contract, [tensor])
    assert key == "ml_cache:churn:3:3ba66e1b2aef0b5222b7ce5e74fad913"
    assert model_of(key) == "churn"
    assert model_of("ml_cache:a:b:3:00") == "a:b"


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
    digests = digests_of(from_array("X", "FP32", odd_nans[:, np.newaxis]))
    single = [
        digests_of(from_array("X", "FP32", odd_nans[i : i + 1, np.newaxis]))[0] for i in range(3)
    ]
    assert single == digests
    assert set(digests) == {digest("FP32", [math.nan])}


def test_inputs_are_told_apart_by_their_names() -> None:
    """Values that change places are another row."""
    rows = [
        [from_array(n, "INT64", np.array([[v]])) for n, v in pairs]
        for pairs in ((("a", 1), ("b", 2)), (("a", 2), ("b", 1)))
    ]
    assert digests_of(*rows[0]) != digests_of(*rows[1])


def test_other_files_and_other_outputs_have_other_keys() -> None:
    """An artefact that was replaced under its version, and a model with the same name elsewhere."""
    tensor = from_array("X", "FP32", np.array([[1.0]], dtype=np.float32))
    found = {
        digests_of(tensor, outputs=outputs, digest=digest)[0]
        for outputs in (OUTPUTS, OUTPUTS[:1])
        for digest in ("", "a", "b")
    }
    assert len(found) == 6


@given(
    arrays(
        st.sampled_from(["<f2", "<f4", "<f8", "<i4"]),
        st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 70])),
    )
)
def test_a_row_has_one_key_alone_and_in_a_batch(array: np.ndarray) -> None:
    """The quick way for single and small rows hashes what the long way does."""
    datatype = next(name for name, dtype in DTYPES.items() if dtype == array.dtype)
    whole = digests_of(from_array("X", datatype, array))
    assert whole == [digests_of(from_array("X", datatype, row[np.newaxis]))[0] for row in array]


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=6))
def test_digests_are_equal_exactly_where_rows_are(rows: list[tuple[str, str]]) -> None:
    """Whatever the texts: no two rows share a digest, and equal rows do."""
    array = np.array([[v.encode() for v in row] for row in rows], dtype=np.object_)
    digests = digests_of(from_array("T", "BYTES", array))
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

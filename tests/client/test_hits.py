"""The quick way to a row in memory: it gives what the long way gives, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geulpi_client import InferResult, InvalidInput, ModelClient
from geulpi_client._contract import Contract
from geulpi_client._freshness import KeptRow
from geulpi_client._hits import Hits
from geulpi_client._inputs import checked_inputs
from geulpi_client._keys import row_keys
from geulpi_client._memory import MemoryTier, NewEntry
from geulpi_client._results import arrays
from geulpi_client._rows import joined
from geulpi_client._tensors import BYTES, DTYPES, Spec, packed_texts
from geulpi_client.testing import FakeTriton
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as numbers

NAMES = ("a", "b", "입력")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@st.composite
def rows_of(draw: st.DrawFn, spec: Spec) -> np.ndarray:
    """Return an array with one row of an input."""
    shape = (1, *spec.shape[1:])
    if spec.datatype != BYTES:
        return draw(numbers(DTYPES[spec.datatype], shape))
    array = np.empty(shape, dtype=np.object_)
    for place in np.ndindex(shape):
        array[place] = draw(texts)
    return array


@st.composite
def specs(draw: st.DrawFn, most_wide: int = 3) -> tuple[Spec, ...]:
    """Return some inputs or outputs, told apart by their names."""
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        datatype = draw(st.sampled_from([BYTES, *DTYPES]))
        shape = draw(array_shapes(max_dims=2, max_side=most_wide))
        found.append(Spec(name, datatype, (-1, *shape)))
    return tuple(found)


@st.composite
def known(draw: st.DrawFn) -> tuple[Contract, dict[str, np.ndarray], tuple[bytes, ...]]:
    """Return a model, one row of inputs, and a row of its outputs."""
    contract = Contract(
        "churn", draw(st.sampled_from(["1", "12"])), draw(specs()), draw(specs()), digest="d"
    )
    row = tuple(
        draw(numbers(DTYPES[spec.datatype], spec.shape[1:])).tobytes()
        if spec.datatype != BYTES
        else packed_texts(
            [draw(texts).encode() for _ in range(int(np.prod(spec.shape[1:], dtype=int)))]
        )
        for spec in contract.outputs
    )
    return contract, {spec.name: draw(rows_of(spec)) for spec in contract.inputs}, row


def remembered(
    contract: Contract,
    inputs: dict[str, np.ndarray],
    row: tuple[bytes, ...],
    *,
    age_ms: int = 0,
) -> Hits:
    """Return the quick way with a memory that knows one row."""
    memory = MemoryTier[KeptRow](1 << 20)
    (key,) = row_keys(contract, checked_inputs(contract, inputs))
    kept = KeptRow(row, round(1000 * time.time()) - age_ms, 100_000, 1.0)
    memory.put_many({key: NewEntry(kept, kept.size, 100.0, contract.model)})
    return Hits(memory)


def is_plain(contract: Contract) -> bool:
    """Whether the quick way is for such inputs: text of more than one element is not."""
    return all(spec.datatype != BYTES or spec.shape == (-1, 1) for spec in contract.inputs)


def same(quick: dict[str, np.ndarray], long: dict[str, np.ndarray]) -> bool:
    """Whether both are the same arrays, bit by bit, and both the caller's own."""
    return [*quick] == [*long] and all(
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.flags.writeable == other.flags.writeable
        and one.flags.owndata == other.flags.owndata
        and (one.tolist() == other.tolist() if one.dtype == object else True)
        and (one.dtype == object or one.tobytes() == other.tobytes())
        for one, other in zip(quick.values(), long.values(), strict=True)
    )


@given(known())
def test_the_quick_way_gives_what_the_long_way_gives(
    case: tuple[Contract, dict[str, np.ndarray], tuple[bytes, ...]],
) -> None:
    """Types, shapes, bits, version: of every datatype."""
    contract, inputs, row = case
    found = remembered(*case).find(contract, inputs)
    assert (found is not None) == is_plain(contract)
    if found is not None:
        assert same(found.outputs, arrays(joined(contract.outputs, [row])))
        assert (found.version, found.source, found.looked_up) == (contract.version, "cache", 1)
        assert (found.cached.tolist(), found.from_memory) == ([True], 1)


@given(known(), st.data())
def test_what_is_not_known_is_not_found(
    case: tuple[Contract, dict[str, np.ndarray], tuple[bytes, ...]], data: st.DataObject
) -> None:
    """Other values have other keys on both ways, and equal ones the same."""
    contract, inputs, _row = case
    hits = remembered(*case)
    others = {spec.name: data.draw(rows_of(spec)) for spec in contract.inputs}
    keys = [row_keys(contract, checked_inputs(contract, one)) for one in (inputs, others)]
    found = hits.find(contract, others)
    assert (found is not None) == (keys[0] == keys[1] and is_plain(contract))


@given(known())
def test_what_an_answer_is_changed_to_is_not_what_the_next_caller_gets(
    case: tuple[Contract, dict[str, np.ndarray], tuple[bytes, ...]],
) -> None:
    """Each caller has arrays of its own."""
    contract, inputs, row = case
    hits = remembered(*case)
    for _ in range(2):
        found = hits.find(contract, inputs)
        if found is not None:
            assert same(found.outputs, arrays(joined(contract.outputs, [row])))
            for array in found.outputs.values():
                array[:] = 0


X = Spec("X", "FP32", (-1, 2))
Y = Spec("Y", "FP32", (-1, 1))
ONE = np.array([[1.0, 2.0]], dtype=np.float32)
ROW = (np.array([7.0], dtype=np.float32).tobytes(),)


def test_zeros_and_nans_are_found_whatever_their_bits() -> None:
    """As on the long way: −0.0 is 0.0, and any NaN is NaN."""
    contract = Contract("churn", "1", (X,), (Y,))
    hits = remembered(contract, {"X": np.array([[0.0, np.nan]], np.float32)}, ROW)
    odd = np.array([[0x80000000, 0xFFC00001]], "<u4").view("<f4")
    assert hits.find(contract, {"X": odd}) is not None


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (ONE.tolist(), "no array"),
        (ONE.astype(np.float64), "another type"),
        (ONE.astype(">f4"), "another byte order"),
        (ONE[0], "another number of dimensions"),
        (np.concatenate([ONE, ONE]), "two rows"),
        (ONE[:0], "no rows"),
        (ONE[:, :1], "another width"),
        (np.ma.masked_array(ONE), "a kind of array"),
        (ONE.view(np.recarray), "another kind of array"),
        (None, "nothing"),
    ],
)
def test_what_is_not_plain_goes_the_long_way(other: Any, why: str) -> None:
    """Which casts it or says what is wrong with it."""
    contract = Contract("churn", "1", (X,), (Y,))
    hits = remembered(contract, {"X": ONE}, ROW)
    assert hits.find(contract, {"X": ONE}) is not None
    assert hits.find(contract, {"X": other}) is None, why
    for inputs in ({}, {"X": ONE, "Z": ONE}, {"Z": ONE}):
        assert hits.find(contract, inputs) is None


def test_arrays_that_are_not_contiguous_are_the_same_rows() -> None:
    """Slices and other orders of their bytes in memory."""
    x = Spec("X", "FP32", (-1, 2, 3))
    contract = Contract("churn", "1", (x,), (Y,))
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    hits = remembered(contract, {"X": array}, ROW)
    wide = np.zeros((1, 2, 6), np.float32)
    wide[:, :, ::2] = array
    for same_numbers in (np.asfortranarray(array), wide[:, :, ::2], array[:, ::-1][:, ::-1]):
        assert hits.find(contract, {"X": same_numbers}) is not None


@pytest.mark.parametrize("text", ["a\0b", "\ud800", b"bytes", 1, None, np.str_("a")])
def test_text_that_is_no_plain_text_goes_the_long_way(text: Any) -> None:
    """Or is found as there."""
    t = Spec("T", BYTES, (-1, 1))
    contract = Contract("churn", "1", (t,), (Y,))
    hits = remembered(contract, {"T": np.array([["a"]], dtype=object)}, ROW)
    array = np.empty((1, 1), dtype=object)
    array[0, 0] = text
    assert hits.find(contract, {"T": array}) is None
    array[0, 0] = "a"
    assert hits.find(contract, {"T": array}) is not None
    assert hits.find(contract, {"T": np.array([["a"]])}) is None  # of numpy's own text


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((Spec("X", "FP32", (-1, -1)),), (Y,)),
        ((Spec("X", "FP32", (2,)),), (Y,)),
        ((X,), (Spec("Y", "FP32", (-1, -1)),)),
        ((X,), (Spec("Y", "FP32", (1,)),)),
        ((Spec("X", "BF16", (-1, 2)),), (Y,)),
    ],
)
def test_models_whose_rows_have_no_fixed_shape_go_the_long_way(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]
) -> None:
    """And those with types that numpy has not."""
    contract = Contract("churn", "1", inputs, outputs)
    assert Hits(MemoryTier[KeptRow](1 << 20)).find(contract, {"X": ONE}) is None


def test_a_row_in_the_second_half_of_its_life_goes_the_long_way() -> None:
    """There it may be computed anew, beside the call."""
    contract = Contract("churn", "1", (X,), (Y,))
    for age_ms, found in ((0, True), (45_000, True), (55_000, False), (-1000, True)):
        hits = remembered(contract, {"X": ONE}, ROW, age_ms=age_ms)
        assert (hits.find(contract, {"X": ONE}) is not None) == found


@pytest.mark.parametrize(
    "change",
    [
        lambda c: Contract(c.model, "2", c.inputs, c.outputs),
        lambda c: Contract(c.model, c.version, c.inputs, c.outputs, digest="other"),
        lambda c: Contract(c.model, c.version, c.inputs, (Spec("Y", "FP32", (-1, 2)),)),
        lambda c: Contract(c.model, c.version, (Spec("X", "FP32", (-1, 1, 2)),), c.outputs),
        lambda c: Contract("other", c.version, c.inputs, c.outputs),
    ],
)
def test_another_contract_of_a_model_finds_nothing_of_the_last_one(
    change: Callable[[Contract], Contract],
) -> None:
    """What was prepared for one is not used for another; the first is found again."""
    contract = Contract("churn", "1", (X,), (Y,))
    hits = remembered(contract, {"X": ONE}, ROW)
    assert hits.find(contract, {"X": ONE}) is not None
    assert hits.find(change(contract), {"X": ONE}) is None
    assert hits.find(contract, {"X": ONE}) is not None


@pytest.fixture
def fake() -> FakeTriton:
    server = FakeTriton()
    server.serve(
        "churn",
        lambda X: {"Y": X.sum(axis=1, keepdims=True)},  # noqa: N803
        inputs={"X": ("FP32", [-1, 2])},
        outputs={"Y": ("FP32", [-1, 1])},
    )
    return server


def test_a_client_answers_and_counts_alike_on_both_ways(fake: FakeTriton) -> None:
    """The quick way is taken for arrays, the long one for lists."""
    with ModelClient(fake, memory_bytes=1 << 20) as client:
        client.infer("churn", {"X": ONE})
        quick = client._core.inference.at_hand(
            client._core.contracts.fresh("churn", ""), {"X": ONE}
        )
        assert isinstance(quick, InferResult)
        before = client.stats().models["churn"]
        for inputs in ({"X": ONE}, {"X": ONE.tolist()}):
            result = client.infer_detailed("churn", inputs)
            assert same(result.outputs, quick.outputs)
            assert (result.version, result.source, result.cached.tolist()) == ("1", "cache", [True])
            after = client.stats().models["churn"]
            for figure in ("calls", "rows", "hits", "memory_hits"):
                assert getattr(after, figure) == getattr(before, figure) + 1, figure
            assert after.misses == before.misses
            before = after
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("model", "inputs", "more"),
    [
        ("churn", None, {}),
        ("churn", [ONE], {}),
        ("churn", {"X": ONE, 1: ONE}, {}),
        (["churn"], {"X": ONE}, {}),
        ("churn", {"X": ONE}, {"version": 1}),
        ("churn", {"X": ONE}, {"version": ["1"]}),
        ("churn", {"X": ONE}, {"tags": "t"}),
        ("churn", {"X": ONE}, {"tags": [1]}),
        ("churn", {"X": ONE}, {"timeout_s": 0}),
    ],
)
def test_mistakes_are_told_although_the_row_is_at_hand(
    fake: FakeTriton, model: Any, inputs: Any, more: dict[str, Any]
) -> None:
    """The quick way looks past none."""
    with ModelClient(fake, memory_bytes=1 << 20) as client:
        client.infer("churn", {"X": ONE})
        with pytest.raises(InvalidInput):
            client.infer(model, inputs, **more)


def test_a_model_with_no_time_to_live_has_nothing_at_hand(fake: FakeTriton) -> None:
    """Nor has a client without a memory."""
    for options in ({"memory_bytes": 1 << 20, "ttl_s": {"churn": 0}}, {}):
        with ModelClient(fake, **options) as client:
            for _ in range(2):
                assert not client.infer_detailed("churn", {"X": ONE}).cached.any()
                assert (
                    client._core.inference.at_hand(
                        client._core.contracts.fresh("churn", ""), {"X": ONE}
                    )
                    is None
                )

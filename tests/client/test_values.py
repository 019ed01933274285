"""What is kept of a row comes back as it went, and nothing else is taken for it."""

from __future__ import annotations

import json
import random
import struct
import zlib

import pytest
from geulpi_client._codec import decode_row, encode_row, layout
from geulpi_client._constants import MAX_CACHED_ROW_BYTES
from geulpi_client._tensors import Spec
from geulpi_client._values import COMPRESSED_FROM_BYTES, Value, pack, unpack
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = "ml_cache:event_classifier:3:812c8e26f59df2feb83594a8c3452ea7"
CREATED_MS = 1_790_000_000_000
HEAD_BYTES = 28
times_ms = st.integers(0, 2**63 - 1)


def packed(payload: bytes) -> bytes:
    return pack(payload, CREATED_MS, 300_000, 12.5, key=KEY)


def repeated(size: int) -> bytes:
    """Text that shrinks, as JSON does."""
    rules = [{"rrule": f"FREQ=WEEKLY;BYHOUR={i % 24}", "confidence": i / 999} for i in range(size)]
    return json.dumps(rules).encode()[:size]


def noise(size: int) -> bytes:
    """Bytes that do not shrink, as numbers hardly do."""
    return random.Random(7).randbytes(size)


@given(st.binary(max_size=300), times_ms, times_ms, st.floats(0, 1e6, width=32), st.text())
def test_a_value_comes_back_as_it_went(
    payload: bytes, created_ms: int, ttl_ms: int, cost_ms: float, key: str
) -> None:
    """unpack(pack(value)) is the value."""
    raw = pack(payload, created_ms, ttl_ms, cost_ms, key=key)
    assert unpack(raw, key=key) == Value(payload, created_ms, ttl_ms, cost_ms)


def test_the_layout_is_fixed() -> None:
    """Values of the last release are read by this one; another layout needs another number."""
    raw = pack(b"row", CREATED_MS, 300_000, 12.5, key="ml_cache:m:1:00")
    assert raw.hex(" ", -4) == (
        "c7470100 006c50c4 a0010000 e0930400 00000000 00004841 bcb2f489 726f77"
    )


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_what_is_no_value_is_none(raw: bytes) -> None:
    """Whatever bytes stand under our key."""
    assert unpack(raw, key=KEY) is None


@given(st.binary(max_size=60), st.binary(min_size=0, max_size=60))
@settings(max_examples=300)
def test_what_begins_like_a_value_is_none(head: bytes, rest: bytes) -> None:
    """Also with the right magic, format and flags."""
    for flags in (0, 1):
        assert unpack(b"\xc7G\x01" + bytes([flags]) + head + rest, key=KEY) is None


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"OK",
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00",  # a pickle
        b'{"label": "work"}' * 10,
        b"\x01\x02\x00" * 30,  # the codec's own rows, as the first release kept them
        b"\x00" * 100,
        b"\xff" * 100,
    ],
)
def test_values_of_others_are_none(foreign: bytes) -> None:
    """Other programs, other releases, and nothing at all."""
    assert unpack(foreign, key=KEY) is None


@pytest.mark.parametrize("payload", [b"", noise(115), repeated(20_000)])
def test_a_value_that_was_cut_short_or_grew_is_none(payload: bytes) -> None:
    """At every length."""
    raw = packed(payload)
    lengths = [*range(min(len(raw), 200)), len(raw) - 1]
    assert [unpack(raw[:length], key=KEY) for length in lengths] == [None] * len(lengths)
    assert unpack(raw + b"\0", key=KEY) is None
    assert unpack(raw, key=KEY) is not None


def test_a_value_with_a_flipped_bit_is_none() -> None:
    """Any one of them, in every part."""
    raw = packed(noise(40))
    for position in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[position] ^= 1 << bit
            assert unpack(bytes(flipped), key=KEY) is None


COMPRESSED = packed(repeated(20_000))


@given(st.data())
def test_a_compressed_value_with_changed_bytes_is_none(data: st.DataObject) -> None:
    """The checksum is looked at before anything is decompressed."""
    raw = bytearray(COMPRESSED)
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    assert unpack(bytes(raw), key=KEY) is None


def test_the_value_of_another_key_is_none() -> None:
    """As from a connection whose replies fell out of step, or a key that was renamed."""
    assert unpack(packed(b"row"), key=KEY[:-1] + "8") is None
    assert unpack(packed(b"row")) is None


def test_large_text_is_compressed() -> None:
    """From 16 KiB on; it comes back whole."""
    below, from_there = repeated(COMPRESSED_FROM_BYTES - 1), repeated(COMPRESSED_FROM_BYTES)
    assert len(packed(below)) == HEAD_BYTES + len(below)
    assert len(packed(from_there)) < len(from_there) / 2
    assert unpack(packed(from_there), key=KEY) == Value(from_there, CREATED_MS, 300_000, 12.5)


@pytest.mark.parametrize(
    "payload", [noise(100_000), repeated(5_000) + noise(100_000), noise(5_000) + repeated(100_000)]
)
def test_what_hardly_shrinks_stays_as_it_is(payload: bytes) -> None:
    """By its first part, or else as a whole."""
    raw = packed(payload)
    assert raw[HEAD_BYTES:] == payload
    assert unpack(raw, key=KEY) == Value(payload, CREATED_MS, 300_000, 12.5)


@pytest.mark.parametrize("unit", [b"a", repeated(65_536)])
@pytest.mark.parametrize("size", [MAX_CACHED_ROW_BYTES, MAX_CACHED_ROW_BYTES + 1])
def test_the_largest_row_comes_back(size: int, unit: bytes) -> None:
    """And one that is too large to be kept is at least not damaged."""
    payload = (unit * (size // len(unit) + 1))[:size]
    value = unpack(packed(payload), key=KEY)
    assert value is not None
    assert value.payload == payload


def forged(body: bytes, flags: int, *, magic: bytes = b"\xc7G", number: int = 1) -> bytes:
    """A value with a right checksum, by somebody else."""
    head = struct.pack("<2sBBqqf", magic, number, flags, CREATED_MS, 300_000, 12.5)
    return head + struct.pack("<I", zlib.crc32(KEY.encode() + head + body)) + body


def test_a_value_that_would_fill_the_memory_is_none() -> None:
    """A gigabyte of zeros is a megabyte of zlib; it is not unpacked."""
    bomb = zlib.compressobj(9)
    body = b"".join(bomb.compress(b"\0" * (1 << 20)) for _ in range(64)) + bomb.flush()
    assert unpack(forged(body, 1), key=KEY) is None


@pytest.mark.parametrize(
    "raw",
    [
        forged(b"no zlib", 1),
        forged(b"", 1),
        forged(zlib.compress(b"row")[:-1], 1),
        forged(zlib.compress(b"row") + b"\0", 1),
        forged(b"row", 2),
        forged(zlib.compress(b"row"), 3),
        forged(b"row", 0, magic=b"GV"),
        forged(b"row", 0, number=2),
        forged(b"row", 0, number=0),
    ],
)
def test_what_this_release_can_not_read_is_none(raw: bytes) -> None:
    """With a right checksum, but another format, other flags, or a body that is none."""
    assert unpack(raw, key=KEY) is None


def test_forging_works() -> None:
    """The values above are refused for what is wrong with them."""
    assert unpack(forged(b"row", 0), key=KEY) == Value(b"row", CREATED_MS, 300_000, 12.5)
    compressed = forged(zlib.compress(b"row"), 1)
    assert unpack(compressed, key=KEY) == Value(b"row", CREATED_MS, 300_000, 12.5)


def test_times_that_no_number_holds_are_the_longest_there_is() -> None:
    """A time to live of a billion years is a setting that the client takes."""
    value = unpack(pack(b"row", CREATED_MS, 10**300, 1e300, key=KEY), key=KEY)
    assert value is not None
    assert value.ttl_ms == 2**63 - 1
    assert value.cost_ms > 1e18


def test_it_carries_the_rows_of_the_codec() -> None:
    """A row of a model's outputs, through both."""
    outputs = (Spec("probabilities", "FP32", (-1, 2)),)
    head = layout(outputs)
    row = (struct.pack("<2f", 0.25, 0.75),)
    value = unpack(packed(encode_row(head, row)), key=KEY)
    assert value is not None
    assert decode_row(outputs, head, value.payload) == row

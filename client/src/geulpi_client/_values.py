"""What both tiers of the cache keep of a row: its outputs, when they were made, and a checksum.

    magic (2 bytes), format (uint8), flags (uint8),
    created (int64, ms since 1970), time to live (int64, ms), cost of computing (float32, ms),
    checksum (uint32), row as `_codec` encodes it; all little-endian

Whatever else stands under a key of ours is nobody's answer: a value of another program or release,
one cut short or with a flipped bit, or that of another key, as a connection hands it out that fell
out of step with its replies. The checksum is a CRC-32 over all other parts and the key. It finds
accidents, and is for nothing else: who may write into the cache may also write good values. (For
115 bytes it takes 0.18 µs, a blake2b of 4 bytes 0.33 µs.)

Large rows are compressed, zlib level 1. Medians in µs on Valkey over the loopback, 2 cores:

    row                 bytes  ratio  compress  decompress  GET plain  GET compressed
    10 probabilities      115   1.04       3.9         0.4         75              76
    300 floats          1,232   1.02      16.6         5.0         78              77
    4 kB of JSON        4,173   5.60      10.1         4.8         78              78
    16 kB of JSON      16,045   7.79      21.1        13.3         82              77
    100 kB of JSON    100,050   9.14     141.8        71.8        106              78

On one machine a kilobyte of a reply costs 0.3 µs and its decompression 0.7 µs, so nothing is gained
in time, at most 45 µs are lost. Over a network it is 0.8 µs more per kilobyte at 10 Gbit/s, 8 µs at
1 Gbit/s: from 16 kB on, decompressing costs less than what is not sent, and the cache holds several
times as many rows. Below that, the round-trip is nearly all there is, so rows stay as they are.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from geulpi_client._constants import MAX_CACHED_ROW_BYTES

COMPRESSED_FROM_BYTES: Final = 16 << 10

_MAGIC = b"\xc7G"  # no text begins so, in UTF-8 or ASCII
# Count up with any change of the layout above: old values are then misses.
_FORMAT = 1
_COMPRESSED = 1  # the only flag
_HEAD = struct.Struct("<2sBBqqf")
_CHECKSUM = struct.Struct("<I")
_START = _HEAD.size + _CHECKSUM.size
_MOST_MS = (1 << 63) - 1

# By the first part it is seen whether the rest is worth the time: numbers hardly shrink.
_TRIED_BYTES = 4 << 10
_WORTH_IT = 0.75


class Value(NamedTuple):
    """A row's payload, when it was made, how long it is fresh, and what it cost to compute."""

    payload: bytes
    created_ms: int
    ttl_ms: int
    cost_ms: float


def pack(payload: bytes, created_ms: int, ttl_ms: int, cost_ms: float, *, key: str = "") -> bytes:
    """Return the value of a payload, to be kept under this key and no other."""
    body = _compressed(payload)
    flags = 0 if body is None else _COMPRESSED
    body = payload if body is None else body
    head = _HEAD.pack(
        _MAGIC, _FORMAT, flags, created_ms, min(ttl_ms, _MOST_MS), min(cost_ms, _MOST_MS)
    )
    return b"".join((head, _CHECKSUM.pack(_checksum(key, head, body)), body))


def unpack(raw: bytes, *, key: str = "") -> Value | None:
    """Return what `pack` was given for this key, `None` if these bytes are not of it."""
    if len(raw) < _START:
        return None
    magic, number, flags, created_ms, ttl_ms, cost_ms = _HEAD.unpack_from(raw)
    if magic != _MAGIC or number != _FORMAT or flags & ~_COMPRESSED:
        return None
    body = raw[_START:]
    if _CHECKSUM.unpack_from(raw, _HEAD.size)[0] != _checksum(key, raw[: _HEAD.size], body):
        return None
    payload = _decompressed(body) if flags else body
    return None if payload is None else Value(payload, created_ms, ttl_ms, cost_ms)


def _checksum(key: str, head: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(head, zlib.crc32(key.encode())))


def _compressed(payload: bytes) -> bytes | None:
    """Return the payload compressed, `None` if that is not worth it."""
    if not COMPRESSED_FROM_BYTES <= len(payload) <= MAX_CACHED_ROW_BYTES:
        return None
    stream = zlib.compressobj(level=1)
    first = stream.compress(payload[:_TRIED_BYTES]) + stream.flush(zlib.Z_SYNC_FLUSH)
    if len(first) > _WORTH_IT * _TRIED_BYTES:
        return None
    whole = first + stream.compress(payload[_TRIED_BYTES:]) + stream.flush()
    return whole if len(whole) <= _WORTH_IT * len(payload) else None


def _decompressed(body: bytes) -> bytes | None:
    """Return the payload, `None` if these bytes are none or would be larger than any is."""
    stream = zlib.decompressobj()
    try:
        payload = stream.decompress(body, MAX_CACHED_ROW_BYTES)
    except zlib.error:
        return None
    return payload if stream.eof and not stream.unused_data else None

"""The cache seen by an operator: counters, entries, and dropping a model's results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import cast

import redis

from geulpi_client._cache import connect
from geulpi_client._constants import COUNTS_PREFIX, RESULT_PREFIX
from geulpi_client._errors import CacheUnavailable
from geulpi_client._urls import masked

_TIMEOUT_S = 2.0
_SCANNED_AT_A_TIME = 1000


@dataclass(frozen=True)
class CacheStats:
    """Rows found and not found by all clients of a cache, for one model."""

    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Hits among all look-ups, 0 before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


def cache_stats(url: str) -> dict[str, CacheStats]:
    """Return the counters of every model, by its name; clients write them once a second.

    Raises:
        InvalidUrl, CacheUnavailable.
    """
    with _opened(url) as server:
        found = {}
        for key in sorted(_scanned(server, COUNTS_PREFIX + "*")):
            counts = cast("dict[bytes, bytes]", server.hgetall(key))
            model = key.decode().removeprefix(COUNTS_PREFIX)
            found[model] = CacheStats(int(counts.get(b"hits", 0)), int(counts.get(b"misses", 0)))
        return found


def cache_entries(url: str) -> dict[str, int]:
    """Return how many results of each model the cache holds; reads through all its keys.

    Raises:
        InvalidUrl, CacheUnavailable.
    """
    with _opened(url) as server:
        return dict(Counter(_model_of(key) for key in _scanned(server, RESULT_PREFIX + "*")))


def invalidate(url: str, model: str | None) -> int:
    """Drop the cached results of a model, or of all for `None`; return how many there were.

    Clients may write new ones meanwhile: they are younger than the call, and stay.

    Raises:
        InvalidUrl, CacheUnavailable.
    """
    pattern = f"{RESULT_PREFIX}{'*' if model is None else _literally(model) + ':*'}"
    dropped = 0
    with _opened(url) as server:
        keys = (k for k in _scanned(server, pattern) if model is None or _model_of(k) == model)
        while some := list(islice(keys, _SCANNED_AT_A_TIME)):
            dropped += server.unlink(*some)
    return dropped


@contextmanager
def _opened(url: str) -> Iterator[redis.Redis]:
    server = connect(url, _TIMEOUT_S)
    try:
        yield server
    except (redis.RedisError, OSError) as error:
        raise CacheUnavailable(masked(url), str(error)) from error
    finally:
        server.connection_pool.disconnect()


def _scanned(server: redis.Redis, pattern: str) -> Iterator[bytes]:
    yield from server.scan_iter(match=pattern, count=_SCANNED_AT_A_TIME)


def _model_of(key: bytes) -> str:
    # From the right: a version and a digest hold no colon, a model's name may.
    return key.decode().removeprefix(RESULT_PREFIX).rsplit(":", 2)[0]


def _literally(name: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in name)

"""The cache seen by an operator: counters, entries, and dropping a model's results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from geulpi_client._constants import COUNTS_PREFIX, RESULT_PREFIX
from geulpi_client._errors import CacheUnavailable
from geulpi_client._keys import model_of
from geulpi_client._redis import checked_cache_url, close, connect
from geulpi_client._sync.stores import STORE_ERRORS, RedisStore
from geulpi_client._writes import Drop

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
            counts = server.hgetall(key)
            model = key.decode().removeprefix(COUNTS_PREFIX)
            found[model] = CacheStats(int(counts.get(b"hits", 0)), int(counts.get(b"misses", 0)))
        return found


def cache_entries(url: str) -> dict[str, int]:
    """Return how many results of each model the cache holds; reads through all its keys.

    Raises:
        InvalidUrl, CacheUnavailable.
    """
    with _opened(url) as server:
        keys = _scanned(server, RESULT_PREFIX + "*")
        return dict(Counter(model_of(key.decode(errors="replace")) for key in keys))


def invalidate(url: str, model: str | None) -> int:
    """Drop the cached results of a model, or of all for `None`; return how many there were.

    Clients may write new ones meanwhile: they are younger than the call, and stay. What is in the
    memory of clients goes within a second.

    Raises:
        InvalidUrl, CacheUnavailable.
    """
    address = checked_cache_url(url)
    store = RedisStore(address, _TIMEOUT_S)
    try:
        return store.drop(Drop("model", model or ""))
    except STORE_ERRORS as error:
        raise CacheUnavailable(address.url, str(error)) from error
    finally:
        store.close()


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    address = checked_cache_url(url)
    try:
        server = connect(address, _TIMEOUT_S)
        try:
            yield server
        finally:
            close(server)
    except STORE_ERRORS as error:
        raise CacheUnavailable(address.url, str(error)) from error


def _scanned(server: Any, pattern: str) -> Iterator[bytes]:
    yield from server.scan_iter(match=pattern, count=_SCANNED_AT_A_TIME)

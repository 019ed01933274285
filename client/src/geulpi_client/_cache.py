"""The cache of results: Redis, or none. It may be away or slow; it never fails a call."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from geulpi_client._constants import (
    CACHE_PAUSE_S,
    CACHE_TIMEOUT_S,
    COUNTS_FLUSH_S,
    COUNTS_PREFIX,
)
from geulpi_client._urls import cache_settings, masked

_log = logging.getLogger(__name__)


class ResultCache(Protocol):
    """Where the answers of single rows are kept."""

    enabled: bool
    errors: int

    def get(self, keys: Sequence[str]) -> Sequence[bytes | None] | None:
        """Return one value or `None` per key; `None` for all if the cache can't be asked."""

    def put(
        self, model: str, values: Mapping[str, bytes], ttl_s: float, *, hits: int, misses: int
    ) -> None:
        """Keep values for a time, and add to the counters that all processes share."""

    def close(self) -> None:
        """Write what is pending and let go of the connections."""


class NoCache:
    """Keeps nothing."""

    enabled = False
    errors = 0

    def get(self, keys: Sequence[str]) -> None:
        """Know nothing."""

    def put(
        self, model: str, values: Mapping[str, bytes], ttl_s: float, *, hits: int, misses: int
    ) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Do nothing."""


class RedisCache:
    """Redis behind short time-outs. After a failure it is left alone for a second.

    So an outage costs every second one call at most two time-outs, and the others nothing. When
    several processes miss the same row at once, each asks the model and the last one's answer
    stays: they are the same.
    """

    enabled = True

    def __init__(self, url: str) -> None:
        self.url = masked(url)
        self.errors = 0
        self._redis = connect(url, CACHE_TIMEOUT_S)
        self._lock = threading.Lock()
        self._down = False
        self._rest_until_s = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._flush_at_s = time.monotonic() + COUNTS_FLUSH_S

    def get(self, keys: Sequence[str]) -> Sequence[bytes | None] | None:
        """Return one value or `None` per key; `None` for all if the cache can't be asked."""
        values: Sequence[bytes | None] | None = None
        if self._may_try():
            with self._failing_open():
                # redis-py can't tell from its types that nothing is decoded here.
                values = cast("list[bytes | None]", self._redis.mget(keys))
        return values

    def put(
        self, model: str, values: Mapping[str, bytes], ttl_s: float, *, hits: int, misses: int
    ) -> None:
        """Keep values for a time; counts travel with them, or alone at most once a second."""
        with self._lock:
            self._counts[model, "hits"] += hits
            self._counts[model, "misses"] += misses
            due = time.monotonic() >= self._flush_at_s
        if values or due:
            self._write(values, ttl_s)

    def close(self) -> None:
        """Write what is pending and let go of the connections."""
        self._write({}, 0)
        self._redis.close()
        self._redis.connection_pool.disconnect()

    def _write(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        if not self._may_try():
            return
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._flush_at_s = time.monotonic() + COUNTS_FLUSH_S
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, px=max(1, round(ttl_s * 1000)))
        for (model, field), number in counts.items():
            if number:
                pipeline.hincrby(COUNTS_PREFIX + model, field, number)
        with self._failing_open():
            # A failure half-way loses counts: they are a hint for people, answers don't need them.
            pipeline.execute()

    def _may_try(self) -> bool:
        if not self._down:
            return True
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._rest_until_s:
                return False
            self._rest_until_s = now_s + CACHE_PAUSE_S  # this call tries, the others don't wait
            return True

    @contextmanager
    def _failing_open(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            with self._lock:
                self.errors += 1
                self._rest_until_s = time.monotonic() + CACHE_PAUSE_S
                first, self._down = not self._down, True
            if first:
                _log.warning("cache %s fails, going on without it: %s", self.url, error)
        else:
            if self._down:
                self._down = False
                _log.info("cache %s is back", self.url)


def open_cache(url: str | None) -> ResultCache:
    """Return the cache behind a Redis URL; `None` is no cache. Nothing is connected yet.

    Raises:
        InvalidUrl: it is no Redis URL.
    """
    return NoCache() if url is None else RedisCache(url)


def connect(url: str, timeout_s: float) -> redis.Redis:
    """Return a Redis client for a URL, with our time-outs in place of redis-py's.

    Raises:
        InvalidUrl: it is no Redis URL.
    """
    return redis.Redis(connection_pool=_pool(url, timeout_s))


def _pool(url: str, timeout_s: float) -> redis.ConnectionPool:
    settings = cache_settings(url) | {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "max_connections": None,
    }
    return redis.ConnectionPool(**settings)

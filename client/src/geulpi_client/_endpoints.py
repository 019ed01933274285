"""Several servers of the same models: which of them a request goes to.

Two of them are drawn and the less loaded one is taken. That is nearly as even as looking at all of
them, and unlike the least of all it does not send every client to the same server at once
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE Transactions on
Parallel and Distributed Systems, 2001). Load is about how long a request would take there: those in
flight and this one, times the latency.
"""

from __future__ import annotations

import math
import random as _random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Final

from geulpi_client._breaker import Breaker
from geulpi_client._errors import (
    CallFailed,
    DeadlineExceeded,
    InputRefused,
    InvalidSetting,
    Unreachable,
)

LATENCY_MEMORY_S: Final = 10.0
"""How fast latencies are forgotten: to 37 % in this time."""

SLOW_S: Final = 0.25
"""No answer within so long counts as a failure; a caller with a shorter deadline is no news."""

LONGEST_OPEN_S: Final = 0.5
"""A server that came back is found within this time. Probing it so often costs nothing."""

# Of one measurement, in the average.
_LEAST_WEIGHT = 0.1

# Below it, differences of latency are chance, and the requests in flight decide. An endpoint that
# was not asked for long comes to it, so that it is asked again.
_LEAST_LATENCY_S = 0.0005


class AllDown(Exception):
    """No endpoint may be tried now; the sender tells the caller so as `Unreachable`.

    `retry_in_s` is after how many seconds one may be, at the latest.
    """

    def __init__(self, retry_in_s: float) -> None:
        super().__init__(retry_in_s)
        self.retry_in_s = retry_in_s

    def __str__(self) -> str:
        """Write what the caller is told."""
        return f"it failed several times; it is tried again within {self.retry_in_s:.2g} s"


class Endpoint:
    """One server: what is under way there, and how it went so far; safe to share between threads.

    `failures` are all since the start. `latency_s` is an average of the requests that succeeded, in
    which the newest weigh most.
    """

    __slots__ = (
        "_clock",
        "_latency_s",
        "_lock",
        "_measured_s",
        "breaker",
        "failures",
        "in_flight",
        "url",
    )

    def __init__(self, url: str, breaker: Breaker, clock: Callable[[], float]) -> None:
        self.url = url
        self.breaker = breaker
        self.in_flight = 0
        self.failures = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._latency_s = 0.0
        self._measured_s = -math.inf

    @property
    def latency_s(self) -> float:
        """The average latency in seconds, 0 before anything was measured."""
        return self._latency_s

    def load_s(self) -> float:
        """Return about how many seconds a request would take here now."""
        remembered = self._latency_s * _decay(self._clock() - self._measured_s)
        return (self.in_flight + 1) * max(_LEAST_LATENCY_S, remembered)

    def started(self) -> None:
        """Count a request as under way."""
        with self._lock:
            self.in_flight += 1

    def attempt(self) -> Attempt:
        """Return a `with` block that counts a request."""
        return Attempt(self)

    def finished(self, ok: bool | None, took_s: float) -> None:
        """Count a request as over, so many seconds after it started.

        `ok` is whether the endpoint answered; `None` if that is not known, as of a cancelled one.
        """
        with self._lock:
            self.in_flight -= 1
            if ok:
                self._measure(took_s)
            elif ok is False:
                self.failures += 1
        if ok:
            self.breaker.succeeded()
        elif ok is False:
            self.breaker.failed(took_s)
        else:
            self.breaker.abandoned(took_s)

    def _measure(self, took_s: float) -> None:
        # After a pause the past counts little; in a burst, without pauses, each one still counts.
        now_s = self._clock()
        weight = max(_LEAST_WEIGHT, 1 - _decay(now_s - self._measured_s))
        self._latency_s += weight * (took_s - self._latency_s)
        self._measured_s = now_s


class Attempt:
    """A request at an endpoint, counted as under way within a `with` block, and then by its end."""

    __slots__ = ("_endpoint", "_since_s")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> None:
        """Count it as under way."""
        self._since_s = time.monotonic()
        self._endpoint.started()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count it as over."""
        took_s = time.monotonic() - self._since_s
        self._endpoint.finished(_answered(error, took_s), took_s)


def _answered(error: BaseException | None, took_s: float) -> bool | None:
    """Return whether the endpoint answered, `None` if that is not known."""
    if error is None:
        return True
    if isinstance(error, Unreachable):
        return False
    if isinstance(error, DeadlineExceeded):
        return False if took_s >= SLOW_S else None
    return True if isinstance(error, CallFailed | InputRefused) else None


class Endpoints:
    """The servers of a client.

    `clock` tells monotonic seconds, `random` a number from 0 to below 1.

    Raises:
        InvalidSetting: there is none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if not urls:
            raise InvalidSetting("url", [*urls], "the address of at least one server")
        self._random = random
        self.all: Final = tuple(
            Endpoint(
                url,
                Breaker(clock, open_s=0.25, longest_open_s=LONGEST_OPEN_S, random=random),
                clock,
            )
            for url in dict.fromkeys(urls)
        )
        self._only = self.all[0] if len(self.all) == 1 else None

    def choose(self, avoid: Collection[str] = ()) -> Endpoint:
        """Return the endpoint of the next request, which must be `started` and then `finished`.

        Those with a URL in `avoid`, such as where the last attempt failed, are taken only where all
        others are down.

        Raises:
            AllDown: the breaker of each is open.
        """
        only = self._only
        if only is not None:
            if only.breaker.allow():
                return only
            raise AllDown(only.breaker.wait_s())
        up = [endpoint for endpoint in self.all if not endpoint.breaker.wait_s()]
        liked = [endpoint for endpoint in up if endpoint.url not in avoid]
        while liked or up:
            found = self._less_loaded(liked or up)
            if found.breaker.allow():
                return found
            # Another thread was let through as its probe just now.
            up.remove(found)
            if liked:
                liked.remove(found)
        raise AllDown(min(endpoint.breaker.wait_s() for endpoint in self.all))

    def _less_loaded(self, among: Sequence[Endpoint]) -> Endpoint:
        count = len(among)
        if count == 1:
            return among[0]
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        second += second >= first
        one, other = among[first], among[second]
        return one if one.load_s() <= other.load_s() else other


def _decay(seconds: float) -> float:
    return math.exp(-seconds / LATENCY_MEMORY_S)

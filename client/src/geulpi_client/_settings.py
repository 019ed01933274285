"""Settings of clients and calls, checked before any work."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypedDict

from geulpi_client._async.stores import AsyncCache
from geulpi_client._coalescing import MAX_DELAY_S
from geulpi_client._connection import Credentials, Tls, Token, checked_address
from geulpi_client._constants import DEFAULT_TIMEOUT_S, OTHER_TTL_S, TTL_S
from geulpi_client._errors import InvalidSetting
from geulpi_client._extras import needs
from geulpi_client._limits import MAX_IN_FLIGHT
from geulpi_client._redis import CacheAddress, checked_cache_url
from geulpi_client._tracing import Tracer

MAX_WAITING: Final = 10_000
_LEAST_MEMORY_BYTES: Final = 64 << 10


class Options(TypedDict, total=False):
    """What every client takes by name; `docs/client.md` says more of each, with its default."""

    cache: str | AsyncCache | None
    """A Redis URL, or the cache of `geulpi_client.testing`; `None` (unless given) is none."""
    memory_bytes: int
    """The most that the cache within this process may take; 0 (unless given) is none."""
    ttl_s: Mapping[str, float]
    """Seconds that answers are kept, by model, in place of the defaults; 0 is not at all."""
    stale_s: float
    """Seconds that an expired answer is still given out while it is computed anew; 0."""
    early_refresh: float
    """How early an answer that expires soon is computed anew: 1.0 is usual, 0 never."""
    timeout_s: float
    """Seconds that a call may take, over all it does; 5.0."""
    coalesce_delay_s: float | None
    """Seconds, at most 0.002, that a request waits for more calls while others are under way; 0.
    `None`: each call is a request of its own."""
    max_in_flight: int
    """Requests under way at a time; 50."""
    max_waiting: int
    """Calls that may be under way or wait; more fail with `Overloaded`; 10,000."""
    token: Token | None
    """For `Authorization: Bearer …`, or a function that returns the current one."""
    headers: Mapping[str, str]
    """More headers for each request, in lower case."""
    tls: Tls | None
    """Certificates, for addresses with grpcs or https."""
    local: Mapping[str, str | Path]
    """ONNX files by model, which answer when the server can't in time."""
    tracer: Tracer | None
    """An OpenTelemetry tracer, to which calls and requests are spans."""


class Ttls:
    """How long each model's answers are kept, in seconds."""

    def __init__(self, ttl_s: Mapping[str, float]) -> None:
        if not isinstance(ttl_s, Mapping):
            raise InvalidSetting("ttl_s", ttl_s, "a mapping of models to seconds")
        for model, seconds in ttl_s.items():
            if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
                raise InvalidSetting(f"ttl_s['{model}']", seconds, "seconds, or 0 for no caching")
        self._ttl_s = {**TTL_S, **ttl_s}

    @property
    def longest_s(self) -> float:
        """The longest of all."""
        return max(OTHER_TTL_S, *self._ttl_s.values())

    def of(self, model: str) -> float:
        """Return the time to live of a model's answers."""
        return self._ttl_s.get(model, OTHER_TTL_S)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of a client, checked.

    Raises:
        InvalidSetting, InvalidUrl: names the option, its value and what is expected.
    """

    servers: tuple[Any, ...]
    cache: str | AsyncCache | None = field(default=None, repr=False)
    memory_bytes: int = 0
    ttl_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    stale_s: float = 0.0
    early_refresh: float = 1.0
    timeout_s: float = DEFAULT_TIMEOUT_S
    coalesce_delay_s: float | None = 0.0
    max_in_flight: int = MAX_IN_FLIGHT
    max_waiting: int = MAX_WAITING
    token: Token | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    tls: Tls | None = None
    local: Mapping[str, str | Path] = field(default_factory=lambda: MappingProxyType({}))
    tracer: Tracer | None = None

    def __post_init__(self) -> None:
        """Check each."""
        if not self.servers:
            raise InvalidSetting("url", [], "the address of at least one server")
        for server in self.servers:
            _check_server(server, self.tls)
        checked_timeout(self.timeout_s)
        _check_number("stale_s", self.stale_s, "seconds, or 0 for none")
        _check_number("early_refresh", self.early_refresh, "a number such as 1.0, or 0 for never")
        if self.coalesce_delay_s is not None:
            expected = f"seconds from 0 to {MAX_DELAY_S}, or None for requests of their own"
            _check_number("coalesce_delay_s", self.coalesce_delay_s, expected, MAX_DELAY_S)
        for name in ("max_in_flight", "max_waiting"):
            _check_whole(name, getattr(self, name), 1)
        if self.memory_bytes != 0:
            _check_whole("memory_bytes", self.memory_bytes, _LEAST_MEMORY_BYTES)
        if not isinstance(self.local, Mapping):
            raise InvalidSetting("local", self.local, "a mapping of models to ONNX files")
        if self.cache is not None and not isinstance(self.cache, AsyncCache):
            checked_cache_url(self.cache)
        _ = self.credentials, self.ttls

    @property
    def credentials(self) -> Credentials:
        """What each request carries beside its tensors."""
        return Credentials(self.token, self.headers)

    @property
    def ttls(self) -> Ttls:
        """How long answers are kept."""
        return Ttls(self.ttl_s)

    @property
    def cache_address(self) -> CacheAddress | None:
        """Where the shared cache is, `None` where there is none or it stands in for one."""
        return checked_cache_url(self.cache) if isinstance(self.cache, str) else None

    @property
    def url(self) -> str:
        """The servers' addresses, as errors name them."""
        return ", ".join(s if isinstance(s, str) else "fake" for s in self.servers)


def servers_of(url: object) -> tuple[Any, ...]:
    """Return the servers that a client's first argument means."""
    if isinstance(url, Sequence) and not isinstance(url, str | bytes):
        return tuple(dict.fromkeys(url))
    return (url,)


def checked_timeout(timeout_s: float) -> float:
    """Return a time-out that can be waited for, or raise `InvalidSetting`."""
    if (
        not isinstance(timeout_s, int | float)
        or isinstance(timeout_s, bool)
        or not 0 < timeout_s < math.inf
    ):
        raise InvalidSetting("timeout_s", timeout_s, "seconds above 0, such as 5.0")
    return float(timeout_s)


def checked_model(model: str) -> str:
    """Return a model's name, or raise `InvalidSetting`."""
    if not isinstance(model, str) or not model or not model.isprintable():
        raise InvalidSetting("model", model, "a model's name, such as 'event_classifier'")
    return model


def checked_version(version: str) -> str:
    """Return a model version, empty for the newest, or raise `InvalidSetting`."""
    if not isinstance(version, str) or not (version == "" or version.isdecimal()):
        raise InvalidSetting("version", version, "a number as str, such as '3', or '' (the newest)")
    return version


def checked_tags(tags: Collection[str]) -> tuple[str, ...]:
    """Return the tags of a call, or raise `InvalidSetting`."""
    if isinstance(tags, str) or not isinstance(tags, Collection):
        raise InvalidSetting("tags", tags, "a list of texts, such as ['user:42']")
    for tag in tags:
        if not isinstance(tag, str) or not tag or not tag.isprintable():
            raise InvalidSetting("tags", tag, "printable text, such as 'user:42'")
    return tuple(tags)


def _check_server(server: object, tls: Tls | None) -> None:
    if hasattr(server, "open_async_transport"):
        return
    address = checked_address(server)
    if tls is not None and not address.secure:
        raise InvalidSetting("tls", tls, f"an address with grpcs or https; {address.url} has none")
    if address.protocol == "http":
        needs("httpx", "http")


def _check_number(name: str, value: object, expected: str, most: float = math.inf) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= most or math.isinf(value):  # type: ignore[operator, arg-type]
        raise InvalidSetting(name, value, expected)


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidSetting(name, value, f"a whole number, at least {least}")

"""Addresses: what is one, and how it is shown without its secrets."""

from __future__ import annotations

import re
from typing import Any

from redis.connection import parse_url

from geulpi_client._errors import InvalidUrl

_SERVER = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>\d{1,5})")
_CACHE = re.compile(r"(rediss?://[^/]*(/\d*)?|unix://.+)(\?.*)?")


def checked_server_url(url: str) -> str:
    """Return the gRPC address `host:port`, or raise `InvalidUrl`."""
    found = _SERVER.fullmatch(url) if isinstance(url, str) else None
    if found is None or not 0 < int(found["port"]) <= 65535:
        raise InvalidUrl(
            "Server address", masked(str(url)), "host:port of the gRPC API, such as localhost:8001"
        )
    return url


def cache_settings(url: str) -> dict[str, Any]:
    """Return redis-py's connection settings for a Redis URL, or raise `InvalidUrl`."""
    refusal = InvalidUrl(
        "Cache address", masked(str(url)), "a Redis URL, such as redis://localhost:6379/0"
    )
    if not isinstance(url, str) or not _CACHE.fullmatch(url):
        raise refusal
    try:
        return dict(parse_url(url))  # type: ignore[no-untyped-call] # redis-py types its classes only
    except ValueError:
        # `from None`: the text of redis-py's error may hold parts of a password.
        raise refusal from None


def masked(url: str) -> str:
    """Return a URL without user, password and options: they may be secret."""
    scheme, separator, rest = url.rpartition("://")
    user, at, place = rest.rpartition("@")  # the last one: a password may hold others
    return scheme + separator + ("***" if user or at else "") + at + place.partition("?")[0]

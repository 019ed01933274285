"""gRPC channels, for threads and for asyncio, with the same settings."""

from __future__ import annotations

import os
from typing import Final

import grpc
import grpc.aio

from geulpi_client._connection import Address, Tls
from geulpi_client._errors import InvalidSetting

_OPTIONS: Final = (
    # After a restart the server is found again within half a second instead of gRPC's minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A client's back-off is its own, not that of another one that met the server down.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A peer that is gone without a word is noticed while calls wait for it. Triton takes a ping
    # each 5 minutes from an idle connection, so an idle one sends none.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # The server's address is given; a proxy of the environment would be one more.
    ("grpc.enable_http_proxy", 0),
    # It is this client that repeats calls, within its budget.
    ("grpc.enable_retries", 0),
)

_of_asyncio: Final[dict[int, grpc.Channel]] = {}


def open_channel(address: Address, tls: Tls | None) -> grpc.Channel:
    """Return a channel to share between threads; nothing is connected yet."""
    if address.secure:
        return grpc.secure_channel(address.place, _proof(tls), options=_OPTIONS)
    return grpc.insecure_channel(address.place, options=_OPTIONS)


def open_async_channel(address: Address, tls: Tls | None) -> grpc.aio.Channel:
    """Return a channel for the running event loop; nothing is connected yet.

    Raises:
        InvalidSetting: this process was forked from one that had such a channel.
    """
    if not _of_asyncio:
        # gRPC that ends with its last channel leaves children of a later fork behind that hang or
        # crash, with threads too; a channel that is never used keeps it up.
        _of_asyncio.update({os.getpid(): grpc.insecure_channel(address.place)})
    # Of a second process its poller hangs or aborts, and takes the first process along.
    if os.getpid() not in _of_asyncio:
        raise InvalidSetting(
            "url",
            address.url,
            "an http address, or a client of threads: this process was forked from one that used "
            "gRPC with asyncio, which gRPC does not survive",
        )
    if address.secure:
        return grpc.aio.secure_channel(address.place, _proof(tls), options=_OPTIONS)
    return grpc.aio.insecure_channel(address.place, options=_OPTIONS)


def _proof(tls: Tls | None) -> grpc.ChannelCredentials:
    tls = tls or Tls()
    return grpc.ssl_channel_credentials(tls.read("ca"), tls.read("key"), tls.read("certificate"))

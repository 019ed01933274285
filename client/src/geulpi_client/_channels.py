"""gRPC channels, for threads and for asyncio, with the same settings."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from geulpi_client._connection import Address, Tls

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
    # It is this client that repeats calls, within its budget.
    ("grpc.enable_retries", 0),
)


def open_channel(address: Address, tls: Tls | None) -> grpc.Channel:
    """Return a channel to share between threads; nothing is connected yet."""
    if address.secure:
        return grpc.secure_channel(address.place, _proof(tls), options=_OPTIONS)
    return grpc.insecure_channel(address.place, options=_OPTIONS)


def open_async_channel(address: Address, tls: Tls | None) -> grpc.aio.Channel:
    """Return a channel for the running event loop; nothing is connected yet."""
    if address.secure:
        return grpc.aio.secure_channel(address.place, _proof(tls), options=_OPTIONS)
    return grpc.aio.insecure_channel(address.place, options=_OPTIONS)


def _proof(tls: Tls | None) -> grpc.ChannelCredentials:
    tls = tls or Tls()
    return grpc.ssl_channel_credentials(tls.read("ca"), tls.read("key"), tls.read("certificate"))

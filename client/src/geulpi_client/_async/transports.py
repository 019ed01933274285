"""The seam to a server: three methods, which gRPC, HTTP and the fake of tests implement."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from geulpi_client._connection import Credentials, Tls, checked_address
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._messages import Answer, Request


class AsyncTransport(Protocol):
    """What a client needs of a server.

    Both questions raise `CallFailed` or `InputRefused`, and nothing else that is no bug.
    """

    url: str

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""

    async def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Ask a model."""

    async def aclose(self) -> None:
        """Close the connection; calls under way fail."""


@runtime_checkable
class AsyncServer(Protocol):
    """What stands in for an address: the fake of `geulpi_client.testing`."""

    def open_async_transport(self) -> AsyncTransport:
        """Return a way to it."""


def open_async_transport(
    server: str | AsyncServer, credentials: Credentials, tls: Tls | None
) -> AsyncTransport:
    """Return the transport to a server, by its address; nothing is connected yet.

    The client's `Settings` have checked all of it.
    """
    if isinstance(server, AsyncServer):
        return server.open_async_transport()
    address = checked_address(server)
    if address.protocol == "grpc":
        from geulpi_client._async.grpc_transport import AsyncGrpcTransport  # noqa: PLC0415

        return AsyncGrpcTransport(address, credentials, tls)
    from geulpi_client._async.http_transport import AsyncHttpTransport  # noqa: PLC0415

    return AsyncHttpTransport(address, credentials, tls)

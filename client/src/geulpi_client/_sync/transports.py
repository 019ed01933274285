"""The seam to a server: three methods, which gRPC, HTTP and the fake of tests implement."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from geulpi_client._connection import Credentials, Tls, checked_address
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._messages import Answer, Request


class Transport(Protocol):
    """What a client needs of a server.

    Both questions raise `CallFailed` or `InputRefused`, and nothing else that is no bug.
    """

    url: str

    def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""

    def infer(self, request: Request, deadline: Deadline) -> Answer:
        """Ask a model."""

    def close(self) -> None:
        """Close the connection; calls under way fail."""


@runtime_checkable
class Server(Protocol):
    """What stands in for an address: the fake of `geulpi_client.testing`."""

    def open_transport(self) -> Transport:
        """Return a way to it."""


def open_transport(server: str | Server, credentials: Credentials, tls: Tls | None) -> Transport:
    """Return the transport to a server, by its address; nothing is connected yet.

    The client's `Settings` have checked all of it.
    """
    if isinstance(server, Server):
        return server.open_transport()
    address = checked_address(server)
    if address.protocol == "grpc":
        from geulpi_client._sync.grpc_transport import GrpcTransport  # noqa: PLC0415

        return GrpcTransport(address, credentials, tls)
    from geulpi_client._sync.http_transport import HttpTransport  # noqa: PLC0415

    return HttpTransport(address, credentials, tls)

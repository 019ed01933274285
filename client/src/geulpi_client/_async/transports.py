"""The seam to a server: three methods, which gRPC, HTTP and the fake of tests implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from geulpi_client._connection import Credentials, Tls, checked_address
from geulpi_client._contract import Contract
from geulpi_client._deadline import Deadline
from geulpi_client._errors import InvalidSetting
from geulpi_client._messages import Answer
from geulpi_client._tensors import Tensor


class AsyncTransport(Protocol):
    """What a client needs of a server.

    Both questions raise `CallFailed` or `InputRefused`, and nothing else that is no bug.
    """

    url: str

    async def contract(self, model: str, version: str, deadline: Deadline) -> Contract:
        """Ask what a model takes and gives; `version` empty is the newest."""

    async def infer(
        self, model: str, version: str, tensors: Sequence[Tensor], deadline: Deadline
    ) -> Answer:
        """Ask a model about these tensors."""

    async def aclose(self) -> None:
        """Close the connection; calls under way fail."""


def open_async_transport(url: str, credentials: Credentials, tls: Tls | None) -> AsyncTransport:
    """Return the transport that a server's address means; nothing is connected yet.

    Raises:
        InvalidUrl, InvalidSetting, MissingExtra.
    """
    address = checked_address(url)
    if tls is not None and not address.secure:
        raise InvalidSetting("tls", tls, f"an address with grpcs or https; {address.url} has none")
    if address.protocol == "grpc":
        from geulpi_client._async.grpc_transport import AsyncGrpcTransport  # noqa: PLC0415

        return AsyncGrpcTransport(address, credentials, tls)
    from geulpi_client._async.http_transport import AsyncHttpTransport  # noqa: PLC0415

    return AsyncHttpTransport(address, credentials, tls)

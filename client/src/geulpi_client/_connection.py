"""How a server is reached: address, transport, TLS and credentials, checked before any work."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from geulpi_client._errors import InvalidSetting, InvalidUrl
from geulpi_client._redis import masked

_ADDRESS = re.compile(
    r"(?:(?P<scheme>grpcs?|https?)://)?"
    r"(?P<place>(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>\d{1,5}))/?"
)
_HEADER = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# What the protocols write themselves.
_RESERVED: Final = ("content-", "grpc-", "host", "te", "transfer-encoding", "user-agent")

Token = str | Callable[[], str]


@dataclass(frozen=True)
class Tls:
    """How the server proves who it is, and the client where it must.

    Attributes:
        ca: certificates to trust, a PEM file; the system's where it is None.
        certificate, key: of the client, PEM files; both or none.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be read, before a connection fails without saying why."""
        if (self.certificate is None) is not (self.key is None):
            raise InvalidSetting("tls", self, "certificate and key together, or neither")
        for name in ("ca", "certificate", "key"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise InvalidSetting(f"tls.{name}", str(path), "a PEM file that is there")

    def read(self, name: Literal["ca", "certificate", "key"]) -> bytes | None:
        """Return the content of a file, None where none was given."""
        path = getattr(self, name)
        return None if path is None else Path(path).read_bytes()


@dataclass(frozen=True)
class Address:
    """`host:port` of a server, and by which protocol it is asked."""

    url: str
    place: str
    protocol: Literal["grpc", "http"]
    secure: bool


@dataclass(frozen=True)
class Credentials:
    """What each request carries beside its tensors.

    Attributes:
        token: for `Authorization: Bearer …`, or a function that returns the current one.
        headers: more of them, in lower case.
    """

    token: Token | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no request can carry."""
        for name, value in self.headers.items():
            if not isinstance(name, str) or not _HEADER.fullmatch(name):
                raise InvalidSetting("headers", name, "names in lower case, such as 'x-tenant'")
            if name.startswith(_RESERVED):
                raise InvalidSetting("headers", name, "headers that the protocol leaves free")
            if not isinstance(value, str) or not value.isascii() or not value.isprintable():
                raise InvalidSetting(f"headers['{name}']", "***", "printable ASCII text")

    def current(self) -> list[tuple[str, str]]:
        """Return the headers of a request that is sent now."""
        token = self.token() if callable(self.token) else self.token
        bearer = [] if token is None else [("authorization", f"Bearer {token}")]
        return [*self.headers.items(), *bearer]


def checked_address(url: object) -> Address:
    """Return the address that a URL means: `host:port` alone is gRPC.

    Raises:
        InvalidUrl: it is none.
    """
    found = _ADDRESS.fullmatch(url) if isinstance(url, str) else None
    if found is None or not 0 < int(found["port"]) <= 65535:
        raise InvalidUrl(
            "Server address",
            masked(str(url)),
            "host:port of the gRPC API, such as localhost:8001, or a URL with grpc, grpcs, http "
            "or https, such as https://triton.example:443",
        )
    scheme = found["scheme"] or "grpc"
    return Address(
        url=str(url).rstrip("/"),
        place=found["place"],
        protocol="http" if scheme.startswith("http") else "grpc",
        secure=scheme in {"grpcs", "https"},
    )


def checked_grpc_address(url: object) -> Address:
    """Return the address of a gRPC API, for what only that has.

    Raises:
        InvalidUrl: it is none.
    """
    address = checked_address(url)
    if address.protocol != "grpc":
        raise InvalidUrl(
            "Server address", masked(str(url)), "host:port of the gRPC API, such as localhost:8001"
        )
    return address

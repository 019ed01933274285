"""How a server is reached: address, transport, TLS and credentials, checked before any work."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from geulpi_client._errors import AccessDenied, InvalidSetting, InvalidUrl, Target
from geulpi_client._redis import masked

_ADDRESS = re.compile(
    r"(?:(?P<scheme>grpcs?|https?)://)?"
    r"(?P<place>(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>\d{1,5}))/?"
)
_HEADER = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# What the protocols write themselves; gRPC reads the values of names with -bin as bytes.
_RESERVED: Final = re.compile(
    r"content-.*|grpc-.*|.*-bin|connection|host|inference-header-content-length|te"
    r"|transfer-encoding|upgrade|user-agent"
)

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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except (OSError, ValueError) as error:
            raise InvalidSetting("tls.ca", str(self.ca), "certificates in a PEM file") from error
        self.prove(context)

    def prove(self, context: ssl.SSLContext) -> None:
        """Load the client's own certificate, if there is one.

        Raises:
            InvalidSetting: the files hold none, or another one's key, or one with a password.
        """
        if self.certificate is None:
            return
        try:
            # Without a password here, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            expected = "a certificate in a PEM file, with its key, which has no password"
            raise InvalidSetting("tls.certificate", str(self.certificate), expected) from error

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
        if not isinstance(self.headers, Mapping):
            raise InvalidSetting("headers", "***", "a mapping of names to texts")
        for name, value in self.headers.items():
            if not isinstance(name, str) or not _HEADER.fullmatch(name):
                raise InvalidSetting("headers", name, "names in lower case, such as 'x-tenant'")
            if _RESERVED.fullmatch(name):
                raise InvalidSetting("headers", name, "headers that the protocol leaves free")
            if not _fits(value):
                raise InvalidSetting(f"headers['{name}']", "***", "printable ASCII text")
        if self.token is not None and "authorization" in self.headers:
            raise InvalidSetting("headers", "authorization", "it, or a token, but not both")
        if not (self.token is None or callable(self.token) or _fits(self.token)):
            raise InvalidSetting("token", "***", "printable ASCII text without blanks around it")

    def current(self, target: Target) -> list[tuple[str, str]]:
        """Return the headers of a request that is sent now.

        Raises:
            AccessDenied: the function of the token has none.
        """
        token = self._asked(target, self.token) if callable(self.token) else self.token
        return [*self.headers.items(), *([("authorization", f"Bearer {token}")] if token else [])]

    @staticmethod
    def _asked(target: Target, function: Callable[[], str | None]) -> str | None:
        try:
            token = function()
        except Exception as error:
            said = f"the token's function failed ({type(error).__name__})"
            raise AccessDenied(target, said) from error
        if not (token is None or _fits(token)):
            raise AccessDenied(target, "the token's function returned what is no token")
        return token


def _fits(value: object) -> bool:
    """Return whether a header can have this value."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )


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

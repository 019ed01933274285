"""The ways to a server that a sweep goes: protocol, how tensors are written, shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geulpi_server import control_header_for

from geulpi_perf._errors import UnusableOption

__all__ = ["Body", "Protocol", "SharedMemory", "Target", "targets"]

_USUAL = {"grpc": "localhost:8001", "http": "localhost:8000"}
_HERE = ("localhost", "127.0.0.1", "[::1]")


class Protocol(StrEnum):
    """How requests travel."""

    GRPC = "grpc"
    HTTP = "http"
    BOTH = "both"


class Body(StrEnum):
    """How tensors are written in an HTTP request."""

    BINARY = "binary"
    JSON = "json"
    BOTH = "both"


class SharedMemory(StrEnum):
    """Whether tensors travel in memory that the server can see."""

    NONE = "none"
    SYSTEM = "system"
    BOTH = "both"


@dataclass(frozen=True)
class Target:
    """The server to measure, and how rows travel to it.

    Attributes:
        protocol: "grpc" or "http".
        url: `host:port` of that protocol.
        control_header: what opens the model-config API, which perf_analyzer reads, and that of
            shared memory.
        body: "binary", or with HTTP "json".
        shared_memory: "none" or "system".
    """

    protocol: str
    url: str
    control_header: tuple[str, str] | None
    body: str = "binary"
    shared_memory: str = "none"

    @property
    def way(self) -> str:
        """How rows travel, in a word or two."""
        shared = " shm" if self.shared_memory != "none" else ""
        return f"{self.protocol}{' json' if self.body == 'json' else ''}{shared}"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each question about the model."""
        if self.control_header is None:
            return {}
        name, value = self.control_header
        return {f"{'triton-grpc-protocol-' if self.protocol == 'grpc' else ''}{name}": value}


def targets(
    url: str | None,
    protocol: Protocol,
    body: Body,
    shared_memory: SharedMemory,
    control_key: str | None,
) -> list[Target]:
    """Return each way that was asked for and exists.

    Raises:
        UnusableOption: options that don't go together, or no addresses.
    """
    if protocol is Protocol.GRPC and body is not Body.BINARY:
        raise UnusableOption("--body", body.value, "binary; JSON is for --protocol http or both")
    if body is Body.JSON and shared_memory is SharedMemory.SYSTEM:
        raise UnusableOption("--shared-memory", "system", "--body binary with shared memory")
    protocols = ["grpc", "http"] if protocol is Protocol.BOTH else [protocol.value]
    addresses = [_USUAL[one] for one in protocols] if url is None else url.split(",")
    if len(addresses) != len(protocols):
        wanted = "gRPC's and HTTP's address, with a comma between"
        raise UnusableOption("--url", url, wanted if len(protocols) > 1 else "one host:port")
    written = ["binary", "json"] if body is Body.BOTH else [body.value]
    shared = ["none", "system"] if shared_memory is SharedMemory.BOTH else [shared_memory.value]
    found = []
    for one, address in zip(protocols, addresses, strict=True):
        place = address.strip().removeprefix("http://").rstrip("/")
        header = _header(place, control_key)
        found += [
            Target(one, place, header, way, memory)
            for way in (["binary"] if one == "grpc" else written)
            for memory in (["none"] if way == "json" else shared)
        ]
    return found


def _header(place: str, control_key: str | None) -> tuple[str, str] | None:
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UnusableOption("--url", place, "host:port")
    if control_key:
        return "geulpi-control-key", control_key
    # The key of a server on this machine is nobody else's business.
    return control_header_for(int(port)) if host in _HERE else None

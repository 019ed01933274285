"""The embedded server: Triton and Valkey on this machine, without a container."""

from geulpi_server._errors import (
    InvalidAddress,
    ModelsNotReady,
    PortTaken,
    RepositoryNotFound,
    ServerDied,
    ServerError,
    StartTimeout,
    UnsupportedEnvironment,
)
from geulpi_server._keys import control_header_for
from geulpi_server._process import GuardedProcess
from geulpi_server._triton import EmbeddedTriton
from geulpi_server._valkey import EmbeddedValkey

__all__ = [
    "EmbeddedTriton",
    "EmbeddedValkey",
    "GuardedProcess",
    "InvalidAddress",
    "ModelsNotReady",
    "PortTaken",
    "RepositoryNotFound",
    "ServerDied",
    "ServerError",
    "StartTimeout",
    "UnsupportedEnvironment",
    "control_header_for",
]

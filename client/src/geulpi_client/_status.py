"""What a server says about itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from geulpi_client._constants import DEFAULT_TIMEOUT_S, DEFAULT_URL
from geulpi_client._deadline import Deadline
from geulpi_client._errors import CallFailed
from geulpi_client._grpc import GrpcTransport, ServedModel
from geulpi_client._settings import checked_timeout


@dataclass(frozen=True)
class ServerStatus:
    """Whether a server runs and what it serves; `problem` says why it does not answer."""

    url: str
    live: bool
    ready: bool
    name: str
    version: str
    models: tuple[ServedModel, ...]
    problem: str


def server_status(url: str = DEFAULT_URL, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> ServerStatus:
    """Ask a server how it is; one that does not answer is a status too, not an error.

    Raises:
        InvalidUrl, InvalidSetting.
    """
    deadline = Deadline.after(checked_timeout(timeout_s))
    with closing(GrpcTransport(url)) as transport:
        try:
            live, ready = transport.live(deadline), transport.ready(deadline)
            name, version = transport.server(deadline)
            models = tuple(transport.models(deadline))
        except CallFailed as error:
            return ServerStatus(
                url, live=False, ready=False, name="", version="", models=(), problem=str(error)
            )
    return ServerStatus(url, live, ready, name, version, models, problem="")

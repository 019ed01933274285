"""Ports to listen on: given ones are checked, missing ones are found."""

from __future__ import annotations

import socket

from geulpi_server._errors import InvalidAddress, PortTaken


def resolve_ports(host: str, wanted: dict[str, int | None]) -> dict[str, int]:
    """Return a port for every name: the wanted one if it is free, else any free one for `None`.

    Raises:
        InvalidAddress: the host can't be bound, or a port is no port or was given twice.
        PortTaken: somebody listens there.
    """
    given = [port for port in wanted.values() if port is not None]
    for field, port in wanted.items():
        if port is None:
            continue
        if not 1 <= port <= 65535:
            raise InvalidAddress(field, port, "a port from 1 to 65535")
        if given.count(port) > 1:
            raise InvalidAddress(field, port, "a port of its own; it is given twice")
    holders: list[socket.socket] = []  # held together, so that two names never get the same port
    try:
        ports = {}
        for field, port in wanted.items():
            holder = _bind(field, host, port or 0)
            holders.append(holder)
            ports[field] = int(holder.getsockname()[1])
        return ports
    finally:
        for holder in holders:
            holder.close()


def is_listening(host: str, port: int) -> bool:
    """Whether somebody takes connections at a port of this machine."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _bind(field: str, host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidAddress("host", host, "a name or address of this machine") from error
    holder = socket.socket(family, socket.SOCK_STREAM)
    # As servers do, so that a port in TIME_WAIT counts as free; a listener still makes bind fail.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind(address)
    except OSError as error:
        holder.close()
        if error.errno == 99:  # EADDRNOTAVAIL
            raise InvalidAddress("host", host, "a name or address of this machine") from error
        raise PortTaken(field, host, port) from error
    return holder

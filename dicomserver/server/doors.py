"""The listening sockets of the DICOM port."""
from __future__ import annotations

import errno
import socket

BACKLOG = 512


class BindError(Exception):
    """The DICOM port cannot be had; the text is one clear line."""


class PortInUse(BindError):
    """Another program listens there."""


def bind(address: str, port: int) -> list[socket.socket]:
    """Non-blocking sockets, bound but not listening: nobody gets in before `listen`, the port is ours already.

    address: a name or an address; "" = every address of this machine, IPv4 and IPv6. Port 0 takes a free one,
    the same for all. Accepted sockets inherit TCP_NODELAY and keepalive (tcp(7)): no connection pays for them.
    Raises PortInUse, BindError.
    """
    doors: list[socket.socket] = []
    try:
        for family, where in _addresses(address, port):
            # Several addresses of one name share the port that the first one got.
            chosen = doors[0].getsockname()[1] if doors else port
            doors.append(_door(family, (where[0], chosen, *where[2:])))
    except OSError as error:
        for door in doors:
            door.close()
        raise _bind_error(address, port, error) from error
    return doors


def _addresses(address: str, port: int) -> list[tuple[int, tuple]]:
    if not address:
        if socket.has_dualstack_ipv6():
            return [(socket.AF_INET6, ("::", port))]
        return [(socket.AF_INET, ("0.0.0.0", port))]
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def _door(family: int, where: tuple) -> socket.socket:
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        door.bind(where)
        door.setblocking(False)
    except BaseException:
        door.close()
        raise
    return door


def listen(doors: list[socket.socket]) -> None:
    """Raises PortInUse when another program began to listen there since `bind`."""
    for door in doors:
        try:
            door.listen(BACKLOG)
        except OSError as error:
            host, port = door.getsockname()[:2]
            raise _bind_error(host, port, error) from error


def _bind_error(address: str, port: int, error: OSError) -> BindError:
    where = f"port {port}" + (f" of {address}" if address else "")
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{where} is in use by another program")
    if error.errno == errno.EACCES:
        return BindError(f"{where} cannot be opened without privileges")
    if isinstance(error, socket.gaierror):
        return BindError(f"the address {address} is not known")
    if error.errno == errno.EADDRNOTAVAIL:
        return BindError(f"{address} is not an address of this machine")
    return BindError(f"{where} cannot be opened: {error.strerror}")

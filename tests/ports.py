"""Ports for the servers that tests start, and the connections that come to them."""
from __future__ import annotations

import random
import socket
from collections.abc import Iterator


def free_port() -> int:
    """One on which nobody listens, below those that the system gives to connections: none of these can take it before
    the server does."""
    for port in random.SystemRandom().sample(range(15_000, 32_000), 100):
        try:
            with socket.create_server(("", port)):
                return port
        except OSError:
            pass    # in use
    raise OSError("no port is free")


def accepted(door: socket.socket) -> Iterator[socket.socket]:
    """Each connection that comes, until `door` is shut down or closed."""
    while True:
        try:
            connection, _ = door.accept()
        except OSError:
            return
        yield connection

"""Connections for the tests of associations, and PDUs as PS3.8 draws them."""
from __future__ import annotations

import socket
import struct

RELEASE_RQ = bytes.fromhex("05000000000400000000")
RELEASE_RP = bytes.fromhex("06000000000400000000")


def abort(source: int, reason: int) -> bytes:
    return bytes((7, 0, 0, 0, 0, 4, 0, 0, source, reason))


def reject(result: int, source: int, reason: int) -> bytes:
    return bytes((3, 0, 0, 0, 0, 4, 0, result, source, reason))


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Ours and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        peer = socket.create_connection(door.getsockname(), 10)
        ours, _ = door.accept()
    return ours, peer


def read_to_end(peer: socket.socket) -> bytes:
    """What arrives until the other side closes; a reset ends it too."""
    received = b""
    try:
        while chunk := peer.recv(65536):
            received += chunk
    except ConnectionResetError:
        return received
    return received


def reset(peer: socket.socket) -> None:
    """Closes with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()

"""A lobby on a real port, peers that misbehave, and fakes of the rooms that the server only composes."""
from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dicomserver.server import doors
from dicomserver.server.lobby import Lobby, Request
from dicomserver.server.settings import LobbySettings
from dicomserver.server.statistics import Statistics


def associate_rq(length: int = 200) -> bytes:
    """Something that the lobby takes for an A-ASSOCIATE-RQ; `length` is that of the PDU-length field."""
    return struct.pack(">BBI", 1, 0, length) + bytes(range(256)) * (length // 256) + bytes(length % 256)


def read_to_end(peer: socket.socket, seconds: float = 10) -> bytes:
    """What arrives until the other side closes in good order; a reset raises ConnectionResetError."""
    peer.settimeout(seconds)
    received = b""
    while chunk := peer.recv(65536):
        received += chunk
    return received


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.002)


class OpenLobby:
    """A running lobby that collects what it hands over."""

    def __init__(self, settings: LobbySettings, address: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.full = False
        self.arrived = threading.Event()
        self.statistics = Statistics()
        entrance = doors.bind(address, 0)
        self.port = entrance[0].getsockname()[1]
        self.lobby = Lobby(entrance, self.take, settings, self.statistics, logging.getLogger("test.lobby"))
        doors.listen(entrance)
        self.lobby.start()

    def take(self, request: Request) -> bool:
        if self.full:
            return False
        self.requests.append(request)
        self.arrived.set()
        return True

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        peer = socket.create_connection((host, self.port), timeout=10)
        return peer

    def next_request(self) -> Request:
        assert self.arrived.wait(10)
        self.arrived.clear()
        return self.requests[-1]

    def close(self) -> None:
        self.lobby.stop()
        for request in self.requests:
            request.socket.close()


@pytest.fixture
def open_lobby() -> Iterator[Callable[..., OpenLobby]]:
    opened: list[OpenLobby] = []

    def open_one(address: str = "127.0.0.1", **settings) -> OpenLobby:
        opened.append(OpenLobby(LobbySettings(**settings), address))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def tools():
    """The plain functions above, for test modules that cannot import this file by name."""
    class Tools:
        pass

    Tools.associate_rq = staticmethod(associate_rq)
    Tools.read_to_end = staticmethod(read_to_end)
    Tools.wait_until = staticmethod(wait_until)
    return Tools

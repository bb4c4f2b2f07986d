"""A lobby on a real port, peers that misbehave, and fakes of the rooms that the server only composes."""
from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dicomserver.archive import preamble
from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.filing import Waiting
from dicomserver.index import Index, Instance, open_index
from dicomserver.server import doors
from dicomserver.server.lobby import Lobby, Request
from dicomserver.server.mover import Mover
from dicomserver.server.settings import LobbySettings, MoverSettings
from dicomserver.server.statistics import Statistics
from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import encode_file_meta


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
        self.admit: Callable[[], bool] = lambda: not self.full
        self.arrived = threading.Event()
        self.busy = threading.Event()       # set: whoever got a request does not leave the lobby
        self.statistics = Statistics()
        entrance = doors.bind(address, 0)
        self.port = entrance[0].getsockname()[1]
        self.lobby = Lobby(entrance, lambda: self.admit(), settings, self.statistics,
                           logging.getLogger("test.lobby"))
        doors.listen(entrance)
        self.threads = [threading.Thread(target=self.work) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        while (request := self.lobby.next_request()) is not None:
            self.requests.append(request)
            self.arrived.set()
            if not self.busy.is_set():
                self.lobby.leave()

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        peer = socket.create_connection((host, self.port), timeout=10)
        return peer

    def next_request(self) -> Request:
        assert self.arrived.wait(10)
        self.arrived.clear()
        return self.requests[-1]

    def close(self) -> None:
        self.lobby.stop()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()
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


STUDY, SERIES, SOP_CLASS = "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.7"


def describe(fd: int, meta: FileMeta, *, slot: int, file_length: int, checksum: int) -> Instance:
    """Stands for services.describe: a dataset of these tests is "<study> <series>" and filling."""
    dataset = os.pread(fd, 200, meta.dataset_offset).split(b" ")
    if dataset[0] == b"malformed":
        raise DatasetError("an element", 0)
    return Instance(dataset[0].decode(), dataset[1].decode(), meta.sop_instance_uid, meta.sop_class_uid,
                    meta.transfer_syntax_uid, slot, file_length, meta.dataset_offset, checksum, 1, "SENDER", "US",
                    b"", b"", b"", b"", b"")


class Store:
    """A data directory with archive, index and mover, which can be killed and opened again."""

    def __init__(self, path, url: str = "") -> None:
        self.path = path
        self.url = url or f"sqlite://{path / 'dicom-server.db'}"
        self.log = logging.getLogger("test.store")
        self.open()

    def open(self) -> None:
        self.archive = Archive(self.path, reserve=0)
        self.index: Index = open_index(self.url)
        self.mover = Mover(self.index, self.archive, MoverSettings(interval_seconds=60), self.log)

    def close(self) -> None:
        self.mover.stop()
        self.index.close()
        self.archive.close()

    def reopen(self) -> None:
        """As after a crash: what waited in the mover is forgotten, the intake is as it was."""
        self.mover._waiting.clear()
        self.mover.stop()
        self.index.close()
        self.archive.close()
        self.open()

    def receive(self, uid: str, content: bytes = b"", study: str = STUDY, series: str = SERIES, *, row: bool = True,
                mover: bool = True) -> Waiting:
        """What C-STORE does: a slot, its row, the mover's list."""
        slot = self.archive.take()
        dataset = f"{study} {series} ".encode() + content if not content.startswith(b"malformed") else content
        meta = encode_file_meta(SOP_CLASS, uid, EXPLICIT_VR_LE)
        offset = preamble.LENGTH + 4 + len(meta)
        header = preamble.pack(preamble.Preamble(offset + len(dataset), xxh3_64(dataset), slot.number, offset), meta)
        os.pwrite(slot.fd, header + dataset, 0)
        os.fdatasync(slot.fd)
        if row:
            meta_read = FileMeta(SOP_CLASS, uid, EXPLICIT_VR_LE, "", "", "", "", offset)
            instance = describe(slot.fd, meta_read, slot=slot.number, file_length=offset + len(dataset),
                                checksum=xxh3_64(dataset))
            assert self.index.add(instance) is None
        waiting = Waiting(slot.number, study, series, uid, offset + len(dataset))
        self.archive.keep(slot, waiting.file_length)
        if mover:
            self.mover.add(waiting)
        return waiting

    def slot_path(self, slot: int):
        return self.path / "intake" / f"{slot:016x}"

    def final_path(self, uid: str, study: str = STUDY, series: str = SERIES):
        return self.path / study / series / f"{uid}.dcm"

    def quarantined(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted((self.path / "quarantine").glob("*.dcm"))]


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    store.describe = describe
    yield store
    store.close()

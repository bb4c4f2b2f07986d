import contextlib
import socket
import struct
import threading

import pytest

from tests.scu.scp import Scp

HANG_UP = b""


@contextlib.contextmanager
def _scripted(*answers, received=None):
    """Listens; after each thing that arrives the next of `answers` goes out, HANG_UP closes. Yields the port.

    At the end everything that arrived is in the list `received`.
    """
    received = [] if received is None else received
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=_serve, args=(door, answers, received))
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(door, answers, received):
    with contextlib.suppress(OSError):
        connection, _ = door.accept()
        with connection:
            for answer in answers:
                received.append(connection.recv(1 << 16))
                if answer == HANG_UP:
                    return
                connection.sendall(answer)
            while data := connection.recv(1 << 16):
                received.append(data)


def _item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _accept(maximum_length=16384, context_id=1, result=0):
    """An A-ASSOCIATE-AC (PS3.8 9.3.3) for the implicit VR little endian context `context_id`."""
    body = struct.pack(">HH", 1, 0) + b"MY_PACS".ljust(16) + b"TEST_SCU".ljust(16) + bytes(32)
    body += _item(0x10, b"1.2.840.10008.3.1.1.1")
    body += _item(0x21, bytes([context_id, 0, result, 0]) + _item(0x40, b"1.2.840.10008.1.2"))
    body += _item(0x50, _item(0x51, struct.pack(">I", maximum_length)) + _item(0x52, b"1.2.3"))
    return _pdu(2, body)


def _pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _data(*pdvs):
    """A P-DATA-TF of (context id, control, data)."""
    return _pdu(
        4,
        b"".join(
            struct.pack(">IBB", len(data) + 2, context, control) + data for context, control, data in pdvs
        ),
    )


class Peer:
    """A peer that sends what a test wrote down, whatever it receives. Its bytes are not made by our codecs."""

    HANG_UP = HANG_UP
    ABORT = bytes.fromhex("07000000000400000206")
    REJECT_CONGESTED = bytes.fromhex("03000000000400020301")
    RELEASE_RQ = bytes.fromhex("05000000000400000000")
    RELEASE_RP = bytes.fromhex("06000000000400000000")
    scripted = staticmethod(_scripted)
    accept = staticmethod(_accept)
    pdu = staticmethod(_pdu)
    data = staticmethod(_data)


@pytest.fixture(scope="session")
def peer():
    return Peer


@pytest.fixture
def scp():
    """Starts pynetdicom's PACS (tests.scu.scp.Scp), as many as are wanted."""
    running = []

    def start(**settings):
        running.append(Scp(**settings))
        return running[-1]

    yield start
    for one in running:
        one.close()

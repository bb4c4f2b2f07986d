"""A peer on a raw socket that may send anything, and the pieces of protocol that it is made of.

Valid parts come from the wire codecs, broken ones are put together here byte by byte.
"""
from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable

from dicomserver.standard.uids import APPLICATION_CONTEXT, EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_ECHO_RQ, C_STORE_RQ, DATA_SET_FOLLOWS, NO_DATA_SET
from dicomserver.wire.pdata import encode_message

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMMAND, DATASET, LAST = 1, 0, 2
ECHO, STORE = 1, 3                      # presentation context ids of `associate`

RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"
RELEASE_RP = b"\6\0\0\0\0\4\0\0\0\0"
ABORT = b"\7\0\0\0\0\4\0\0\0\0"

CLOSED, ACCEPTED, RELEASED = ("closed",), ("accepted",), ("released",)


def rejected(result: int, source: int, reason: int) -> tuple:
    """What `Peer.outcome` says of an A-ASSOCIATE-RJ."""
    return ("rejected", result, source, reason)


def aborted(reason: int) -> tuple:
    """What `Peer.outcome` says of an A-ABORT by the service provider."""
    return ("aborted", 2, reason)


# Before an association is accepted the state table says source 0, whose reason means nothing.
ABORTED_EARLY = ("aborted", 0, 0)


# -- PDUs and items --------------------------------------------------------------------------------------------

def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def pdv(context_id: int, control: int, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data


def p_data(*pdvs: bytes) -> bytes:
    return pdu(4, b"".join(pdvs))


def item(kind: int, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content) if length is None else length) + content


def context(number: int, *names: bytes) -> bytes:
    """A proposed presentation context of any sub-items."""
    return item(0x20, bytes((number, 0, 0, 0)) + b"".join(names))


def abstract(uid: str = VERIFICATION) -> bytes:
    return item(0x30, uid.encode())


def transfer(uid: str = IMPLICIT_VR_LE) -> bytes:
    return item(0x40, uid.encode())


APPLICATION = item(0x10, APPLICATION_CONTEXT.encode())
VERIFICATION_CONTEXT = context(ECHO, abstract(), transfer())
MAXIMUM_LENGTH = item(0x51, struct.pack(">I", 16384))


def user_information(*items: bytes) -> bytes:
    return item(0x50, b"".join(items))


def associate_rq(*items: bytes, calling: bytes = b"HOSTILE", called: bytes = b"HOSTILE_SCP", version: int = 1,
                 reserved: bytes = b"\0", length: int | None = None) -> bytes:
    """An A-ASSOCIATE-RQ of any items; without any, a good one for C-ECHO."""
    items = items or (APPLICATION, VERIFICATION_CONTEXT, user_information(MAXIMUM_LENGTH))
    body = struct.pack(">H", version) + reserved * 2 + called.ljust(16) + calling.ljust(16) + reserved * 32
    return pdu(1, body + b"".join(items), length)


def storage_rq(transfer_syntax: str = EXPLICIT_VR_LE, calling: bytes = b"HOSTILE", maximum_length: int = 16384,
               sop_class: str = SECONDARY_CAPTURE, fill: bytes = b"") -> bytes:
    """A good request for C-ECHO (context 1) and C-STORE (context 3). fill: further items."""
    return associate_rq(APPLICATION, VERIFICATION_CONTEXT,
                        context(STORE, abstract(sop_class), transfer(transfer_syntax)),
                        user_information(item(0x51, struct.pack(">I", maximum_length))), fill, calling=calling)


# -- messages --------------------------------------------------------------------------------------------------

def element(number: int, value: bytes, length: int | None = None) -> bytes:
    """An element of group 0000 (PS3.7 6.3.1: implicit VR little endian)."""
    return struct.pack("<HHI", 0, number, len(value) if length is None else length) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def echo_command(message_id: int = 1) -> bytes:
    return encode_command(CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ,
                                     message_id=message_id, command_data_set_type=NO_DATA_SET))


def echo(message_id: int = 1) -> bytes:
    return p_data(pdv(ECHO, COMMAND | LAST, echo_command(message_id)))


def store_command(sop_instance_uid: str, message_id: int = 1, sop_class_uid: str = SECONDARY_CAPTURE) -> bytes:
    return encode_command(CommandSet(
        affected_sop_class_uid=sop_class_uid, command_field=C_STORE_RQ, message_id=message_id, priority=0,
        command_data_set_type=DATA_SET_FOLLOWS, affected_sop_instance_uid=sop_instance_uid))


def store(sop_instance_uid: str, dataset: bytes, message_id: int = 1, sop_class_uid: str = SECONDARY_CAPTURE,
          longest: int = 4096) -> bytes:
    """longest: of its PDUs."""
    return encode_message(STORE, store_command(sop_instance_uid, message_id, sop_class_uid), dataset, longest)


# -- the peer --------------------------------------------------------------------------------------------------

class Peer:
    """One connection. It closes with the `with` statement. host: the loopback address that it comes from."""

    def __init__(self, port: int, host: str = "127.0.0.1", receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish(self) -> None:
        """Sends FIN; still receives."""
        with contextlib.suppress(OSError):      # the server was faster, with RST
            self.socket.shutdown(socket.SHUT_WR)

    def send(self, *data: bytes) -> bool:
        """-> whether the server still took it all; it may have closed after the first bad byte."""
        try:
            self.socket.sendall(b"".join(data))
        except (ConnectionResetError, BrokenPipeError):
            return False
        return True

    def send_by_one(self, data: bytes) -> None:
        """Each byte in a segment of its own (TCP_NODELAY is on)."""
        for n in range(len(data)):
            self.socket.sendall(data[n:n + 1])

    def receive(self) -> bytes:
        """The next whole PDU; b"" where the server has closed."""
        head = self._exactly(6)
        return head and head + self._exactly(int.from_bytes(head[2:], "big"))

    def _exactly(self, n: int) -> bytes:
        received = b""
        while len(received) < n:
            try:
                chunk = self.socket.recv(n - len(received))
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return b""
            received += chunk
        return received

    def outcome(self) -> tuple:
        """What comes next, if it is no message."""
        answer = self.receive()
        if not answer:
            return CLOSED
        if answer[0] == 3:
            return rejected(*answer[7:10])
        if answer[0] == 7:
            return ("aborted", *answer[8:10])
        return {2: ACCEPTED, 6: RELEASED}[answer[0]]

    def associate(self, request: bytes | None = None) -> Peer:
        """Must be accepted."""
        self.send(storage_rq() if request is None else request)
        assert self.outcome() == ACCEPTED
        return self

    def response(self) -> CommandSet:
        """The next message's command set; whatever else comes is no response."""
        command, control = b"", 0
        while not control & LAST:
            answer = self.receive()
            assert answer[:1] == b"\4", f"no message but {answer.hex() or 'the end'}"
            for control, fragment in pdvs_of(answer):
                command += fragment
        return decode_command(command)

    def status(self) -> int:
        return self.response().status

    def release(self) -> None:
        """Must be answered."""
        self.send(RELEASE_RQ)
        assert self.outcome() == RELEASED


def pdvs_of(data_tf: bytes) -> Iterable[tuple[int, bytes]]:
    """(message control header, fragment) of each PDV in a P-DATA-TF PDU of the server's."""
    at = 6
    while at < len(data_tf):
        length = int.from_bytes(data_tf[at:at + 4], "big")
        yield data_tf[at + 5], data_tf[at + 6:at + 4 + length]
        at += 4 + length

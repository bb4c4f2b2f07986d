"""One connection in the lobby: what it has sent so far, judged without believing it."""
from __future__ import annotations

import enum
import socket

_HEADER_LENGTH = 6      # PS3.8 9.3.1: PDU type, reserved, PDU length (4, big-endian)
_ASSOCIATE_RQ, _ABORT = 1, 7
_SHORTEST_REQUEST = 68  # PS3.8 9.3.2: the fixed part of an A-ASSOCIATE-RQ behind the header
# PS3.8 9.3.8, reasons of the service-provider
_UNRECOGNIZED_PDU, _UNEXPECTED_PDU = 1, 2


class Verdict(enum.Enum):
    """What is to become of a connection after what it sent."""

    INCOMPLETE = enum.auto()
    COMPLETE = enum.auto()
    ABORTED = enum.auto()       # the peer sent A-ABORT
    REFUSED = enum.auto()       # Guest.reason and Guest.complaint say why


class Guest:
    """socket: connected, blocking as far as Python knows; the lobby reads it with MSG_DONTWAIT.

    since: monotonic.
    """

    __slots__ = ("socket", "fd", "host", "port", "since", "deadline", "watched", "drained", "reason",
                 "complaint", "_received", "_end")

    def __init__(self, connection: socket.socket, address: tuple, since: float) -> None:
        host: str = address[0]
        self.socket = connection
        self.fd = connection.fileno()
        # An IPv4 peer of a dual-stack door is known by the address that people know it by.
        self.host = host.removeprefix("::ffff:") if "." in host else host
        self.port: int = address[1]
        self.since = since
        self.deadline = 0.0
        self.watched = False    # registered with the lobby's epoll
        self.drained = 0        # bytes thrown away since it was refused
        self.reason = 0         # of the A-ABORT that it gets
        self.complaint = ""
        self._received = bytearray()
        self._end = 0           # of the request in _received, once its header is here

    def wanted(self, room: int) -> int:
        """How much to receive: not more than the request needs once its length is known."""
        return min(room, self._end - len(self._received)) if self._end else room

    def take(self, arrived: memoryview, max_request_length: int) -> Verdict:
        received = self._received
        received += arrived
        if not self._end:
            if received[0] != _ASSOCIATE_RQ:
                return self._judge_type(received[0])
            if len(received) < _HEADER_LENGTH:
                return Verdict.INCOMPLETE
            length = int.from_bytes(received[2:_HEADER_LENGTH], "big")
            if not _SHORTEST_REQUEST <= length <= max_request_length:
                return self._refuse(_UNRECOGNIZED_PDU, f"an A-ASSOCIATE-RQ of {length} bytes")
            self._end = _HEADER_LENGTH + length
        return Verdict.COMPLETE if len(received) >= self._end else Verdict.INCOMPLETE

    def request(self) -> tuple[bytes, bytes]:
        """The complete A-ASSOCIATE-RQ, and what came behind it."""
        return bytes(self._received[:self._end]), bytes(self._received[self._end:])

    def _judge_type(self, pdu_type: int) -> Verdict:
        if pdu_type == _ABORT:
            return Verdict.ABORTED
        if 2 <= pdu_type <= 6:
            return self._refuse(_UNEXPECTED_PDU, f"a PDU of type {pdu_type} came first")
        return self._refuse(_UNRECOGNIZED_PDU, f"its first byte is {pdu_type:02X}h")

    def _refuse(self, reason: int, complaint: str) -> Verdict:
        self.reason = reason
        self.complaint = complaint
        return Verdict.REFUSED

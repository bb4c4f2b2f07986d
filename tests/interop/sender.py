"""A requestor of the tests' own, written from PS3.8 and PS3.7 alone: it shares no code with what it tests.

It sends dataset bytes exactly as it gets them, from memory or piece by piece, in PDUs of any size.
"""
from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
C_STORE_RQ, C_FIND_RQ, C_ECHO_RQ = 0x0001, 0x0020, 0x0030
NO_DATASET, DATASET = 0x0101, 0x0001


class Rejected(Exception):
    """A-ASSOCIATE-RJ: (result, source, reason)."""


class Ended(Exception):
    """Something else than the answer arrived: the type of the PDU and its body, (0, b"") where the peer closed."""


class Response(NamedTuple):
    status: int
    elements: dict[int, bytes]

    @property
    def comment(self) -> str:
        """Error Comment (0000,0902)."""
        return self.elements.get(0x00000902, b"").decode("ascii").strip()


class Sender:
    """An association. contexts: (abstract syntax, transfer syntaxes), with the ids 1, 3, 5 … in their order.

    accepted: by context id, the transfer syntax; results: by context id. pdu: the longest P-DATA-TF PDU that we send,
    as its length field counts, never more than the peer allows. extended: by SOP class, the application information
    that is proposed and, as an attribute, that was answered. roles: SOP classes of which we propose to be SCU and SCP,
    or what `role` says; granted: by SOP class, which of the two we may be. receive_buffer: bytes, 0 for as many as
    usual. operations: of the asynchronous window that is proposed, None: no window.
    """

    def __init__(self, port: int, contexts: Sequence[tuple[str, Sequence[str]]], *, calling: str = "INTEROP",
                 called: str = "ANY-SCP", pdu: int = 16384, timeout: float = 60,
                 extended: Mapping[str, bytes] = MappingProxyType({}), roles: Iterable[str] = (),
                 role: bytes = b"\1\1", receive_buffer: int = 0, operations: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = 0
        self.socket.sendall(associate_rq(contexts, calling, called, extended, roles, operations, role))
        try:
            kind, body = self.receive()
            if kind == 3:
                raise Rejected(*body[1:4])
            if kind != 2:
                raise Ended(kind, body)
        except BaseException:
            self.socket.close()
            raise
        self.accepted, self.results, self.extended, self.granted, maximum = _read_accept(body)
        self.pdu = min(pdu, maximum or pdu)

    def echo(self, context_id: int = 1) -> int:
        """C-ECHO; -> the status."""
        self.request(context_id, command_set("1.2.840.10008.1.1", C_ECHO_RQ, self._next_message(), NO_DATASET))
        return self.answer().status

    def begin_store(self, context_id: int, sop_class: str, sop_instance: str, dataset: bytes,
                    message: int | None = None) -> int:
        """Sends a C-STORE and waits for nothing; -> its message id."""
        message = self._next_message() if message is None else message
        self.request(context_id, command_set(sop_class, C_STORE_RQ, message, DATASET, sop_instance))
        self.send_dataset(context_id, dataset)
        return message

    def store(self, context_id: int, sop_class: str, sop_instance: str, dataset: bytes | Iterable[bytes]) -> Response:
        """C-STORE; dataset: its bytes, or pieces of it of any length."""
        self.request(context_id, command_set(sop_class, C_STORE_RQ, self._next_message(), DATASET, sop_instance))
        self.send_dataset(context_id, dataset)
        return self.answer()

    def request(self, context_id: int, command: bytes) -> None:
        """Sends a command set in one PDU."""
        self.socket.sendall(data_tf(context_id, 3, command))

    def send_dataset(self, context_id: int, dataset: bytes | Iterable[bytes], complete: bool = True) -> None:
        """Sends a dataset; complete: its last fragment says that it is the last one."""
        pieces = (dataset,) if isinstance(dataset, bytes) else dataset
        most = (self.pdu - 6) & ~1
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(view), 64 * most):
                batch = [view[at:at + most] for at in range(start, min(len(view), start + 64 * most), most)]
                self.socket.sendall(b"".join(data_tf(context_id, 0, fragment) for fragment in batch))
        if complete:
            self.socket.sendall(data_tf(context_id, 2, b""))

    def answer(self) -> Response:
        """Waits for a response without a dataset."""
        kind, body = self.receive()
        if kind != 4:
            raise Ended(kind, body)
        elements = dict(elements_of(body[6:]))
        return Response(int.from_bytes(elements[0x00000900], "little"), elements)

    def release(self) -> None:
        """Releases and closes. Raises Ended if it is not confirmed."""
        self.socket.sendall(bytes.fromhex("05000000000400000000"))
        kind, body = self.receive()
        self.close()
        if kind != 6:
            raise Ended(kind, body)

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: type and body; (0, b"") where the peer closed."""
        header = self._read(6)
        if len(header) < 6:
            return 0, b""
        return header[0], self._read(int.from_bytes(header[2:], "big"))

    def close(self) -> None:
        """Closes the connection, without a word."""
        self.socket.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.socket.fileno() >= 0:
            self.release()
        self.close()

    def _next_message(self) -> int:
        self._message = self._message % 65535 + 1
        return self._message

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (chunk := self.socket.recv(count - len(data))):
            data += chunk
        return data


def associate_rq(contexts: Sequence[tuple[str, Sequence[str]]], calling: str, called: str,
                 extended: Mapping[str, bytes] = {}, roles: Iterable[str] = (), operations: int | None = None,
                 role: bytes = b"\1\1") -> bytes:
    """A whole A-ASSOCIATE-RQ PDU (PS3.8 9.3.2)."""
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, APPLICATION_CONTEXT.encode())
    for number, (abstract_syntax, transfer_syntaxes) in enumerate(contexts):
        syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes)
        body += item(0x20, bytes((2 * number + 1, 0, 0, 0)) + item(0x30, abstract_syntax.encode()) + syntaxes)
    information = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.826.0.1.3680043.9.9")
    if operations is not None:
        information += item(0x53, struct.pack(">HH", operations, 1))
    for uid in dict.fromkeys(roles):
        information += item(0x54, struct.pack(">H", len(uid)) + uid.encode() + role)
    for uid, application_information in extended.items():
        information += item(0x56, struct.pack(">H", len(uid)) + uid.encode() + application_information)
    body += item(0x50, information)
    return pdu(1, body)


def command_set(sop_class: str, field: int, message: int, dataset: int, sop_instance: str | None = None) -> bytes:
    """A request's command set (PS3.7 9.3, Annex E) in implicit VR little endian."""
    elements = [(0x00000002, _padded(sop_class)), (0x00000100, struct.pack("<H", field)),
                (0x00000110, struct.pack("<H", message)), (0x00000800, struct.pack("<H", dataset))]
    if field in (C_STORE_RQ, C_FIND_RQ):
        elements.insert(3, (0x00000700, struct.pack("<H", 0)))
    if sop_instance is not None:
        elements.append((0x00001000, _padded(sop_instance)))
    encoded = b"".join(struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(encoded)) + encoded


def data_tf(context_id: int, control: int, data: bytes | memoryview) -> bytes:
    """A P-DATA-TF PDU of one PDV (PS3.8 9.3.5)."""
    return b"".join((struct.pack(">BBIIBB", 4, 0, len(data) + 6, len(data) + 2, context_id, control), data))


def item(kind: int, content: bytes) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU."""
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _padded(uid: str) -> bytes:
    data = uid.encode()
    return data + b"\0" * (len(data) & 1)


def _read_accept(body: bytes) -> tuple[dict[int, str], dict[int, int], dict[str, bytes], dict[str, bytes], int]:
    accepted, results, maximum = {}, {}, 0
    of_class: dict[int, dict[str, bytes]] = {0x54: {}, 0x56: {}}
    for kind, content in items(body[68:]):
        if kind == 0x21:
            results[content[0]] = content[2]
            if content[2] == 0:
                accepted[content[0]] = dict(items(content[4:]))[0x40].decode()
        elif kind == 0x50:
            maximum = int.from_bytes(dict(items(content)).get(0x51, b""), "big")
            for number, answer in filter(lambda answered: answered[0] in of_class, items(content)):
                end = 2 + int.from_bytes(answer[:2], "big")
                of_class[number][answer[2:end].decode()] = answer[end:]
    return accepted, results, of_class[0x56], of_class[0x54], maximum


def items(data: bytes) -> Iterable[tuple[int, bytes]]:
    """The types and contents of items or sub-items."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 2:at + 4], "big")
        yield data[at], data[at + 4:at + 4 + length]
        at += 4 + length


def elements_of(data: bytes) -> Iterable[tuple[int, bytes]]:
    """The tags and values of a command set."""
    at = 0
    while at < len(data):
        group, element, length = struct.unpack_from("<HHI", data, at)
        yield group << 16 | element, data[at + 8:at + 8 + length]
        at += 8 + length

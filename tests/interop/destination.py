"""A destination of C-MOVE of the tests' own, written from PS3.8 and PS3.7 alone, which does as it is told."""
from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from tests.interop.retriever import Arrived, OnFragment, messages, response_tf
from tests.interop.sender import APPLICATION_CONTEXT, Ended, item, items, pdu
from tests.ports import accepted

# What may come instead of a status.
Deed = Callable[[socket.socket], None]


def abort(connection: socket.socket) -> None:
    """A-ABORT of the service user."""
    connection.sendall(bytes.fromhex("07000000000400000000"))


def hang_up(connection: socket.socket) -> None:
    """FIN, without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def nothing(_connection: socket.socket) -> None:
    """No answer, as long as the other side waits."""


def rubbish(connection: socket.socket) -> None:
    """A PDU of no known type."""
    connection.sendall(b"\x42\0\0\0\0\0")


def stranger(connection: socket.socket) -> None:
    """A response to another message."""
    connection.sendall(response_tf(1, {2: b"1.2\0", 0x110: b"\x0f\x27", 0x1000: b"1.2\0"}, 0))


class Destination:
    """Listens on `port`; each association has a thread of its own.

    script: by the number of the C-STORE, from 0 on, a status or a Deed; its last one counts for all further ones.
    rejected: (result, source, reason) for every association. mute: never answers an A-ASSOCIATE-RQ. refused: SOP
    classes or transfer syntaxes whose contexts are not accepted. maximum: the longest PDU that we announce.
    unread: reads nothing after the negotiation. release: whether one is confirmed.
    before: called with the number of each C-STORE when it has arrived, before its answer.
    window: how many operations at once are agreed to; answered are the last ones first, when so many have arrived or no
    more come. admitted: how many associations at once are taken. deeds: by SOP Instance UID, instead of the script.
    on_fragment: see retriever.messages.
    """

    def __init__(self, script: Sequence[int | Deed] = (0,), *, rejected: tuple[int, int, int] | None = None,
                 mute: bool = False, refused: Collection[str] = (), maximum: int = 16384, unread: bool = False,
                 release: bool = True, before: Callable[[int], None] = lambda number: None, port: int = 0,
                 window: int = 0, admitted: int = 1000, deeds: Mapping[str, Deed] = MappingProxyType({}),
                 on_fragment: OnFragment | None = None) -> None:
        self.script, self.rejected, self.mute, self.refused = script, rejected, mute, refused
        self.maximum, self.unread, self.release, self.before = maximum, unread, release, before
        self.window, self.admitted, self.deeds, self.on_fragment = window, admitted, deeds, on_fragment
        self.at_once: list[int] = []        # how many C-STOREs were answered together
        self.stored: list[Arrived] = []
        self.proposed: list[list[tuple[str, list[str]]]] = []      # of each association
        self.titles: list[tuple[str, str]] = []                    # called and calling
        self.endings: list[int] = []        # the type of the PDU that ended each, 0 for none
        self.reached = threading.Event()    # somebody has connected
        self.over = threading.Condition()
        self._closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._door = socket.socket()
        if unread:
            self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind(("127.0.0.1", port))
        self._door.listen()
        self.port = self._door.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def wait_for_endings(self, count: int) -> list[int]:
        """How so many associations have ended."""
        with self.over:
            assert self.over.wait_for(lambda: len(self.endings) >= count, 30)
        return self.endings

    def close(self) -> None:
        """Ends its associations, if any, and listens no more."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        for connection in accepted(self._door):
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._run, args=(connection,)))
            self._threads[-1].start()

    def _run(self, connection: socket.socket) -> None:
        self.reached.set()
        ending = 0
        with connection, contextlib.suppress(OSError):
            try:
                self._serve(connection)
            except Ended as ended:
                ending = ended.args[0]
            if ending == 5 and self.release:
                connection.sendall(bytes.fromhex("06000000000400000000"))
                connection.recv(1)
            elif ending == 5:
                ending = _last_word(connection)
        with self.over:
            self.endings.append(ending)
            self.over.notify_all()

    def _serve(self, connection: socket.socket) -> None:
        kind, body = _receive(connection)
        if kind != 1:
            raise Ended(kind, body)
        self.titles.append((body[4:20].decode().strip(), body[20:36].decode().strip()))
        rejected = (2, 3, 2) if len(self.titles) - len(self.endings) > self.admitted else self.rejected
        if self.mute or rejected is not None:
            if rejected is not None:
                connection.sendall(pdu(3, bytes((0, *rejected))))
            raise Ended(_last_word(connection), b"")
        contexts = self._negotiate(connection, body)
        if self.unread:
            self._closing.wait(60)
            return
        held: list[tuple[int, int, dict[int, bytes]]] = []
        for context_id, elements, dataset in messages(lambda: _receive(connection), self.on_fragment):
            number = len(self.stored)
            self.stored.append(Arrived(elements, dataset, contexts[context_id]))
            self.before(number)
            held.append((number, context_id, elements))
            if len(held) < self.window and select.select([connection], [], [], 0.2)[0]:
                continue
            self.at_once.append(len(held))
            while held:
                self._answer(connection, *held.pop())

    def _answer(self, connection: socket.socket, number: int, context_id: int, elements: dict[int, bytes]) -> None:
        answer = self.deeds.get(self.stored[number].sop_instance, self.script[min(number, len(self.script) - 1)])
        if isinstance(answer, int):
            connection.sendall(response_tf(context_id, elements, answer))
        else:
            answer(connection)

    def _negotiate(self, connection: socket.socket, request: bytes) -> dict[int, str]:
        contexts, results, proposed = {}, b"", []
        for kind, content in items(request[68:]):
            if kind != 0x20:
                continue
            named = [(one, value.decode()) for one, value in items(content[4:])]
            sop_class = next(value for one, value in named if one == 0x30)
            syntaxes = [value for one, value in named if one == 0x40]
            proposed.append((sop_class, syntaxes))
            taken = next((one for one in syntaxes if one not in self.refused and sop_class not in self.refused), None)
            results += item(0x21, bytes((content[0], 0, 0 if taken else 4, 0))
                            + item(0x40, (taken or syntaxes[0]).encode()))
            if taken:
                contexts[content[0]] = taken
        self.proposed.append(proposed)
        information = item(0x51, struct.pack(">I", self.maximum)) + item(0x52, b"1.2.826.0.1.3680043.9.8")
        if self.window:
            information += item(0x53, struct.pack(">HH", self.window, 1))
        connection.sendall(pdu(2, request[:68] + item(0x10, APPLICATION_CONTEXT.encode()) + results
                               + item(0x50, information)))
        return contexts


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    header = connection.recv(6, socket.MSG_WAITALL)
    if len(header) < 6:
        return 0, b""
    return header[0], connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)


def _last_word(connection: socket.socket) -> int:
    """The type of the last PDU that comes, 0 where none does."""
    last = 0
    while kind := _receive(connection)[0]:
        last = kind
    return last

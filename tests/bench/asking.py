"""The asking side: C-FIND over raw sockets. Responses are counted, not decoded, so that the server is what is slow."""
from __future__ import annotations

import multiprocessing
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import C_FIND_RQ, DATA_SET_FOLLOWS
from dicomserver.wire.packed import Element
from dicomserver.wire.pdata import encode_message
from tests.bench.content import encode
from tests.bench.sender import SILENCE, Connection, LoadFailed, failing

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
FIND_REQUEST = encode_command(CommandSet(affected_sop_class_uid=STUDY_ROOT, command_field=C_FIND_RQ, message_id=1,
                                         priority=0, command_data_set_type=DATA_SET_FOLLOWS))
PENDING = {0xFF00, 0xFF01}
BUFFER = 1 << 20
_PDU, _PDV, _STATUS = struct.Struct(">BxI"), struct.Struct(">IxB"), struct.Struct("<H")
_STATUS_HEAD = bytes.fromhex("00000009 02000000")       # (0000,0900), two bytes
_P_DATA_TF, _WHOLE_COMMAND, _COMMAND = 4, 3, 1


@dataclass(frozen=True, slots=True)
class Question:
    """A query at the study level, encoded. matches: how many studies it has to find, None: it does not matter."""

    identifier: bytes
    matches: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """seconds: from the request to the final response; first: to the first response."""

    matches: int
    first: float
    seconds: float


def identifier(keys: Iterable[tuple[int, str, str]]) -> bytes:
    """Of a query at the study level; keys: (tag, VR, ASCII value)."""
    said = [(0x00080052, "CS", "STUDY"), *keys]
    return encode(Element(tag, 0, 0, vr, (text + (chr(0) if vr == "UI" else " ") * (len(text) % 2)).encode("ascii"))
                  for tag, vr, text in said)


class Asker(Connection):
    """An association for queries in the Study Root model."""

    def __init__(self, port: int) -> None:
        super().__init__(port, STUDY_ROOT)
        self._buffer = bytearray(BUFFER)
        self._matches = 0
        self._first = 0.0
        self._over = False

    def ask(self, question: Question) -> Answer:
        """One query to its end. Raises LoadFailed unless that is success, with so many matches as there have to be."""
        self._matches, self._first, self._over = 0, 0.0, False
        begun = time.monotonic()
        self.socket.sendall(encode_message(1, FIND_REQUEST, question.identifier, self.maximum_length))
        held = 0
        with memoryview(self._buffer) as view:
            while not self._over:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)     # see Connection
                got = self.socket.recv_into(view[held:])
                if not got:
                    raise LoadFailed("closed the connection")
                held += got
                taken = self._take(held)
                view[:held - taken] = view[taken:held]
                held -= taken
        ended = time.monotonic()
        if question.matches not in (None, self._matches):
            raise LoadFailed(f"found {self._matches} studies instead of {question.matches}")
        return Answer(self._matches, (self._first or ended) - begun, ended - begun)

    def _take(self, end: int) -> int:
        """Looks at the whole PDUs in the buffer; -> how many bytes they are."""
        buffer, at = self._buffer, 0
        while end - at >= _PDU.size:
            kind, length = _PDU.unpack_from(buffer, at)
            after = at + _PDU.size + length
            if kind != _P_DATA_TF or after - at > len(buffer):
                raise LoadFailed(f"answered with a PDU of type {kind:02X}H, {length} bytes")
            if after > end:
                break
            at += _PDU.size
            while at < after:
                size, control = _PDV.unpack_from(buffer, at)
                if control & _COMMAND:
                    self._respond(control, at, at + 4 + size)
                at += 4 + size
        return at

    def _respond(self, control: int, begin: int, end: int) -> None:
        at = self._buffer.find(_STATUS_HEAD, begin, end)
        if control != _WHOLE_COMMAND or at < 0:
            raise LoadFailed("answered with a command in pieces, or one without a status")
        status, = _STATUS.unpack_from(self._buffer, at + len(_STATUS_HEAD))
        if status in PENDING:
            if not self._matches:
                self._first = time.monotonic()
            self._matches += 1
        elif status:
            raise LoadFailed(f"answered with status {status:04X}H")
        else:
            self._over = True


def ask_all(port: int, questions: Sequence[Question], times: int, seconds: float) -> list[Answer]:
    """Asks `times` questions, in turn, on one association, but begins none after so many seconds. The first question
    is asked once more ahead of the clock. Raises LoadFailed."""
    answers = []
    with failing():
        asker = Asker(port)
        asker.ask(questions[0])
        until = time.monotonic() + seconds
        for _, question in zip(range(times), cycle(questions)):
            answers.append(asker.ask(question))
            if time.monotonic() > until:
                break
        asker.release()
    return answers


@contextmanager
def asking_beside(port: int, questions: Sequence[Question], askers: int, pause: float) -> Iterator[list[float]]:
    """While the block runs, so many processes ask, each with `pause` seconds between an answer and its next question.

    The list has the seconds of each answer when the block has ended. Raises LoadFailed then if an asker failed.
    """
    context = multiprocessing.get_context("spawn")
    ready, over, results = context.Semaphore(0), context.Event(), context.Queue()
    processes = [context.Process(target=_ask_until, daemon=True, args=(
        port, [*questions[number:], *questions[:number]], pause, ready, over, results)) for number in range(askers)]
    taken: list[float] = []
    try:
        for process in processes:
            process.start()
        if not all(ready.acquire(timeout=SILENCE) for _ in processes):
            raise LoadFailed("an asker had no answer")
        yield taken
        over.set()
        for outcome in [results.get(timeout=SILENCE) for _ in processes]:
            if isinstance(outcome, str):
                raise LoadFailed(outcome)
            taken += outcome
    finally:
        over.set()
        for process in processes:
            process.join(10)
            process.kill()


def _ask_until(port: int, questions: list[Question], pause: float, ready, over, results) -> None:
    """Runs in a process of its own."""
    seconds = []
    try:
        asker = Asker(port)
        for question in cycle(questions):
            seconds.append(asker.ask(question).seconds)
            ready.release()         # more often than anybody waits for it
            if over.wait(pause):
                break
        asker.release()
        results.put(seconds)
    except (LoadFailed, OSError, ValueError) as error:
        results.put(str(error) or type(error).__name__)
        ready.release()

"""C-FIND by the tests' own requestor: what is asked goes out byte for byte, what comes back is seen byte for byte."""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from tests.interop.find.keys import EXPLICIT, Keys, decoded, encoded
from tests.interop.find.oracle import STUDY_ROOT
from tests.interop.sender import C_FIND_RQ, DATASET, NO_DATASET, Ended, Response, Sender, command_set, elements_of

PENDING = (0xFF00, 0xFF01)


@dataclass(slots=True)
class Answer:
    """Of one C-FIND: the identifiers of its matches, as bytes and as pydicom reads them, and the final response."""

    syntax: str
    pending: list[Response] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    final: Response | None = None

    @property
    def status(self) -> int:
        """The final one."""
        return self.final.status

    @property
    def statuses(self) -> set[int]:
        """Of the pending responses."""
        return {response.status for response in self.pending}

    @property
    def matches(self) -> list[Dataset]:
        return [decoded(data, self.syntax) for data in self.raw]

    def values(self, *keywords: str) -> list[tuple[str, ...]]:
        """These attributes of each match as text, sorted."""
        return sorted(tuple(str(match.get(keyword, "")) for keyword in keywords) for match in self.matches)


class Asker(Sender):
    """An association for one model in one transfer syntax. negotiated: the application information to propose."""

    def __init__(self, port: int, model: str = STUDY_ROOT, syntax: str = EXPLICIT, negotiated: bytes = b"",
                 **more: object) -> None:
        super().__init__(port, [(model, [syntax])], extended={model: negotiated} if negotiated else {}, **more)
        self.model = model
        self.syntax = syntax

    def find(self, level: str | None, keys: Keys, *, cancel_after: int | None = None, cancelled: int = 0) -> Answer:
        """C-FIND. level: None leaves (0008,0052) away. cancel_after: C-CANCEL after so many matches; cancelled: what
        it adds to the right message id."""
        message = self.begin(level, keys)
        return self.finish(message, cancel_after, cancelled)

    def begin(self, level: str | None, keys: Keys) -> int:
        """Sends the request; -> its message id."""
        identifier = dict(keys) | ({} if level is None else {"QueryRetrieveLevel": level})
        message = self._next_message()
        self.request(1, command_set(self.model, C_FIND_RQ, message, DATASET))
        self.send_dataset(1, encoded(identifier, self.syntax))
        return message

    def finish(self, message: int, cancel_after: int | None = None, cancelled: int = 0) -> Answer:
        """Receives to the final response."""
        answer = Answer(self.syntax)
        if cancel_after == 0:
            self.cancel(message + cancelled)
        for response, identifier in self._responses():
            assert int.from_bytes(response.elements[0x00000120], "little") == message
            if response.status not in PENDING:
                assert identifier is None, "a final response has no identifier"
                answer.final = response
                return answer
            assert identifier is not None, "a pending response has an identifier"
            answer.pending.append(response)
            answer.raw.append(identifier)
            if len(answer.raw) == cancel_after:
                self.cancel(message + cancelled)
        raise AssertionError("unreachable")

    def cancel(self, message: int) -> None:
        """C-CANCEL-RQ (PS3.7 9.3.2.3)."""
        elements = struct.pack("<HHIH", 0, 0x0100, 2, 0x0FFF) + struct.pack("<HHIH", 0, 0x0120, 2, message)
        elements += struct.pack("<HHIH", 0, 0x0800, 2, NO_DATASET)
        self.request(1, struct.pack("<HHII", 0, 0, 4, len(elements)) + elements)

    def _responses(self) -> Iterator[tuple[Response, bytes | None]]:
        """The messages that come, one after the other."""
        fragments = self._fragments()
        while True:
            elements = dict(elements_of(self._whole(fragments, command=True)))
            response = Response(int.from_bytes(elements[0x00000900], "little"), elements)
            follows = int.from_bytes(elements[0x00000800], "little") != NO_DATASET
            yield response, self._whole(fragments, command=False) if follows else None

    def _fragments(self) -> Iterator[tuple[int, bytes]]:
        """(message control header, fragment) of each PDV."""
        while True:
            kind, body = self.receive()
            if kind != 4:
                raise Ended(kind, body)
            at = 0
            while at < len(body):
                end = at + 4 + int.from_bytes(body[at:at + 4], "big")
                yield body[at + 5], body[at + 6:end]
                at = end

    @staticmethod
    def _whole(fragments: Iterator[tuple[int, bytes]], command: bool) -> bytes:
        parts, control = [], 0
        while not control & 2:
            control, fragment = next(fragments)
            assert bool(control & 1) is command, "a command where a dataset is due, or the other way round"
            parts.append(fragment)
        return b"".join(parts)


class Lines:
    """One association at a time, of the kind that is asked for: a new one where the last was of another kind."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._kind: tuple[str, str, bytes] | None = None
        self._open: Asker | None = None

    def find(self, kind: tuple[str, str, bytes], level: str | None, keys: Keys) -> Answer:
        """kind: model, transfer syntax and the application information to propose."""
        if kind != self._kind:
            self.close()
            self._kind, self._open = kind, Asker(self._port, *kind)
        return self._open.find(level, keys)

    def close(self) -> None:
        """Releases what is open."""
        if self._open is not None:
            self._open.release()
        self._kind = self._open = None


def raw_elements(data: bytes, syntax: str = EXPLICIT) -> list[tuple[int, bytes]]:
    """(tag, value) of each element of a dataset in an explicit VR syntax, in the order in which they stand."""
    order = "<" if syntax == EXPLICIT else ">"
    at, found = 0, []
    while at < len(data):
        group, element = struct.unpack_from(order + "HH", data, at)
        if data[at + 4:at + 6] in (b"SQ", b"UT", b"UC", b"UR", b"UN", b"OB", b"OW"):
            length, = struct.unpack_from(order + "I", data, at + 8)
            at += 12
        else:
            length, = struct.unpack_from(order + "H", data, at + 6)
            at += 8
        assert length != 0xFFFFFFFF, "undefined length"
        found.append((group << 16 | element, data[at:at + length]))
        at += length
    return found


def store(port: int, instances: Sequence[Keys], calling: str = "LOADER") -> None:
    """Stores instances, all in one association; each must succeed."""
    classes = sorted({str(instance["SOPClassUID"]) for instance in instances})
    with Sender(port, [(uid, [EXPLICIT]) for uid in classes], calling=calling) as association:
        for instance in instances:
            sop_class = str(instance["SOPClassUID"])
            response = association.store(2 * classes.index(sop_class) + 1, sop_class, str(instance["SOPInstanceUID"]),
                                         encoded(instance))
            assert response.status == 0, f"{response.status:04X}H {response.comment}"

"""C-GET and C-MOVE by the tests' own requestor, which is also the provider of storage on its C-GET association."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.uid import UID_dictionary

from tests.interop.find.keys import EXPLICIT, Keys, decoded, encoded
from tests.interop.sender import DATASET, NO_DATASET, Ended, Response, Sender, data_tf, elements_of

ROOTS = {"patient": "1.2.840.10008.5.1.4.1.2.1", "study": "1.2.840.10008.5.1.4.1.2.2",
         "patient/study": "1.2.840.10008.5.1.4.1.2.3"}
MOVE = {name: f"{root}.2" for name, root in ROOTS.items()}
GET = {name: f"{root}.3" for name, root in ROOTS.items()}
C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, C_STORE_RSP, C_CANCEL_RQ = 0x0010, 0x0021, 0x0001, 0x8001, 0x0FFF
PENDING = 0xFF00
# What pydicom does not call a UI of a response: (0000,eeee) of the counters, PS3.7 9.1.4.1.
REMAINING, COMPLETED, FAILED, WARNING = 0x00001020, 0x00001021, 0x00001022, 0x00001023
OnFragment = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A C-STORE-RQ that somebody got: its command elements, and the dataset in the transfer syntax of its context."""

    elements: dict[int, bytes]
    dataset: bytes
    syntax: str

    @property
    def sop_instance(self) -> str:
        return self.elements[0x00001000].decode().rstrip("\0")

    @property
    def message_id(self) -> int:
        return int.from_bytes(self.elements[0x00000110], "little")


@dataclass(slots=True)
class Retrieved:
    """What came of one request. failed: the list of the final response, None where it has no dataset."""

    pending: list[Response] = field(default_factory=list)
    stored: list[Arrived] = field(default_factory=list)
    final: Response | None = None
    failed: list[str] | None = None
    dataset: bytes | None = None

    @property
    def status(self) -> int:
        return self.final.status

    @property
    def counters(self) -> tuple[int | None, ...]:
        """(remaining, completed, failed, warning) of the final response, None where it does not say."""
        return counters(self.final)

    @property
    def outcome(self) -> tuple[int, tuple[int | None, ...]]:
        return self.status, self.counters


def counters(response: Response) -> tuple[int | None, ...]:
    return tuple(None if tag not in response.elements else int.from_bytes(response.elements[tag], "little")
                 for tag in (REMAINING, COMPLETED, FAILED, WARNING))


class Retriever(Sender):
    """An association for one model (context 1), and for C-GET with storage contexts behind it.

    storage: (SOP class, transfer syntax) of each of them. roles: whether we propose to be their SCP.
    """

    def __init__(self, port: int, model: str = MOVE["study"], storage: Sequence[tuple[str, str]] = (), *,
                 syntax: str = EXPLICIT, roles: bool = True, relational: bool = False,
                 on_fragment: OnFragment | None = None, **more: object) -> None:
        super().__init__(port, [(model, [syntax]), *((sop_class, [one]) for sop_class, one in storage)],
                         roles=[sop_class for sop_class, _ in storage] if roles else [],
                         extended={model: b"\1"} if relational else {}, **more)
        self.model = model
        self.syntax = syntax
        self._on_fragment = on_fragment

    def get(self, level: str | None, keys: Keys, answers: Callable[[int], int] = lambda number: 0,
            **more: int) -> Retrieved:
        """C-GET. answers: the status of our response to the C-STORE of this number, from 0 on. more: see `finish`."""
        return self.finish(self.begin(level, keys), answers, **more)

    def move(self, level: str | None, keys: Keys, destination: str, **more: int) -> Retrieved:
        """C-MOVE."""
        return self.finish(self.begin(level, keys, destination), **more)

    def begin(self, level: str | None, keys: Keys, destination: str | None = None, *, priority: int = 0,
              message: int | None = None) -> int:
        """Sends the request, a C-MOVE if it has a destination; -> its message id."""
        message = self._next_message() if message is None else message
        identifier = dict(keys) | ({} if level is None else {"QueryRetrieveLevel": level})
        elements = {0x0002: _uid(self.model), 0x0100: _us(C_GET_RQ if destination is None else C_MOVE_RQ),
                    0x0110: _us(message), 0x0700: _us(priority), 0x0800: _us(DATASET)}
        if destination is not None:
            elements[0x0600] = destination.encode() + b" " * (len(destination) & 1)
        self.request(1, command(elements))
        self.send_dataset(1, encoded(identifier, self.syntax))
        return message

    def finish(self, message: int, answers: Callable[[int], int] = lambda number: 0, *,
               cancel_after: int | None = None, cancelled: int = 0) -> Retrieved:
        """Takes what comes up to the final response. cancel_after: C-CANCEL before the answer to so many C-STOREs;
        cancelled: what it adds to the right message id."""
        found = Retrieved()
        for context_id, elements, dataset in self.messages():
            if int.from_bytes(elements[0x00000100], "little") == C_STORE_RQ:
                found.stored.append(Arrived(elements, dataset, self.accepted[context_id]))
                if len(found.stored) == cancel_after:
                    self.cancel(message + cancelled)
                self.request(context_id, store_response(elements, answers(len(found.stored) - 1)))
                continue
            response = Response(int.from_bytes(elements[0x00000900], "little"), elements)
            assert int.from_bytes(elements[0x00000120], "little") == message
            if response.status == PENDING:
                assert dataset is None and None not in counters(response)
                found.pending.append(response)
                continue
            found.final, found.dataset = response, dataset
            if dataset is not None:
                found.failed = failed_uids(dataset, self.syntax)
            return found
        raise AssertionError("unreachable")

    def cancel(self, message: int) -> None:
        """C-CANCEL-RQ (PS3.7 9.3.2.3)."""
        self.request(1, command({0x0100: _us(C_CANCEL_RQ), 0x0120: _us(message), 0x0800: _us(NO_DATASET)}))

    def messages(self) -> Iterator[tuple[int, dict[int, bytes], bytes | None]]:
        """(context id, elements of the command set, dataset) of each message that comes."""
        return messages(self.receive, self._on_fragment)


def failed_uids(dataset: bytes, syntax: str) -> list[str]:
    """Failed SOP Instance UID List (0008,0058); it is all that the dataset has."""
    (element,) = decoded(dataset, syntax)
    assert element.tag == 0x00080058
    if element.VR == "UN":
        return element.value.decode().rstrip("\0").split("\\")
    return [str(uid) for uid in (element.value if element.VM > 1 else [element.value])]


def messages(receive: Callable[[], tuple[int, bytes]],
             on_fragment: OnFragment | None = None) -> Iterator[tuple[int, dict[int, bytes], bytes | None]]:
    """What arrives as P-DATA-TF. receive: gives PDUs as (type, body). on_fragment: takes what is too long to be kept of
    datasets, which are empty then. Raises Ended where another PDU comes."""
    waiting: list[tuple[int, int, bytes]] = []

    def whole(is_command: bool) -> tuple[int, bytes]:
        parts, control = [], 0
        take = parts.append if is_command or on_fragment is None else on_fragment
        while not control & 2:
            while not waiting:
                kind, body = receive()
                if kind != 4:
                    raise Ended(kind, body)
                waiting.extend(_pdvs(body))
            context_id, control, fragment = waiting.pop(0)
            assert bool(control & 1) is is_command, "a command where a dataset is due, or the other way round"
            take(fragment)
        return context_id, b"".join(parts)

    while True:
        context_id, data = whole(True)
        elements = dict(elements_of(data))
        follows = int.from_bytes(elements[0x00000800], "little") != NO_DATASET
        yield context_id, elements, whole(False)[1] if follows else None


def store_response(request: dict[int, bytes], status: int) -> bytes:
    """The command set of a C-STORE-RSP."""
    return command({0x0002: request[0x00000002], 0x0100: _us(C_STORE_RSP), 0x0120: request[0x00000110],
                    0x0800: _us(NO_DATASET), 0x0900: _us(status), 0x1000: request[0x00001000]})


def command(elements: dict[int, bytes]) -> bytes:
    """A command set of these elements of group 0000."""
    data = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(elements.items()))
    return struct.pack("<HHII", 0, 0, 4, len(data)) + data


def response_tf(context_id: int, request: dict[int, bytes], status: int) -> bytes:
    """A whole C-STORE-RSP."""
    return data_tf(context_id, 3, store_response(request, status))


def storage_classes() -> list[str]:
    """Storage SOP classes of pydicom's dictionary."""
    return sorted(uid for uid, (name, kind, *_) in UID_dictionary.items()
                  if kind == "SOP Class" and uid.startswith("1.2.840.10008.5.1.4.1.1.") and "Storage" in name)


def _pdvs(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at:at + 4], "big")
        yield body[at + 4], body[at + 5], body[at + 6:end]
        at = end


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) & 1)

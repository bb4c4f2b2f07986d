"""The receiving side of C-GET and C-MOVE: raw sockets, datasets thrown away as they come, a clock over a retrieval."""
from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from dicomserver.standard.query import STUDY_ROOT_FIND
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLEMENTATION_CLASS_UID
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, DATA_SET_FOLLOWS, response_to
from dicomserver.wire.element import encode_element
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import AssociateAC, ContextResult, ReleaseRP, RoleSelection, UserInformation
from tests.bench.payloads import KINDS, LARGEST_PDU, STUDY, uid
from tests.bench.sender import SILENCE, Connection, Job, LoadFailed, Timing, run
from tests.ports import accepted

GET, MOVE = "get", "move"
SINK = "BENCHSINK"      # the AE title of the destination
MODELS = {GET: STUDY_ROOT_FIND[:-1] + "3", MOVE: STUDY_ROOT_FIND[:-1] + "2"}
COMMANDS = {GET: C_GET_RQ, MOVE: C_MOVE_RQ}
PENDING = 0xFF00
P_DATA_TF, A_RELEASE_RQ = 4, 5


class Arrivals:
    """What comes over an association. waits: seconds of each instance, from the answer to the one before; octets: of
    their datasets, in all."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb", 1 << 20)
        self._fragments: Iterator[tuple[int, int, int, bytes]] = iter(())
        self.maximum_length = 0
        self.waits: list[float] = []
        self.octets = 0
        self._last = time.monotonic()

    def pdu(self) -> tuple[int, bytes]:
        """The next PDU whole, and its type. Raises LoadFailed where none comes."""
        # As in sender.Connection: no peer shall wait for an acknowledgement that we delay.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        header = self._file.read(6)
        if len(header) < 6:
            raise LoadFailed("closed the connection")
        return header[0], header + self._file.read(int.from_bytes(header[2:], "big"))

    def take(self) -> CommandSet | None:
        """Answers what is stored, until another message comes: that one's command; None at the release."""
        while (command := self._message()) is not None and command.command_field == C_STORE_RQ:
            answer = encode_command(response_to(command, 0))
            self._connection.sendall(encode_message(self._context_id, answer, None, self.maximum_length))
            now = time.monotonic()
            self.waits.append(now - self._last)
            self._last = now
        return command

    def _message(self) -> CommandSet | None:
        data, command = bytearray(), None
        while True:
            for context_id, control, length, part in self._fragments:
                if control & 1:
                    data += part
                else:
                    self.octets += length
                if control & 2:
                    self._context_id = context_id
                    if command is None:
                        command = decode_command(bytes(data))
                    if control & 1 == 0 or not command.has_dataset:
                        return command
            kind, pdu = self.pdu()
            if kind == A_RELEASE_RQ:
                return None
            if kind != P_DATA_TF:
                raise LoadFailed(f"sent a PDU of type {kind}")
            self._fragments = _pdvs(pdu)


def _pdvs(pdu: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Context id, message control header, length and, of commands, the bytes of each fragment."""
    at = 6
    while at < len(pdu):
        length, context_id, control = struct.unpack_from(">IBB", pdu, at)
        yield context_id, control, length - 2, pdu[at + 6:at + 4 + length] if control & 1 else b""
        at += 4 + length


class Sink:
    """The destination of C-MOVE, on a thread of its own. arrivals: of each association."""

    def __init__(self, port: int) -> None:
        self.arrivals: list[Arrivals] = []
        self._door = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Listens no more."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(SILENCE)

    def _serve(self) -> None:
        for connection in accepted(self._door):
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                arrivals = Arrivals(connection)
                self.arrivals.append(arrivals)
                asked = decode_pdu(arrivals.pdu()[1])
                arrivals.maximum_length = asked.user_information.maximum_length or 0
                connection.sendall(encode_pdu(AssociateAC(
                    asked.called_ae_title, asked.calling_ae_title,
                    [ContextResult(one.context_id, 0, one.transfer_syntaxes[0]) for one in asked.presentation_contexts],
                    UserInformation(maximum_length=LARGEST_PDU, implementation_class_uid=IMPLEMENTATION_CLASS_UID))))
                while arrivals.take() is not None:
                    pass
                connection.sendall(encode_pdu(ReleaseRP()))


def retrieve(how: str, job: Job, sink_port: int) -> Timing:
    """Stores the job's instances, as one study, then gets them back or has them moved to `sink_port`; only that is on
    the clock. Raises LoadFailed."""
    sent = run(job).sent
    sop_class_uid = KINDS[job.kind].sop_class_uid
    if how == GET:
        with _requester(job.port, MODELS[GET], sop_class_uid) as (requester, arrivals):
            seconds = _ask(GET, requester, arrivals, job)
        came = [arrivals]
    else:
        with closing(Sink(sink_port)) as sink, _requester(job.port, MODELS[MOVE]) as (requester, arrivals):
            seconds = _ask(MOVE, requester, arrivals, job)
        came = sink.arrivals
    waits = [wait for one in came for wait in one.waits]
    if len(waits) != sent:
        raise LoadFailed(f"handed out {len(waits)} of {sent} instances")
    return Timing(seconds, waits, sent, sum(one.octets for one in came))


@contextmanager
def _requester(port: int, model: str, *storage: str) -> Iterator[tuple[Connection, Arrivals]]:
    connection = Connection(port, model, *storage, maximum_length=LARGEST_PDU,
                            role_selections=[RoleSelection(one, scu=True, scp=True) for one in storage])
    yield connection, Arrivals(connection.socket)
    connection.release()


def _ask(how: str, requester: Connection, arrivals: Arrivals, job: Job) -> float:
    begun = time.monotonic()
    requester.request(CommandSet(
        affected_sop_class_uid=MODELS[how], command_field=COMMANDS[how], message_id=1, priority=0,
        command_data_set_type=DATA_SET_FOLLOWS, move_destination=SINK if how == MOVE else None),
        encode_element(0x00080052, "CS", b"STUDY") + encode_element(0x0020000D, "UI", uid(STUDY, job.run, 1).encode()))
    while (response := arrivals.take()) is not None and response.status == PENDING:
        pass
    if response is None or response.status != 0:
        raise LoadFailed("the retrieval ended " + ("with a release" if response is None else f"{response.status:04X}H"))
    return time.monotonic() - begun

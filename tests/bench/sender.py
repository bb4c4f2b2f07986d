"""The sending side: raw sockets, one process for each association, a clock that covers sending and waiting."""
from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicomserver.session.negotiation import contexts_of, peer_maximum_length
from dicomserver.session.proposal import propose
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_ECHO_RQ, C_STORE_RQ, DATA_SET_FOLLOWS
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import AssociateAC, DataTF, ReleaseRP, ReleaseRQ
from tests.bench.payloads import KINDS, request

SILENCE = 120.0             # seconds that a server may take for one answer
MOST_SECONDS = 1800.0       # and for a whole load
WARM_UP = 20                # instances at most
ECHO_REQUEST = encode_command(CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ, message_id=1,
                                         command_data_set_type=0x0101))


class LoadFailed(Exception):
    """A server refused, failed or broke off; the text says what it answered."""


@contextmanager
def failing() -> Iterator[None]:
    """What the network, or an answer that cannot be read, raises in the block is a LoadFailed."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise LoadFailed(str(error) or type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class Job:
    """What one load sends. kind: of payloads.KINDS, or "echo": associate, C-ECHO, release, each time anew.

    run: a number no earlier load on that server had. count: instances (or echoes) on each association. operations: so
    many C-STOREs at once on each.
    """

    kind: str
    port: int
    run: int
    associations: int
    count: int
    operations: int = 1


@dataclass(slots=True)
class Timing:
    """seconds: from the first byte of the first sender to the last answer; latencies: seconds, of each instance.

    sent: all instances, the warm-up too. octets: of the datasets on the clock.
    """

    seconds: float
    latencies: list[float]
    sent: int
    octets: int


class Connection:
    """One association over a plain socket. contexts: the presentation context id of each SOP class. operations: of the
    asynchronous window that is negotiated. more: see session.proposal.propose. socket: for who reads for himself."""

    def __init__(self, port: int, *sop_class_uids: str, operations: int = 1, **more) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        asked = propose([(uid, (EXPLICIT_VR_LE, IMPLICIT_VR_LE)) for uid in sop_class_uids], calling_ae_title="BENCH",
                        called_ae_title="ANY-SCP",
                        asynchronous_operations=(operations, 1) if operations > 1 else None, **more)
        self.socket.sendall(encode_pdu(asked))
        answer = self._answer(AssociateAC)
        self.maximum_length = peer_maximum_length(answer.user_information)
        granted = answer.user_information.asynchronous_operations_window
        if operations > 1 and granted != (operations, 1):
            raise LoadFailed(f"granted a window of {granted} instead of {operations} operations")
        accepted = contexts_of(asked, answer)
        self.contexts = {uid: 2 * number + 1 for number, uid in enumerate(sop_class_uids)}
        for uid, context_id in self.contexts.items():
            context = accepted.get(context_id)
            if context is None or (uid != VERIFICATION and context.transfer_syntax != EXPLICIT_VR_LE):
                raise LoadFailed(f"{uid} was not accepted in explicit VR little endian")

    def echo(self) -> None:
        """One C-ECHO."""
        self.socket.sendall(encode_message(1, ECHO_REQUEST, None, self.maximum_length))
        self.succeeded()

    def store(self, what) -> None:
        """Sends one C-STORE request, waits for its answer. Raises LoadFailed unless it is success."""
        self.begin_store(what)
        self.succeeded()

    def begin_store(self, what) -> None:
        """Sends one C-STORE request."""
        send = self.socket.sendall
        send(what.head)
        for _ in range(what.repeats):
            send(what.block)
        if what.tail:
            send(what.tail)

    def store_dataset(self, sop_class_uid: str, sop_instance_uid: str, dataset: bytes) -> None:
        """The same with a dataset that is at hand, encoded in explicit VR little endian."""
        command = encode_command(CommandSet(
            affected_sop_class_uid=sop_class_uid, command_field=C_STORE_RQ, message_id=1, priority=0,
            command_data_set_type=DATA_SET_FOLLOWS, affected_sop_instance_uid=sop_instance_uid))
        self.socket.sendall(encode_message(self.contexts[sop_class_uid], command, dataset, self.maximum_length))
        self.succeeded()

    def request(self, command: CommandSet, identifier: bytes) -> None:
        """Sends a request in the first context."""
        self.socket.sendall(encode_message(1, encode_command(command), identifier, self.maximum_length))

    def release(self) -> None:
        """Ends the association in good order."""
        self.socket.sendall(encode_pdu(ReleaseRQ()))
        self._answer(ReleaseRP)
        self.socket.close()

    def succeeded(self) -> None:
        """Waits for an answer. Raises LoadFailed unless it is success."""
        response = decode_command(self._answer(DataTF).pdvs[0].data)
        if response.status != 0:
            raise LoadFailed(f"answered with status {response.status:04X}H {response.error_comment or ''}".rstrip())

    def _answer(self, kind: type):
        self._receive(6)
        length, = struct.unpack_from(">I", self._received, 2)
        self._receive(6 + length)
        pdu = decode_pdu(bytes(self._received[:6 + length]))
        del self._received[:6 + length]
        if not isinstance(pdu, kind):
            raise LoadFailed(f"answered with {pdu!r}"[:200])
        return pdu

    def _receive(self, wanted: int) -> None:
        while len(self._received) < wanted:
            # Some servers send an answer in two small writes with Nagle's algorithm on, and would wait 40 ms for
            # our delayed acknowledgement in between. Ours does not; a comparison should not live from that.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            data = self.socket.recv(65536)
            if not data:
                raise LoadFailed("closed the connection")
            self._received += data


def run(job: Job) -> Timing:
    """Runs a load with a process for each association. Raises LoadFailed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(job.associations)
    results = context.Queue()
    senders = [context.Process(target=_sender, args=(job, number, ready, results), daemon=True)
               for number in range(1, job.associations + 1)]
    try:
        for sender in senders:
            sender.start()
        outcomes = [_outcome(results, senders) for _ in senders]
    finally:
        for sender in senders:
            sender.join(10)
            sender.kill()
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failures:
        raise LoadFailed(min(failures, key=lambda text: "another sender" in text))
    begun, ended, latencies, sent, octets = zip(*outcomes)
    return Timing(max(ended) - min(begun), [one for part in latencies for one in part], sum(sent), sum(octets))


def _outcome(results, senders):
    """The next sender's result; a sender that died without a word is a failure too."""
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        try:
            return results.get(timeout=1)
        except queue.Empty:
            if any(sender.exitcode not in (None, 0) for sender in senders):
                return "a sender died"
    return f"not done within {MOST_SECONDS:.0f} s"


def _sender(job: Job, number: int, ready, results) -> None:
    """Runs in a process of its own."""
    try:
        results.put((_echoes if job.kind == "echo" else _stores)(job, number, ready))
    except threading.BrokenBarrierError:
        results.put("another sender failed")
    except (LoadFailed, OSError, ValueError) as error:
        ready.abort()
        results.put(str(error) or type(error).__name__)


def _stores(job: Job, number: int, ready) -> tuple:
    kind = KINDS[job.kind]
    connection = Connection(job.port, kind.sop_class_uid, operations=job.operations)
    what = request(kind, 1, connection.maximum_length)
    warm_up = 0 if kind.frames else min(WARM_UP, job.count // 10)
    for instance in range(warm_up):
        what.become(job.run, number, instance)
        connection.store(what)
    latencies = []
    ready.wait(SILENCE)
    begun = ended = time.monotonic()
    for instance in range(warm_up, warm_up + job.count + job.operations - 1):
        if instance < warm_up + job.count:
            what.become(job.run, number, instance)
            connection.begin_store(what)
        if instance - warm_up >= job.operations - 1:
            connection.succeeded()
            now = time.monotonic()
            latencies.append(now - ended)
            ended = now
    connection.release()
    return begun, ended, latencies, warm_up + job.count, job.count * what.size


def _echoes(job: Job, number: int, ready) -> tuple:
    latencies = []
    ready.wait(SILENCE)
    begun = ended = time.monotonic()
    for _ in range(job.count):
        connection = Connection(job.port, VERIFICATION)
        connection.echo()
        connection.release()
        now = time.monotonic()
        latencies.append(now - ended)
        ended = now
    return begun, ended, latencies, 0, 0


def wait_for_echo(port: int, alive, seconds: float = 60.0) -> float:
    """Asks until a C-ECHO is answered; -> time.monotonic() of that answer. `alive` tells of a server that died."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not alive():
            raise LoadFailed("ended before it answered")
        try:
            connection = Connection(port, VERIFICATION)
            connection.echo()
            answered = time.monotonic()
            connection.release()
            return answered
        except OSError:
            time.sleep(0.002)
    raise LoadFailed("does not answer")


def settle() -> None:
    """Writes out what earlier loads left in the page cache, so that it is not on the next one's clock."""
    os.sync()

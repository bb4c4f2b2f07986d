"""An association that we ask for, whose failures are told in plain words."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from dicomserver.scu.failures import AssociationFailed, Silent, UnknownHost, Unreachable, failure_of
from dicomserver.session.association import AssociationEnded, Deadlines, MessageLimits
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.requester import AssociationRequester, Message, connect
from dicomserver.wire.command import CommandSet
from dicomserver.wire.pdus import AssociateRQ
from dicomserver.wire.stream import TIMEOUT, PduStream

LONGEST_ANSWER = 256 << 10
LONGEST_DATASET = 16 << 20
_LIMITS = MessageLimits(identifier=LONGEST_DATASET, control_pdu=LONGEST_ANSWER)


class Requester:
    """One association, from the A-ASSOCIATE-RQ to the release; owned by one thread.

    connect_timeout: seconds, for the connection; the other waits are those of `deadlines`. All methods raise
    AssociationFailed; after that the connection is closed. As a context manager: released at the end, aborted if the
    block raised.

    on_begun: see AssociationRequester.
    contexts: those in force, by id. answer: all that the peer said to our request. round_trip: seconds from our
    A-ASSOCIATE-RQ to its answer.
    """

    def __init__(self, host: str, port: int, request: AssociateRQ, *, deadlines: Deadlines, connect_timeout: float,
                 on_begun: Callable[[AssociationRequester], None] = lambda requester: None):
        self._timeout = deadlines.idle
        self._association: AssociationRequester | None = None
        with self._told():
            self._association = AssociationRequester(_connected(host, port, connect_timeout), request,
                                                     deadlines=deadlines, limits=_LIMITS, on_begun=on_begun)
        self.contexts = self._association.contexts
        self.answer = self._association.answer
        self.round_trip = self._association.round_trip
        self.is_same_machine = self._association.is_same_machine

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext | None:
        """The first context in force in which we may be the SCU of `abstract_syntax`, in any or one transfer syntax."""
        return self._association.context_for(abstract_syntax, transfer_syntax)

    def send(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Sends one message."""
        with self._told():
            self._association.send(context_id, command, dataset)

    def send_from_file(self, context_id: int, command: CommandSet, file: int, offset: int, length: int,
                       checksum: int | None = None) -> None:
        """Sends one message whose dataset is `length` bytes of an open file from `offset` on.

        checksum: XXH3-64 of these bytes, None where it is not known. Raises FileUnusable too: then nothing was sent,
        and the association stands.
        """
        with self._told():
            self._association.send_from_file(context_id, command, file, offset, length, checksum)

    def receive(self) -> Message:
        """The next message of the peer."""
        with self._told():
            return self._association.receive()

    def receive_command(self) -> tuple[AcceptedContext, CommandSet]:
        """The next message's context and command. Its dataset, where it has one, is to be read before the next call."""
        with self._told():
            return self._association.next_command()

    def read_dataset(self) -> bytes:
        """The dataset of the command that came last."""
        with self._told():
            return self._association.read_dataset()

    @contextmanager
    def dataset(self) -> Iterator[PduStream]:
        """The stream with the dataset of the command that came last, to be read to its end within the block."""
        with self._told(), self._association.dataset() as arriving:
            yield arriving

    def fileno(self) -> int:
        """The connection's descriptor, for waiting on several; look at `has_arrived` before."""
        return self._association.inlet.fileno()

    @property
    def has_arrived(self) -> bool:
        """Whether `receive` would find the begin of a message, or the association's end, without waiting."""
        return self._association.has_arrived

    def silent(self) -> AssociationFailed:
        """For who waits by `fileno`: the deadline has passed; the association is aborted."""
        ended = self._association.association.interrupted(TIMEOUT)
        self._association.close()
        return failure_of(ended, self._timeout)

    def release(self) -> None:
        """Ends the association in the orderly way; what still comes from the peer is dropped."""
        with self._told():
            self._association.release()

    def abort(self) -> None:
        """Ends the association at once (A-ABORT); never raises."""
        self._association.abort()

    def stop(self) -> None:
        """From another thread: whatever the association waits for, it fails now."""
        self._association.stop()

    def __enter__(self) -> Requester:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        with self._told():
            self._association.__exit__(kind, error, where)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except AssociationEnded as ended:
            if self._association is not None:
                self._association.close()
            raise failure_of(ended, self._timeout) from None


def _connected(host: str, port: int, timeout: float) -> socket.socket:
    try:
        return connect(host, port, timeout)
    except TimeoutError:
        raise Silent(f"did not take the connection within {timeout:g} s") from None
    except (socket.gaierror, UnicodeError):     # the second one: no DNS can have such a name
        raise UnknownHost("cannot be reached: its host name is not known") from None
    except OSError as error:
        raise Unreachable(f"cannot be reached: {error.strerror or 'no route'}") from None

"""Retrieval to a third party: C-MOVE (PS3.4 C.4.2, PS3.7 9.1.4)."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, IndexFault, Stored
from dicomserver.services.identifiers import IdentifierRefused, refused_response
from dicomserver.services.retrievals import find_instances
from dicomserver.services.suboperations import AT_ONCE, Ended, Receiver, SubOperations, final, pending
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import statuses
from dicomserver.standard.query import MOVE_LEVELS
from dicomserver.transcoding.choice import fallback
from dicomserver.wire.command import CommandSet


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a C-MOVE may send to."""

    host: str
    port: int
    ae_title: str
    associations: int = 1       # at once, of one C-MOVE


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for the sub-operations: for (0000,1030) and (0000,1031). priority: of the request."""

    ae_title: str
    message_id: int
    priority: int


# Opens an association with a destination for SOP classes, each with transfer syntaxes. Raises Ended where none comes
# about. The acceptor is the requester's: when it is stopped, so is what we open for it.
Connect = Callable[[Destination, Sequence[tuple[str, Sequence[str]]], Originator, AssociationAcceptor],
                   AbstractContextManager[Receiver]]


class MoveService:
    """Answers C-MOVE-RQ on any number of associations at once. destinations: by the name that requesters use."""

    def __init__(self, index: Index, archive: Archive, destinations: Mapping[str, Destination], connect: Connect,
                 log: logging.Logger, *, seconds: float = 30.0) -> None:
        self._index = index
        self._archive = archive
        self._destinations = destinations
        self._connect = connect
        self._log = log
        self._seconds = seconds

    def move(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
        """Reads the identifier, sends the instances to the destination, and the responses; -> the final status."""
        try:
            destination = self._destinations.get(request.move_destination or "")
            if destination is None:
                raise IdentifierRefused(statuses.REFUSED_MOVE_DESTINATION_UNKNOWN, "the destination is not known")
            ids = find_instances(self._index, acceptor, context, request, MOVE_LEVELS, self._seconds)
        except IdentifierRefused as refused:
            self._log.warning("C-MOVE of %s refused with %04XH: %s", acceptor.calling_ae_title, refused.status, refused)
            acceptor.respond(context, refused_response(request, refused))
            return refused.status
        operations = SubOperations(self._index, self._archive, ids, self._log)
        originator = Originator(acceptor.calling_ae_title, request.message_id, request.priority or 0)
        with self._receiver(ids, destination, originator, acceptor) as receiver:
            cancelled = operations.run(receiver, lambda: acceptor.cancelled(request),
                                       lambda counters: acceptor.respond(context, pending(request, counters)))
        response, dataset = final(request, operations.counters, cancelled, context)
        acceptor.respond(context, response, dataset)
        return response.status

    @contextmanager
    def _receiver(self, ids: Sequence[int], destination: Destination, originator: Originator,
                  acceptor: AssociationAcceptor) -> Iterator[Receiver]:
        """No association is opened where there is nothing to send; where none comes about, every sending fails."""
        with ExitStack() as opened:
            receiver: Receiver = _Nobody("there is nothing to send")
            try:
                if ids:
                    contexts = self._contexts(ids)
                    receiver = opened.enter_context(self._connect(destination, contexts, originator, acceptor))
            except (Ended, IndexFault) as error:
                receiver = _Nobody(str(error))
            yield receiver

    def _contexts(self, ids: Sequence[int]) -> list[tuple[str, Sequence[str]]]:
        """What is to be sent, and nothing else: SOP classes, each with a context for each transfer syntax in which
        instances of it are stored, and one more with what these can be converted to."""
        syntaxes: dict[str, set[str]] = {}
        for at in range(0, len(ids), AT_ONCE):
            for stored in self._index.instances(ids[at:at + AT_ONCE]):
                syntaxes.setdefault(stored.sop_class_uid, set()).add(stored.transfer_syntax_uid)
        as_stored = [(sop_class, [syntax]) for sop_class, of_class in syntaxes.items() for syntax in sorted(of_class)]
        converted = [(sop_class, fallback(of_class)) for sop_class, of_class in syntaxes.items()]
        return sorted(as_stored + [context for context in converted if context[1]])


class _Nobody:
    def __init__(self, why: str) -> None:
        self._why = why

    due = 0

    def has_room(self, _stored: Stored) -> bool:
        """See suboperations.Receiver."""
        raise Ended(self._why)

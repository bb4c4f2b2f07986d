"""Retrieval over the requester's own association: C-GET (PS3.4 C.4.3, PS3.7 9.1.3)."""
from __future__ import annotations

import logging

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, Stored
from dicomserver.services.identifiers import IdentifierRefused, refused_response
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.services.retrievals import find_instances
from dicomserver.services.suboperations import Answered, SubOperations, final, message_ids, pending
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import Ending
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard.query import GET_LEVELS
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_STORE_RQ, C_STORE_RSP, DATA_SET_FOLLOWS


class GetService:
    """Answers C-GET-RQ on any number of associations at once.

    without_roles: AE titles that get what they have contexts for, though they did not negotiate to be its SCP: some
    clients in the field do not, and expect to be served.
    """

    def __init__(self, index: Index, archive: Archive, log: logging.Logger, *, seconds: float = 30.0,
                 without_roles: frozenset[str] = frozenset()) -> None:
        self._index = index
        self._archive = archive
        self._log = log
        self._seconds = seconds
        self._without_roles = without_roles

    def get(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
        """Reads the identifier, sends the instances, and the responses; -> the final status."""
        try:
            ids = find_instances(self._index, acceptor, context, request, GET_LEVELS, self._seconds)
        except IdentifierRefused as refused:
            self._log.warning("C-GET of %s refused with %04XH: %s", acceptor.calling_ae_title, refused.status, refused)
            acceptor.respond(context, refused_response(request, refused))
            return refused.status
        operations = SubOperations(self._index, self._archive, ids, self._log)
        receiver = _SameAssociation(acceptor, request, acceptor.calling_ae_title in self._without_roles)
        cancelled = operations.run(receiver, lambda: receiver.is_cancelled,
                                   lambda counters: acceptor.respond(context, pending(request, counters)))
        response, dataset = final(request, operations.counters, cancelled, context)
        acceptor.respond(context, response, dataset)
        return response.status


class _SameAssociation:
    """The requester as the SCP of storage: one at a time. Raises AssociationEnded where its association ends.

    See suboperations.Receiver.
    """

    def __init__(self, acceptor: AssociationAcceptor, request: CommandSet, any_role: bool) -> None:
        self._acceptor = acceptor
        self._request = request
        self._message_ids = message_ids(request.message_id)
        self._under_way: tuple[int, str] | None = None      # message id, SOP Instance UID
        self._contexts: dict[str, dict[str, int]] = {}      # ids, by SOP class and transfer syntax
        for context in acceptor.association.contexts.values():
            if context.as_scu or any_role:
                self._contexts.setdefault(context.abstract_syntax, {})[context.transfer_syntax] = context.context_id

    @property
    def due(self) -> int:
        return int(self._under_way is not None)

    def has_room(self, _stored: Stored) -> bool:
        return self._under_way is None

    @property
    def is_cancelled(self) -> bool:
        """Whether the requester has sent a C-CANCEL-RQ; `wait` sees it where it is among the answers."""
        return self._under_way is None and self._acceptor.cancelled(self._request)

    def send(self, outgoing: Outgoing) -> None:
        stored = outgoing.stored
        contexts = self._contexts.get(stored.sop_class_uid)
        if contexts is None:
            raise NotSent("the requester has no presentation context for its SOP class in which it is the SCP: it has "
                          "to propose one, with SCP/SCU role selection")
        message_id = next(self._message_ids)
        with outgoing.dataset(contexts) as dataset:
            self._acceptor.association.send_from_file(contexts[dataset.transfer_syntax_uid], CommandSet(
                command_field=C_STORE_RQ, message_id=message_id, priority=self._request.priority or 0,
                command_data_set_type=DATA_SET_FOLLOWS, affected_sop_class_uid=stored.sop_class_uid,
                affected_sop_instance_uid=stored.sop_instance_uid), dataset.file, dataset.offset, dataset.length,
                dataset.checksum)
        self._under_way = message_id, stored.sop_instance_uid

    def wait(self) -> list[Answered]:
        message_id, sop_instance_uid = self._under_way
        command = self._acceptor.next_response(self._request)
        if command is None:
            return []
        if (command.command_field != C_STORE_RSP or command.message_id_being_responded_to != message_id
                or command.status is None or command.has_dataset):
            raise self._acceptor.association.abort("something else than the response to a C-STORE", Ending.VIOLATED)
        self._under_way = None
        return [Answered(sop_instance_uid, command.status)]

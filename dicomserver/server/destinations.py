"""The associations that a C-MOVE opens: one with its destination, more only where 128 contexts are too few."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dicomserver.services.move import Destination, Originator
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.services.suboperations import Ended, Receiver, message_ids
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import AssociationEnded, Deadlines
from dicomserver.session.proposal import MOST_CONTEXTS, propose
from dicomserver.session.requester import AssociationRequester, connect
from dicomserver.session.transport import FileUnusable
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_STORE_RQ, C_STORE_RSP, DATA_SET_FOLLOWS

Proposal = tuple[str, Sequence[str]]     # SOP class, transfer syntaxes


class Destinations:
    """Opens associations for services.move.MoveService. connect_seconds: for the connection to come about."""

    def __init__(self, ae_title: str, deadlines: Deadlines, log: logging.Logger,
                 connect_seconds: float = 10.0) -> None:
        self._ae_title = ae_title
        self._deadlines = deadlines
        self._log = log
        self._connect_seconds = connect_seconds

    @contextmanager
    def connect(self, destination: Destination, proposals: Sequence[Proposal], originator: Originator,
                acceptor: AssociationAcceptor) -> Iterator[Receiver]:
        """See services.move.Connect."""
        associations = _Associations(lambda some: self._open(destination, some, acceptor), originator)
        try:
            for at in range(0, len(proposals), MOST_CONTEXTS):
                associations.open(proposals[at:at + MOST_CONTEXTS])
            yield associations
            self._release(destination, associations)
        finally:
            for requester in associations.opened:
                requester.abort()       # no more than closes one that is released
                acceptor.part(requester)

    def _open(self, destination: Destination, proposals: Sequence[Proposal],
              acceptor: AssociationAcceptor) -> AssociationRequester:
        request = propose(proposals, calling_ae_title=self._ae_title, called_ae_title=destination.ae_title)
        begun: list[AssociationRequester] = []

        def accompany(requester: AssociationRequester) -> None:
            begun.append(requester)
            acceptor.accompany(requester)
        try:
            connection = connect(destination.host, destination.port, self._connect_seconds)
            return AssociationRequester(connection, request, deadlines=self._deadlines, on_begun=accompany)
        except (OSError, UnicodeError) as error:    # the second one is a host name's that no DNS can have
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Ended(f"{destination.ae_title} cannot be reached: {why}") from None
        except AssociationEnded as ended:
            for requester in begun:
                acceptor.part(requester)
            raise Ended(f"no association with {destination.ae_title}: {ended}") from None

    def _release(self, destination: Destination, associations: _Associations) -> None:
        for requester in associations.opened:
            if not requester.is_over:
                try:
                    requester.release()
                except AssociationEnded as ended:   # all that was to be sent is answered
                    self._log.info("the association with %s ended without a release: %s", destination.ae_title, ended)


class _Associations:
    """With one destination; opened: all, those too that are over."""

    def __init__(self, open_association: Callable[[Sequence[Proposal]], AssociationRequester],
                 originator: Originator) -> None:
        self.opened: list[AssociationRequester] = []
        self._open = open_association
        self._originator = originator
        self._message_ids = message_ids()
        self._proposed: dict[AssociationRequester, Sequence[Proposal]] = {}
        self._accepted: dict[str, dict[str, tuple[AssociationRequester, int]]] = {}     # by SOP class, transfer syntax

    def open(self, proposals: Sequence[Proposal]) -> None:
        """One more, for at most MOST_CONTEXTS proposals. Raises Ended."""
        requester = self._open(proposals)
        self.opened.append(requester)
        self._proposed[requester] = proposals
        for context in requester.contexts.values():
            if context.as_scu:
                of_class = self._accepted.setdefault(context.abstract_syntax, {})
                of_class[context.transfer_syntax] = requester, context.context_id

    def send(self, outgoing: Outgoing) -> int:
        """See suboperations.Receiver."""
        stored = outgoing.stored
        contexts = self._accepted.get(stored.sop_class_uid)
        if contexts is None:
            raise NotSent("the destination does not accept its SOP class, or not in its transfer syntax")
        message_id = next(self._message_ids)
        with outgoing.dataset(contexts) as dataset:
            requester, context_id = contexts[dataset.transfer_syntax_uid]
            try:
                requester.send_from_file(context_id, CommandSet(
                    command_field=C_STORE_RQ, message_id=message_id, priority=self._originator.priority,
                    command_data_set_type=DATA_SET_FOLLOWS, affected_sop_class_uid=stored.sop_class_uid,
                    affected_sop_instance_uid=stored.sop_instance_uid,
                    move_originator_application_entity_title=self._originator.ae_title,
                    move_originator_message_id=self._originator.message_id), dataset.file, dataset.offset,
                    dataset.length, dataset.checksum)
                response = requester.receive().command
            except AssociationEnded as ended:
                if isinstance(ended.cause, FileUnusable):
                    self._replace(requester)
                    raise ended.cause from None
                raise Ended(f"the destination's association ended: {ended}") from None
        if response.command_field != C_STORE_RSP or response.message_id_being_responded_to != message_id \
                or response.status is None:
            raise Ended("the destination answered something else than the C-STORE")
        return response.status

    def _replace(self, requester: AssociationRequester) -> None:
        """It is aborted, because of one bad file: the others go over a new one."""
        requester.close()
        self.open(self._proposed.pop(requester))

"""The associations that a C-MOVE opens: one with its destination, more only where 128 contexts are too few."""
from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count

from dicomserver.services.move import Destination, Originator
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.services.suboperations import Ended, Receiver
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import AssociationEnded, Deadlines, Ending
from dicomserver.session.proposal import MOST_CONTEXTS, propose
from dicomserver.session.requester import AssociationRequester, connect
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_STORE_RQ, C_STORE_RSP, DATA_SET_FOLLOWS


class Destinations:
    """Opens associations for services.move.MoveService. connect_seconds: for the connection to come about."""

    def __init__(self, ae_title: str, deadlines: Deadlines, log: logging.Logger,
                 connect_seconds: float = 10.0) -> None:
        self._ae_title = ae_title
        self._deadlines = deadlines
        self._log = log
        self._connect_seconds = connect_seconds

    @contextmanager
    def connect(self, destination: Destination, contexts: Sequence[tuple[str, Sequence[str]]], originator: Originator,
                acceptor: AssociationAcceptor) -> Iterator[Receiver]:
        """See services.move.Connect."""
        with ExitStack() as opened:
            parts = [contexts[at:at + MOST_CONTEXTS] for at in range(0, len(contexts), MOST_CONTEXTS)]
            requesters = [opened.enter_context(self._association(destination, part, acceptor)) for part in parts]
            yield _Associations(requesters, originator)

    @contextmanager
    def _association(self, destination: Destination, contexts: Sequence[tuple[str, Sequence[str]]],
                     acceptor: AssociationAcceptor) -> Iterator[AssociationRequester]:
        request = propose(contexts, calling_ae_title=self._ae_title, called_ae_title=destination.ae_title)
        try:
            connection = connect(destination.host, destination.port, self._connect_seconds)
            requester = AssociationRequester(connection, request, deadlines=self._deadlines)
        except OSError as error:
            raise Ended(f"{destination.ae_title} cannot be reached: {error.strerror or type(error).__name__}") from None
        except AssociationEnded as ended:
            raise Ended(f"no association with {destination.ae_title}: {ended}") from None
        acceptor.companions.add(requester)
        try:
            with requester:
                yield requester
        except AssociationEnded as ended:
            if ended.ending is not Ending.RELEASED and not requester.is_over:
                raise
        finally:
            acceptor.companions.discard(requester)


class _Associations:
    """What a destination has accepted, by SOP class and transfer syntax."""

    def __init__(self, requesters: Sequence[AssociationRequester], originator: Originator) -> None:
        self._originator = originator
        self._message_ids = count(1)
        self._contexts: dict[str, dict[str, tuple[AssociationRequester, int]]] = {}
        for requester in requesters:
            for context in requester.contexts.values():
                if context.as_scu:
                    of_class = self._contexts.setdefault(context.abstract_syntax, {})
                    of_class.setdefault(context.transfer_syntax, (requester, context.context_id))

    def send(self, outgoing: Outgoing) -> int:
        """See suboperations.Receiver."""
        stored = outgoing.stored
        contexts = self._contexts.get(stored.sop_class_uid)
        if contexts is None:
            raise NotSent("the destination does not accept its SOP class, or not in its transfer syntax")
        message_id = next(self._message_ids) & 0xFFFF
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
                raise Ended(f"the destination's association ended: {ended}") from None
        if response.command_field != C_STORE_RSP or response.message_id_being_responded_to != message_id \
                or response.status is None:
            requester.abort()
            raise Ended("the destination answered something else than the C-STORE")
        return response.status

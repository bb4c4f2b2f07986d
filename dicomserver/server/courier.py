"""Takes reports of storage commitment to their requesters, on associations of our own, in reversed roles (PS3.4 J.3).

The requester of the commitment accepts the association, yet it stays the SCU: we propose to be the SCP, and send
nothing to a peer that does not agree (PS3.7 D.3.3.4).
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.requester import Requester
from dicomserver.services.commitment import Report
from dicomserver.services.move import Destination
from dicomserver.session.association import Deadlines
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.proposal import propose
from dicomserver.session.requester import AssociationRequester
from dicomserver.standard.statuses import Category, category
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, STORAGE_COMMITMENT_PUSH_MODEL
from dicomserver.wire.commands import N_EVENT_REPORT_RSP
from dicomserver.wire.pdus import RoleSelection


class NotDelivered(Exception):
    """There is no association, or no more; the text says why, after "the requester"."""


class Refused(Exception):
    """The requester has answered a report with a failure; it may take others."""


class Courier:
    """Opens associations, on any thread, until `stop`. connect_seconds: for a connection to come about."""

    def __init__(self, ae_title: str, deadlines: Deadlines, connect_seconds: float = 5.0) -> None:
        self._connect_seconds = connect_seconds
        self._lock = threading.Lock()
        self._begun: set[AssociationRequester] = set()
        self._stopped = False
        self.configure(ae_title, deadlines)

    def configure(self, ae_title: str, deadlines: Deadlines) -> None:
        """For associations that begin afterwards."""
        self._configuration = ae_title, deadlines

    def stop(self) -> None:
        """Ends all associations, also those that are only being negotiated."""
        with self._lock:
            self._stopped = True
            for association in self._begun:
                association.stop()

    @contextmanager
    def visit(self, destination: Destination) -> Iterator[Visit]:
        """An association with a requester, released at the end. Raises NotDelivered, also in the block."""
        ae_title, deadlines = self._configuration
        request = propose([(STORAGE_COMMITMENT_PUSH_MODEL, [EXPLICIT_VR_LE, IMPLICIT_VR_LE])],
                          calling_ae_title=ae_title, called_ae_title=destination.ae_title,
                          role_selections=[RoleSelection(STORAGE_COMMITMENT_PUSH_MODEL, scu=False, scp=True)])
        begun: list[AssociationRequester] = []

        def on_begun(association: AssociationRequester) -> None:
            begun.append(association)
            self._watch(association)
        try:
            with Requester(destination.host, destination.port, request, deadlines=deadlines,
                           connect_timeout=self._connect_seconds, on_begun=on_begun) as requester:
                yield Visit(requester)
        except AssociationFailed as failed:
            raise NotDelivered(str(failed)) from None
        finally:
            with self._lock:
                self._begun.difference_update(begun)

    def _watch(self, association: AssociationRequester) -> None:
        with self._lock:
            self._begun.add(association)
            if self._stopped:
                association.stop()


class Visit:
    """An association that stands."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._context = self._agreed()

    def _agreed(self) -> AcceptedContext:
        for context in self._requester.contexts.values():
            if context.as_scp:
                return context
        raise NotDelivered("does not accept that we are the SCP of storage commitment (role selection)")

    def deliver(self, report: Report, message_id: int) -> None:
        """Sends one report, and waits for its response. Raises NotDelivered, Refused, ArchiveError."""
        command, information = report(self._context.transfer_syntax)
        command.message_id = message_id
        self._requester.send(self._context.context_id, command, information)
        response = self._requester.receive().command
        if (response.command_field != N_EVENT_REPORT_RSP or response.message_id_being_responded_to != message_id
                or response.status is None):
            raise NotDelivered("has sent something else than the response to its report")
        if category(response.status) not in (Category.SUCCESS, Category.WARNING):
            raise Refused(f"has answered its report with {response.status:04X}H")

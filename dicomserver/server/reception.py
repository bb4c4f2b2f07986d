"""From a request in the lobby to an association: who may call, which services answer, and what is counted."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.index import Index
from dicomserver.server.destinations import Destinations
from dicomserver.server.lobby import Request
from dicomserver.server.settings import AssociationSettings, ServerSettings
from dicomserver.server.statistics import Statistics
from dicomserver.services.commitment import Accept
from dicomserver.services.find import QueryLimits
from dicomserver.services.registry import build_handlers, sop_classes
from dicomserver.services.store import ScanLimits
from dicomserver.session.acceptor import AssociationAcceptor, MessageLimits
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy, storage_support
from dicomserver.standard.statuses import Category, category
from dicomserver.wire.commands import SERVICES

OPERATION_THREADS = 32      # of all associations that negotiated more than one operation at once


class Reception:
    """Thread-safe; a changed configuration holds for associations that begin afterwards."""

    def __init__(self, settings: ServerSettings, archive: Archive, index: Index,
                 on_stored: Callable[[Waiting], None], accept: Accept, statistics: Statistics,
                 log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._on_stored = on_stored
        self._accept = accept
        self._statistics = statistics
        self._log = log
        # Its threads start when several operations of one association are under way for the first time.
        self._executor = ThreadPoolExecutor(OPERATION_THREADS, "operation")
        self.configure(settings)

    def configure(self, settings: ServerSettings) -> None:
        """Takes over who may call, and the deadlines and limits."""
        association = settings.association
        deadlines = association.deadlines()
        handlers: Mapping = build_handlers(
            self._archive, self._index, self._on_stored, self._log, ae_title=settings.ae_title, accept=self._accept,
            scan=ScanLimits(sequence_depth=association.max_sequence_depth, inflated=association.max_inflated),
            query=QueryLimits(seconds=association.query_seconds, matches=association.max_query_matches),
            moving=(settings.destinations, Destinations(settings.ae_title, deadlines, self._log).connect),
            without_roles=association.without_roles, fuzzy_for=association.fuzzy_for)
        # One assignment: an association gets the old configuration or the new one, never some of each.
        self._configuration = (
            Negotiator(_policy(settings.ae_title, association)), handlers,
            deadlines, MessageLimits(command=association.max_command, identifier=association.max_identifier,
                          control_pdu=settings.lobby.max_request_length))

    def serve(self, request: Request) -> Counted:
        """The association of a request; it owns the connection."""
        negotiator, handlers, deadlines, limits = self._configuration
        counted = Counted(self._statistics, len(request.pdu))
        counted.acceptor = AssociationAcceptor(
            request.socket, request.pdu, request.rest, negotiator, handlers, deadlines=deadlines, limits=limits,
            on_answered=counted.answered, peer=request.peer[0], executor=self._executor, log=self._log)
        return counted

    def close(self) -> None:
        """After all associations have ended."""
        self._executor.shutdown()


class Counted:
    """An association whose messages are counted, and with each of them the bytes that went by."""

    acceptor: AssociationAcceptor

    def __init__(self, statistics: Statistics, request_length: int) -> None:
        self._statistics = statistics
        self._received = -request_length    # the request came before the inlet began to count
        self._sent = 0
        self._counting = threading.Lock()

    def begin(self) -> None:
        """See AssociationAcceptor.begin; so the others."""
        self.acceptor.begin()

    def serve(self) -> None:
        try:
            self.acceptor.serve()
        finally:
            self._statistics.traffic(*self._since())

    def close(self) -> None:
        self.acceptor.close()

    def stop(self, grace_over: bool) -> None:
        self.acceptor.stop(grace_over)

    def answered(self, command_field: int, status: int) -> None:
        """The acceptor has answered a message."""
        failed = category(status) is Category.FAILURE
        self._statistics.answered(SERVICES.get(command_field, "other"), failed, *self._since())

    def _since(self) -> tuple[int, int]:
        inlet = self.acceptor.inlet
        with self._counting:
            received, sent = inlet.received - self._received, inlet.sent - self._sent
            self._received += received
            self._sent += sent
        return received, sent


def _policy(ae_title: str, association: AssociationSettings) -> AcceptorPolicy:
    return AcceptorPolicy(
        ae_title=ae_title, check_called_ae_title=association.check_called_ae_title,
        allowed_calling=association.allowed_calling_ae_titles or None,
        blocked_calling=association.blocked_calling_ae_titles, maximum_length=association.max_pdu_size,
        storage=storage_support(as_scu=True), sop_classes=sop_classes(),
        asynchronous_operations=(association.operations, 1),
        accept_private_sop_classes=association.accept_private_sop_classes)

"""Query: C-FIND of the Patient Root, Study Root and Patient/Study Only models (PS3.4 C.4.1, PS3.7 9.1.2)."""
from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from dicomserver.index import Index, IndexFault, SearchInterrupted
from dicomserver.index.representing import represent_stored
from dicomserver.services.identifiers import (
    IdentifierRefused,
    Options,
    Question,
    read_elements,
    read_question,
    refused_response,
)
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import statuses
from dicomserver.standard.query import FIND_LEVELS
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import DATA_SET_FOLLOWS, response_to
from dicomserver.wire.matches import ResponseEncoder

EVERYBODY = "*"                 # in the place of a calling AE title
SENT_TOGETHER = 64 << 10        # bytes of responses that are gathered for one write


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """seconds: what the index may take for the first matches, and for each further page. matches: 0 is no limit."""

    seconds: float = 30.0
    matches: int = 0


class FindService:
    """Answers C-FIND-RQ on any number of associations at once. ae_title: ours, as the responses' Retrieve AE Title.
    fuzzy_for: who gets fuzzy semantic matching without negotiating it, calling AE titles; EVERYBODY: all."""

    def __init__(self, index: Index, ae_title: str, log: logging.Logger, limits: QueryLimits = QueryLimits(),
                 fuzzy_for: frozenset[str] = frozenset()) -> None:
        self._index = index
        self._ae_title = ae_title
        self._log = log
        self._limits = limits
        self._fuzzy_for = fuzzy_for

    def find(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
        """Reads the identifier, sends a pending response for each match, and the last one; -> its status."""
        try:
            question = self._question(acceptor, context, request)
            response = response_to(request, self._answer(acceptor, context, request, question))
        except IdentifierRefused as refused:
            self._log.warning("C-FIND of %s refused with %04XH: %s", acceptor.calling_ae_title, refused.status, refused)
            response = refused_response(request, refused)
        acceptor.respond(context, response)
        return response.status

    def _question(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> Question:
        sop_class = context.abstract_syntax
        elements = read_elements(acceptor, context, request, FIND_LEVELS)
        options = Options.of(acceptor.application_information.get(sop_class, b""))
        if not self._fuzzy_for.isdisjoint((EVERYBODY, acceptor.calling_ae_title)):
            options = replace(options, fuzzy_names=True)
        return read_question(elements, sop_class, options, self._ae_title)

    # -- the answers ---------------------------------------------------------------------------------------

    def _answer(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
                question: Question) -> int:
        """Sends the pending responses; -> the final status. Raises IdentifierRefused where they stop before the end."""
        encoder = _encoder(acceptor, context, request, question)
        limit = self._limits.matches
        deadline = _Deadline(self._limits.seconds)
        try:
            with closing(self._index.search(question.query, deadline.is_ahead)) as pages:
                for page in pages:
                    over = limit and encoder.responses + len(page) > limit
                    rows = page[:limit - encoder.responses] if over else page
                    if self._send(acceptor, request, encoder, rows):
                        return statuses.CANCEL
                    if over:
                        raise IdentifierRefused(statuses.REFUSED_OUT_OF_RESOURCES, f"more than {limit} matches")
                    deadline.renew()
        except SearchInterrupted:
            raise IdentifierRefused(statuses.REFUSED_OUT_OF_RESOURCES, "the query takes too long") from None
        except IndexFault as error:
            raise IdentifierRefused(statuses.REFUSED_OUT_OF_RESOURCES, f"the index is unavailable: {error}") from None
        return statuses.SUCCESS

    def _send(self, acceptor: AssociationAcceptor, request: CommandSet, encoder: ResponseEncoder,
              rows: Sequence[tuple]) -> bool:
        """-> whether the request was cancelled."""
        for row in rows:
            encoder.append(row)
            if encoder.size >= SENT_TOGETHER:
                acceptor.association.send_encoded(encoder.take())
                if acceptor.cancelled(request):
                    return True
        if encoder.size:
            acceptor.association.send_encoded(encoder.take())
        return acceptor.cancelled(request)


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._at = time.monotonic() + self._seconds

    def is_ahead(self) -> bool:
        return time.monotonic() < self._at


def _encoder(acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
             question: Question) -> ResponseEncoder:
    status = statuses.PENDING if question.all_supported else statuses.PENDING_SOME_KEYS_UNSUPPORTED
    command = encode_command(response_to(request, status, command_data_set_type=DATA_SET_FOLLOWS))
    how = encoding(context.transfer_syntax)
    return ResponseEncoder(context.context_id, command, question.fields, acceptor.association.peer_maximum_length,
                           how.explicit, how.big_endian, partial(represent_stored, asked=question.character_set))

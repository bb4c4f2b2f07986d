"""C-FIND as a requester (PS3.7 9.1.2, PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.identifier import Key, Values, decode_identifier, encode_identifier
from dicomserver.scu.peer import Peer
from dicomserver.scu.requester import Requester
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import LEVEL_NAMES, PATIENT_ROOT_FIND, QUERY_RETRIEVE_LEVEL, STUDY_ROOT_FIND
from dicomserver.standard.statuses import CANCEL, SUCCESS, Category, category
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import (
    C_CANCEL_RQ,
    C_FIND_RQ,
    C_FIND_RSP,
    DATA_SET_FOLLOWS,
    NO_DATA_SET,
    PRIORITY_MEDIUM,
)
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.pdus import ExtendedNegotiation

SYNTAXES = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)

Match = dict[int, Values]


class RequestFailed(Exception):
    """The peer answered with a failure status. comment: what it said in (0000,0902), raw text from outside."""

    def __init__(self, service: str, status: int, comment: str | None):
        super().__init__(f"refused the {service} with status {status:04X}H")
        self.status = status
        self.comment = comment or ""


def model_of(level: Level) -> str:
    """The information model that is asked at a level: only Patient Root has patients."""
    return PATIENT_ROOT_FIND if level is Level.PATIENT else STUDY_ROOT_FIND


def associate(peer: Peer, model: str, *, relational: bool = False, fuzzy: bool = False) -> Requester:
    """An association for queries. relational: asked for, so that keys above the level may be missing (PS3.4 C.4.1.2.2).
    fuzzy: asked for, so that names may sound like their key (PS3.4 C.2.2.2.1.1). Raises AssociationFailed."""
    proposed = bytes((relational, 0, fuzzy)).rstrip(b"\0")      # PS3.4 C.5.1.1
    extended = [ExtendedNegotiation(model, proposed)] if proposed else []
    association = peer.associate([(model, SYNTAXES)], extended_negotiations=extended)
    if association.context_for(model) is None:
        association.abort()
        raise NotNegotiated("does not offer queries (C-FIND) in this information model")
    return association


class QueryRequester:
    """Asks one question after another over an association of `associate`. One thread; the association is the caller's.
    """

    def __init__(self, association: Requester, model: str, *, priority: int = PRIORITY_MEDIUM):
        self._association = association
        self._context = association.context_for(model)
        self._model = model
        self._priority = priority
        self._message_id = 0

    def find(self, level: Level, keys: Sequence[Key]) -> Iterator[Match]:
        """The matches as they arrive. Who closes the iterator before its end cancels the query, and what still comes is
        read and dropped. Raises AssociationFailed, RequestFailed."""
        self._message_id = self._message_id % 65535 + 1
        identifier = encode_identifier([*keys, Key(QUERY_RETRIEVE_LEVEL, "CS", LEVEL_NAMES[level])],
                                       self._context.transfer_syntax)
        self._association.send(self._context.context_id, CommandSet(
            affected_sop_class_uid=self._model, command_field=C_FIND_RQ, message_id=self._message_id,
            priority=self._priority, command_data_set_type=DATA_SET_FOLLOWS), identifier)
        return self._matches()

    def _matches(self) -> Iterator[Match]:
        while (dataset := self._next()) is not None:
            try:
                yield self._decoded(dataset)
            except GeneratorExit:
                self._cancel()
                raise

    def _next(self) -> bytes | None:
        """The dataset of the next pending response, None after the last one."""
        message = self._association.receive()
        response = message.command
        if (response.command_field, response.message_id_being_responded_to) != (C_FIND_RSP, self._message_id) \
                or response.status is None:
            raise Violated("answered something else than the query")
        if category(response.status) is Category.PENDING:
            if message.dataset is None:
                raise Violated("answered the query with a match that has no content")
            return message.dataset
        if response.status not in (SUCCESS, CANCEL):
            raise RequestFailed("query", response.status, response.error_comment)
        return None

    def _decoded(self, dataset: bytes) -> Match:
        try:
            return decode_identifier(dataset, self._context.transfer_syntax)
        except DatasetError:
            self._association.abort()
            raise Violated("answered the query with a malformed match") from None

    def _cancel(self) -> None:
        self._association.send(self._context.context_id, CommandSet(
            command_field=C_CANCEL_RQ, message_id_being_responded_to=self._message_id,
            command_data_set_type=NO_DATA_SET))
        while self._next() is not None:
            continue

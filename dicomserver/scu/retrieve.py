"""C-GET and C-MOVE as a requester (PS3.7 9.1.3 and 9.1.4, PS3.4 C.4.2 and C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.identifier import Key, decode_identifier, encode_identifier
from dicomserver.scu.peer import Peer
from dicomserver.scu.query import SYNTAXES
from dicomserver.scu.reception import Received, Reception
from dicomserver.scu.requester import Requester
from dicomserver.scu.selection import Selection
from dicomserver.standard.query import LEVEL_NAMES, QUERY_RETRIEVE_LEVEL
from dicomserver.standard.statuses import CANCEL, REFUSED_OUT_OF_RESOURCES, Category, category
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import (
    C_CANCEL_RQ,
    C_GET_RQ,
    C_GET_RSP,
    C_MOVE_RQ,
    C_MOVE_RSP,
    C_STORE_RQ,
    DATA_SET_FOLLOWS,
    NO_DATA_SET,
    PRIORITY_MEDIUM,
)
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.pdus import RoleSelection

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
FAILED_SOP_INSTANCE_UID_LIST = 0x00080058
_SLOWEST = 1024                 # bytes a second of an instance that arrives

_MESSAGE_ID = 1                 # one request to an association


@dataclass(frozen=True, slots=True)
class Counters:
    """Of sub-operations, as the peer counts them; 0 where it does not say (PS3.7 9.1.4.1.6)."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """The final response. comment: what the peer said in (0000,0902), raw text from outside."""

    status: int
    counters: Counters
    comment: str = ""
    failed_uids: Sequence[str] = ()

    @property
    def is_success(self) -> bool:
        """Everything was retrieved, some perhaps with a warning of who received it."""
        complete = category(self.status) is Category.SUCCESS or (
            category(self.status) is Category.WARNING and self.counters.warning > 0)
        return complete and not self.counters.failed

    @property
    def is_partial(self) -> bool:
        """Something was retrieved, and something not."""
        return not self.is_success and (category(self.status) is Category.WARNING or self.status == CANCEL
                                        or self.counters.completed + self.counters.warning > 0)


Told = Callable[[Counters], None]


def associate_to_get(peer: Peer, storage: Sequence[tuple[str, Sequence[str]]]) -> Requester:
    """An association for `get`, on which we are the SCP of these storage contexts. Raises AssociationFailed."""
    roles = [RoleSelection(sop_class, scu=False, scp=True) for sop_class in dict.fromkeys(uid for uid, _ in storage)]
    association = peer.associate([(STUDY_ROOT_GET, SYNTAXES), *storage], role_selections=roles, minimum_rate=_SLOWEST)
    if association.context_for(STUDY_ROOT_GET) is None:
        association.abort()
        raise NotNegotiated("does not offer retrieval over the same association (C-GET)")
    if not any(context.as_scp for context in association.contexts.values()):
        association.abort()
        raise NotNegotiated("does not agree to send us anything over the same association (SCP role selection)")
    return association


def associate_to_move(peer: Peer) -> Requester:
    """An association for `move`. Raises AssociationFailed."""
    association = peer.associate([(STUDY_ROOT_MOVE, SYNTAXES)])
    if association.context_for(STUDY_ROOT_MOVE) is None:
        association.abort()
        raise NotNegotiated("does not offer retrieval to another application entity (C-MOVE)")
    return association


def get(association: Requester, selection: Selection, reception: Reception, *,
        received: Callable[[Received], None] = lambda one: None, told: Told = lambda counters: None,
        priority: int = PRIORITY_MEDIUM) -> Result:
    """Retrieves over an association of `associate_to_get`. received: told of each instance that came; told: of the
    peer's counters as it sends them. Where we have no room for an instance we cancel the rest. Raises
    AssociationFailed."""
    request = _Request(association, STUDY_ROOT_GET, C_GET_RQ, C_GET_RSP)
    request.send(selection, priority)
    while True:
        context, command = association.receive_command()
        if command.command_field == C_STORE_RQ:
            one = reception.take(association, context, command)
            received(one)
            if one.status == REFUSED_OUT_OF_RESOURCES:
                request.cancel()
        elif (result := request.read(command, told)) is not None:
            return result


def move(association: Requester, selection: Selection, destination: str, *, told: Told = lambda counters: None,
         priority: int = PRIORITY_MEDIUM) -> Result:
    """Has it sent to the application entity `destination`, which the peer knows by this title, over an association of
    `associate_to_move`. told: of the peer's counters as it sends them. Raises AssociationFailed."""
    request = _Request(association, STUDY_ROOT_MOVE, C_MOVE_RQ, C_MOVE_RSP)
    request.send(selection, priority, destination)
    while True:
        _, command = association.receive_command()
        result = request.read(command, told)
        if result is not None:
            return result


class _Request:
    """What the two have in common."""

    def __init__(self, association: Requester, sop_class: str, field: int, response_field: int):
        self._association = association
        self._context = association.context_for(sop_class)
        self._field = field
        self._response_field = response_field
        self._is_cancelled = False

    def send(self, selection: Selection, priority: int, destination: str | None = None) -> None:
        level = Key(QUERY_RETRIEVE_LEVEL, "CS", LEVEL_NAMES[selection.level])
        identifier = encode_identifier([level, *selection.keys], self._context.transfer_syntax)
        self._association.send(self._context.context_id, CommandSet(
            affected_sop_class_uid=self._context.abstract_syntax, command_field=self._field, message_id=_MESSAGE_ID,
            move_destination=destination, priority=priority, command_data_set_type=DATA_SET_FOLLOWS), identifier)

    def cancel(self) -> None:
        """Once; the final response comes all the same."""
        if not self._is_cancelled:
            self._is_cancelled = True
            self._association.send(self._context.context_id, CommandSet(
                command_field=C_CANCEL_RQ, message_id_being_responded_to=_MESSAGE_ID,
                command_data_set_type=NO_DATA_SET))

    def read(self, response: CommandSet, told: Told) -> Result | None:
        """What a response says; None while the retrieval goes on."""
        if (response.command_field, response.message_id_being_responded_to) != (self._response_field, _MESSAGE_ID) \
                or response.status is None:
            raise Violated("answered something else than the retrieval")
        dataset = self._association.read_dataset() if response.has_dataset else b""
        counters = Counters(response.number_of_remaining_suboperations or 0,
                            response.number_of_completed_suboperations or 0,
                            response.number_of_failed_suboperations or 0,
                            response.number_of_warning_suboperations or 0)
        if category(response.status) is Category.PENDING:
            told(counters)
            return None
        return Result(response.status, counters, response.error_comment or "", self._failed(dataset))

    def _failed(self, dataset: bytes) -> list[str]:
        """(0008,0058); a list that cannot be read is none: the counters say that something failed."""
        try:
            listed = decode_identifier(dataset, self._context.transfer_syntax).get(FAILED_SOP_INSTANCE_UID_LIST)
        except DatasetError:
            return []
        return [] if listed is None else [uid for uid in listed.values if isinstance(uid, str)]

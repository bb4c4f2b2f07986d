"""C-STORE as a requester (PS3.7 9.1.1, PS3.4 B): instances that lie in open files, over one association."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dicomserver.scu.failures import Violated
from dicomserver.scu.requester import Requester
from dicomserver.session.proposal import MOST_CONTEXTS
from dicomserver.session.transport import CHECKED_FIRST
from dicomserver.standard.statuses import Category, category
from dicomserver.transcoding.choice import fallback
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_STORE_RQ, C_STORE_RSP, DATA_SET_FOLLOWS, PRIORITY_MEDIUM

_LAST_MESSAGE_ID = 65535
WINDOW = 8
"""How many C-STOREs we propose to have under way at once (PS3.7 D.3.3.3)."""

Contexts = list[tuple[str, Sequence[str]]]
Block = TypeVar("Block")


@dataclass(frozen=True, slots=True)
class Instance:
    """What a C-STORE says of what it sends, and in which transfer syntax the dataset is encoded."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    @property
    def kind(self) -> tuple[str, str]:
        """What a presentation context has to be for: SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose C-MOVE it is that we store for, and that request's message id (PS3.7 9.1.1.1)."""

    ae_title: str
    message_id: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A C-STORE-RSP. comment: what the peer said in (0000,0902), raw text from outside."""

    status: int
    comment: str

    @property
    def is_stored(self) -> bool:
        """Success, or a warning: the peer has it."""
        return category(self.status) in (Category.SUCCESS, Category.WARNING)


class ContextRefused(Exception):
    """The peer accepted no context in which this instance can be sent as it is; the association stands.

    taken: the transfer syntaxes in which it takes instances of this SOP class, none if it takes none at all.
    """

    def __init__(self, taken: Sequence[str]):
        super().__init__("no accepted presentation context")
        self.taken = tuple(taken)


class StoreRequester:
    """Stores over an association that was made with `contexts_for`. One thread; the association is the caller's.

    window: how many C-STOREs were proposed to be under way at once; it is one where the peer did not agree to more.
    originator: who asked for it by C-MOVE, if somebody did.
    """

    def __init__(self, association: Requester, *, window: int = WINDOW, priority: int = PRIORITY_MEDIUM,
                 originator: Originator | None = None):
        self.association = association
        agreed = association.answer.user_information.asynchronous_operations_window
        self._window = min(agreed[0] or window, window) if agreed else 1    # 0 is any number
        self._priority = priority
        self._originator = originator
        self._message_id = 0
        self._due: set[int] = set()
        self._context_ids = {(context.abstract_syntax, context.transfer_syntax): context.context_id
                             for context in reversed(association.contexts.values()) if context.as_scu}

    def taken(self, sop_class_uid: str) -> list[str]:
        """The transfer syntaxes that were accepted for a SOP class."""
        return [syntax for sop_class, syntax in self._context_ids if sop_class == sop_class_uid]

    @property
    def due(self) -> int:
        """How many are not answered."""
        return len(self._due)

    def has_room(self, length: int) -> bool:
        """Whether a dataset of so many bytes may be sent before another answer has come.

        A long one is sent alone: should its file prove to be damaged when half of it is sent, nobody else's answer is
        lost with the association.
        """
        return not self._due or (len(self._due) < self._window and length <= CHECKED_FIRST)

    def send(self, instance: Instance, file: int, offset: int, length: int, checksum: int | None = None) -> int:
        """Sends `length` bytes of an open file from `offset` on, a dataset, where there is room; -> the message id.

        checksum: XXH3-64 of these bytes, None where it is not known. Raises ContextRefused and FileUnusable, with which
        nothing was sent and the association stands, and AssociationFailed.
        """
        context_id = self._context_ids.get(instance.kind)
        if context_id is None:
            raise ContextRefused(self.taken(instance.sop_class_uid))
        self._message_id = self._message_id % _LAST_MESSAGE_ID + 1
        self.association.send_from_file(context_id, self._request(instance), file, offset, length, checksum)
        self._due.add(self._message_id)
        return self._message_id

    def receive(self) -> tuple[int, Answer]:
        """Waits for the next answer; -> the message id of what it answers. Raises AssociationFailed."""
        response = self.association.receive().command
        message_id = response.message_id_being_responded_to
        if response.command_field != C_STORE_RSP or message_id not in self._due or response.status is None:
            raise Violated("answered something else than the C-STORE")
        self._due.remove(message_id)
        return message_id, Answer(response.status, response.error_comment or "")

    def _request(self, instance: Instance) -> CommandSet:
        originator = self._originator
        return CommandSet(
            affected_sop_class_uid=instance.sop_class_uid, command_field=C_STORE_RQ, message_id=self._message_id,
            priority=self._priority, command_data_set_type=DATA_SET_FOLLOWS,
            affected_sop_instance_uid=instance.sop_instance_uid,
            move_originator_application_entity_title=originator.ae_title if originator else None,
            move_originator_message_id=originator.message_id if originator else None)


def contexts_for(kinds: Iterable[tuple[str, str]]) -> list[Mapping[tuple[str, str], Contexts]]:
    """What to propose for exactly these (SOP class, transfer syntax): one mapping for each association that it takes.

    A mapping has the kinds that are sent over that association, each with the contexts for it; those of one SOP class
    stay together. Each kind has a context with its own transfer syntax alone, so that the peer cannot choose another
    one, and each SOP class one with those that its instances can be converted to.
    """
    by_class: dict[str, list[str]] = {}
    for sop_class, syntax in dict.fromkeys(kinds):
        by_class.setdefault(sop_class, []).append(syntax)
    of_classes = [_contexts_of(sop_class, syntaxes) for sop_class, syntaxes in by_class.items()]
    return [{kind: contexts for one in together for kind, contexts in one.items()}
            for together in by_association(of_classes, lambda one: len(proposed(one)))]


def by_association(blocks: Iterable[Block], contexts_in: Callable[[Block], int]) -> list[list[Block]]:
    """Blocks of presentation contexts that stay together, in their order: as many for each association as it takes."""
    associations: list[list[Block]] = []
    room = 0
    for block in blocks:
        if contexts_in(block) > room:
            associations.append([])
            room = MOST_CONTEXTS
        associations[-1].append(block)
        room -= contexts_in(block)
    return associations


def proposed(contexts: Mapping[tuple[str, str], Contexts]) -> Contexts:
    """All contexts of one association in their order."""
    return [context for several in contexts.values() for context in several]


def _contexts_of(sop_class: str, syntaxes: Sequence[str]) -> dict[tuple[str, str], Contexts]:
    contexts: dict[tuple[str, str], Contexts] = {(sop_class, syntax): [(sop_class, [syntax])] for syntax in syntaxes}
    converted = fallback(syntaxes)
    if converted:
        contexts[sop_class, syntaxes[-1]].append((sop_class, converted))
    return contexts

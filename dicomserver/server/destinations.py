"""The associations that a C-MOVE opens with its destination: one, more where 128 contexts are too few, and as many side
by side as the configuration allows, where the destination does not keep up with us over the first."""
from __future__ import annotations

import logging
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby

from dicomserver.index import Stored
from dicomserver.scu.failures import AssociationFailed, Unreadable
from dicomserver.scu.requester import Requester
from dicomserver.scu.store import WINDOW, Instance, StoreRequester, by_association
from dicomserver.scu.store import Originator as Requested
from dicomserver.services.move import Destination, Originator
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.services.suboperations import Answered, Ended, Receiver
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose
from dicomserver.session.requester import AssociationRequester

Proposal = tuple[str, Sequence[str]]     # SOP class, transfer syntaxes
Open = Callable[[Sequence[Proposal]], StoreRequester]


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
        begun: list[AssociationRequester] = []

        def accompany(association: AssociationRequester) -> None:
            begun.append(association)
            acceptor.accompany(association)

        def open_one(some: Sequence[Proposal]) -> StoreRequester:
            return self._open(destination, some, originator, accompany)
        try:
            groups = [_Group(destination, some, open_one) for some in _divided(proposals)]
            for group in groups:
                group.begin()
            yield _Receiver(groups, acceptor, self._deadlines.idle)
            for group in groups:
                self._release(destination, group)
        finally:
            for association in begun:
                association.abort()       # no more than closes one that is released
                acceptor.part(association)

    def _open(self, destination: Destination, proposals: Sequence[Proposal], originator: Originator,
              on_begun: Callable[[AssociationRequester], None]) -> StoreRequester:
        request = propose(proposals, calling_ae_title=self._ae_title, called_ae_title=destination.ae_title,
                          asynchronous_operations=(WINDOW, 1))
        requester = Requester(destination.host, destination.port, request, deadlines=self._deadlines,
                              connect_timeout=self._connect_seconds, on_begun=on_begun)
        return StoreRequester(requester, priority=originator.priority,
                              originator=Requested(originator.ae_title, originator.message_id))

    def _release(self, destination: Destination, group: _Group) -> None:
        for requester in group.open:
            try:
                requester.association.release()
            except AssociationFailed as failed:     # all that was to be sent is answered
                self._log.info("the association with %s was not released: it %s", destination.ae_title, failed)


def _divided(proposals: Sequence[Proposal]) -> list[list[Proposal]]:
    """What fits into one association each; those of one SOP class, which come together, stay together."""
    of_classes = [list(contexts) for _, contexts in groupby(proposals, key=lambda proposal: proposal[0])]
    return [list(chain.from_iterable(together)) for together in by_association(of_classes, len)]


class _Group:
    """Associations for the same proposals; a further one when all others wait for answers."""

    def __init__(self, destination: Destination, proposals: Sequence[Proposal], open_one: Open) -> None:
        self.proposals = proposals
        self.open: list[StoreRequester] = []
        self._open_one = open_one
        self._name = destination.ae_title
        self._most = destination.associations
        self._failure = ""      # of the association that was lost last

    def begin(self) -> None:
        """The first one. Raises Ended."""
        try:
            self.open.append(self._open_one(self.proposals))
        except AssociationFailed as failed:
            raise Ended(f"no association with {self._name}: it {failed}") from None

    def lose(self, requester: StoreRequester, failed: AssociationFailed) -> None:
        """That association is over. Where one of our files is to blame, the others go over a new one."""
        self.open.remove(requester)
        if not isinstance(failed, Unreadable):
            self._failure = f"the destination {failed}"

    def roomiest(self, length: int) -> StoreRequester | None:
        """The association with the least to answer; None where a dataset of so many bytes has to wait. Raises Ended."""
        if not self.open:
            if self._failure:
                raise Ended(self._failure)
            self.begin()
        best = min(self.open, key=lambda requester: requester.due)
        return best if best.has_room(length) else self._another()

    def _another(self) -> StoreRequester | None:
        if len(self.open) >= self._most:
            return None
        try:
            self.open.append(self._open_one(self.proposals))
        except AssociationFailed:
            self._most = len(self.open)     # it takes no more than these
            return None
        return self.open[-1]


class _Receiver:
    """See suboperations.Receiver. idle: seconds until a destination that does not answer is given up."""

    def __init__(self, groups: Sequence[_Group], acceptor: AssociationAcceptor, idle: float) -> None:
        self._groups = groups
        self._acceptor = acceptor
        self._idle = idle
        self._group_of = {sop_class: group for group in groups for sop_class, _ in group.proposals}
        self._under_way: dict[tuple[StoreRequester, int], str] = {}     # SOP Instance UIDs, by message id
        self._settled: list[Answered] = []      # not told yet

    @property
    def due(self) -> int:
        """See suboperations.Receiver; so everywhere below."""
        return len(self._under_way) + len(self._settled)

    def has_room(self, stored: Stored) -> bool:
        group = self._group_of.get(stored.sop_class_uid)
        return group is None or group.roomiest(stored.file_length) is not None

    def send(self, outgoing: Outgoing) -> None:
        stored = outgoing.stored
        group = self._group_of.get(stored.sop_class_uid)
        if group is None:   # it was deleted and sent again, as another one, since we proposed
            raise NotSent("no presentation context was proposed for its SOP class")
        requester = group.roomiest(stored.file_length)
        taken = requester.taken(stored.sop_class_uid)
        if not taken:
            raise NotSent("the destination does not accept its SOP class, or not in its transfer syntax")
        with outgoing.dataset(taken) as dataset:
            instance = Instance(stored.sop_class_uid, stored.sop_instance_uid, dataset.transfer_syntax_uid)
            try:
                message_id = requester.send(instance, dataset.file, dataset.offset, dataset.length, dataset.checksum)
            except AssociationFailed as failed:
                self._lose(group, requester, failed)
                if isinstance(failed, Unreadable):
                    raise failed.cause from None
                raise NotSent(f"the destination {failed}") from None
        self._under_way[requester, message_id] = stored.sop_instance_uid

    def wait(self) -> list[Answered]:
        if not self._settled:
            for group, requester in self._ready():
                try:
                    message_id, answer = requester.receive()
                except AssociationFailed as failed:
                    self._lose(group, requester, failed)
                else:
                    uid = self._under_way.pop((requester, message_id))
                    self._settled.append(Answered(uid, answer.status))
        settled, self._settled = self._settled, []
        return settled

    def _ready(self) -> list[tuple[_Group, StoreRequester]]:
        """Those that have said something; none where it was the requester of the retrieval, or nobody."""
        waiting = {one.association.fileno(): (group, one) for group in self._groups for one in group.open if one.due}
        arrived = [both for both in waiting.values() if both[1].association.has_arrived]
        if arrived:
            return arrived
        poll = select.poll()
        for descriptor in (*waiting, *self._acceptor.unheard()):
            poll.register(descriptor, select.POLLIN)
        found = poll.poll(self._idle * 1000)
        if not found:
            for group, requester in waiting.values():
                self._lose(group, requester, requester.association.silent())
        return [waiting[descriptor] for descriptor, _ in found if descriptor in waiting]

    def _lose(self, group: _Group, requester: StoreRequester, failed: AssociationFailed) -> None:
        group.lose(requester, failed)
        for key in [key for key in self._under_way if key[0] is requester]:
            self._settled.append(Answered(self._under_way.pop(key), None, f"the destination {failed}"))

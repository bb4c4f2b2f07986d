"""Many instances to one peer: as few associations as their contexts need, and another try where that may help."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.fitting import fitting
from dicomserver.scu.peer import Peer
from dicomserver.scu.store import (
    WINDOW,
    Answer,
    ContextRefused,
    Instance,
    Originator,
    StoreRequester,
    contexts_for,
    proposed,
)
from dicomserver.session.transport import FileUnusable
from dicomserver.standard.dictionary import uid_name
from dicomserver.standard.statuses import may_pass
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.wire.commands import PRIORITY_MEDIUM

LONGEST_PAUSE = 8               # seconds
# Without a retry one instance may cost its association, if it is to blame; two in a row mean that the peer is.
_LEAST_ASSOCIATIONS_IN_VAIN = 1


class Source(Protocol):
    """Something that can be sent."""

    @property
    def instance(self) -> Instance:
        """What it is."""

    def opened(self) -> AbstractContextManager[tuple[int, int, int]]:
        """While it is sent: a descriptor, and offset and length of the dataset in it. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source. answer: the peer's, if it came to one; failure: why it is not stored, "" if it is.

    `failure` goes on where "the server …" begins, or says what is wrong with the file.
    """

    source: Source
    answer: Answer | None = None
    failure: str = ""


class Delivery:
    """Sends each source once, or as often as `retries` allows; `outcomes` says what became of each, in any order.

    retries: further tries of one source, and of an association, where the failure may pass; before them we wait 1, 2,
    4, 8, 8 … seconds. paused: told of each such wait: the seconds and the reason. wait: does it.
    """

    def __init__(self, peer: Peer, sources: Sequence[Source], *, priority: int = PRIORITY_MEDIUM,
                 originator: Originator | None = None, retries: int = 0,
                 paused: Callable[[float, str], None] = lambda seconds, why: None,
                 wait: Callable[[float], None] = time.sleep):
        self._peer = peer
        self._sources = sources
        self._priority = priority
        self._originator = originator
        self._retries = retries
        self._paused = paused
        self._wait = wait

    def outcomes(self) -> Iterator[Outcome]:
        """Sends. Whoever stops asking aborts the association that is open then."""
        for contexts in contexts_for(source.instance.kind for source in self._sources):
            batch = _Batch([source for source in self._sources if source.instance.kind in contexts], self._retries)
            yield from self._deliver(batch, proposed(contexts))

    def _deliver(self, batch: _Batch, contexts: list[tuple[str, Sequence[str]]]) -> Iterator[Outcome]:
        in_vain = 0
        while batch.waiting:
            done, window = batch.done, batch.window
            why = ""
            try:
                with self._peer.associate(contexts, asynchronous_operations=(window, 1)) as association:
                    requester = StoreRequester(association, window=window, priority=self._priority,
                                               originator=self._originator)
                    yield from batch.send(requester)
                why = "the server has no room for it at the moment"
            except AssociationFailed as error:
                if batch.is_through:
                    return      # all is answered: only the release went wrong
                why = f"the server {error}"
                yield from batch.blame(error)
            if batch.window != window:
                continue        # nobody was to blame yet
            in_vain = in_vain + 1 if batch.done == done else 1
            if not batch.waiting:
                return
            if batch.is_hopeless or in_vain > max(self._retries, _LEAST_ASSOCIATIONS_IN_VAIN):
                yield from batch.give_up()
            elif batch.is_repeating:
                self._pause(in_vain, why)

    def _pause(self, time_after_time: int, why: str) -> None:
        seconds = min(2 ** (time_after_time - 1), LONGEST_PAUSE)
        self._paused(seconds, why)
        self._wait(seconds)


class _Batch:
    """The sources for one association after another. done: how many are through."""

    def __init__(self, sources: Sequence[Source], retries: int):
        self.waiting = deque(sources)
        self.done = 0
        self.is_hopeless = False        # no association comes about
        self.is_repeating = False       # what is sent next was tried before
        self._retries = retries
        self._tries: dict[int, int] = {}
        self.window = WINDOW            # how many may be under way at once
        self._under_way: dict[int, Source] = {}     # sent and not answered, by message id
        self._is_sending = False        # the first that waits is half sent
        self._last_failure = "has no room for it at the moment"

    @property
    def is_through(self) -> bool:
        """Whether all are answered."""
        return not self.waiting and not self._under_way

    def send(self, requester: StoreRequester) -> Iterator[Outcome]:
        """Each one once; those that the peer may take later wait again. Raises AssociationFailed."""
        self.is_repeating = False
        for _ in range(len(self.waiting)):
            yield from self._send(requester)
        while requester.due:
            yield from self._answered(requester)

    def _send(self, requester: StoreRequester) -> Iterator[Outcome]:
        source = self.waiting[0]
        try:
            instance = source.instance
            taken = requester.taken(instance.sop_class_uid)
            with source.opened() as where, fitting(instance, *where, taken) as dataset:
                while not requester.has_room(dataset[-1]):
                    yield from self._answered(requester)
                self._is_sending = True
                message_id = requester.send(*dataset)
        except OSError as error:
            failure = f"the file cannot be read: {error.strerror}"
        except FileUnusable as error:
            failure = f"the file cannot be sent: {error}"
        except ConversionFailed as error:
            failure = f"the file cannot be converted for the server: {error}"
        except ContextRefused as refused:
            failure = _words(source.instance, refused)
        else:
            failure = ""
            self._under_way[message_id] = source
        self._is_sending = False
        self.waiting.popleft()
        if failure:
            self.done += 1
            yield Outcome(source, failure=failure)

    def _answered(self, requester: StoreRequester) -> Iterator[Outcome]:
        message_id, answer = requester.receive()
        source = self._under_way.pop(message_id)
        if may_pass(answer.status) and self._may_repeat(source):
            self.waiting.append(source)
            self.is_repeating = True
            return
        self.done += 1
        yield Outcome(source, answer, "" if answer.is_stored else f"refused it with status {answer.status:04X}H")

    def blame(self, error: AssociationFailed) -> Iterator[Outcome]:
        """The association failed: the source that was on its way is through, or is tried again; several are sent again
        one by one, as any of them may be to blame."""
        self._last_failure = str(error)
        suspects = [*self._under_way.values(), *([self.waiting.popleft()] if self._is_sending else [])]
        self._under_way.clear()
        self._is_sending = False
        if not suspects:
            self.is_repeating = True
            self.is_hopeless = not error.is_transient or not self._retries
        elif len(suspects) > 1:
            self.waiting.extendleft(reversed(suspects))
            self.window = 1
        elif error.is_transient and self._may_repeat(suspects[0]):
            self.waiting.appendleft(suspects[0])
            self.is_repeating = True
        else:
            yield Outcome(suspects[0], failure=str(error))

    def give_up(self) -> Iterator[Outcome]:
        """All that wait are through."""
        while self.waiting:
            yield Outcome(self.waiting.popleft(), failure=self._last_failure)

    def _may_repeat(self, source: Source) -> bool:
        tries = self._tries[id(source)] = self._tries.get(id(source), 0) + 1
        return tries <= self._retries


def _words(instance: Instance, refused: ContextRefused) -> str:
    sop_class, syntax = uid_name(instance.sop_class_uid), uid_name(instance.transfer_syntax_uid)
    if refused.taken:
        return f"takes no {syntax} for {sop_class}, only {', '.join(map(uid_name, refused.taken))}"
    return f"takes no {sop_class} in {syntax}"

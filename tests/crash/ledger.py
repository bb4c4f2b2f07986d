"""What peers were promised, and what they may therefore expect of a disk."""
from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.crash.steps import Step
from tests.crash.traffic import Sample
from tests.interop.requester import Report


@dataclass(slots=True)
class Promise:
    """contents: the datasets that may be found under one SOP Instance UID; missing: whether none may be found."""

    contents: set[bytes] = field(default_factory=set)
    missing: bool = True


class Said(NamedTuple):
    """What had been said by a moment: the messages that were acknowledged, or whose commitments accepted; how many
    deletions were asked for and done; the Transaction UIDs whose reports were answered."""

    acknowledged: frozenset[int] = frozenset()
    asked: int = 0
    answered: int = 0
    accepted: frozenset[int] = frozenset()
    reported: frozenset[str] = frozenset()


@dataclass(slots=True)
class Promises:
    """By what was said. instances: of each UID that was ever sent. waiting: transactions that have to be reported;
    transactions: all that were ever asked for."""

    said: Said
    instances: dict[str, Promise]
    waiting: set[str] = field(default_factory=set)
    transactions: set[str] = field(default_factory=set)


class Ledger:
    """What was asked of the server, in an order that holds for each instance. Thread-safe."""

    def __init__(self) -> None:
        # A store's message and instance, or what to delete, or what to bring back.
        self._entries: list[tuple[int, Sample] | set[str] | list[Sample]] = []
        self._transactions: dict[int, str] = {}     # by the message that asked for a commitment
        self._lock = threading.Lock()
        self._last = 0

    def sending(self, one: Sample) -> int:
        """-> the Message ID to send it with."""
        with self._lock:
            self._last += 1
            self._entries.append((self._last, one))
            return self._last

    def deleting(self, samples: Iterable[Sample]) -> None:
        with self._lock:
            self._entries.append({one.uid for one in samples})

    def undeleting(self, samples: Iterable[Sample]) -> None:
        with self._lock:
            self._entries.append(list(samples))

    def committing(self, transaction: str) -> int:
        """-> the Message ID to ask for that storage commitment with."""
        with self._lock:
            self._last += 1
            self._transactions[self._last] = transaction
            return self._last

    def uids(self) -> set[str]:
        """All that were ever sent."""
        return {entry[1].uid for entry in self._entries if isinstance(entry, tuple)}

    def transactions(self) -> set[str]:
        """All that were ever asked for."""
        return set(self._transactions.values())

    def at(self, steps: Sequence[Step], now: int) -> Promises:
        """What holds when the power is cut at that moment of a trace."""
        begun = [step for step in steps if step.begin < now]
        return self.promises(Said(
            frozenset(step.message for step in begun if step.kind == "ack"),
            sum(step.kind == "ask" and step.over <= now for step in steps),
            sum(step.kind == "answer" for step in begun),
            frozenset(step.message for step in begun if step.kind == "accept"),
            frozenset(step.uid for step in begun if step.kind == "reported")))

    def promises(self, said: Said) -> Promises:
        """The same by what was said; asked and answered count deletions and undeletions."""
        found: dict[str, Promise] = {uid: Promise() for uid in self.uids()}
        deletions = 0
        for entry in self._entries:
            if isinstance(entry, set):
                deletions += 1
                for uid in entry:
                    if deletions <= said.answered:
                        found[uid] = Promise()
                    elif deletions <= said.asked:
                        found[uid].missing = True
                continue
            if isinstance(entry, list):
                deletions += 1
                for one in entry:
                    if deletions <= said.answered:
                        found[one.uid] = Promise({one.dataset}, missing=False)
                    elif deletions <= said.asked:
                        found[one.uid].contents.add(one.dataset)
                continue
            message, one = entry
            promise = found[one.uid]
            if message in said.acknowledged:
                found[one.uid] = Promise({one.dataset}, missing=False)
            elif promise.missing:
                promise.contents.add(one.dataset)
        accepted = {self._transactions[message] for message in said.accepted}
        return Promises(said, found, accepted - said.reported, self.transactions())


def broken(promises: Promises, found: Mapping[str, bytes], reports: Mapping[str, Report] = {}) -> list[str]:
    """One line for each promise that a server with these instances, which makes these reports, does not keep."""
    instances = promises.instances
    lines = [f"{uid} is lost" for uid, promise in instances.items() if uid not in found and not promise.missing]
    for uid, dataset in found.items():
        promise = instances.get(uid, Promise())
        if dataset not in promise.contents:
            what = "has other bytes" if promise.contents else "was deleted, or never sent, and is there"
            lines.append(f"{uid} {what}")
    lines += [f"the storage commitment {uid} is forgotten" for uid in sorted(promises.waiting - reports.keys())]
    for transaction, report in reports.items():
        if transaction not in promises.transactions:
            lines.append(f"nobody asked for the storage commitment {transaction}")
        lines += [f"{uid} is reported as committed and is not there" for _, uid in report.committed if uid not in found]
        lines += [f"{uid} is reported as lost and is there" for _, uid in report.failed if uid in found]
    return lines

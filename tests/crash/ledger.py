"""What peers were promised, and what they may therefore expect of a disk."""
from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.crash.steps import Step
from tests.crash.traffic import Sample


@dataclass(slots=True)
class Promise:
    """contents: the datasets that may be found under one SOP Instance UID; missing: whether none may be found."""

    contents: set[bytes] = field(default_factory=set)
    missing: bool = True


class Ledger:
    """What was asked of the server, in an order that holds for each instance. Thread-safe."""

    def __init__(self) -> None:
        # A store's message and instance, or what to delete, or what to bring back.
        self._entries: list[tuple[int, Sample] | set[str] | list[Sample]] = []
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

    def uids(self) -> set[str]:
        """All that were ever sent."""
        return {entry[1].uid for entry in self._entries if isinstance(entry, tuple)}

    def at(self, steps: Sequence[Step], now: int) -> dict[str, Promise]:
        """What holds when the power is cut at that moment of a trace, for each UID that was ever sent."""
        acknowledged = {step.message for step in steps if step.kind == "ack" and step.begin < now}
        asked = sum(step.kind == "ask" and step.over <= now for step in steps)
        answered = sum(step.kind == "answer" and step.begin < now for step in steps)
        return self.promises(acknowledged, asked, answered)

    def promises(self, acknowledged: set[int], asked: int = 0, answered: int = 0) -> dict[str, Promise]:
        """The same by the numbers of messages, and by how many deletions and undeletions were asked for and done."""
        found: dict[str, Promise] = {uid: Promise() for uid in self.uids()}
        deletions = 0
        for entry in self._entries:
            if isinstance(entry, set):
                deletions += 1
                for uid in entry:
                    if deletions <= answered:
                        found[uid] = Promise()
                    elif deletions <= asked:
                        found[uid].missing = True
                continue
            if isinstance(entry, list):
                deletions += 1
                for one in entry:
                    if deletions <= answered:
                        found[one.uid] = Promise({one.dataset}, missing=False)
                    elif deletions <= asked:
                        found[one.uid].contents.add(one.dataset)
                continue
            message, one = entry
            promise = found[one.uid]
            if message in acknowledged:
                found[one.uid] = Promise({one.dataset}, missing=False)
            elif promise.missing:
                promise.contents.add(one.dataset)
        return found


def broken(promises: dict[str, Promise], found: dict[str, bytes]) -> list[str]:
    """One line for each promise that a server with these instances does not keep."""
    lines = [f"{uid} is lost" for uid, promise in promises.items() if uid not in found and not promise.missing]
    for uid, dataset in found.items():
        promise = promises.get(uid, Promise())
        if dataset not in promise.contents:
            what = "has other bytes" if promise.contents else "was deleted, or never sent, and is there"
            lines.append(f"{uid} {what}")
    return lines

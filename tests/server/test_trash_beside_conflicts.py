"""The trash, conflicts, strays and restarts in any order: a random walk beside a model of what must lie where."""
from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from dicomserver.archive.quarantine import Kind
from dicomserver.server.conflict import Undecided
from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.quarantined import Quarantined
from dicomserver.server.recovery import recover
from dicomserver.server.strays import Strays, StraysReport
from dicomserver.server.trash import TrashKeeper, choice

UIDS = ("1.2.1.1.1", "1.2.1.1.2")
CONTENTS = (b"one", b"two", b"three")
STEPS = 100


@dataclass
class Places:
    """Of one SOP Instance UID. trash: the latest last."""

    stored: bytes | None = None
    trash: list[bytes] = field(default_factory=list)
    quarantine: list[bytes] = field(default_factory=list)

    def seen(self) -> tuple:
        """Regardless of order."""
        return self.stored, Counter(self.trash), Counter(self.quarantine)


class Walk:
    """Each step does the real thing, and to the model what has to come of it."""

    def __init__(self, store, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.places = {uid: Places() for uid in UIDS}
        self.open()

    def open(self) -> None:
        store = self.store
        recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
        store.mover.start()
        self.trash = TrashKeeper(store.archive, store.index, store.mover, store.describe, 60, store.log)
        with self.trash.lock:
            self.trash.settle()
        self.deleter = Deleter(store.archive, store.index, store.mover, self.trash, store.log)
        self.quarantined = Quarantined(store.archive, store.index, store.mover, self.deleter, store.describe, store.log)

    def receive(self, uid: str, places: Places) -> None:
        content = self.random.choice(CONTENTS)
        if places.stored is None:
            self.store.receive(uid, content)
            places.stored = content
        elif places.stored != content:
            slot = self.store.receive(uid, content, row=False, mover=False).slot
            self.store.archive.set_aside(slot, "for a test", {"kind": Kind.CONFLICT, "sop_instance_uid": uid})
            places.quarantine.append(content)

    def delete(self, uid: str, places: Places) -> None:
        self.deleter.delete(Asked(instance=uid))
        if places.stored is not None:
            places.trash.append(places.stored)
            places.stored = None

    def delete_now(self, uid: str, places: Places) -> None:
        self.deleter.delete(Asked(instance=uid), now=True)
        places.stored, places.trash = None, []

    def undelete(self, uid: str, places: Places) -> None:
        self.trash.undelete(choice(instance=uid))
        if places.trash and places.stored is None:
            places.stored = places.trash[-1]
        places.trash = [content for content in places.trash if content != places.stored]

    def accept(self, uid: str, places: Places) -> None:
        of_this = [one for one in self.quarantined.conflicts() if one.sop_instance_uid == uid]
        if not of_this:
            return
        conflict = self.random.choice(of_this)
        content = self._content(f"quarantine/{conflict.name}.dcm")
        if content == places.stored:
            with pytest.raises(Undecided, match="the same image is stored already"):
                self.quarantined.accept(conflict)
            return
        self.quarantined.accept(conflict)
        places.quarantine.remove(content)
        places.quarantine += [places.stored] * (places.stored is not None)
        places.stored = content

    def restart(self, uid: str, places: Places) -> None:
        self.store.reopen()
        self.open()

    def rebuild(self, uid: str, places: Places) -> None:
        """From the files alone, for either engine."""
        new = self.store.path.parent / f"index-{self.random.random()}.db"
        self.store.url = self.random.choice(["memory:", f"sqlite://{new}"])
        self.restart(uid, places)

    def scrub(self, uid: str, places: Places) -> None:
        store = self.store
        strays = Strays(store.archive, store.index, store.describe, store.log)
        assert strays.settle(lambda octets: None) == StraysReport()

    def file(self, uid: str, places: Places) -> None:
        assert self.store.mover.flush()

    def step(self) -> str:
        """-> what was done."""
        does = self.random.choice([self.receive, self.receive, self.delete, self.delete, self.undelete, self.undelete,
                                   self.accept, self.accept, self.delete_now, self.restart, self.rebuild, self.scrub,
                                   self.file])
        uid = self.random.choice(UIDS)
        does(uid, self.places[uid])
        return f"{does.__name__} {uid}"

    def found(self) -> dict[str, Places]:
        """What there really is."""
        found = {uid: Places() for uid in UIDS}
        for row in self.store.index.select():
            fd = self.store.archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid,
                                                  row.sop_instance_uid)
            with open(fd, "rb") as file:
                found[row.sop_instance_uid].stored = file.read().rpartition(b" ")[2]
        for record in self.store.archive.trash.records():
            for one in record.files:
                found[one.sop_instance_uid].trash.append(self._content(f"trash/{one.name}"))
        for conflict in self.quarantined.conflicts():
            found[conflict.sop_instance_uid].quarantine.append(self._content(f"quarantine/{conflict.name}.dcm"))
        return found

    def _content(self, name: str) -> bytes:
        return (self.store.path / name).read_bytes().rpartition(b" ")[2]


@pytest.mark.parametrize("seed", range(2))
def test_everything_is_where_it_belongs(store, seed):
    walk, done = Walk(store, seed), []
    for _ in range(STEPS):
        done.append(walk.step())
        found = walk.found()
        assert {uid: found[uid].seen() for uid in UIDS} == {uid: walk.places[uid].seen() for uid in UIDS}, done
    assert store.mover.flush()
    assert len(list(store.path.glob("1.*/*/*.dcm"))) == sum(1 for _ in store.index.select())
    assert {path.stat().st_nlink for path in store.path.glob("**/*.dcm")} <= {1}

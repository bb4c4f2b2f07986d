"""Toy servers: the steps that a server would take, all of them right, or with one mistake each.

Their files have the names of the real ones, so that the lint reads them; their contents are simpler: a slot is the
checksum of its instance and the instance, the log is a list of rows.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

from tests.crash.steps import INDEX, WAL, Step, is_slot, series_of

MISTAKES = ("slot not synced", "intake not synced", "row after success", "row before the sync of its slot",
            "rows not durable before slots go", "slots go before folders are synced", "series folder not synced",
            "parents not synced", "rename for link",
            "tombstone not synced", "no tombstone", "tombstone goes before its files",
            "tombstone goes before its slots", "set aside without a sync", "log begins anew too early",
            "found slots not synced", "slot completed across pages", "commitment not synced",
            "commitment's name not synced", "commitments' folder not synced", "commitment goes before its report",
            "commitment may come back", "discarded slot may come back",
            "refused slot may come back")
_SERVER, _MOVER = 1, 2


@dataclass
class Toy:
    """Takes down what a server does. `run` is one storing, moving, deleting and storing again."""

    mistake: str = ""
    steps: list[Step] = field(default_factory=list)
    _now: int = 0
    _names: dict[str, int] = field(default_factory=lambda: {"": 0})
    _sizes: dict[int, int] = field(default_factory=dict)
    _thread: int = _SERVER

    def does(self, kind: str, path: str = "", **more) -> None:
        inode = self._names.get(path, 0)
        if kind in ("create", "mkdir"):
            inode = self._names[path] = max(self._names.values()) + 1
        elif kind in ("link", "rename"):
            self._names[more["target"]] = inode
        elif kind == "write":
            size = self._sizes.get(inode, 0)
            offset = more.setdefault("offset", size)
            self._sizes[inode] = max(size, offset + len(more["data"]))
        if kind in ("unlink", "rmdir", "rename"):
            del self._names[path]
        self.steps.append(Step(kind, self._thread, self._now, self._now + 1, path, inode, **more))
        self._now += 2

    def unless(self, mistake: str, kind: str, path: str = "", **more) -> None:
        """A step that the one mistake leaves out."""
        if self.mistake != mistake:
            self.does(kind, path, **more)

    def run(self) -> list[Step]:
        for folder in ("intake", "tombstones", "quarantine"):
            self.does("mkdir", folder)
        for name in (WAL, INDEX):
            self.does("create", name)
        self.does("sync")
        for slot in (1, 2, 3, 4, 5, 6, 7, 8):
            self.does("create", _slot(slot))
        self.unless("intake not synced", "sync", "intake")
        self._store(1, "1.1")
        self._store(2, "1.2")
        self._store_again(6, "1.1")
        self._move([(1, "1.1"), (2, "1.2")])
        self._delete(1, "1.1")
        self._store(3, "1.3")
        self._move([(3, "1.3")])
        self._set_aside(4)
        self._refuse(7, "1.7", other=b"other")
        self._store(8, "1.7")
        self._checkpoint()
        self._commit("7.1")
        self._die_and_recover(5, "1.5")
        return self.steps

    def _store(self, slot: int, uid: str) -> None:
        self._fill(slot, uid)
        if self.mistake == "row before the sync of its slot":
            self._commit_row(slot, uid)
        self.unless("slot not synced", "sync", _slot(slot))
        if self.mistake == "row after success":
            self.does("ack", uid=uid, message=slot)
        if self.mistake != "row before the sync of its slot":
            self._commit_row(slot, uid)
        self.unless("row after success", "ack", uid=uid, message=slot)

    def _commit_row(self, slot: int, uid: str) -> None:
        self.does("write", WAL, data=b"+%s %d\n" % (uid.encode(), slot))
        self.does("commit", WAL, uid=uid)

    def _store_again(self, slot: int, uid: str) -> None:
        self._fill(slot, uid)
        self.does("sync", _slot(slot))
        self.does("unlink", _slot(slot))
        self.does("ack", uid=uid, message=slot)
        # As before every deletion.
        self.unless("discarded slot may come back", "sync", "intake")

    def _refuse(self, slot: int, uid: str, other: bytes) -> None:
        """Its row could not be written."""
        self._fill(slot, uid, other)
        self.does("sync", _slot(slot))
        self.does("unlink", _slot(slot))
        self.unless("refused slot may come back", "sync", "intake")
        self.does("nack", uid=uid, message=slot)

    def _fill(self, slot: int, uid: str, more: bytes = b"") -> None:
        content = _content(uid) + more
        head = _head(content)
        if self.mistake == "slot completed across pages":
            self.does("write", _slot(slot), data=head + content)
        else:
            self.does("write", _slot(slot), data=content, offset=len(head))
            self.does("write", _slot(slot), data=head, offset=0)

    def _move(self, batch: list[tuple[int, str]]) -> None:
        self._thread = _MOVER
        self.unless("rows not durable before slots go", "sync", WAL)
        for folder in ("1", "1/2"):
            if folder not in self._names:
                self.does("mkdir", folder)
        for slot, uid in batch:
            link = "rename" if self.mistake == "rename for link" else "link"
            self.does(link, _slot(slot), target=f"1/2/{uid}.dcm")
        steps = [lambda: self.unless("series folder not synced", "sync", "1/2"),
                 lambda: self.unless("parents not synced", "sync", "1"),
                 lambda: self.unless("parents not synced", "sync")]
        steps += [lambda slot=slot: self.unless("rename for link", "unlink", _slot(slot)) for slot, _ in batch]
        for step in reversed(steps) if self.mistake == "slots go before folders are synced" else steps:
            step()
        self._thread = _SERVER

    def _set_aside(self, slot: int) -> None:
        self.does("write", _slot(slot), data=b"conflict")
        self.unless("set aside without a sync", "sync", _slot(slot))
        self.does("link", _slot(slot), target="quarantine/4.dcm")
        self.unless("set aside without a sync", "sync", "quarantine")
        self.does("unlink", _slot(slot))

    def _checkpoint(self) -> None:
        """Keeps all rows in the log too: what it is about is the order."""
        self.does("sync", WAL)
        self.does("write", INDEX, data=b"rows")
        self.unless("log begins anew too early", "sync", INDEX)
        length, self._sizes[self._names[WAL]] = self._sizes[self._names[WAL]], 0
        self.does("write", WAL, data=b"+")      # as there was
        self._sizes[self._names[WAL]] = length

    def _die_and_recover(self, slot: int, uid: str) -> None:
        self._fill(slot, uid)
        self.does("cut")
        self.unless("found slots not synced", "sync", "intake")
        self.unless("found slots not synced", "sync", _slot(slot))
        self.does("write", WAL, data=b"+%s %d\n" % (uid.encode(), slot))
        self.does("commit", WAL, uid=uid)
        self._move([(slot, uid)])

    def _commit(self, transaction: str) -> None:
        name = "commitments/1.txt"
        self.does("mkdir", "commitments")
        self.unless("commitments' folder not synced", "sync")
        self.does("create", name + ".new")
        self.does("write", name + ".new", data=json.dumps({"transaction_uid": transaction}).encode() + b"\n")
        self.unless("commitment not synced", "sync", name + ".new")
        self.does("rename", name + ".new", target=name)
        self.unless("commitment's name not synced", "sync", "commitments")
        self.does("accept", uid=transaction)
        self.does("report", uid=transaction)
        if self.mistake == "commitment goes before its report":
            self.does("unlink", name)
            self.does("sync", "commitments")
        self.does("reported", uid=transaction)
        if self.mistake != "commitment goes before its report":
            self.does("unlink", name)
            self.unless("commitment may come back", "sync", "commitments")

    def _delete(self, slot: int, uid: str) -> None:
        self.does("ask", uid=uid)
        stone, name = "tombstones/1.json", f"1/2/{uid}.dcm"
        if self.mistake != "no tombstone":
            self.does("create", stone + ".new")
            self.does("write", stone + ".new", data=json.dumps([{"slot": slot, "uid": uid}]).encode())
            self.unless("tombstone not synced", "sync", stone + ".new")
            self.does("rename", stone + ".new", target=stone)
            self.unless("tombstone not synced", "sync", "tombstones")
        self.does("write", WAL, data=b"-%s %d\n" % (uid.encode(), slot))
        if self.mistake == "tombstone goes before its files":
            self.does("unlink", stone)
        self.does("unlink", name)
        if self.mistake not in ("no tombstone", "tombstone goes before its files"):
            self.does("sync", WAL)
            self.does("sync", "1/2")
            self.unless("tombstone goes before its slots", "sync", "intake")
            self.does("unlink", stone)
        self.does("answer", uid=uid)


def _slot(number: int) -> str:
    return f"intake/{number:016x}"


def _head(content: bytes) -> bytes:
    return b"%08x" % crc32(content)


def _content(uid: str) -> bytes:
    return uid.encode() * 2000     # several blocks


def recovered(tree: dict[str, bytes]) -> dict[str, bytes]:
    """What the toys' recovery makes of a disk: the instances that a query finds, and what is served for them."""
    rows: dict[str, int] = {}
    for line in tree.get(WAL, b"").rpartition(b"\n")[0].decode(errors="replace").splitlines():
        uid, _, slot = line[1:].partition(" ")
        if line[:1] == "+" and slot.isdigit():
            rows[uid] = int(slot)
        elif line[:1] == "-":
            rows.pop(uid, None)
    buried = {stone["uid"] for path, data in tree.items() if path == "tombstones/1.json" for stone in _stones(data)}
    tree = {path: data for path, data in tree.items() if not any(path.endswith(f"/{uid}.dcm") for uid in buried)}
    for path, data in tree.items():
        if is_slot(path) and data[:8] == _head(data[8:]):
            uid = data[8:].decode(errors="replace")[:3]
            rows.setdefault(uid, int(path[-16:], 16))
    files = {path.rpartition("/")[2].removesuffix(".dcm"): data for path, data in tree.items() if series_of(path)}
    found = {uid: tree.get(_slot(slot)) or files.get(uid, b"") for uid, slot in rows.items() if uid not in buried}
    return {uid: data[8:] for uid, data in found.items()}


def _stones(data: bytes) -> list[dict]:
    try:
        return json.loads(data)
    except ValueError:
        return []


def broken(tree: dict[str, bytes], steps: list[Step], now: int) -> list[str]:
    """Which promises given before that moment this disk does not keep."""
    found = recovered(tree)
    waiting = {stone["transaction_uid"] for path, data in tree.items()
               if path == "commitments/1.txt" for stone in _stones(b"[%s]" % data)}
    said: dict[str, Callable[[], bool]] = {}
    for step in steps:
        if step.kind == "ack" and step.begin < now:
            said[step.uid] = lambda uid=step.uid: found.get(uid) == _content(uid)
        elif step.kind == "ask" and step.begin < now:
            said[step.uid] = lambda uid=step.uid: found.get(uid, _content(uid)) == _content(uid)
        elif step.kind == "answer" and step.begin < now:
            said[step.uid] = lambda uid=step.uid: uid not in found
        elif step.kind == "accept" and step.begin < now:
            said[step.uid] = lambda uid=step.uid: uid in waiting
        elif step.kind == "reported" and step.begin < now:
            del said[step.uid]
    hollow = [uid for uid, data in found.items() if not data.startswith(_content(uid))]
    return [uid for uid, is_kept in said.items() if not is_kept()] + hollow

"""The order in which nothing acknowledged can be lost, as rules over steps. Pure: no rule knows the server.

Each rule gives one line for each step that breaks it.
"""
from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.crash.steps import INDEX, WAL, Step, is_slot, parent, purpose, series_of

_PAGE = 4096


class Order:
    """The steps, and what the rules ask of them."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = sorted(steps, key=lambda step: step.over)
        self.acks = self.of("ack")
        self._syncs: dict[int, list[Step]] = defaultdict(list)
        self._writes: dict[int, list[Step]] = defaultdict(list)
        for step in self.steps:
            if step.kind == "sync":
                self._syncs[step.inode].append(step)
            elif step.kind in ("write", "truncate"):
                self._writes[step.inode].append(step)
        self._made: dict[str, list[Step]] = defaultdict(list)
        for step in self.of("create", "mkdir"):
            self._made[step.path].append(step)
        self._slots = self._slots_by_answer()
        self.commits: dict[str, Step] = {}
        for step in self.of("commit"):
            self.commits.setdefault(step.uid, step)

    def of(self, *kinds: str) -> list[Step]:
        """All steps of these kinds, in the order in which they were over."""
        return [step for step in self.steps if step.kind in kinds]

    def made(self, path: str, before: int) -> Step | None:
        """How the file or folder of that name came to be that was there at that moment; None for the root."""
        return next((step for step in reversed(self._made[path]) if step.over < before), None)

    def folder(self, path: str, before: int) -> int:
        """The inode of the folder of that name at that moment."""
        made = self.made(path, before)
        return made.inode if made else 0

    def synced(self, inode: int, after: int, before: int) -> bool:
        """Whether a sync of it began after the one moment and was over before the other."""
        return any(after < sync.begin and sync.over < before for sync in self._syncs[inode])

    def last_write(self, inode: int, before: int) -> Step | None:
        """The last one that was over by then."""
        return next((step for step in reversed(self._writes[inode]) if step.over < before), None)

    def slot_of(self, ack: Step) -> Step | None:
        """The creation of the slot that its thread wrote to since its answer before."""
        return self._slots.get(id(ack))

    def _slots_by_answer(self) -> dict[int, Step]:
        found: dict[int, Step] = {}
        written: dict[int, str] = {}        # by thread
        for step in sorted(self.steps, key=lambda step: step.begin):
            if step.kind == "write" and is_slot(step.path):
                written[step.thread] = step.path
            elif step.kind in ("ack", "nack") and step.thread in written:
                path = written.pop(step.thread)
                found[id(step)] = self.made(path, step.begin)
        return found

    def slots(self) -> Iterator[tuple[Step, Step]]:
        """Acknowledged slots and their acknowledgements; not those of duplicates, which are gone before the answer."""
        gone = {step.path: step.begin for step in self.of("unlink")}
        for ack in self.acks:
            slot = self.slot_of(ack)
            if slot is not None and gone.get(slot.path, ack.begin) >= ack.begin:
                yield slot, ack


def check(steps: Sequence[Step]) -> list[str]:
    """Every rule that is broken, and where."""
    order = Order(steps)
    return [f"{rule.__name__}: {where}" for rule in RULES for where in rule(order)]


def bytes_are_durable_before_success(order: Order) -> Iterator[str]:
    for ack in order.acks:
        slot = order.slot_of(ack)
        if slot is None:
            yield f"message {ack.message} was acknowledged without a slot"
            continue
        written = order.last_write(slot.inode, 1 << 61)
        if not order.synced(slot.inode, written.over, ack.begin):
            yield f"{slot.path} was not synced when message {ack.message} was acknowledged"


def names_are_durable_before_success(order: Order) -> Iterator[str]:
    for slot, ack in order.slots():
        if not order.synced(order.folder("intake", ack.begin), slot.over, ack.begin):
            yield f"the name {slot.path} was not synced when message {ack.message} was acknowledged"


def rows_are_committed_before_success(order: Order) -> Iterator[str]:
    for ack in order.acks:
        commit = order.commits.get(ack.uid)
        if commit is None or commit.over > ack.begin:
            yield f"message {ack.message} was acknowledged without a row"


def bytes_are_durable_before_rows(order: Order) -> Iterator[str]:
    # Of a UID that is stored again only the first commit is a step.
    first = {ack.uid: (slot, ack) for slot, ack in reversed([*order.slots()])}
    for slot, ack in first.values():
        commit = order.commits.get(ack.uid)
        if commit and not order.synced(slot.inode, order.last_write(slot.inode, 1 << 61).over, commit.begin):
            yield f"{slot.path} was not synced when the row of message {ack.message} was committed"


def rows_are_durable_before_final_names(order: Order) -> Iterator[str]:
    logs = [step.inode for step in order.of("create") if step.path == WAL]
    for link in order.of("link", "rename"):
        if series_of(link.target):
            commit = order.commits.get(link.target.rpartition("/")[2].removesuffix(".dcm"))
            if commit is None or not any(order.synced(log, commit.over, link.begin) for log in logs):
                yield f"{link.path} got its final name while its row was not durable"


def slots_are_never_renamed(order: Order) -> Iterator[str]:
    for step in order.of("rename"):
        if is_slot(step.path) or is_slot(step.target):
            yield f"{step.path} was renamed"


def final_names_are_durable_before_slots_go(order: Order) -> Iterator[str]:
    buried = _buried(order)
    links = {step.inode: step for step in order.of("link", "rename") if series_of(step.target)}
    gone = {step.path: step for step in order.of("unlink")}
    for slot, ack in order.slots():
        unlink = gone.get(slot.path)
        if unlink is None or buried.get(int(slot.path[-16:], 16), 1 << 61) < unlink.begin:
            continue
        link = links.get(slot.inode)
        if link is None:
            yield f"{slot.path} went and has no other name"
            continue
        folder = parent(link.target)
        if not order.synced(order.folder(folder, link.begin), link.over, unlink.begin):
            yield f"{slot.path} went before the final name was durable"
        while folder:
            made = order.made(folder, link.begin)
            above = order.folder(parent(folder), link.begin)
            if made is not None and not order.synced(above, made.over, unlink.begin):
                yield f"{slot.path} went before the {purpose(folder)}'s folder was durable"
            folder = parent(folder)


def _buried(order: Order) -> dict[int, int]:
    """Since when slots have a durable tombstone."""
    since: dict[int, int] = {}
    for rename in order.of("rename"):
        if purpose(rename.target) != "tombstone":
            continue
        written = order.last_write(rename.inode, rename.begin)
        if written is None or not order.synced(rename.inode, written.over, rename.begin):
            continue
        durable = min((step.over for step in order.of("sync")
                       if step.path == "tombstones" and step.begin > rename.over), default=1 << 61)
        for slot in _stones(order, rename):
            since[slot] = durable
    return since


def _stones(order: Order, rename: Step) -> list[int]:
    """The slots that a tombstone names."""
    written = order.last_write(rename.inode, rename.begin)
    content = json.loads(written.data) if written else []
    return [stone["slot"] for stone in (content["files"] if isinstance(content, dict) else content)]


def tombstones_are_durable_before_files_go(order: Order) -> Iterator[str]:
    buried = _buried(order)
    slots = {step.inode: int(step.path[-16:], 16) for step in order.of("create") if is_slot(step.path)}
    for unlink in order.of("unlink"):
        if series_of(unlink.path) and buried.get(slots.get(unlink.inode), 1 << 61) > unlink.begin:
            yield f"{unlink.path} went without a durable tombstone"


def tombstones_stay_until_all_is_gone_for_good(order: Order) -> Iterator[str]:
    logs = [step.inode for step in order.of("create") if step.path == WAL]
    gone = {step.path: step for step in order.of("unlink") if is_slot(step.path)}
    for drop in order.of("unlink"):
        rename = next((step for step in reversed(order.of("rename"))
                       if step.target == drop.path and step.over < drop.begin), None)
        if rename is None or purpose(drop.path) != "tombstone":
            continue
        mine = [step for step in order.steps if step.thread == drop.thread and rename.over < step.begin < drop.begin]
        for step in mine:
            folder = order.folder(parent(step.path), step.begin)
            if step.kind == "unlink" and not order.synced(folder, step.over, drop.begin):
                yield f"{drop.path} went before {step.path} was gone for good"
        for stone in _stones(order, rename):
            # Filed long ago, maybe; but the mover does not sync that its slot is gone.
            unlink = gone.get(f"intake/{stone:016x}")
            if unlink is None or not order.synced(order.folder("intake", drop.begin), unlink.over, drop.begin):
                yield f"{drop.path} went before {stone:016x} in intake/ was gone for good"
        written = max((step.over for step in mine if step.kind == "write" and step.path == WAL), default=rename.over)
        if not any(order.synced(log, written, drop.begin) for log in logs):
            yield f"{drop.path} went before its rows were gone for good"


def discarded_slots_are_gone_for_good_before_a_deletion(order: Order) -> Iterator[str]:
    """Else one with the same bytes would come back in place of what is deleted."""
    gone = {step.path: step for step in order.of("unlink")}
    for answer in order.of("ack", "nack"):
        slot = order.slot_of(answer)
        unlink = gone.get(slot.path) if slot else None
        if unlink is None or unlink.over > answer.begin:
            continue
        for rename in order.of("rename"):
            if purpose(rename.target) == "tombstone" and answer.over < rename.begin and not order.synced(
                    order.folder("intake", rename.begin), unlink.over, rename.begin):
                yield f"{slot.path} may come back after {rename.target}"


def refused_slots_are_gone_for_good_before_the_answer(order: Order) -> Iterator[str]:
    """A complete one would come back, and be older than what is then acknowledged with other bytes."""
    gone = {step.path: step for step in order.of("unlink")}
    set_aside = {step.inode for step in order.of("link") if parent(step.target) == "quarantine"}
    for nack in order.of("nack"):
        slot = order.slot_of(nack)
        if slot is None or slot.inode in set_aside or not order.synced(slot.inode, 0, nack.begin):
            continue
        unlink = gone.get(slot.path)
        if unlink is None or not order.synced(order.folder("intake", nack.begin), unlink.over, nack.begin):
            yield f"{slot.path} may come back, though message {nack.message} was refused"


def deletions_are_durable_before_the_answer(order: Order) -> Iterator[str]:
    for ask, answer in zip(order.of("ask"), order.of("answer")):
        drops = [step for step in order.of("unlink") if ask.over < step.begin and step.over < answer.begin
                 and step.thread == answer.thread and purpose(step.path) == "tombstone"]
        if not drops:
            yield f"a deletion of {ask.uid} was answered and not done"


def what_is_set_aside_is_durable_before_its_slot_goes(order: Order) -> Iterator[str]:
    gone = {step.path: step for step in order.of("unlink")}
    for link in order.of("link"):
        unlink = gone.get(link.path)
        if parent(link.target) != "quarantine" or unlink is None:
            continue
        written = order.last_write(link.inode, unlink.begin)
        folder = order.folder("quarantine", link.begin)
        if not (order.synced(link.inode, written.over, unlink.begin)
                and order.synced(folder, link.over, unlink.begin)):
            yield f"{link.path} was set aside and is not durable there"


def replaced_files_are_whole(order: Order) -> Iterator[str]:
    for rename in order.of("rename"):
        written = order.last_write(rename.inode, rename.begin)
        if written is not None and not order.synced(rename.inode, written.over, rename.begin):
            yield f"{rename.target} was replaced by a file that is not durable"


def pages_are_durable_before_the_log_begins_anew(order: Order) -> Iterator[str]:
    for step in order.steps:
        if step.path != WAL or not (step.kind in ("unlink", "truncate") or step.kind == "write" and step.offset == 0):
            continue
        index = order.made(INDEX, step.begin)
        page = order.last_write(index.inode, step.begin) if index else None
        if page is not None and not order.synced(index.inode, page.over, step.begin):
            yield f"the log began anew at {step.begin} while its pages were not durable"


def found_slots_are_synced_before_final_names(order: Order) -> Iterator[str]:
    for cut in order.of("cut"):
        for link in order.of("link"):
            slot = order.made(link.path, cut.begin)
            if slot is None or link.begin < cut.begin or not series_of(link.target):
                continue
            folder = order.folder("intake", cut.begin)
            if not (order.synced(link.inode, cut.over, link.begin) and order.synced(folder, cut.over, link.begin)):
                yield f"{link.path} was left by a killed process and is not synced"


def slots_are_completed_within_a_page(order: Order) -> Iterator[str]:
    """A kill breaks a write off between two pages: so the head goes last, and within one."""
    for slot, _ack in order.slots():
        last = order.last_write(slot.inode, 1 << 61)
        if last.offset or len(last.data) > _PAGE:
            yield f"{slot.path} was completed by a write of {len(last.data)} octets at {last.offset}"


def commitments_are_durable_before_acceptance(order: Order) -> Iterator[str]:
    for accept in order.of("accept"):
        rename = next((step for step in reversed(order.of("rename")) if step.thread == accept.thread
                       and purpose(step.target) == "commitment" and step.over < accept.begin), None)
        if rename is None:
            yield f"a storage commitment was accepted in message {accept.message} and not noted"
            continue
        written = order.last_write(rename.inode, rename.begin)
        folder = order.made("commitments", rename.begin)
        if not (order.synced(rename.inode, written.over, rename.begin)
                and order.synced(folder.inode, rename.over, accept.begin)
                and order.synced(0, folder.over, accept.begin)):
            yield f"{rename.target} was not durable when message {accept.message} was accepted"


def commitments_stay_until_reported(order: Order) -> Iterator[str]:
    reported = {step.uid: step.over for step in order.of("reported")}
    for unlink in order.of("unlink"):
        if purpose(unlink.path) != "commitment" or unlink.path.endswith(".new"):
            continue
        head, _, _ = order.last_write(unlink.inode, unlink.begin).data.partition(b"\n")
        if reported.get(json.loads(head)["transaction_uid"], 1 << 61) > unlink.begin:
            yield f"{unlink.path} went before it was reported"
        after = (step for step in order.steps if step.thread == unlink.thread and step.begin > unlink.over)
        following = next(after, None)
        if following is None or (following.kind, following.path) != ("sync", "commitments"):
            yield f"{unlink.path} went and may come back"


RULES = (bytes_are_durable_before_success, names_are_durable_before_success,
         rows_are_committed_before_success, bytes_are_durable_before_rows,
         rows_are_durable_before_final_names, slots_are_never_renamed,
         final_names_are_durable_before_slots_go, tombstones_are_durable_before_files_go,
         tombstones_stay_until_all_is_gone_for_good, discarded_slots_are_gone_for_good_before_a_deletion,
         refused_slots_are_gone_for_good_before_the_answer, deletions_are_durable_before_the_answer,
         what_is_set_aside_is_durable_before_its_slot_goes, replaced_files_are_whole,
         pages_are_durable_before_the_log_begins_anew, found_slots_are_synced_before_final_names,
         slots_are_completed_within_a_page, commitments_are_durable_before_acceptance,
         commitments_stay_until_reported)


def syncs(steps: Sequence[Step], first: int = 0, last: int = 1 << 62) -> Counter[tuple[str, str]]:
    """How often somebody ("association", "others") synced what; within some lines of the trace."""
    threads = associations(steps)
    return Counter(("association" if step.thread in threads else "others", purpose(step.path))
                   for step in steps if step.kind == "sync" and first <= step.begin and step.over <= last)


def associations(steps: Sequence[Step]) -> set[int]:
    """The threads that answered requests of peers."""
    return {step.thread for step in steps if step.kind in ("ack", "nack", "accept")}

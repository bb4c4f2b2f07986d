"""Instances that come as files in imports/: judged as a C-STORE judges them, and stored as durably, many at a time.

An instance counts as stored when its file is synced under a slot's durable name and its row is committed. What cannot
be stored is not set aside: whoever imports has the file still, and is told why.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from dicomserver.archive.adopting import read_foreign_header
from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import checksum_file
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import ArchiveError, InstanceMissing, IntakeError, StorageFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.intake import Slot
from dicomserver.index import FLAG_PIXEL_DATA_MISSING, Index, IndexFault, Instance, OutcomeUnknown, Stored
from dicomserver.services.describe import ScanLimits, describe_file
from dicomserver.services.inspection import Inspector
from dicomserver.standard.sop_classes import is_for_storage, is_private_uid
from dicomserver.standard.transfer_syntaxes import PIXELS_ELSEWHERE, transfer_syntaxes
from dicomserver.standard.uids import is_valid_uid
from dicomserver.wire.errors import WireError
from dicomserver.wire.meta import FileMeta

CONFLICT = "its SOP Instance UID is stored with other content"
UNREADABLE = "what is stored under its SOP Instance UID cannot be read"
WITHOUT_PIXELS = "it is an image without its pixels"
SYNCS_AT_ONCE = 16


class Verdict(StrEnum):
    """What became of a file."""

    STORED = "stored"
    KNOWN = "known"         # the same dataset was stored already
    REFUSED = "refused"     # for what it is; another one may do
    STOPPED = "stopped"     # nothing more can be stored now


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted: the same as of C-STORE."""

    scan: ScanLimits = ScanLimits()
    private_sop_classes: bool = True


class _Decided(Exception):
    """The verdict on a file, and why; names no patient."""

    def __init__(self, verdict: Verdict, why: str = "") -> None:
        super().__init__(why)
        self.verdict = verdict


@dataclass(slots=True, eq=False)
class _Newcomer:
    """A file of imports/, or a slot that was lent. fd: -1 once it is durable. is_marked: a preamble may be in it. meta,
    instance: as far as it has come."""

    name: str
    fd: int
    is_lent: bool
    slot: Slot | None
    is_marked: bool = False
    meta: FileMeta | None = None
    instance: Instance | None = None

    @property
    def uid(self) -> str:
        return self.meta.sop_instance_uid


class Adoption:
    """For any number of threads. on_stored: told of each new instance in its slot; the mover's door."""

    def __init__(self, archive: Archive, index: Index, on_stored: Callable[[Waiting], None],
                 log: logging.Logger) -> None:
        self.archive = archive
        self.index = index
        self.on_stored = on_stored
        self.log = log
        self.inspector = Inspector(archive, index, log)
        self._lent: dict[str, Slot] = {}

    def lend(self, count: int) -> list[str]:
        """Slots for somebody to write whole files into, by their places in the data directory. Raises IntakeError."""
        places = []
        for _ in range(count):
            slot = self.archive.take()
            places.append(place := self.archive.adopting.place_of(slot))
            self._lent[place] = slot
        return places

    def borrowed(self, place: str) -> Slot | None:
        """The slot that was lent under this name, once; None: none was."""
        return self._lent.pop(place, None)

    def take_back(self) -> None:
        """All that is lent. Nobody writes into it any more."""
        for place in list(self._lent):
            if slot := self.borrowed(place):
                self.discard(slot)

    def discard(self, slot: Slot, *, durably: bool = False) -> None:
        """Gives a slot back. Where that fails its name stays in the intake, and the next start removes it."""
        try:
            self.archive.discard(slot, durably=durably)
        except ArchiveError as error:
            self.log.error("a slot could not be removed: %s", error)

    def adopt(self, names: Iterable[str], limits: Limits = Limits()) -> dict[str, tuple[Verdict, str]]:
        """Stores these files of imports/, or slots that were lent, some dozens; -> what became of each, and why.

        Those stored have left imports/, the others are still there; a slot that was lent is given back with any
        verdict. What keeps everything from being stored, a full disk or a lost index, is the verdict of those files
        that it concerned.
        """
        return _Batch(self, limits).adopt(names)


class _Batch:
    def __init__(self, rooms: Adoption, limits: Limits) -> None:
        self._rooms = rooms
        self._archive = rooms.archive
        self._index = rooms.index
        self._on_stored = rooms.on_stored
        self._inspector = rooms.inspector
        self._log = rooms.log
        self._limits = limits
        self._verdicts: dict[str, tuple[Verdict, str]] = {}
        self._stopped = ""

    def adopt(self, names: Iterable[str]) -> dict[str, tuple[Verdict, str]]:
        newcomers: list[_Newcomer] = []
        try:
            read = [one for name in dict.fromkeys(names) if (one := self._opened(name, newcomers)) is not None]
            for part in _without_repeats(read):
                self._store(part)
        finally:
            for one in newcomers:
                self._let_go(one)
        return self._verdicts

    def _opened(self, name: str, newcomers: list[_Newcomer]) -> _Newcomer | None:
        return newcomers[-1] if self._do(name, self._open, name, newcomers) else None

    def _do(self, name: str, step: Callable[..., None], *arguments: object) -> bool:
        """Whether the next step with a file could be done; if not there is a verdict on it."""
        try:
            if self._stopped:
                raise _Decided(Verdict.STOPPED, self._stopped)
            step(*arguments)
        except _Decided as decided:
            self._verdicts[name] = (decided.verdict, str(decided))
            if decided.verdict is Verdict.STOPPED:
                self._stopped = str(decided)
            return False
        except (ArchiveError, OSError) as error:
            self._verdicts[name] = (Verdict.REFUSED, _in_words(error))
            return False
        return True

    def _open(self, name: str, newcomers: list[_Newcomer]) -> None:
        slot = self._rooms.borrowed(name)
        try:
            fd = slot.fd if slot else self._archive.adopting.open(name)
        except InstanceMissing as error:
            raise _Decided(Verdict.STOPPED, f"the server was started anew meanwhile: {error}") from None
        newcomers.append(one := _Newcomer(name, fd, slot is not None, slot))
        one.meta = read_foreign_header(fd)
        self._check(one.meta)

    def _check(self, meta: FileMeta) -> None:
        if not is_valid_uid(meta.sop_instance_uid):
            raise _Decided(Verdict.REFUSED, "its SOP Instance UID is missing or no UID")
        if not is_valid_uid(meta.sop_class_uid) or not is_for_storage(meta.sop_class_uid):
            raise _Decided(Verdict.REFUSED, "its SOP Class UID is not one of storage")
        if is_private_uid(meta.sop_class_uid) and not self._limits.private_sop_classes:
            raise _Decided(Verdict.REFUSED, "its SOP class is private, and such are not accepted")
        if meta.transfer_syntax_uid not in transfer_syntaxes():
            raise _Decided(Verdict.REFUSED, "its transfer syntax is private: nothing says how its dataset is encoded")

    def _store(self, part: Sequence[_Newcomer]) -> None:
        """Newcomers of different UIDs. Claims are taken in one order: no two batches wait for each other's."""
        with ExitStack() as held:
            try:
                marked = [one for one in sorted(part, key=lambda one: one.uid)
                          if self._do(one.name, self._mark, one, held)]
                sealed = self._sealed(marked)
                if sealed and self._settle(sealed):
                    for one in sealed:
                        self._add(one)
            finally:
                for one in part:        # while nobody else may store under their UIDs
                    self._let_go(one)

    def _mark(self, one: _Newcomer, held: ExitStack) -> None:
        """Gives the file a slot and a preamble, if it is new and as it should be."""
        checksum = checksum_file(one.fd, one.meta.dataset_offset, _length(one.fd) - one.meta.dataset_offset)
        one.instance = self._described(one, checksum)
        self._claim(one.uid, held)
        self._compare_with_stored(one)
        if one.slot is None:
            one.slot = self._take()
        one.instance.slot = one.slot.number
        one.is_marked = True
        try:
            self._archive.adopting.mark(one.slot, one.fd, one.meta, checksum, self._archive.claims.order())
        except OSError as error:
            raise _Decided(Verdict.STOPPED, f"writing failed: {error.strerror}") from None

    def _take(self) -> Slot:
        try:
            return self._archive.take()
        except IntakeError as error:
            raise _Decided(Verdict.STOPPED, str(error)) from None

    def _described(self, one: _Newcomer, checksum: int) -> Instance:
        """The index entry, still without a slot."""
        try:
            instance = describe_file(one.fd, one.meta, slot=0, file_length=_length(one.fd), checksum=checksum,
                                     limits=self._limits.scan)
        except WireError as error:
            raise _Decided(Verdict.REFUSED, f"its dataset: {error}") from None
        if instance.flags & FLAG_PIXEL_DATA_MISSING and instance.transfer_syntax_uid not in PIXELS_ELSEWHERE:
            # Other archives keep such beside the whole image, under the same UID: which comes first must not matter.
            raise _Decided(Verdict.REFUSED, WITHOUT_PIXELS)
        return instance

    def _sealed(self, marked: Sequence[_Newcomer]) -> list[_Newcomer]:
        """Those that are durable. Syncs that are under way together share the disk's work."""
        if not marked:
            return []
        with ThreadPoolExecutor(min(SYNCS_AT_ONCE, len(marked)), "import-sync") as executor:
            return [one for one, is_sealed in zip(marked, executor.map(self._seal, marked)) if is_sealed]

    def _seal(self, one: _Newcomer) -> bool:
        try:
            self._archive.adopting.seal(one.slot, one.name, one.fd)
        except OSError as error:
            self._stop(one, f"writing failed: {error.strerror}")
            return False
        one.fd = -1
        return True

    def _claim(self, uid: str, held: ExitStack) -> None:
        try:
            self._archive.claims.take(uid)
        except ClaimTaken as error:
            raise _Decided(Verdict.REFUSED, f"{error}: import it again") from None
        held.callback(self._archive.claims.give_back, uid)

    def _compare_with_stored(self, one: _Newcomer) -> None:
        try:
            stored = self._index.find(one.uid)
        except IndexFault as error:
            raise _Decided(Verdict.STOPPED, f"the index is unavailable: {error}") from None
        if stored is None:
            return
        if self._archive.is_being_deleted(stored.slot):
            raise _Decided(Verdict.REFUSED, "what is stored under its SOP Instance UID is being deleted: "
                                            "import it again")
        self._decide(one, stored)

    def _decide(self, one: _Newcomer, stored: Stored) -> None:
        try:
            if self._archive.is_same_dataset(one.fd, one.meta, stored):
                raise _Decided(Verdict.KNOWN)
            why = CONFLICT
        except InstanceMissing:
            if self._index.find(one.uid) is None:
                return      # deleted in this moment: this one is new
            why = UNREADABLE
        except (ArchiveError, OSError):
            why = UNREADABLE
        # Other bytes may also mean that the stored ones have changed.
        self._inspector.suspect(stored)
        raise _Decided(Verdict.REFUSED, why)

    def _settle(self, sealed: Sequence[_Newcomer]) -> bool:
        if all(one.is_lent for one in sealed):
            return True     # their names are durable since they were slots
        try:
            self._archive.adopting.settle()
        except OSError as error:
            for one in sealed:
                self._stop(one, f"the names of slots cannot be made durable: {os.strerror(error.errno)}")
            return False
        return True

    def _add(self, one: _Newcomer) -> None:
        """The row, and then it is stored. Each is on its own: what stops one has stopped nothing that is sealed."""
        try:
            there = self._index.add(one.instance)
        except OutcomeUnknown as error:
            # Its row is there, or comes when the database does. Importing it again will show it.
            self._keep(one)
            self._stop(one, f"the index is unavailable: {error}")
        except IndexFault as error:
            self._stop(one, f"the index is unavailable: {error}")
        except WireError as error:
            self._verdicts[one.name] = (Verdict.REFUSED, f"the index cannot read it: {error}")
        else:
            if there is None:
                self._verdicts[one.name] = (Verdict.STORED, "")
                self._keep(one)
            else:
                self._verdicts[one.name] = (Verdict.REFUSED, "it came back from elsewhere meanwhile: import it again")

    def _stop(self, one: _Newcomer, why: str) -> None:
        self._stopped = why
        self._verdicts[one.name] = (Verdict.STOPPED, why)

    def _keep(self, one: _Newcomer) -> None:
        instance = one.instance
        try:
            self._archive.keep(one.slot, instance.file_length)
        except StorageFailed as error:
            self._stop(one, str(error))     # it may not be whole: importing it again will show it
        self._on_stored(Waiting(one.slot.number, instance.study_instance_uid, instance.series_instance_uid,
                                instance.sop_instance_uid, instance.file_length))
        self._log.debug("imported %s", instance.sop_instance_uid)

    def _let_go(self, one: _Newcomer) -> None:
        """Of what was not stored. A slot that has the file, whole, must not come back after a power cut."""
        fd, one.fd = one.fd, -1
        if fd >= 0 and not one.is_lent:
            os.close(fd)
        if one.slot is not None and one.slot.fd >= 0:
            self._rooms.discard(one.slot, durably=fd < 0 or (one.is_lent and one.is_marked))


def _length(fd: int) -> int:
    return os.fstat(fd).st_size


def _without_repeats(newcomers: Sequence[_Newcomer]) -> list[list[_Newcomer]]:
    """In parts in which no UID comes twice: who claims it a second time would wait for himself."""
    parts: list[dict[str, _Newcomer]] = []
    for one in newcomers:
        part = next((part for part in parts if one.uid not in part), None)
        if part is None:
            parts.append(part := {})
        part[one.uid] = one
    return [list(part.values()) for part in parts]


def _in_words(error: ArchiveError | OSError) -> str:
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)

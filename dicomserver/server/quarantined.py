"""Files in quarantine, and what a person decides on them: one takes the place of what is stored, or goes for good."""
from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import ArchiveError
from dicomserver.archive.filing import Waiting
from dicomserver.archive.layout import SUFFIX, slot_number
from dicomserver.archive.preamble import Header, check_whole, read_header
from dicomserver.archive.quarantine import Kind, SetAside
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import Index, Instance, Stored
from dicomserver.index.other_patients import person_of
from dicomserver.index.searchable import patient_of
from dicomserver.server.conflict import Conflict, Undecided
from dicomserver.server.deletion import Deleter, DeletionStopped
from dicomserver.server.differences import differences, first_difference
from dicomserver.server.mover import Mover
from dicomserver.server.rebuild import Describe, describe_found
from dicomserver.wire.errors import WireError

_REPLACED = "another image with its SOP Instance UID was accepted in its place"


class Quarantined:
    """The conflicts that are files. One decision at a time: the caller sees to it. Raises Undecided, whose text has no
    patient data, and IndexFault."""

    def __init__(self, archive: Archive, index: Index, mover: Mover, deleter: Deleter, describe: Describe,
                 log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._mover = mover
        self._deleter = deleter
        self._describe = describe
        self._log = log

    def conflicts(self) -> Iterator[Conflict]:
        """All of them."""
        for entry in self._entries():
            header = self._header(entry.name)
            uid = header.meta.sop_instance_uid if header else entry.sop_instance_uid
            stored = self._index.find(uid) if uid else None
            is_stored = _is_the_stored_one(entry.name, stored)
            yield Conflict(
                name=entry.name, kind=entry.kind, since=entry.set_aside_at,
                source_ae=(header.meta.source_ae if header else "") or entry.source_ae, sop_instance_uid=uid,
                study_instance_uid=stored.study_instance_uid if stored else "",
                reason="it is stored, and lies here too" if is_stored else entry.reason, octets=entry.file_length,
                has_stored=stored is not None)

    def count(self) -> int:
        """How many wait for a decision: all but those that one has put here."""
        return sum(entry.kind is not Kind.REPLACED for entry in self._entries())

    def show(self, conflict: Conflict) -> dict:
        """{"damage": what is wrong with the file, "first": where it begins to differ from what is stored, "received": a
        DT, "patient": whom the file names, "differences": [{"what", "stored", "newcomer"}]}; what cannot be said is
        left out. It names patients."""
        with self._read(conflict) as fd:
            try:
                header = read_header(fd)
                check_whole(fd, header.preamble)
                newcomer = self._described(conflict.name, header)
            except ArchiveError as damage:
                return {"damage": str(damage)}
            shown: dict = {"received": header.meta.received_at}
            person = person_of(patient_of(newcomer.patient, newcomer.character_set))
            if any(person):
                shown["patient"] = person.as_json()
            stored = self._index.find(conflict.sop_instance_uid)
            if stored is not None and stored.slot != header.preamble.slot:
                shown |= self._compared(stored, fd, newcomer)
        return shown

    def _compared(self, stored: Stored, fd: int, newcomer: Instance) -> dict:
        try:
            theirs = self._archive.open_instance(stored.slot, stored.study_instance_uid, stored.series_instance_uid,
                                                 stored.sop_instance_uid)
        except (ArchiveError, OSError) as error:
            return {"first": f"what is stored cannot be read: {error}"}
        try:
            meta = read_header(theirs).meta
            found = differences(self._describe(theirs, meta, slot=stored.slot, file_length=stored.file_length,
                                               checksum=stored.checksum), newcomer)
            return {"first": first_difference(theirs, fd), "differences": [one._asdict() for one in found]}
        except (ArchiveError, WireError, OSError) as error:
            return {"first": f"what is stored cannot be read: {error}"}
        finally:
            os.close(theirs)

    def accept(self, conflict: Conflict) -> str:
        """The file takes the place of what is stored, which comes to lie here; -> what was done, in words.

        After a power cut at any moment one of the two is stored, whole, and both are there.
        """
        with self._read(conflict) as fd:
            try:
                slot = read_header(fd).preamble.slot
            except ArchiveError as damage:
                raise Undecided(f"it is damaged and cannot be stored: {damage}") from None
        try:
            # Of two in the intake the next start would take this one, the older, although the other was acknowledged.
            with self._deleter.lock, self._archive.claims.held(conflict.sop_instance_uid):
                text = self._accept_alone(conflict, slot)
        except ClaimTaken as error:
            raise Undecided(f"{error}; try again") from None
        self._log.info("the conflict %s was decided: the newcomer was accepted; %s", conflict.id, text)
        return text

    def _accept_alone(self, conflict: Conflict, slot: int) -> str:
        """Nobody else stores or deletes an instance of its UID meanwhile."""
        stored = self._index.find(conflict.sop_instance_uid)
        if stored is not None and stored.slot == slot:
            raise Undecided("it is stored; to remove what lies here, too, reject it")
        if self._archive.is_being_deleted(slot):
            raise Undecided("its deletion is not finished; try again when the server has started anew")
        try:
            found = self._archive.replacing.take_back(conflict.name)
            with ExitStack() as undo:
                undo.callback(self._archive.replacing.put_back, found.slot)
                return self._accept(found, stored, conflict.name, undo)
        except ArchiveError as error:
            raise Undecided(f"it cannot be stored: {error}") from error

    def _accept(self, found: Found, stored: Stored | None, name: str, undo: ExitStack) -> str:
        """undo: what to do if nothing has begun; emptied at the point of no return."""
        try:
            instance = describe_found(self._archive, found, self._describe)
            if stored is None:
                is_in, text = self._index.add(instance) is None, "nothing was stored under its SOP Instance UID"
            else:
                if self._is_same(found, stored):
                    raise Undecided("the same image is stored already; reject it")
                text = "of what was stored no file was left"

                def keep_aside() -> None:
                    nonlocal text
                    if kept := self._keep_aside(stored, undo):
                        text = f"what was stored is quarantine/{kept} now"
                is_in = self._deleter.replace(stored, instance, keep_aside)
        except DeletionStopped as error:
            # The tombstone is durable. Whatever is missing, the next start does it.
            undo.pop_all()
            there = self._index.find(instance.sop_instance_uid)
            if there is not None and there.slot == found.slot:
                self._file(found, instance, name)
            self._log.error("a conflict was decided, but not all is done: %s", error)
            raise Undecided(f"it is decided, but not all is done: {error}; the next start does the rest") from error
        if not is_in:
            raise Undecided("another image was stored meanwhile, or it was deleted; look again")
        undo.pop_all()
        self._file(found, instance, name)
        return text

    def _keep_aside(self, stored: Stored, undo: ExitStack) -> str | None:
        kept = self._archive.replacing.keep_aside(stored, _REPLACED, {
            "kind": Kind.REPLACED, "study_instance_uid": stored.study_instance_uid,
            "series_instance_uid": stored.series_instance_uid, "sop_instance_uid": stored.sop_instance_uid})
        if kept is not None:
            undo.callback(self._archive.quarantine.remove, kept)
        return kept

    def _is_same(self, found: Found, stored: Stored) -> bool:
        try:
            return self._archive.is_same(found, stored)
        except (ArchiveError, OSError):
            return False    # what is stored cannot be read: one reason more to replace it

    def _file(self, found: Found, instance: Instance, name: str) -> None:
        """It leaves quarantine before it leaves the intake, so that a start after a crash finds what is left to do."""
        try:
            self._archive.quarantine.remove(name)
        except ArchiveError as error:
            self._log.warning("what was accepted still lies in quarantine, too: %s", error)
        self._archive.adopt(found)
        self._mover.add(Waiting(instance.slot, instance.study_instance_uid, instance.series_instance_uid,
                                instance.sop_instance_uid, instance.file_length))

    def reject(self, conflict: Conflict) -> str:
        """Removes the file for good; -> what was done, in words."""
        try:
            self._archive.quarantine.remove(conflict.name)
        except ArchiveError as error:
            raise Undecided(str(error)) from error
        self._log.info("the conflict %s was decided: the file was removed from quarantine", conflict.id)
        return "it was removed from quarantine"

    def _entries(self) -> list[SetAside]:
        try:
            return self._archive.quarantine.entries()
        except ArchiveError as error:
            raise Undecided(str(error)) from error

    def _header(self, name: str) -> Header | None:
        try:
            fd = self._archive.quarantine.open(name)
        except (ArchiveError, OSError):
            return None
        try:
            return read_header(fd)
        except (ArchiveError, OSError):
            return None
        finally:
            os.close(fd)

    def _described(self, name: str, header: Header) -> Instance:
        return describe_found(self._archive, Found(f"quarantine/{name}{SUFFIX}", Verdict.WHOLE, header.preamble.slot,
                                                   header), self._describe)

    @contextmanager
    def _read(self, conflict: Conflict) -> Iterator[int]:
        try:
            fd = self._archive.quarantine.open(conflict.name)
        except ArchiveError as error:
            raise Undecided(str(error)) from None
        except OSError as error:
            raise Undecided(f"it cannot be read: {error.strerror}") from error
        try:
            yield fd
        except OSError as error:
            raise Undecided(f"it cannot be read: {error.strerror}") from error
        finally:
            os.close(fd)


def _is_the_stored_one(name: str, stored: Stored | None) -> bool:
    return stored is not None and slot_number(name.partition("-")[0]) == stored.slot

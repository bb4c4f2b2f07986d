"""An import: the files of folders, some dozens at a time, through imports/ into the archive.

One thread at a time reads, so that the heads of a slow disc do not jump between files; the other waits for the syncs of
what was read. Nothing has to be remembered between two imports: what is stored is known by its SOP Instance UID.
"""
from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from dicomserver.archive.backup_folder import are_apart
from dicomserver.archive.checksum import checksum_file
from dicomserver.archive.errors import IntakeError
from dicomserver.archive.imports import Imports, SourceUnreadable
from dicomserver.index import IndexFault
from dicomserver.server import control_client
from dicomserver.server.import_sources import Candidate, NotImportable, Source, open_source, walk
from dicomserver.server.import_targets import Target
from dicomserver.services.adoption import CONFLICT, WITHOUT_PIXELS, Verdict
from dicomserver.services.describe import received_text
from dicomserver.wire.errors import MetaError
from dicomserver.wire.part10 import encode_file_meta

FILES_AT_ONCE = 64
OCTETS_AT_ONCE = 64 << 20
THREADS = 2
_NO_ANSWER = (control_client.NotRunning, control_client.NotAllowed, control_client.CommandFailed)


class How(StrEnum):
    """What becomes of the files themselves."""

    COPY = "copy"   # they stay as they are
    LINK = "link"   # their bytes are the archive's too, where that can be; they stay where they are
    MOVE = "move"   # they leave their place once they are stored


class Result(StrEnum):
    """What became of one file."""

    IMPORTED = "imported"
    KNOWN = "stored already"
    REFUSED = "refused"
    SKIPPED = "skipped"     # no DICOM image


@dataclass(frozen=True, slots=True)
class Item:
    """One file that is settled. octets: of the dataset, if it was imported; is_copied: they were written once more."""

    path: str
    result: Result
    why: str = ""
    octets: int = 0
    is_copied: bool = False


class ImportStopped(Exception):
    """Nothing more can be imported; the text says why in one line."""


def import_folders(target: Target, folders: Sequence[str], how: How, on_item: Callable[[Item], None], *,
                   is_quick: bool = False) -> None:
    """Imports all that is below these folders.

    is_quick: what is stored with the same SOP Instance UID, transfer syntax and length passes for the same unread,
    unless it is to be moved. on_item: told of each file when it is settled, by the calling thread; what it raises ends
    the import. An end, also by a KeyboardInterrupt, lets what is under way come to its own and tells of it.

    Raises ImportStopped, ArchiveUnusable.
    """
    for folder in folders:
        if not are_apart(folder, target.data_directory):
            raise ImportStopped(f"{folder} is, or is in, or has in it the server's own data directory")
    with Imports(target.data_directory) as imports, ThreadPoolExecutor(THREADS, "import") as executor:
        importer = _Importer(target, imports, how, is_quick)
        pending: deque[Future[_Settled]] = deque()
        target.take_back()      # what an import that was killed had
        try:
            candidates = walk(folders)
            while some := list(islice(candidates, FILES_AT_ONCE)):
                pending.append(executor.submit(importer.settle, some))
                if len(pending) > 2 * THREADS:
                    _settle_first(pending, on_item)
            while pending:
                _settle_first(pending, on_item)
        except BaseException:
            importer.end()
            for settled in pending:
                for item in settled.result().items:
                    on_item(item)
            raise
        finally:
            importer.give_back()


def count_files(folders: Sequence[str], go_on: Callable[[], bool]) -> int | None:
    """How many files an import would look at; None: somebody did not want to know any more."""
    number = 0
    for number, _ in enumerate(walk(folders), start=1):
        if not go_on():
            return None
    return number


@dataclass(slots=True)
class _Settled:
    """Some files; stopped: why nothing more can be imported, "" if it can."""

    items: list[Item]
    stopped: str = ""


def _settle_first(pending: deque[Future[_Settled]], on_item: Callable[[Item], None]) -> None:
    settled = pending[0].result()
    pending.popleft()
    for item in settled.items:
        on_item(item)
    if settled.stopped:
        raise ImportStopped(settled.stopped)


class _Importer:
    def __init__(self, target: Target, imports: Imports, how: How, is_quick: bool) -> None:
        self._target = target
        self._imports = imports
        self._how = how
        self._is_quick = is_quick
        self._reading = threading.Lock()
        self._ended = False
        self._slots: list[str] = []     # lent, and not written to

    def end(self) -> None:
        """Whatever has not begun is left."""
        self._ended = True

    def give_back(self) -> None:
        """What was lent and is not needed. A server that does not answer any more has it already."""
        try:
            self._target.take_back()
        except _NO_ANSWER:
            return

    def settle(self, candidates: Sequence[Candidate]) -> _Settled:
        """Imports some files, on any thread."""
        settled = _Settled([])
        try:
            with ExitStack() as opened:
                sources = self._opened(candidates, settled.items, opened)
                self._import(self._new(sources, settled.items), settled.items)
        except ImportStopped as stop:
            settled.stopped = str(stop)
        except control_client.CommandFailed as error:
            settled.stopped = str(error)
        except _NO_ANSWER as error:
            settled.stopped = f"the server does not answer any more: {error}"
        except IntakeError as error:
            settled.stopped = str(error)
        except IndexFault as error:
            settled.stopped = f"the index is unavailable: {error}"
        except OSError as error:
            settled.stopped = f"writing failed: {os.strerror(error.errno or errno.EIO)}"
        return settled

    def _opened(self, candidates: Sequence[Candidate], items: list[Item], opened: ExitStack) -> list[Source]:
        sources = []
        with self._reading:
            for candidate in candidates:
                if self._ended:
                    break
                try:
                    source = open_source(candidate, self._scratch)
                except NotImportable as error:
                    result = Result.SKIPPED if error.is_skipped else Result.REFUSED
                    items.append(Item(candidate.path, result, str(error)))
                else:
                    opened.callback(os.close, source.fd)
                    sources.append(source)
        return sources

    def _new(self, sources: Sequence[Source], items: list[Item]) -> list[Source]:
        """Those to be imported. Where the originals are removed that is all: the server compares every byte before."""
        if self._how is How.MOVE or not sources:
            return list(sources)
        known = self._target.known([source.instance.sop_instance_uid for source in sources])
        new = []
        for source in sources:
            stored = known.get(source.instance.sop_instance_uid)
            if stored is None or (not source.is_original and stored[1] > source.dataset_length):
                new.append(source)      # the latter may be a part of it that Orthanc keeps beside it
            else:
                items.append(self._compared(source, *stored))
        return new

    def _compared(self, source: Source, transfer_syntax: str, length: int, checksum: int) -> Item:
        """What is stored with its SOP Instance UID is compared by what the index knows of it."""
        if (source.instance.transfer_syntax_uid, source.dataset_length) == (transfer_syntax, length):
            try:
                if self._is_quick or self._checksum(source) == checksum:
                    return Item(source.path, Result.KNOWN)
            except OSError as error:
                return Item(source.path, Result.REFUSED, f"it cannot be read: {error.strerror}")
        return Item(source.path, Result.REFUSED, CONFLICT)

    def _checksum(self, source: Source) -> int:
        with self._reading:
            return checksum_file(source.fd, source.meta.dataset_offset, source.dataset_length)

    def _import(self, sources: list[Source], items: list[Item]) -> None:
        left = deque(sources)
        while left and not self._ended:
            brought: dict[str, tuple[Source, bool]] = {}
            try:
                self._bring_some(left, brought, items)
                if brought:
                    self._adopt(brought, items)
            finally:
                for name, (_, is_copied) in brought.items():
                    if not is_copied:
                        self._imports.remove(name)

    def _bring_some(self, left: deque[Source], brought: dict[str, tuple[Source, bool]], items: list[Item]) -> None:
        """Lays files into imports/, or copies them into slots, as many as are stored at once."""
        octets = 0
        with self._reading:
            while left and octets < OCTETS_AT_ONCE and not self._ended:
                source = left.popleft()
                try:
                    name, is_copied = self._bring(source)
                except (SourceUnreadable, MetaError) as error:
                    items.append(Item(source.path, Result.REFUSED, str(error)))
                else:
                    brought[name] = source, is_copied
                    octets += source.dataset_length

    def _bring(self, source: Source) -> tuple[str, bool]:
        """Its name in imports/; or the slot that it was copied into, and then True."""
        if source.keeps_header and source.is_original:
            if self._how is not How.MOVE and (name := self._imports.clone(source.fd)):
                return name, False
            if self._how is not How.COPY and source.has_free_preamble() \
                    and (name := self._imports.link(source.path, source.fd)):
                return name, False
        self._make_room(source.dataset_length)
        instance = source.instance
        meta = encode_file_meta(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid,
                                source_ae=source.source_ae(), received_at=received_text(time.time_ns() // 1000))
        if not self._slots:
            self._slots = self._target.lend(FILES_AT_ONCE)
        slot = self._slots.pop()
        self._imports.copy(slot, source.fd, source.meta.dataset_offset, source.dataset_length, meta)
        return slot, True

    def _scratch(self, octets: int) -> int:
        self._make_room(octets)
        return self._imports.scratch()

    def _make_room(self, octets: int) -> None:
        if self._imports.free_space() - octets < self._target.reserve:
            raise ImportStopped("only the reserve of free space is left on the server's disk")

    def _adopt(self, brought: dict[str, tuple[Source, bool]], items: list[Item]) -> None:
        stopped = ""
        for name, (verdict, why) in self._target.adopt(list(brought)).items():
            source, is_copied = brought[name]
            if verdict is Verdict.STOPPED:
                stopped = why
            elif verdict is Verdict.REFUSED:
                # Where Orthanc compresses, it keeps a copy up to the pixels beside each image.
                is_part = why == WITHOUT_PIXELS and not source.is_original
                items.append(Item(source.path, Result.SKIPPED if is_part else Result.REFUSED, why))
            else:
                left = self._remove_original(source) if self._how is How.MOVE else ""
                if verdict is Verdict.STORED:
                    items.append(Item(source.path, Result.IMPORTED, left, source.dataset_length, is_copied))
                else:
                    items.append(Item(source.path, Result.KNOWN, left))
        if stopped:
            raise ImportStopped(stopped)

    def _remove_original(self, source: Source) -> str:
        """Its first name goes; -> why it stays, "" if it does not."""
        try:
            if source.is_original:
                if not os.path.samestat(os.stat(source.path, follow_symlinks=False), os.fstat(source.fd)):
                    return "another file is in its place now, and stays there"
                os.fchmod(source.fd, 0o600)
            os.unlink(source.path)
        except OSError as error:
            return f"it is stored, but could not be removed: {error.strerror}"
        return ""

"""From a backup to a data directory on which a server starts, and the drill: the same, but nothing is left of it."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path

from dicomserver.archive.backup_folder import BackupFolder, are_apart, is_empty
from dicomserver.archive.copying import FILES_AT_ONCE, Copies, Copy, fault_of
from dicomserver.archive.durable import OPEN_FILE, Folder, open_or_make, replace_file
from dicomserver.archive.errors import ArchiveUnusable, BackupDamaged, CopyFailed, NotABackup, translated
from dicomserver.archive.index_record import IndexRecord, write_record
from dicomserver.archive.layout import FORMAT, FORMAT_FILE, OWN_FOLDERS, UNFINISHED, make_with_parents, sync_ancestors
from dicomserver.archive.manifest import AbsentInstance, ListedFile, ListedInstance, Manifest
from dicomserver.archive.nodes import ALONE, home_path, node_of, start_of
from dicomserver.index import Index, IndexFault, IndexTooNew, files_of, open_index
from dicomserver.server.backup_origins import listed
from dicomserver.server.settings import INDEX_NAME



@dataclass(slots=True)
class RestoreReport:
    """instances, octets: those that are whole. damaged: by path, and why; they are left out. absent: those that the
    backup never had, as they were damaged, missing or just being deleted when it was made. has_index: else the server
    makes one from the files when it starts."""

    begun: str = ""
    total: int = 0
    instances: int = 0
    octets: int = 0
    other_files: int = 0
    absent: int = 0
    has_index: bool = False
    damaged: list[tuple[str, str]] = field(default_factory=list)


Progress = Callable[[RestoreReport], None]


def restore(source: str, data_directory: str, progress: Progress, number: int | None = None) -> RestoreReport:
    """Restores backup `number`, or the last one, into a folder that is empty or not there yet.

    What is damaged in the backup is left out, its rows too. Until this returns no server starts on the folder. Raises
    NotABackup, BackupDamaged, CopyFailed, ArchiveUnusable, IndexFault, and what `progress` raises.
    """
    data_directory = os.path.abspath(data_directory)
    with BackupFolder(source) as folder:
        if not are_apart(source, data_directory):
            raise NotABackup("the data directory must not be in the backup, nor the backup in the data directory")
        manifest = _manifest(folder, number)
        with translated(CopyFailed, "writing the data directory"):
            with _new(data_directory) as root:
                replace_file(root, FORMAT_FILE, UNFINISHED)
                with closing(_Restore(folder, manifest, progress, root, data_directory, keep=True)) as restoring:
                    report = restoring.run()
                    restoring.finish()
                    return report


def drill(source: str, progress: Progress, number: int | None = None) -> RestoreReport:
    """Reads all of a backup anew from its disk, opens a copy of its index in a temporary folder, and compares the two,
    row by row. Raises as `restore`."""
    with BackupFolder(source) as folder, tempfile.TemporaryDirectory(prefix="dicom-server-drill-") as scratch:
        manifest = _manifest(folder, number)
        with (translated(CopyFailed, "reading the backup"), Folder(scratch) as root,
              closing(_Restore(folder, manifest, progress, root, scratch, keep=False)) as drilling):
            return drilling.run()


def _manifest(folder: BackupFolder, number: int | None) -> Manifest:
    numbers = folder.numbers()
    if not numbers:
        raise NotABackup(f"{folder.path} has no complete backup of dicom-server")
    if number is not None and number not in numbers:
        raise NotABackup(f"{folder.path} has no backup {number}; it has {', '.join(map(str, numbers))}")
    wanted = numbers[-1] if number is None else number
    try:
        return folder.manifest(wanted)
    except BackupDamaged as damage:
        others = ", ".join(str(other) for other in numbers if other != wanted)
        hint = f"; there is also backup {others} (--backup)" if others else ""
        raise BackupDamaged(f"{damage} (backup {wanted}{hint})") from None


@contextmanager
def _new(path: str) -> Iterator[Folder]:
    """The folder of that path, durable; made if it is missing. Raises ArchiveUnusable unless it is empty."""
    make_with_parents(path)
    with Folder(path, follow=True) as root:
        if not is_empty(root):
            raise ArchiveUnusable(f"{path} is not empty: restore into a new folder")
        sync_ancestors(path)
        yield root


class _Restore:
    """keep: else files are only read, and of the index there is a copy at `path` for a while."""

    def __init__(self, folder: BackupFolder, manifest: Manifest, progress: Progress, root: Folder, path: str, *,
                 keep: bool) -> None:
        self._folder = folder
        self._manifest = manifest
        self._progress = progress
        self._root = root
        self._index_path = Path(path) / INDEX_NAME
        self._keep = keep
        self._copies = Copies(root)
        self._report = RestoreReport(manifest.begun, manifest.instances)
        self._left_out: dict[str, int] = {}     # SOP Instance UIDs and slots of rows without a whole file
        self._format = json.dumps({"format": FORMAT}).encode() + b"\n"
        self._last_starts: dict[int, int] = {}     # of each node
        self._identity = ""     # of the index; the first start makes one

    def run(self) -> RestoreReport:
        has_index = False
        entries = self._manifest.entries()
        while batch := list(islice(entries, FILES_AT_ONCE)):
            faults = self._take([entry for entry in batch if not isinstance(entry, AbsentInstance)])
            self._report.damaged += sorted(faults.items())
            for entry in batch:
                if isinstance(entry, ListedFile):
                    has_index |= entry.path == INDEX_NAME and entry.path not in faults
                    self._report.other_files += entry.path != INDEX_NAME and entry.path not in faults
                else:
                    self._count(entry, faults)
            self._progress(self._report)
        self._report.has_index = has_index and self._check_index()
        return self._report

    def _count(self, entry: ListedInstance | AbsentInstance, faults: dict[str, str]) -> None:
        node = node_of(entry.slot)
        self._last_starts[node] = max(self._last_starts.get(node, 0), start_of(entry.slot))
        if isinstance(entry, AbsentInstance) or entry.path in faults:
            self._left_out[entry.sop_instance_uid] = entry.slot
            self._report.absent += isinstance(entry, AbsentInstance)
        else:
            self._report.instances += 1
            self._report.octets += entry.length

    def finish(self) -> None:
        """The data directory becomes one. Raises OSError."""
        for name in OWN_FOLDERS:
            open_or_make(name, self._root)[0].close()
        for node, last in ({ALONE: 0} | self._last_starts).items():
            self._count_starts(node, last)
        self._copies.close(remove=True)
        # An index that is elsewhere does not know these files, however complete it is.
        write_record(self._root, IndexRecord(self._identity, f"sqlite://{self._index_path}"))
        replace_file(self._root, FORMAT_FILE, self._format)

    def _count_starts(self, node: int, last: int) -> None:
        """Where that is damaged in the backup: no slot may get a number that one has had."""
        path = os.path.join(self._index_path.parent, home_path(node))
        make_with_parents(path)
        with Folder(path) as home:
            if "starts" not in os.listdir(home.fd):
                replace_file(home, "starts", b"%d\n" % (last + 1))
                sync_ancestors(path)

    def close(self) -> None:
        """What is not finished stays unfinished."""
        self._copies.close()

    # -- files

    def _take(self, files: list[ListedInstance | ListedFile]) -> dict[str, str]:
        """Copies them, or only reads them; -> what is wrong with those that are not good, by their paths."""
        faults: dict[str, str] = {}
        copies: list[Copy] = []
        with ExitStack() as opened:
            for entry in files:
                try:
                    fd = os.open(entry.place, OPEN_FILE, dir_fd=self._folder.root.fd)
                except FileNotFoundError:
                    faults[entry.path] = "it is missing in the backup"
                    continue
                opened.callback(os.close, fd)
                if entry.path == INDEX_NAME or (self._keep and entry.path != FORMAT_FILE):
                    copies.append(Copy(fd, entry.length, entry.path, entry.check))
                elif fault := fault_of(fd, entry.check):
                    faults[entry.path] = fault
                elif entry.path == FORMAT_FILE:
                    self._format = os.pread(fd, entry.length, 0)
            return faults | self._copies.copy(copies)

    # -- the index

    def _check_index(self) -> bool:
        """Whether the index is that of these files; else it goes."""
        fault = self._open_index()
        if not fault:
            return True
        self._report.damaged.append((INDEX_NAME, fault))
        for path in files_of(f"sqlite://{self._index_path}"):
            path.unlink(missing_ok=True)
        self._root.sync()
        return False

    def _open_index(self) -> str:
        """Brings it to this version and takes out the rows without a file; -> what is wrong with it."""
        try:
            index = open_index(f"sqlite://{self._index_path}")
            try:
                if self._left_out:
                    index.remove(list(self._left_out), list(self._left_out.values()))
                if not self._fits(index):
                    return "it does not fit the files"
                self._identity = index.identity
                return ""
            finally:
                index.close()
        except IndexTooNew:
            raise
        except IndexFault as fault:
            return str(fault)

    def _fits(self, index: Index) -> bool:
        """Whether each row has its file and each file its row."""
        files = (entry for entry in self._manifest.entries()
                 if isinstance(entry, ListedInstance) and self._left_out.get(entry.sop_instance_uid) != entry.slot)
        pairs = zip_longest(map(listed, index.select()), files)
        return all(row == file for row, file in pairs)

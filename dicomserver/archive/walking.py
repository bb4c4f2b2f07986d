"""Going through all filed instances: to build an index from the files alone, or to find files that have no row."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from dicomserver.archive.durable import OPEN_FILE, Folder
from dicomserver.archive.errors import InstanceDamaged, NoPreamble, RecoveryFailed, translated, unreadable_is_damaged
from dicomserver.archive.layout import IMPORTS, OWN_FOLDERS, SUFFIX, DataDirectory
from dicomserver.archive.preamble import LENGTH, Header, check_length, check_whole, read_header, unpack
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.archive.tombstones import Tombstones
from dicomserver.standard.uids import is_valid_uid

_NO_SLOT = 1 << 64
_NOT_FOREIGN = {*OWN_FOLDERS, IMPORTS, "nodes", "trash", "commitments", "lost+found"}


def count_instances(directory: DataDirectory) -> int:
    """How many files `walk_instances` will look at; reads folders only."""
    total = 0
    with translated(RecoveryFailed, "counting the files"):
        for _, series in _series_folders(directory):
            if isinstance(series, Folder):
                total += sum(1 for _ in _entries(series))
    return total


def walk_instances(directory: DataDirectory, tombstones: Tombstones, *,
                   whole: bool = False) -> Iterator[Found]:
    """Every file at a final name, with its header verified; `whole` reads and verifies the dataset too.

    In the order of arrival: a series when its first instance came, in it one instance after the other, so that an
    index made from them sees the first instance of each patient, study and series first, as the server did.
    One folder's names at a time, so that memory stays flat. Files being deleted are left out. What is in a
    study's or series' folder and is not of this server is FOREIGN, what is ours and not whole is DAMAGED;
    both are only reported. Raises RecoveryFailed.
    """
    with translated(RecoveryFailed, "walking through the files"):
        arrivals: list[tuple[int, str]] = []
        for name, series in _series_folders(directory):
            if isinstance(series, str):
                yield Found(name, Verdict.FOREIGN, reason=series)
            else:
                arrivals.append((min((_slot(series, entry) for entry in _entries(series)), default=0), name))
        for _, name in sorted(arrivals):
            yield from _in_series(directory, name, tombstones, whole)


def walk_unknown(directory: DataDirectory, tombstones: Tombstones,
                 is_known: Callable[[str, str, str], bool]) -> Iterator[Found]:
    """Of the files at final names those that are not known, read to their end; others are not even opened.

    is_known: asked for each with the UIDs of study, series and instance as its path has them; may wait, and what it
    raises ends the walk. Beside it files may come and go. Verdicts as of `walk_instances`. Raises RecoveryFailed.
    """
    with translated(RecoveryFailed, "walking through the files"):
        for path, series in _series_folders(directory):
            if isinstance(series, str):
                yield Found(path, Verdict.FOREIGN, reason=series)
                continue
            for entry in _entries(series):
                uid = entry.name.removesuffix(SUFFIX)
                if uid != entry.name and is_known(*path.split("/"), uid):
                    continue
                found = _look(series, path, entry, tombstones, whole=True)
                if found is not None:
                    yield found


def make_found_durable(directory: DataDirectory, found: Found) -> bool:
    """Makes a file that a walk has found durable, with all names that lead to it: whoever copied it in, or a server
    that was killed, may have left them in the page cache alone. False: it is not there any more. Raises RecoveryFailed.
    """
    *steps, name = found.name.split("/")
    with translated(RecoveryFailed, "making a file durable that was found"), ExitStack() as opened:
        folders = [directory.root]
        try:
            for step in steps:
                folders.append(opened.enter_context(Folder(step, folders[-1])))
            fd = os.open(name, OPEN_FILE, dir_fd=folders[-1].fd)
        except FileNotFoundError:
            return False
        opened.callback(os.close, fd)
        if os.fstat(fd).st_ino != found.inode:
            return False
        os.fdatasync(fd)
        for folder in reversed(folders):
            folder.sync()
    return True


def _in_series(directory: DataDirectory, name: str, tombstones: Tombstones, whole: bool) -> Iterator[Found]:
    study_uid, series_uid = name.split("/")
    try:
        with Folder(study_uid, directory.root) as study, Folder(series_uid, study) as series:
            # Names and numbers are all that is gathered, of one series.
            for entry in sorted(_entries(series), key=lambda entry: (_slot(series, entry), entry.name)):
                found = _look(series, name, entry, tombstones, whole)
                if found is not None:
                    yield found
    except FileNotFoundError:
        return      # deleted since


def _slot(series: Folder, entry: os.DirEntry[str]) -> int:
    """The slot that a file says it came in, nothing verified; those that say none go last."""
    if not entry.is_file(follow_symlinks=False):
        return _NO_SLOT
    try:
        with _opened(series, entry) as fd:
            return unpack(os.pread(fd, LENGTH, 0)).slot
    except (FileNotFoundError, InstanceDamaged):
        return _NO_SLOT


@contextmanager
def _opened(series: Folder, entry: os.DirEntry[str]) -> Iterator[int]:
    with unreadable_is_damaged():
        fd = os.open(entry.name, OPEN_FILE, dir_fd=series.fd)
        try:
            yield fd
        finally:
            os.close(fd)


def _series_folders(directory: DataDirectory) -> Iterator[tuple[str, Folder | str]]:
    """Pairs of a path and the open series folder, or the reason why it is none."""
    for study_entry in _entries(directory.root):
        if study_entry.name in _NOT_FOREIGN or not study_entry.is_dir(follow_symlinks=False):
            # Files beside the studies belong to the index and to the archive itself.
            if study_entry.is_symlink() and is_valid_uid(study_entry.name):
                yield study_entry.name, "not a folder"
            continue
        if not is_valid_uid(study_entry.name):
            yield study_entry.name, "not a study's folder"
            continue
        with _unless_deleted(study_entry.name, directory.root) as study:
            for entry in _entries(study) if study else ():
                path = f"{study_entry.name}/{entry.name}"
                if not is_valid_uid(entry.name) or not entry.is_dir(follow_symlinks=False):
                    yield path, "not a series' folder"
                    continue
                with _unless_deleted(entry.name, study) as series:
                    if series:
                        yield path, series


def _unless_deleted(name: str, parent: Folder) -> AbstractContextManager[Folder | None]:
    try:
        return Folder(name, parent)
    except FileNotFoundError:
        return nullcontext()    # since its name was read


def _entries(folder: Folder) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder.fd) as entries:
        yield from entries


def _look(series: Folder, path: str, entry: os.DirEntry[str], tombstones: Tombstones,
          whole: bool) -> Found | None:
    name = f"{path}/{entry.name}"
    uid = entry.name.removesuffix(SUFFIX)
    if uid == entry.name or not is_valid_uid(uid) or not entry.is_file(follow_symlinks=False):
        return Found(name, Verdict.FOREIGN, reason="not an instance's name or kind")
    study_uid, series_uid = path.split("/")
    header: Header | None = None
    reason = ""
    length = inode = 0
    try:
        with _opened(series, entry) as fd:
            status = os.fstat(fd)
            length, inode = status.st_size, status.st_ino
            header = read_header(fd)
            if tombstones.cover(header.preamble.slot, header.preamble.checksum):
                return None
            if header.meta.sop_instance_uid != uid:
                raise InstanceDamaged("another instance has its name")
            (check_whole if whole else check_length)(fd, header.preamble)
            verdict = Verdict.WHOLE
    except FileNotFoundError:
        return None
    except NoPreamble as absence:
        verdict, reason = Verdict.FOREIGN, str(absence)
    except InstanceDamaged as damage:
        verdict, reason = Verdict.DAMAGED, str(damage)
    slot = header.preamble.slot if header else None
    return Found(name, verdict, slot, header, reason, length, study_uid, series_uid, uid, inode)

"""The target of backups: what lies where in it, and what may go.

    <target>/dicom-server-backup.json           whose backup it is
    <target>/backups/<number>.jsonl             what belongs to each backup; written last
    <target>/instances/<13 hex digits>/<slot>-<checksum>.dcm
    <target>/files/<SHA-256>                    all other files, and copies of the index
    <target>/incoming/                          what is not complete

No file is ever changed: a name says its content, so that earlier backups stay good while a new one is made.
"""
from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable

from dicomserver.archive.copying import replace_small, sync_names
from dicomserver.archive.durable import Folder, open_or_make, read_file, unlink_if_there
from dicomserver.archive.errors import CopyFailed, NotABackup, translated
from dicomserver.archive.manifest import AbsentInstance, Entry, ListedInstance, Manifest

MARK = "dicom-server-backup.json"
_ABOUT = ("A backup of a dicom-server archive. To restore it: "
          "dicom-server restore THIS_FOLDER --data-dir NEW_FOLDER")
_SUFFIX = ".jsonl"
_OF_THE_SYSTEM = frozenset({"lost+found", "System Volume Information", "$RECYCLE.BIN"})


class BackupFolder:
    """An open target. For one thread. Raises CopyFailed where the disk fails."""

    def __init__(self, path: str) -> None:
        """Of a folder that is there. Raises NotABackup if it cannot be opened."""
        self.path = os.path.abspath(path)
        try:
            self.root = Folder(self.path, follow=True)
        except FileNotFoundError:
            raise NotABackup(f"there is no folder {self.path}: is its disk connected? "
                             "For a new backup make the folder first") from None
        except OSError as error:
            raise NotABackup(f"{self.path} cannot be used: {os.strerror(error.errno or errno.EIO)}") from error

    def claim(self, identity: str) -> None:
        """For the archive of that identity; an empty folder becomes its own. Raises NotABackup."""
        with translated(CopyFailed, "writing the backup"):
            if is_empty(self.root, but=MARK + ".new"):
                mark = {"about": _ABOUT, "format": 1, "identity": identity}
                replace_small(self.root, MARK, json.dumps(mark, indent=1).encode() + b"\n")
        if self.identity() != identity:
            raise NotABackup(f"{self.path} has the backup of another archive: take another folder")

    def identity(self) -> str:
        """Of the archive whose backups are here. Raises NotABackup."""
        try:
            mark = json.loads(read_file(self.root, MARK, 4096))
            if isinstance(mark["identity"], str):
                return mark["identity"]
        except (FileNotFoundError, NotADirectoryError):
            raise NotABackup(f"{self.path} is no backup of dicom-server, and not empty") from None
        except (ValueError, KeyError, TypeError):
            pass
        raise NotABackup(f"{self.path}/{MARK} is damaged")

    def numbers(self) -> list[int]:
        """Of the backups that are complete, the oldest first."""
        with translated(CopyFailed, "reading the backup"):
            try:
                with Folder("backups", self.root) as backups:
                    names = os.listdir(backups.fd)
            except FileNotFoundError:
                return []       # the first one was cut short
        return sorted(int(name[:-len(_SUFFIX)]) for name in names
                      if name.endswith(_SUFFIX) and name.isascii() and name[:-len(_SUFFIX)].isdigit())

    def manifest(self, number: int) -> Manifest:
        """Raises BackupDamaged."""
        with translated(CopyFailed, "reading the backup"):
            return Manifest(self.root, self.place_of(number))

    @staticmethod
    def place_of(number: int) -> str:
        """Where a backup's manifest belongs."""
        return f"backups/{number:08d}{_SUFFIX}"

    def holds(self, place: str, length: int) -> bool:
        """Whether a file is there and has its length."""
        try:
            return os.stat(place, dir_fd=self.root.fd, follow_symlinks=False).st_size == length
        except (FileNotFoundError, NotADirectoryError):
            return False

    def keep_only(self, numbers: Iterable[int]) -> int:
        """Forgets all other backups and removes the files that belong to none; -> how many instances went.

        Memory: a bit for each instance. Raises BackupDamaged: then nothing is removed.
        """
        kept = set(numbers)
        listed = _Listed()
        for number in sorted(kept):
            for entry in self.manifest(number).entries():
                listed.add(entry)
        with translated(CopyFailed, "removing former backups"):
            for number in self.numbers():
                if number not in kept:
                    os.unlink(self.place_of(number), dir_fd=self.root.fd)
            # Before its files: a list of what is not there any more must not come back.
            with Folder("backups", self.root) as backups:
                sync_names(backups)
            self._remove_files(listed)
            return self._remove_instances(listed)

    def _remove_files(self, listed: _Listed) -> None:
        with open_or_make("files", self.root)[0] as files:
            for name in os.listdir(files.fd):
                if name not in listed.files:
                    unlink_if_there(name, files)

    def _remove_instances(self, listed: _Listed) -> int:
        removed = 0
        with open_or_make("instances", self.root)[0] as instances:
            # File managers leave their own files wherever somebody looks: they are not folders.
            for shard in _folders_in(instances):
                with Folder(shard, instances) as folder:
                    names = os.listdir(folder.fd)
                    unlisted = [name for name in names if not listed.has(shard, name)]
                    for name in unlisted:
                        unlink_if_there(name, folder)
                removed += len(unlisted)
                if len(unlisted) == len(names):
                    os.rmdir(shard, dir_fd=instances.fd)
        return removed

    def close(self) -> None:
        """Safe to call twice."""
        self.root.close()

    def __enter__(self) -> BackupFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Listed:
    """Which files some backup lists: a bit for each slot of a shard, and the names of the few others."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._slots: dict[str, bytearray] = {}

    def add(self, entry: Entry) -> None:
        if isinstance(entry, AbsentInstance):
            return
        _, shard, *_ = entry.place.split("/")
        if isinstance(entry, ListedInstance):
            bits = self._slots.setdefault(shard, bytearray(512))
            bits[entry.slot >> 3 & 511] |= 1 << (entry.slot & 7)
        else:
            self.files.add(shard)

    def has(self, shard: str, name: str) -> bool:
        bits = self._slots.get(shard)
        try:
            slot = int(name[:16], 16)
        except ValueError:
            return False
        return bits is not None and bool(bits[slot >> 3 & 511] & 1 << (slot & 7))


def _folders_in(folder: Folder) -> list[str]:
    with os.scandir(folder.fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def is_empty(folder: Folder, but: str = "") -> bool:
    """Whether nothing is in a folder, apart from what systems put onto each disk by themselves."""
    return not any(name not in _OF_THE_SYSTEM and not name.startswith(".") and name != but
                   for name in os.listdir(folder.fd))


def are_apart(one: str, other: str) -> bool:
    """Whether neither folder is the other, or in it."""
    first, second = os.path.realpath(one), os.path.realpath(other)
    return os.path.commonpath((first, second)) not in (first, second)

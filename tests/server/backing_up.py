"""What tests of backup and restore share: an archive of some instances as an origin, and a look at what comes back."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.archive.manifest import ListedInstance
from dicomserver.server.backup import BackupReport, back_up
from dicomserver.server.backup_commands import is_stored
from dicomserver.server.backup_origins import listed
from dicomserver.server.recovery import recover


class StoreOrigin:
    """An open `Store` (conftest) as an origin."""

    def __init__(self, store) -> None:
        self._store = store
        self.data_directory = str(store.path)
        self.database_url = store.url
        self.identity = store.archive.identity()

    def rows(self) -> Iterator[ListedInstance]:
        return map(listed, self._store.index.select())

    def is_stored(self, instance: ListedInstance) -> bool:
        return is_stored(self._store.archive, self._store.index, instance.sop_instance_uid, instance.slot)

    def check(self) -> None:
        """The index may be read."""


def backed_up(store, target: Path, progress: Callable[[BackupReport], None] = lambda report: None,
              **options) -> BackupReport:
    """The report of one more backup."""
    target.mkdir(exist_ok=True)
    return back_up(StoreOrigin(store), str(target), progress, **options)


def started(store) -> dict[str, bytes]:
    """What a server finds and could hand out after its start on that data directory: files by SOP Instance UID.

    Raises where a row has no whole file.
    """
    recover(store.archive, store.index, store.mover, store.describe, lambda done, total: None, store.log)
    store.mover.start()
    assert store.mover.flush()
    found = {}
    for row in store.index.select():
        try:
            store.archive.verify(row)
        except (InstanceDamaged, InstanceMissing) as fault:
            raise AssertionError(f"{row.sop_instance_uid}: {fault}") from fault
        found[row.sop_instance_uid] = store.final_path(
            row.sop_instance_uid, row.study_instance_uid, row.series_instance_uid).read_bytes()
    return found


def flip(path: Path, at: int = -1) -> None:
    """One bit of a file."""
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

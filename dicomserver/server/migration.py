"""Moves the index of an archive to another place or engine; the server may run while most of it is copied.

Whenever it is cut short, the archive has its old index still, and the next run goes on with the new one. The moment at
which the archive's index becomes another one is the moment at which the archive's note says so.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from dicomserver.archive.archive import Archive
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveLocked
from dicomserver.archive.index_record import IndexRecord, read_record
from dicomserver.archive.layout import wait_for_lock
from dicomserver.index import (
    Counts,
    IndexDamaged,
    IndexUnavailable,
    Passed,
    Source,
    Target,
    begin_copy,
    open_source,
    open_target,
    run_pass,
    without_password,
)
from dicomserver.server.archive_index import check_identity, check_index
from dicomserver.server.server import Rooms
from dicomserver.server.settings import ServerSettings

Progress = Callable[[str, int, int], None]
"""What is done, how many rows were read, and how many there are; may raise to end the work."""

_COPY, _COMPARE = "copy", "compare"
_MOST_PASSES = 5    # nobody changes the source: the second one finds nothing to change


class Migration:
    """settings: those of the server; its index goes to `url`. replace: whatever is there is of no worth."""

    def __init__(self, settings: ServerSettings, rooms: Rooms, url: str, *, replace: bool, progress: Progress) -> None:
        self._settings = settings
        self._rooms = rooms
        self._url = url
        self._replace = replace
        self._progress = progress

    def run(self, on_waiting: Callable[[], None]) -> Counts:
        """What the new index has, which is the archive's then. on_waiting: is called when a server runs and all is
        copied that can be before somebody stops it; for that it waits.

        Raises WrongIndex, IndexFault, ArchiveError, OSError, and what `progress` raises.
        """
        try:
            archive = self._rooms.open_archive(self._settings)
        except ArchiveLocked:
            self._copy_beside_server()
            on_waiting()
            archive = self._archive_when_free()
        with closing(archive):
            return self._finish(archive)

    def _copy_beside_server(self) -> None:
        with closing(open_source(self._settings.index_url())) as source:
            with Folder(str(self._settings.data_directory), follow=True) as root:
                check_identity(read_record(root), source.identity, without_password(self._settings.index_url()))
            with closing(self._target_for(source)) as target:
                self._pass(_COPY, source, target)
                target.prepare()
                # What came while so much was copied; the rest is little, for it is soon read.
                self._pass(_COMPARE, source, target)

    def _archive_when_free(self) -> Archive:
        while True:
            wait_for_lock(self._settings.data_directory)
            try:
                return self._rooms.open_archive(self._settings)
            except ArchiveLocked:
                continue    # somebody was faster

    def _finish(self, archive: Archive) -> Counts:
        # Opened as a server does: an older one is brought to this version, and nobody else can use it.
        with closing(self._rooms.open_index(self._settings)) as index:
            check_index(archive, index, serves=False)
            if index.is_fresh:
                raise IndexUnavailable("the index does not know all files yet: start the server on it once")
            if archive.index_record() is None:      # it is of an earlier version; two indexes must not do for it
                archive.note_index(IndexRecord(index.identity, index.place))
            with (closing(open_source(self._settings.index_url())) as source,
                  closing(self._target_for(source)) as target):
                counts = self._make_equal(source, target)
                target.finish()
                archive.note_index(IndexRecord(target.identity, without_password(self._url)))
        return counts

    def _target_for(self, source: Source) -> Target:
        try:
            target = open_target(self._url)
        except IndexDamaged as error:
            raise IndexUnavailable(f"something else is at the new place: {error}") from None
        try:
            begin_copy(target, source, replace=self._replace)
        except BaseException:
            target.close()
            raise
        return target

    def _make_equal(self, source: Source, target: Target) -> Counts:
        what = _COPY
        for _ in range(_MOST_PASSES):
            passed = self._pass(what, source, target)
            if not passed.changes:
                return passed.counts
            target.prepare()
            what = _COMPARE
        raise IndexUnavailable("the new index does not become equal to the old one")

    def _pass(self, what: str, source: Source, target: Target) -> Passed:
        return run_pass(source, target, lambda done, total: self._progress(what, done, total))

"""What one of several nodes does when it starts, when it begins to lead, and when another one has died."""
from __future__ import annotations

import logging
import time

from dicomserver.archive.archive import Archive
from dicomserver.index import Index
from dicomserver.server.archive_index import check_index, is_noted, note_index
from dicomserver.server.commitments import Committer
from dicomserver.server.deletion import Deleter
from dicomserver.server.mover import Mover
from dicomserver.server.rebuild import Describe, Progress, fill_fresh
from dicomserver.server.recovery import RecoveryReport, recover_node
from dicomserver.server.trash import TrashKeeper

LOOK_SECONDS = 0.5


def join(archive: Archive, index: Index, mover: Mover, describe: Describe, progress: Progress,
         log: logging.Logger) -> RecoveryReport:
    """At a node's start: the index knows all files when this returns, and this node's intake is settled.

    Of several that start on a new index one fills it, and the others wait. Raises as recovery.recover does.
    """
    check_index(archive, index)
    report = None
    while index.look_whether_fresh() or not is_noted(archive, index):
        if index.nodes.lead():
            report = fill_fresh(index, archive, describe, progress, log)
            note_index(archive, index, log)
        else:
            progress(0, 0)
            time.sleep(LOOK_SECONDS)
    recovered = recover_node(archive, index, mover, describe, progress, log, index.nodes.number)
    recovered.filled = report
    return recovered


class Adoption:
    """What the leader is called for, by dicomserver.server.leadership. Raises ArchiveError, IndexFault, OSError."""

    def __init__(self, archive: Archive, index: Index, mover: Mover, committer: Committer, deleter: Deleter,
                 trash: TrashKeeper, describe: Describe, log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._mover = mover
        self._committer = committer
        self._deleter = deleter
        self._trash = trash
        self._describe = describe
        self._log = log

    def take_over(self) -> None:
        """Of what only the leader changes: it is read anew, and what was interrupted is ended.

        Files that wait in another node's intake are that one's still, or whoever adopts it ends their deletion.
        """
        with self._trash.lock:
            self._archive.take_over()
            self._deleter.take_over(self._archive.interrupted_deletions())
            self._deleter.finish_here()
            self._trash.take_over()
            self._trash.settle()

    def adopt(self, number: int) -> None:
        """What a node that does not run has left becomes ours."""
        recover_node(self._archive, self._index, self._mover, self._describe, lambda done, total: None, self._log,
                     number)
        self._committer.take_up(self._archive.commitments.adopt(number))

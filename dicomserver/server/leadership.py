"""Which of several nodes leads, what comes with it, and that what a dead one leaves behind is not left behind.

The leader has the Duties, answers the commands that change what all share, and adopts: it files what waits in the
intake of a node that does not run, and delivers its storage commitments. A node whose connection to the database has
broken does not lead any more; then another one does, within seconds.
"""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from typing import Protocol

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveError
from dicomserver.archive.nodes import ALONE
from dicomserver.index import Index, IndexFault, NodeFenced
from dicomserver.server.control import Command, CommandFailed, Progress
from dicomserver.server.duties import Duties
from dicomserver.server.logs import failure_text

LOOK_SECONDS = 2.0
# They change, or show, what only the leader knows.
OF_THE_LEADER = frozenset(("delete", "undelete", "trash", "retention", "keep", "unkeep", "kept", "conflicts.accept",
                           "conflicts.reject"))


class Heir(Protocol):
    """dicomserver.server.adoption has the real one."""

    def take_over(self) -> None: ...

    def adopt(self, number: int) -> None: ...


class Leadership:
    """One thread. heir: knows what to do when we begin to lead, before the duties begin, and with a node that does not
    run, when we have its locks. on_fenced: we were taken for dead."""

    def __init__(self, archive: Archive, index: Index, duties: Duties, heir: Heir, on_fenced: Callable[[], None],
                 log: logging.Logger) -> None:
        self._archive = archive
        self._nodes = index.nodes
        self._duties = duties
        self._heir = heir
        self._on_fenced = on_fenced
        self._log = log
        self._term = 0                      # in which the duties were begun; 0: they were not
        self._adopted: dict[int, bytes] = {}    # by node, of which of its starts nothing is left
        self._told: dict[int, str] = {}     # by node, what does not work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership")

    @property
    def leads(self) -> bool:
        """Whether we do, and are ready to."""
        return self._term > 0 and self._nodes.leads

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The duties end first."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._duties.stop()

    def figures(self) -> dict[str, object]:
        """For the statistics."""
        return {"node": self._nodes.number, "leader": self._leader()}

    def guarded(self, commands: Mapping[str, Command], names: Collection[str] = OF_THE_LEADER) -> dict[str, Command]:
        """The same, but those of the leader fail where another node leads; at their next progress, too."""
        return {name: self._only_leading(command) if name in names else command for name, command in commands.items()}

    def _only_leading(self, command: Command) -> Command:
        def guarded(args: dict, progress: Progress) -> dict:
            self._require()

            def progress_while_leading(report: dict) -> None:
                self._require()
                progress(report)
            return command(args, progress_while_leading)
        return guarded

    def _require(self) -> None:
        if not self.leads:
            leader = self._leader()
            who = f"node {leader}" if leader not in (None, self._nodes.number) else "another one"
            raise CommandFailed(f"node {self._nodes.number} does not lead: give this command to {who}")

    def _leader(self) -> int | None:
        """Who led last, as far as is known."""
        try:
            return self._archive.nodes.leader() or None
        except (ArchiveError, OSError):
            return None

    # The thread

    def _run(self) -> None:
        while self._look_once() and not self._stopping.wait(LOOK_SECONDS):
            pass

    def _look_once(self) -> bool:
        """-> whether to go on."""
        try:
            self._look()
        except NodeFenced as error:
            self._log.error("%s: this server ends, and may be started again", error)
            self._stand_down()
            self._on_fenced()
            return False
        except Exception as error:
            self._tell(self._nodes.number, "this node cannot lead now", error)
            self._stand_down()
        return True

    def _tell(self, number: int, what: str, error: Exception) -> None:
        """Once, as it is tried again and again."""
        text = str(error) if isinstance(error, (ArchiveError, IndexFault)) else failure_text(error)
        if self._told.get(number) != text:
            self._told[number] = text
            self._log.warning("%s: %s", what, text)

    def _look(self) -> None:
        term = self._nodes.lead()
        if term != self._term:
            self._stand_down()      # in between another one may have led
        if not term:
            return
        if not self._term:
            self._heir.take_over()
            self._adopted.clear()
            self._duties.start()
            self._term = term
            self._told.clear()
            self._log.info("node %d leads", self._nodes.number)
        for number in self._archive.nodes.others():
            if self._stopping.is_set():
                return
            try:
                self._look_after(number)
            except NodeFenced:
                raise
            except Exception as error:
                # Another one's intake that cannot be read must not keep us from leading.
                self._tell(number, f"node {number} cannot be looked after now", error)

    def _stand_down(self) -> None:
        if self._term:
            self._term = 0
            self._log.warning("node %d leads no more", self._nodes.number)
        self._duties.stop()

    def _look_after(self, number: int) -> None:
        with self._archive.nodes.locking(number) as is_locked:
            if not is_locked:
                return
            starts = self._archive.nodes.starts_of(number)
            if self._adopted.get(number) == starts:
                return
            # A server that is alone has no lock in the index that we could have beside ours.
            with nullcontext(True) if number == ALONE else self._nodes.adopting(number) as is_ours:
                if is_ours:
                    self._heir.adopt(number)
                    self._adopted[number] = starts

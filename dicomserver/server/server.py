"""The server's life: what starts after what, what stops before what, and what happens in between.

Start: doors bound (the port is ours) -> archive (lock, format) -> index -> recovery -> mover -> trash -> committer ->
duties, or the leadership that starts them -> pool -> control -> doors open. Stop, in the opposite direction: no new
commands -> doors closed -> associations end -> duties -> committer ends its own -> mover flushes -> index -> archive
(lock given back) -> whoever asked for the stop is told.
"""
from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveError
from dicomserver.archive.filing import Waiting
from dicomserver.index import Index, IndexFault
from dicomserver.server import (backup_commands, commands, deletion_commands, doors, forecast, import_commands,
                                logs, retention_commands, systemd)
from dicomserver.server.adoption import Adoption, join
from dicomserver.server.commitments import Committer
from dicomserver.server.conflicts import Conflicts, commands as conflict_commands
from dicomserver.server.control import Command, Control
from dicomserver.server.deletion import Deleter
from dicomserver.server.disputed import DisputedStudies
from dicomserver.server.duties import Duties
from dicomserver.server.housekeeping import Housekeeper
from dicomserver.server.leadership import Leadership
from dicomserver.server.lobby import Lobby, Request
from dicomserver.server.logs import failure_text
from dicomserver.server.mover import Mover
from dicomserver.server.pool import Association, AssociationPool
from dicomserver.server.quarantined import Quarantined
from dicomserver.server.rebuild import Describe
from dicomserver.server.recovery import RecoveryReport, recover
from dicomserver.server.retention import Retention
from dicomserver.server.scrub import Scrub
from dicomserver.server.settings import LogSettings, ServerSettings
from dicomserver.server.statistics import Statistics
from dicomserver.server.trash import TrashKeeper
from dicomserver.server.verification import Verifier
from dicomserver.services.commitment import Accept
from dicomserver.transcoding import decoding

_STOP, _HASTEN, _RELOAD, _STOPPED = "stop", "hasten", "reload", "stopped"
# A signal that comes just before the main thread begins to wait does not wake it, but is seen at the end of the wait.
_LOOK_SECONDS = 1.0


class StartInterrupted(Exception):
    """Somebody wanted the server to stop before it had started."""


class Reception(Protocol):
    """Makes associations of requests; dicomserver.server.reception has the real one."""

    def serve(self, request: Request) -> Association: ...

    def configure(self, settings: ServerSettings) -> None: ...

    def close(self) -> None: ...


class Rooms(Protocol):
    """The rooms below; dicomserver.server.rooms has the real ones."""

    describe: Describe

    def open_archive(self, settings: ServerSettings) -> Archive: ...

    def open_index(self, settings: ServerSettings) -> Index: ...

    def open_reception(self, settings: ServerSettings, archive: Archive, index: Index,
                       on_stored: Callable[[Waiting], None], accept: Accept, statistics: Statistics,
                       log: logging.Logger) -> Reception: ...


class Server:
    """read_settings: reads the settings anew, for a reload; raises commands.ReloadFailed with one clear line."""

    def __init__(self, settings: ServerSettings, rooms: Rooms, log: logging.Logger,
                 read_settings: Callable[[], ServerSettings] | None = None) -> None:
        self.settings = settings
        self.statistics = Statistics()
        self.port = settings.port       # the real one once started, where the settings say 0
        self._rooms = rooms
        self._log = log
        self._read_settings = read_settings
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()   # put() is safe in a signal handler
        self._stop_wanted = False
        self._steps: list[tuple[str, Callable[[], object]]] = []    # how to undo what started, the latest last
        self._pool: AssociationPool | None = None
        self._control: Control | None = None
        self._clean = True
        self._leadership: Leadership | None = None      # None: we are alone
        self._is_fenced = False     # another node has taken us for dead
        self._stopping = threading.Lock()
        self._reloading = threading.Lock()

    # -- for the command line: the whole life, on the main thread

    def run(self) -> int:
        """Starts, serves until somebody wants it to stop, stops. -> 0, or 1 if it did not stop cleanly.

        Raises what `start` raises. SIGTERM and SIGINT stop, the second ends the grace period; SIGHUP reloads.
        """
        former = {number: signal.signal(number, self._on_signal)
                  for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        try:
            try:
                self.start()
            except StartInterrupted:
                self._log.info("stopped before it had started")
                return 0
            self._watch()
            return 0 if self._clean else 1
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self._events.put(_RELOAD)
        else:
            self._stop_wanted = True
            self._events.put(_STOP)

    def _watch(self) -> None:
        interval = min(systemd.watchdog_seconds() or _LOOK_SECONDS, _LOOK_SECONDS)
        stopper: threading.Thread | None = None
        while True:
            try:
                event = self._events.get(timeout=interval)
            except queue.Empty:
                decoding.forget_ended()
                if stopper is not None or self.healthy:
                    systemd.notify("WATCHDOG=1")
                continue
            if event == _STOPPED:
                break
            if event == _RELOAD and stopper is None:
                self._reload_and_log()
            elif event == _STOP and stopper is None:
                stopper = threading.Thread(target=self._stop_and_tell, name="stopper")
                stopper.start()
            elif event == _STOP:
                self.hasten()
        stopper.join()

    def _stop_and_tell(self) -> None:
        try:
            self._clean = self.stop() and not self._is_fenced
        finally:
            self._events.put(_STOPPED)

    def _reload_and_log(self) -> None:
        try:
            self.reload()
        except commands.ReloadFailed as error:
            self._log.error("the settings stay as they were: %s", error)

    # -- the life in steps; `run` uses these, tests and other programs may

    def start(self) -> RecoveryReport:
        """When it returns, the server serves. When it raises, nothing is left of it.

        Raises PortInUse, BindError, ArchiveUnusable and its kinds, other ArchiveError, IndexFault, WrongIndex,
        ControlUnavailable, StartInterrupted, OSError.
        """
        try:
            return self._start()
        except BaseException:
            self._unwind()
            self._finish()
            raise

    def _start(self) -> RecoveryReport:
        settings, log = self.settings, self._log
        entrance = doors.bind(settings.bind_address, settings.port)
        self._steps.append(("the port", lambda: [door.close() for door in entrance]))
        self.port = entrance[0].getsockname()[1]
        archive = self._opened("the archive", self._rooms.open_archive(settings))
        index = self._opened("the index", self._rooms.open_index(settings))
        for warning in index.warnings:
            log.warning("%s", warning)
        mover = Mover(index, archive, settings.mover, log)
        begin = recover if index.nodes is None else join
        report = begin(archive, index, mover, self._rooms.describe, self._progress, log)
        self._steps.append(("the mover", mover.stop))
        mover.start()
        self._trash = TrashKeeper(archive, index, mover, self._rooms.describe, settings.trash_seconds, log)
        if index.nodes is None:
            self._settle_trash()
        committer = Committer(index, archive, settings, log)
        self._steps.append(("the storage commitments", committer.stop))
        committer.start()
        self._reception = self._opened("the reception", self._rooms.open_reception(
            settings, archive, index, mover.add, committer.accept, self.statistics, log))
        self._mover, self._committer = mover, committer
        deleter = Deleter(archive, index, mover, self._trash, log)
        if index.nodes is None:
            deleter.take_over(archive.interrupted_deletions())      # what recovery could not finish
        self._retention = Retention(archive, index, deleter, self._trash, settings.retention, log)
        self._begin_duties(archive, index, deleter)
        conflicts = Conflicts(Quarantined(archive, index, mover, deleter, self._rooms.describe, log),
                              DisputedStudies(index, log))
        table = commands.table(
            self.statistics, Verifier(archive, index, log), self.reload, deletion_commands.table(deleter, self._trash),
            retention_commands.table(archive, index, self._retention), backup_commands.table(archive, index, settings),
            conflict_commands(conflicts),
            import_commands.table(archive, index, mover.add, lambda: self.settings, log))
        self._serve(entrance, table if self._leadership is None else self._leadership.guarded(table))
        commands.watch(self.statistics, archive, index, mover, self._lobby, self._pool)
        self.statistics.add_source(committer.figures)
        self.statistics.add_source(self._duties.figures)
        self.statistics.add_source(lambda: forecast.figures(index, archive))
        self.statistics.add_source(conflicts.figures)
        self._say_ready(index)
        return report

    def _settle_trash(self) -> None:
        try:
            with self._trash.lock:
                self._trash.settle()
        except (ArchiveError, IndexFault) as error:
            # Images can be received and found all the same.
            self._log.error("what was interrupted in the trash is not ended yet: %s", error)

    def _begin_duties(self, archive: Archive, index: Index, deleter: Deleter) -> None:
        log, describe = self._log, self._rooms.describe
        housekeeping = [("finishing deletions", deleter.keep_house), ("emptying the trash", self._trash.keep_house),
                        ("the retention rule", self._retention.keep_house)]
        self._duties = Duties(lambda: Scrub(archive, index, describe, self.settings.scrub, log),
                              lambda: Housekeeper(housekeeping, log))
        if index.nodes is None:
            self._steps.append(("the duties", self._duties.stop))
            self._duties.start()
            return
        heir = Adoption(archive, index, self._mover, self._committer, deleter, self._trash, describe, log)
        self._leadership = Leadership(archive, index, self._duties, heir, self._on_fenced, log)
        self._steps.append(("the leadership", self._leadership.stop))
        self._leadership.start()
        self.statistics.add_source(self._leadership.figures)

    def _on_fenced(self) -> None:
        self._is_fenced = True
        self.stop_soon()

    def _opened(self, name: str, room):
        self._steps.append((name, room.close))
        return room

    def _serve(self, entrance: list, table: dict[str, Command]) -> None:
        settings, log = self.settings, self._log
        self._pool = AssociationPool(settings.max_concurrent_connections, self._reception.serve, log)
        self._steps.append(("the associations", lambda: self._pool.stop(self.settings.grace_seconds)))
        self._control = Control(self.port, table, self.stop_soon, log, settings.control_directory)
        self._lobby = Lobby(entrance, self._pool.admit, settings.lobby, self.statistics, log)
        self._steps.append(("the listener", self._lobby.stop))
        self._steps.append(("the control socket", self._control.close))
        self._control.start()
        doors.listen(entrance)
        self._pool.start(self._lobby)

    def _progress(self, done: int, total: int) -> None:
        if self._stop_wanted:
            raise StartInterrupted
        systemd.notify(f"STATUS=starting: {done} of {total} files\nEXTEND_TIMEOUT_USEC=60000000")

    def _say_ready(self, index: Index) -> None:
        settings = self.settings
        engine = "in memory" if settings.index_url() == "memory:" else settings.index_url().partition(":")[0]
        self._log.info("ready: AE title %s, port %d, data directory %s, database %s, %d studies",
                       settings.ae_title, self.port, settings.data_directory.absolute(), engine,
                       index.study_count())
        systemd.notify("READY=1\nSTATUS=serving")

    def stop_soon(self) -> None:
        """From any thread, when `run` runs: stop."""
        self._stop_wanted = True
        self._events.put(_STOP)

    def hasten(self) -> None:
        """The grace period of a stop that is under way ends now."""
        if self._pool is not None:
            self._pool.hasten()

    def stop(self) -> bool:
        """Stops in order; -> whether every part did. Returns when all threads have ended; safe twice."""
        with self._stopping:
            systemd.notify("STOPPING=1")
            if self._steps:
                self._log.info("stopping")
            clean = self._unwind()
            if self._finish():
                self._log.info("stopped")
            return clean

    def _unwind(self) -> bool:
        clean = True
        while self._steps:
            name, undo = self._steps.pop()
            try:
                clean = undo() is not False and clean
            except Exception as error:
                # What comes behind must be stopped all the same: the lock, above all.
                self._log.error("stopping %s failed: %s", name, failure_text(error))
                clean = False
        return clean

    def _finish(self) -> bool:
        control, self._control = self._control, None
        if control is not None:
            control.finish()
        return control is not None

    @property
    def healthy(self) -> bool:
        """Whether the threads that everything depends on are alive."""
        parts = [self._pool, self._mover, self._committer, self._duties]
        return all(part.alive for part in (*parts, *filter(None, [self._leadership])))

    def reload(self) -> bool:
        """Takes over what can change while running; -> whether something else changed, which needs a restart.

        Raises ReloadFailed; then nothing is changed.
        """
        if self._read_settings is None:
            raise commands.ReloadFailed("there is nothing to read settings from")
        with self._reloading:
            new = self._read_settings()
            kept = commands.keep_fixed(self.settings, new)
            if kept.log != self.settings.log:
                _set_up_log(kept.log)
            self._reception.configure(kept)
            self._committer.configure(kept)
            self._trash.seconds = kept.trash_seconds
            self._retention.settings = kept.retention
            self._pool.configure(kept.max_concurrent_connections)
            self._lobby.configure(kept.lobby)
            self.settings = kept
        later = new.fixed() != kept.fixed()
        self._log.info("settings reloaded%s", "; some changes need a restart" if later else "")
        return later


def _set_up_log(settings: LogSettings) -> None:
    try:
        logs.set_up(settings)
    except OSError as error:
        raise commands.ReloadFailed(f"the log file cannot be opened: {error.strerror}") from error

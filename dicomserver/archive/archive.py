"""The one door to the files: everything that floors above may do with the archive."""
from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from dicomserver.archive import reading, recovery, walking
from dicomserver.archive.adopting import Adopting
from dicomserver.archive.claims import Claims
from dicomserver.archive.commitments import Commitments
from dicomserver.archive.deletion import Deletion, Deletions, StoredFile
from dicomserver.archive.durable import OPEN_FILE, Folder, status_of, unnamed_file
from dicomserver.archive.errors import IntakeFailed, IntakeFull, QuarantineFailed, StorageFailed, translated
from dicomserver.archive.filing import Filing, Outcome, Waiting
from dicomserver.archive.folders import Folders
from dicomserver.archive.index_record import IndexRecord, read_record, write_record
from dicomserver.archive.intake import Intake, Limits, Slot
from dicomserver.archive.keeping import KeptStudies
from dicomserver.archive.layout import DataDirectory, slot_name
from dicomserver.archive.nodes import ALONE, Nodes, node_of
from dicomserver.archive.quarantine import Quarantine
from dicomserver.archive.recovery import Found, RowsOf
from dicomserver.archive.repeats import Repeats
from dicomserver.archive.replacing import Replacing
from dicomserver.archive.space import DEFAULT_RESERVE, LastRoom, Space
from dicomserver.archive.tombstones import Label, Tombstones
from dicomserver.archive.trash import Trash
from dicomserver.wire.meta import FileMeta


class Archive:
    """An open data directory. Every method may be called from any thread unless it says otherwise.

    At a start, in this order: for each of `interrupted_deletions`, remove its rows and finish it; then
    `examine_intake`; then serve.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits = Limits(),
                 reserve: int = DEFAULT_RESERVE, node: int = ALONE) -> None:
        """Opens, and makes if missing, the data directory, and locks it for this process; as one of several `node`s it
        shares it with others.

        `reserve` bytes of the file system are left to the index. Raise RLIMIT_NOFILE first: the stock of open
        slots follows it. Raises ArchiveUnusable and its kinds.
        """
        directory = DataDirectory(path, node)
        try:
            self._directory = directory
            self._tombstones = Tombstones(directory.tombstones, is_shared=directory.is_shared)
            self.trash = Trash(directory)
            self.kept = KeptStudies(directory.root)
            self.quarantine = Quarantine(directory.quarantine)
            self._folders = Folders(directory.root, is_shared=directory.is_shared)
            self._lock = threading.Lock()
            self._filing = Filing(directory, self._folders, self.quarantine, self._tombstones, self.trash)
            self._space = Space(directory.root, reserve)
            self._intake = Intake(directory, limits)
            self._deletions = Deletions(directory, self._folders, self.quarantine, self._tombstones, self.trash,
                                        self._lock, self._intake.gone)
        except BaseException:
            directory.close()
            raise
        self.path = directory.path
        self.last_room = LastRoom(directory.root)
        self.claims = Claims()
        self.repeats = Repeats()
        self._left: dict[int, tuple[str, Mapping[str, str | int]]] = {}     # slots that could not be set aside, and why
        self.adopting = Adopting(directory)
        self.commitments = (Commitments(directory.root, node, directory.first_number()) if node
                            else Commitments(directory.root))
        self.replacing = Replacing(directory, self.quarantine, self._lock)

    def close(self) -> None:
        """Removes the unused slots and gives the lock back; nobody may be inside. Safe to call twice."""
        self._intake.close()
        self.commitments.close()
        with self._lock:
            self._folders.close()
        self._directory.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- receiving

    def take(self) -> Slot:
        """A slot for a new instance; the caller owes it to one of `keep`, `discard` and `set_aside`.

        Microseconds when there is stock; else waits for it, or for the mover, up to the limits' patience.
        Raises IntakeError: IntakeFull (also when only the reserve is left), IntakeBusy, IntakeRefused,
        IntakeFailed.
        """
        try:
            is_short = self._space.is_short()
        except OSError as error:
            raise IntakeFailed(f"free space is not known: {os.strerror(error.errno or errno.EIO)}") from error
        if is_short:
            raise IntakeFull("only the reserve of free space is left")
        return self._intake.take()

    def keep(self, slot: Slot, file_length: int) -> None:
        """The slot is durable and its row exists: closes it; from now on it waits for `file_batch`, in any case.

        Raises StorageFailed where closing reports, late, that writing failed.
        """
        self._intake.keep(slot, file_length)

    def discard(self, slot: Slot | int, *, durably: bool = False) -> None:
        """The slot was not acknowledged, or held what is stored already: closes and removes it.

        durably: a complete slot must not come back after a power cut, when its instance may have been sent again.
        Recovery gives the number of a slot that it found. Raises StorageFailed.
        """
        self._intake.discard(slot, durably=durably)

    def adopt(self, found: Found) -> None:
        """Counts a whole slot that recovery found as waiting for `file_batch`."""
        self._intake.adopt(found.slot, found.file_length)

    # -- moving

    def file_batch(self, batch: Sequence[Waiting]) -> list[Outcome]:
        """Gives instances their final names, durably, and removes their slots; their rows must be durable.

        One caller at a time makes sense; deletions wait. An outcome for each, in any order; BLOCKED ones keep their
        slots, which are not counted as waiting any more: they would keep new ones out. Raises FilingFailed or
        QuarantineFailed: nothing is lost, the same batch may be given again.
        """
        with self._lock:
            outcomes = self._filing.file_batch(batch)
        self._intake.gone(waiting.slot for waiting in batch)
        return outcomes

    def refuse(self, reason: str) -> None:
        """The mover cannot move: `take` raises IntakeRefused until `resume`."""
        self._intake.refuse(reason)

    def resume(self) -> None:
        """The mover moves again."""
        self._intake.resume()

    @property
    def waiting(self) -> tuple[int, int]:
        """Slots and bytes kept and not yet filed."""
        return self._intake.waiting

    # -- reading

    def open_instance(self, slot: int, study_instance_uid: str, series_instance_uid: str,
                      sop_instance_uid: str) -> int:
        """A descriptor, the caller's to close, of the file of exactly that slot and SOP Instance UID.

        Header and length are verified, the dataset's checksum is not. Raises InstanceMissing,
        InstanceDamaged, InvalidUid, OSError.
        """
        return reading.open_instance(self._directory, slot, study_instance_uid, series_instance_uid,
                                     sop_instance_uid)

    def verify(self, stored: reading.StoredInstance) -> None:
        """Reads a stored instance anew, from the disk and to its end, and compares it with what its row says.

        Raises InstanceMissing, InstanceDamaged, InvalidUid, OSError.
        """
        reading.verify(self._directory, stored)

    def digest(self, stored: reading.StoredInstance, on_read: Callable[[int], None]) -> bytes:
        """The same, and the SHA-256 of the file; see reading.digest."""
        return reading.digest(self._directory, stored, on_read)

    def is_same(self, newcomer: Slot | Found, there: reading.StoredInstance) -> bool:
        """Whether a complete slot has the dataset of a stored instance, every byte, in the same transfer syntax.

        Raises InstanceMissing or InstanceDamaged where one of the two cannot be read, OSError.
        """
        with self._folder_of(newcomer) as (folder, name):
            fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
        try:
            return reading.holds(self._directory, fd, there)
        finally:
            os.close(fd)

    def is_set_aside(self, newcomer: Slot, name: str) -> bool:
        """Whether the file of that name in quarantine/ has the dataset of a complete slot, every byte, in the same
        transfer syntax. Raises InstanceMissing, InstanceDamaged, OSError."""
        with self._folder_of(newcomer) as (folder, slot), ExitStack() as opened:
            ours = os.open(slot, OPEN_FILE, dir_fd=folder.fd)
            opened.callback(os.close, ours)
            theirs = self.quarantine.open(name)
            opened.callback(os.close, theirs)
            return reading.same_dataset(ours, theirs)

    def is_same_dataset(self, fd: int, meta: FileMeta, there: reading.StoredInstance) -> bool:
        """The same of a file that is no slot yet, whose meta header is `meta`. Raises the same."""
        return reading.holds_dataset(self._directory, fd, meta, there)

    def open_scratch(self) -> tuple[int, int]:
        """An empty file without a name, the caller's to close, and how many bytes it may grow to without touching the
        reserve; for what is made of an instance on its way out. Raises OSError."""
        return unnamed_file(self._directory.intake), self.room()

    @property
    def is_short(self) -> bool:
        """Whether only the reserve of free space is left."""
        return self._space.is_short()

    @property
    def reserve(self) -> int:
        """Bytes of the file system that are left to the index and the mover."""
        return self._space.reserve

    def room(self) -> int:
        """Bytes that may still come before only the reserve is left; as old as `free_space`."""
        return max(0, self._space.free() - self._space.reserve)

    def free_space(self) -> int:
        """Bytes left on the file system, the reserve included; at most about a second old."""
        return self._space.free()

    def total_space(self) -> int:
        """Bytes of the whole file system that an ordinary user may have."""
        return self._space.total()

    # -- setting aside and deleting

    def set_aside(self, source: Slot | Found | int, reason: str, details: Mapping[str, str | int]) -> str:
        """Moves a taken slot, what recovery or a walk found, or a slot by its number into quarantine/.

        Returns its name there, under which <name>.json holds the reason. A Slot is closed in any case.
        Raises QuarantineFailed; the file is then where it was.
        """
        try:
            with translated(QuarantineFailed, "setting a file aside"):
                if isinstance(source, Slot):
                    self._intake.release(source)
                with self._folder_of(source) as (folder, name):
                    base = self.quarantine.set_aside(folder, name, reason, details)
        except QuarantineFailed:
            if isinstance(source, Slot):
                self._left[source.number] = reason, details
            raise
        if isinstance(source, int):
            self._intake.gone([source])
        return base

    def _set_aside_left(self, uids: Collection[str]) -> None:
        """Once more what was refused under these UIDs and could not be set aside: at the next start it would be stored,
        if what is stored now is deleted, and before what is stored next. Raises QuarantineFailed."""
        for slot, (reason, details) in list(self._left.items()):
            if details.get("sop_instance_uid") in uids:
                if status_of(slot_name(slot), self._directory.intakes.of(slot)) is not None:
                    self.set_aside(slot, reason, details)
                self._left.pop(slot, None)

    def keep_aside(self, found: Found, reason: str, details: Mapping[str, str | int]) -> str:
        """Gives what recovery found that name in quarantine/, durably, but leaves it where it is, too: `set_aside` ends
        at the same name. Raises QuarantineFailed."""
        with translated(QuarantineFailed, "setting a file aside"), self._folder_of(found) as (folder, name):
            return self.quarantine.keep(folder, name, reason, details)

    def set_aside_stray(self, found: Found, reason: str, details: Mapping[str, str | int]) -> str | None:
        """The same with what `walk_unknown` has found. None: it has gone, and its name may be another file's now.

        Raises QuarantineFailed.
        """
        with self._lock, translated(QuarantineFailed, "setting a file aside"):     # nothing is filed meanwhile
            try:
                with self._folder_of(found) as (folder, name):
                    if os.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_ino != found.inode:
                        return None
                    return self.quarantine.set_aside(folder, name, reason, details)
            except FileNotFoundError:
                return None

    def quarantined(self) -> int:
        """How many files lie in quarantine/."""
        return self.quarantine.count()

    def begin_delete(self, files: Iterable[StoredFile], label: Label | None = None) -> Deletion:
        """Makes the intention durable; remove the rows next, then call `finish`. Some thousands at a time.

        label: of `trash.labels`, if they are to lie in the trash. Raises DeletionFailed, QuarantineFailed, InvalidUid:
        nothing has begun, unless `is_being_deleted` says so; then the next start decides.
        """
        files = list(files)
        if self._left:
            self._set_aside_left({file.sop_instance_uid for file in files})
        return self._deletions.begin(files, label)

    def interrupted_deletions(self) -> list[Deletion]:
        """Deletions that an earlier process began: remove their rows, then `finish` each."""
        return self._deletions.interrupted()

    def is_being_deleted(self, slot: int) -> bool:
        """Whether the deletion of what was received in that slot has begun and is not finished; nanoseconds.

        Its row may still be there, but it goes: nothing may be promised on its account.
        """
        return self._tombstones.cover_slot(slot)

    @contextmanager
    def _folder_of(self, source: Slot | Found | int) -> Iterator[tuple[Folder, str]]:
        if isinstance(source, Found):
            *folders, name = source.name.split("/")
            with ExitStack() as opened:
                folder = self._directory.root
                for step in folders:
                    folder = opened.enter_context(Folder(step, folder))
                yield folder, name
        else:
            slot = source if isinstance(source, int) else source.number
            yield self._directory.intakes.of(slot), slot_name(slot)

    def identity(self) -> str:
        """Of this archive, for ever the same, by which backups know it; made when it is first asked for.

        Raises StorageFailed, ArchiveDamaged.
        """
        with self._lock, translated(StorageFailed, "reading the archive's identity"):
            return self._directory.identity()

    def index_record(self) -> IndexRecord | None:
        """Which index knows all that is in here. Raises ArchiveDamaged, StorageFailed."""
        return read_record(self._directory.root)

    def note_index(self, record: IndexRecord) -> None:
        """From now on it is that one; durable when this returns. Raises StorageFailed."""
        write_record(self._directory.root, record)

    # -- several nodes

    @property
    def nodes(self) -> Nodes | None:
        """The other servers on this data directory; None: we are alone."""
        return self._directory.nodes

    def intake_numbers(self) -> list[int]:
        """The nodes whose intakes there are, our own first."""
        return self._directory.intakes.numbers()

    def nodes_with(self, files: Iterable[StoredFile]) -> set[int]:
        """In whose intakes some of these files still wait."""
        with translated(StorageFailed, "looking into the intakes"):
            return {node_of(file.slot) for file in files
                    if status_of(slot_name(file.slot), self._directory.intakes.of(file.slot)) is not None}

    def wait_elsewhere(self, files: Iterable[StoredFile]) -> bool:
        """Whether some of these files wait in the intake of another node."""
        return self._directory.is_shared and bool(self.nodes_with(files) - {self._directory.node})

    def take_over(self) -> None:
        """We lead from now on: what only the leader writes is read anew. Raises StorageFailed, ArchiveDamaged."""
        with translated(StorageFailed, "taking over"):
            term = self._directory.nodes.begin_term(self.trash.last_term)
            self._tombstones.take_over(term)
            self.trash.take_over(term)
            self.kept.read()

    # -- starting

    def examine_intake(self, rows_of: RowsOf = lambda slots: {}, node: int | None = None) -> Iterator[Found]:
        """See recovery.examine_intake."""
        return recovery.examine_intake(self._directory, self._tombstones, rows_of, node)

    def count_instances(self) -> int:
        """How many files `walk_instances` will look at."""
        return walking.count_instances(self._directory)

    def walk_instances(self, *, whole: bool = False) -> Iterator[Found]:
        """See walking.walk_instances."""
        return walking.walk_instances(self._directory, self._tombstones, whole=whole)

    def walk_unknown(self, is_known: Callable[[str, str, str], bool]) -> Iterator[Found]:
        """See walking.walk_unknown."""
        return walking.walk_unknown(self._directory, self._tombstones, is_known)

    def make_found_durable(self, found: Found) -> bool:
        """See walking.make_found_durable."""
        return walking.make_found_durable(self._directory, found)

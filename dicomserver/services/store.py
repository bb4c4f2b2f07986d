"""Storage: C-STORE (PS3.4 Annex B, PS3.7 9.1.1).

Success leaves only when the instance would survive a power cut: its slot is synced and its row committed; the mover
makes the row durable before the slot goes, and until then recovery would index the slot again.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import ArchiveError, InstanceMissing, IntakeError, StorageFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.intake import Slot
from dicomserver.archive.quarantine import Kind
from dicomserver.archive.writer import DatasetWriter, IdentityMismatch
from dicomserver.index import Index, IndexFault, Instance, OutcomeUnknown, Stored
from dicomserver.services.describe import ScanLimits, describe, received_text, scanner_for
from dicomserver.services.inspection import Inspector
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.window import NotBegun
from dicomserver.standard import statuses
from dicomserver.standard.sop_classes import is_for_storage
from dicomserver.standard.uids import is_valid_uid
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import response_to
from dicomserver.wire.errors import DatasetError, WireError
from dicomserver.wire.part10 import encode_file_meta
from dicomserver.wire.scanner import DatasetScanner

CONFLICTING_INSTANCE = 0xC001      # ours among Cxxx: the SOP Instance UID is stored with other content
LARGEST_AROUND = 2 << 20    # bytes of a file whose sync the index may wait for: of a larger one others would notice it


class Refused(Exception):
    """A C-STORE that fails: its status and the Error Comment (0000,0902), which names no patient."""

    def __init__(self, status: int, comment: str):
        super().__init__(comment)
        self.status = status


class _Tools:
    """A writer, and a scanner for each transfer syntax, used for one instance after another of one association."""

    __slots__ = ("writer", "_scanners")

    def __init__(self, reserve: int) -> None:
        self.writer = DatasetWriter(reserve)
        self._scanners: dict[str, DatasetScanner] = {}

    def scanner(self, transfer_syntax: str, limits: ScanLimits) -> DatasetScanner:
        scanner = self._scanners.get(transfer_syntax)
        if scanner is None:
            scanner = self._scanners[transfer_syntax] = scanner_for(transfer_syntax, limits)
        return scanner


class StoreService:
    """Answers C-STORE-RQ on any number of associations at once.

    on_stored: told of each new instance in its slot; the mover's door.
    """

    def __init__(self, archive: Archive, index: Index, on_stored: Callable[[Waiting], None], log: logging.Logger,
                 limits: ScanLimits = ScanLimits()) -> None:
        self._archive = archive
        self._index = index
        self._on_stored = on_stored
        self._log = log
        self._limits = limits
        self._inspector = Inspector(archive, index, log)

    def store(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
        """Receives, keeps and indexes one instance; -> the status."""
        try:
            self._check(context, request)
            slot = self._take()
        except Refused as refused:
            return self._refuse(acceptor, context, request, refused)
        idle: list[_Tools] = acceptor.per_association.setdefault(_Tools, [])
        tools = idle.pop() if idle else _Tools(self._archive.reserve)
        try:
            complete = self._stream_in(acceptor, context, request, slot, tools)
            # Here, and not in `work`: who waits for the other one keeps none of the threads that all windows share.
            self._claim(request.affected_sop_instance_uid)
        except Refused as refused:
            self._discard(slot)
            tools.writer.give_up()
            idle.append(tools)
            return self._refuse(acceptor, context, request, refused)
        except BaseException:
            self._discard(slot)
            raise

        def work() -> CommandSet:
            try:
                self._store(slot, request.affected_sop_instance_uid, complete, tools.writer)
                return response_to(request, statuses.SUCCESS)
            except Refused as refused:
                return self._refusal(acceptor, request, refused)
            finally:
                tools.writer.give_up()      # where it was refused before it was completed
                idle.append(tools)
        try:
            return acceptor.answer(context, request, work)
        except NotBegun as error:
            self._discard(slot)
            self._archive.claims.give_back(request.affected_sop_instance_uid)
            tools.writer.give_up()
            idle.append(tools)
            return self._refuse(acceptor, context, request, Refused(statuses.REFUSED_OUT_OF_RESOURCES, str(error)))

    def _refuse(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
                refused: Refused) -> int:
        acceptor.association.stream.drain()
        acceptor.respond(context, self._refusal(acceptor, request, refused))
        return refused.status

    def _refusal(self, acceptor: AssociationAcceptor, request: CommandSet, refused: Refused) -> CommandSet:
        self._log.warning("C-STORE of %s refused with %04XH: %s", acceptor.calling_ae_title, refused.status, refused)
        return response_to(request, refused.status, error_comment=str(refused)[:64])

    def _claim(self, uid: str) -> None:
        try:
            self._archive.claims.take(uid)
        except ClaimTaken as error:
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, str(error)) from None

    def _store(self, slot: Slot, uid: str, complete: Callable[[bool], Instance], writer: DatasetWriter) -> None:
        """The claim on the UID is ours, and is over then."""
        try:
            self._store_alone(slot, complete, writer)
        finally:
            self._archive.claims.give_back(uid)

    def _store_alone(self, slot: Slot, complete: Callable[[bool], Instance], writer: DatasetWriter) -> None:
        """Nobody else completes an instance of this UID meanwhile. complete: makes the slot an instance, a durable one
        if it is told so; else the writer's `sync` does, while the index makes the row. Several share time anyway."""
        lone = self._archive.claims.is_lone and writer.file_length <= LARGEST_AROUND
        try:
            instance = complete(not lone)
        except BaseException:
            self._discard(slot, durably=True)
            raise
        there = self._add(slot, instance, writer.sync if lone else None)
        if there is None:
            self._keep(slot, instance)
        else:
            self._resolve_duplicate(slot, instance, there)

    def _keep(self, slot: Slot, instance: Instance) -> None:
        try:
            self._archive.keep(slot, instance.file_length)
        except StorageFailed as error:
            # It may not be whole, and has its row: the sender hears of no success, and may send it again.
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, str(error)) from None
        finally:
            self._on_stored(Waiting(slot.number, instance.study_instance_uid, instance.series_instance_uid,
                                    instance.sop_instance_uid, instance.file_length))
        self._log.debug("stored %s", instance.sop_instance_uid)

    def _check(self, context: AcceptedContext, request: CommandSet) -> None:
        """What can be said before a byte of the dataset was read."""
        if not request.has_dataset:
            raise Refused(statuses.CANNOT_UNDERSTAND, "the request has no dataset")
        if request.affected_sop_class_uid != context.abstract_syntax:
            raise Refused(statuses.SOP_CLASS_NOT_SUPPORTED, "SOP Class UID is not that of the presentation context")
        if not is_for_storage(context.abstract_syntax):
            raise Refused(statuses.SOP_CLASS_NOT_SUPPORTED, "SOP Class UID is not one of storage")
        if not context.as_scp:      # PS3.7 D.3.3.4: not an operation that was agreed on
            raise Refused(statuses.UNRECOGNISED_OPERATION, "the sender negotiated not to be the SCU of its SOP class")
        if not is_valid_uid(request.affected_sop_instance_uid or ""):
            raise Refused(statuses.INVALID_OBJECT_INSTANCE, "Affected SOP Instance UID is missing or no UID")

    def _take(self) -> Slot:
        try:
            return self._archive.take()
        except IntakeError as error:
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, str(error)) from None

    def _stream_in(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
                   slot: Slot, tools: _Tools) -> Callable[[bool], Instance]:
        """Receives the dataset into the slot; -> what makes it complete, durable if told so, and describes it, on any
        thread."""
        writer, scanner = tools.writer, tools.scanner(context.transfer_syntax, self._limits)
        received_at = time.time_ns() // 1000
        meta = encode_file_meta(context.abstract_syntax, request.affected_sop_instance_uid, context.transfer_syntax,
                                source_ae=acceptor.calling_ae_title, sending_ae=acceptor.calling_ae_title,
                                receiving_ae=acceptor.called_ae_title, received_at=received_text(received_at))
        try:
            writer.receive(acceptor.association.stream, scanner, slot.fd, meta,
                           request.affected_sop_class_uid.encode("ascii"),
                           request.affected_sop_instance_uid.encode("ascii"))
        except IdentityMismatch as error:
            raise Refused(statuses.DATASET_MISMATCH, str(error)) from None
        except DatasetError as error:
            raise Refused(statuses.CANNOT_UNDERSTAND, str(error)) from None
        except OSError as error:
            raise _disk_failed(error) from None

        def complete(durable: bool) -> Instance:
            try:
                received = writer.seal(slot.number, self._archive.claims.order(), durable)
            except OSError as error:
                raise _disk_failed(error) from None
            return describe(scanner, transfer_syntax_uid=context.transfer_syntax, slot=slot.number,
                            file_length=received.file_length, dataset_offset=received.dataset_offset,
                            checksum=received.checksum, received_at=received_at,
                            source_ae=acceptor.calling_ae_title, receiving_ae=acceptor.called_ae_title)
        return complete

    def _add(self, slot: Slot, instance: Instance, sync: Callable[[], None] | None = None) -> Stored | None:
        """Into the index; where that fails the slot is given back. sync: makes the slot durable, if it is not yet."""
        try:
            return self._index.add(instance, sync)
        except OutcomeUnknown as error:
            # Its row is there, or comes when the database does. Nobody was told so: the sender may send it again.
            self._keep(slot, instance)
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, f"the index is unavailable: {error}") from None
        except BaseException as error:
            self._discard(slot, durably=True)
            if isinstance(error, IndexFault):
                raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, f"the index is unavailable: {error}") from None
            if isinstance(error, WireError):
                raise Refused(statuses.CANNOT_UNDERSTAND, f"the index cannot read it: {error}") from None
            if isinstance(error, OSError):
                raise _disk_failed(error) from None
            raise

    def _resolve_duplicate(self, slot: Slot, instance: Instance, there: Stored) -> None:
        """The same SOP Instance UID again: the same bytes are welcome, others are set aside and refused."""
        try:
            if self._archive.is_being_deleted(there.slot):
                self._discard(slot, durably=True)
                raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, "the stored instance is being deleted")
            if self._archive.is_same(slot, there):
                self._discard(slot)
                self._settle_against(there, slot)
                return
            refusal = Refused(CONFLICTING_INSTANCE, "SOP Instance UID is stored with other content")
        except InstanceMissing:
            # Deleted in this moment: then its row has gone too, and this one is new.
            if self._add(slot, instance) is None:
                self._keep(slot, instance)
                return
            refusal = Refused(statuses.REFUSED_OUT_OF_RESOURCES, "the stored instance is not there")
        except (ArchiveError, OSError):
            # Then the newcomer may be all that is left of it.
            refusal = Refused(statuses.REFUSED_OUT_OF_RESOURCES, "the stored instance cannot be read")
        self._set_aside(slot, instance, refusal)
        self._settle_against(there, slot)
        # Other bytes may also mean that the stored ones have changed.
        self._inspector.suspect(there)
        raise refusal

    def _settle_against(self, there: Stored, slot: Slot) -> None:
        """The slot has left the intake on account of what is stored. A deletion of that which begins from now on makes
        this durable first; but of one that has begun before nobody else cares. Raises Refused."""
        if not self._stays(there):
            self._discard(slot.number, durably=True)
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, "the stored instance is being deleted")

    def _stays(self, there: Stored) -> bool:
        """Whether no deletion of it has begun, as far as is known."""
        try:
            if self._archive.is_being_deleted(there.slot):
                return False
            # Looked up last: a row goes before its tombstone does.
            now = self._index.find(there.sop_instance_uid)
        except (ArchiveError, IndexFault, OSError):
            return False
        return now is not None and now.slot == there.slot

    def _set_aside(self, slot: Slot, instance: Instance, refusal: Refused) -> None:
        if (name := self._set_aside_before(slot, instance)) is not None:
            self._discard(slot, durably=True)
            self._log.warning("a SOP Instance UID came again (%s); it is quarantine/%s already", refusal, name)
            return
        try:
            name = self._archive.set_aside(slot, str(refusal), {
                "kind": Kind.CONFLICT, "sop_instance_uid": instance.sop_instance_uid, "source_ae": instance.source_ae})
        except ArchiveError as error:
            raise Refused(statuses.REFUSED_OUT_OF_RESOURCES, str(error)) from error
        self._archive.repeats.note(instance.sop_instance_uid, instance.checksum, name)
        self._log.error("a SOP Instance UID came again (%s); the newcomer is quarantine/%s", refusal, name)

    def _set_aside_before(self, slot: Slot, instance: Instance) -> str | None:
        """The name under which the same bytes lie in quarantine/, as far as is remembered."""
        name = self._archive.repeats.find(instance.sop_instance_uid, instance.checksum)
        try:
            return name if name is not None and self._archive.is_set_aside(slot, name) else None
        except (ArchiveError, OSError):
            return None     # somebody has dealt with it, or it has become unreadable

    def _discard(self, slot: Slot | int, *, durably: bool = False) -> None:
        """Gives the slot back. Where that fails its name stays in the intake, and the next start removes it."""
        try:
            self._archive.discard(slot, durably=durably)
        except ArchiveError as error:
            self._log.error("a slot could not be removed: %s", error)


def _disk_failed(error: OSError) -> Refused:
    return Refused(statuses.REFUSED_OUT_OF_RESOURCES, f"writing failed: {os.strerror(error.errno)}")

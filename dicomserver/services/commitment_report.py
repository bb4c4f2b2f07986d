"""Storage commitment, push model: what became of a request, and the N-EVENT-REPORT that says so (PS3.4 J.3.3)."""
from __future__ import annotations

import logging
import struct
from array import array
from collections.abc import Callable, Sequence

from dicomserver.archive.archive import Archive
from dicomserver.archive.commitments import Reference
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.index import Index
from dicomserver.services.commitment import (
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    TRANSACTION_UID,
)
from dicomserver.services.inspection import Inspector
from dicomserver.standard import statuses
from dicomserver.standard.query import RETRIEVE_AE_TITLE
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import STORAGE_COMMITMENT_INSTANCE, STORAGE_COMMITMENT_PUSH_MODEL
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import DATA_SET_FOLLOWS, N_EVENT_REPORT_RQ
from dicomserver.wire.element import encode_element, encode_sequence

ALL_COMMITTED = 1       # Event Type ID
FAILURES_EXIST = 2
FAILED_SOP_SEQUENCE = 0x00081198
FAILURE_REASON = 0x00081197


class Interrupted(Exception):
    """Nobody wants the outcome any more."""


def check(index: Index, archive: Archive, references: Sequence[Reference], keep_going: Callable[[], bool],
          log: logging.Logger) -> array:
    """Of each reference 0 or its failure reason, as of now: every file is read to its end, and its checksum compared.

    keep_going: asked before each file. Raises Interrupted, IndexFault.
    """
    reasons = array("H")
    for reference in references:
        if not keep_going():
            raise Interrupted
        reasons.append(_reason(index, archive, reference, log))
    return reasons


def _reason(index: Index, archive: Archive, reference: Reference, log: logging.Logger) -> int:
    stored = index.find(reference.sop_instance_uid)
    if stored is None or archive.is_being_deleted(stored.slot):
        return statuses.NO_SUCH_SOP_INSTANCE
    if stored.sop_class_uid != reference.sop_class_uid:
        return statuses.CLASS_INSTANCE_CONFLICT
    try:
        archive.verify(stored)
    except InstanceMissing:
        Inspector(archive, index, log).suspect(stored)
        return statuses.NO_SUCH_SOP_INSTANCE
    except InstanceDamaged:
        Inspector(archive, index, log).suspect(stored)
        return statuses.PROCESSING_FAILURE
    except OSError as error:
        log.error("a stored instance cannot be read now: %s", error.strerror)
        return statuses.RESOURCE_LIMITATION
    return statuses.SUCCESS


def event_report(transaction_uid: str, references: Sequence[Reference], reasons: Sequence[int], ae_title: str,
                 transfer_syntax: str) -> tuple[CommandSet, bytes]:
    """The N-EVENT-REPORT-RQ, without a message id, and its event information. ae_title: ours, for retrievals."""
    how = encoding(transfer_syntax)

    def element(tag: int, vr: str, value: bytes) -> bytes:
        return encode_element(tag, vr, value, how.explicit, how.big_endian)

    def sequence(tag: int, items: list[bytes]) -> bytes:
        return encode_sequence(tag, items, how.explicit, how.big_endian) if items else b""

    committed, failed = [], []
    for reference, reason in zip(references, reasons, strict=True):
        item = (element(REFERENCED_SOP_CLASS_UID, "UI", reference.sop_class_uid.encode("ascii"))
                + element(REFERENCED_SOP_INSTANCE_UID, "UI", reference.sop_instance_uid.encode("ascii")))
        if reason:
            number = struct.pack(">H" if how.big_endian else "<H", reason)
            failed.append(item + element(FAILURE_REASON, "US", number))
        else:
            committed.append(item)
    information = (element(RETRIEVE_AE_TITLE, "AE", ae_title.encode("ascii"))
                   + element(TRANSACTION_UID, "UI", transaction_uid.encode("ascii"))
                   + sequence(FAILED_SOP_SEQUENCE, failed) + sequence(REFERENCED_SOP_SEQUENCE, committed))
    command = CommandSet(
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, command_field=N_EVENT_REPORT_RQ,
        command_data_set_type=DATA_SET_FOLLOWS, affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        event_type_id=FAILURES_EXIST if failed else ALL_COMMITTED)
    return command, information

"""N-ACTION by hand, well-formed and not, over the tests' own sender."""
from __future__ import annotations

import struct
from collections.abc import Iterable

from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import N_ACTION_RQ
from tests.interop.sender import Response, Sender

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CT, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def element(tag: int, value: bytes, vr: bytes = b"", order: str = "<") -> bytes:
    """vr: empty in implicit VR; SQ, or one with a short length."""
    value += b"\0" * (len(value) & 1)
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if vr == b"SQ":
        return head + b"SQ\0\0" + struct.pack(order + "I", len(value)) + value
    return head + (vr + struct.pack(order + "H", len(value)) if vr else struct.pack(order + "I", len(value))) + value


def action(transaction: str | None, references: Iterable[tuple[str, str]] | None, *, explicit: bool = False,
           order: str = "<") -> bytes:
    """Action information; None: without that attribute."""
    ui, sq = (b"UI", b"SQ") if explicit else (b"", b"")
    data = b"" if transaction is None else element(0x00081195, transaction.encode(), ui, order)
    if references is not None:
        items = [element(0x00081150, sop_class.encode(), ui, order) + element(0x00081155, uid.encode(), ui, order)
                 for sop_class, uid in references]
        data += element(0x00081199, b"".join(struct.pack(order + "HHI", 0xFFFE, 0xE000, len(one)) + one
                                             for one in items), sq, order)
    return data


def act(association: Sender, dataset: bytes | None, context_id: int = 1, **changes: object) -> Response:
    """Sends an N-ACTION-RQ; -> its response."""
    command = {"command_field": N_ACTION_RQ, "message_id": 7, "requested_sop_class_uid": PUSH_MODEL,
               "command_data_set_type": 0x0101 if dataset is None else 1,
               "requested_sop_instance_uid": WELL_KNOWN, "action_type_id": 1} | changes
    association.request(context_id, encode_command(CommandSet(**command)))
    if dataset is not None:
        association.send_dataset(context_id, dataset)
    return association.answer()

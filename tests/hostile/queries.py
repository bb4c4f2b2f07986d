"""C-FIND as a hostile peer sends it, put together byte by byte, and how its answers are counted."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_CANCEL_RQ, C_FIND_RQ, DATA_SET_FOLLOWS, NO_DATA_SET
from dicomserver.wire.pdata import encode_message
from tests.hostile.objects import PATIENT_NAME, STUDY, explicit
from tests.hostile.peer import (
    APPLICATION, COMMAND, LAST, SECONDARY_CAPTURE, STORE, VERIFICATION_CONTEXT, Peer, abstract, associate_rq, context,
    echo, item, p_data, pdv, pdvs_of, transfer, user_information,
)

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
FIND = 5                                # the presentation context id of `find_rq`
LEVEL, NAME, PATIENT_ID, DESCRIPTION, DATE = 0x00080052, 0x00100010, 0x00100020, 0x00081030, 0x00080020
PENDING = (0xFF00, 0xFF01)

SUCCESS, CANCELLED, MISMATCH, RESOURCES, NOT_THIS_CLASS = 0x0000, 0xFE00, 0xA900, 0xA700, 0x0122


def find_rq(transfer_syntax: str = EXPLICIT_VR_LE, calling: bytes = b"HOSTILE", maximum_length: int = 16384) -> bytes:
    """A good request for C-ECHO (context 1), C-STORE (context 3) and C-FIND in Study Root (context 5)."""
    return associate_rq(APPLICATION, VERIFICATION_CONTEXT,
                        context(STORE, abstract(SECONDARY_CAPTURE), transfer(EXPLICIT_VR_LE)),
                        context(FIND, abstract(STUDY_ROOT), transfer(transfer_syntax)),
                        user_information(item(0x51, struct.pack(">I", maximum_length))), calling=calling)


def find_command(message_id: int = 1, sop_class: str | None = STUDY_ROOT, priority: int | None = 0,
                 kind: int = DATA_SET_FOLLOWS) -> bytes:
    return encode_command(CommandSet(affected_sop_class_uid=sop_class, command_field=C_FIND_RQ, message_id=message_id,
                                     priority=priority, command_data_set_type=kind))


def find(identifier: bytes, message_id: int = 1, context_id: int = FIND, **command: object) -> bytes:
    """The PDUs of a whole request."""
    return encode_message(context_id, find_command(message_id, **command), identifier, 4096)


def cancel(message_id: int = 1, context_id: int = FIND) -> bytes:
    command = CommandSet(command_field=C_CANCEL_RQ, message_id_being_responded_to=message_id,
                         command_data_set_type=NO_DATA_SET)
    return p_data(pdv(context_id, COMMAND | LAST, encode_command(command)))


def level(name: bytes = b"STUDY", write: Callable[..., bytes] = explicit) -> bytes:
    return key(LEVEL, b"CS", name, write)


def key(tag: int, vr: bytes, value: bytes = b"", write: Callable[..., bytes] = explicit) -> bytes:
    """A key, padded to an even length."""
    return write(tag, vr, value + b" " * (len(value) % 2))


def identifier(*keys: bytes) -> bytes:
    """A query at STUDY level that names the patient who may never stand in the log; the keys behind his name."""
    return level() + key(NAME, b"PN", PATIENT_NAME) + b"".join(keys)


NOTHING = level() + explicit(STUDY, b"UI", b"9.9.9\0")     # matches nothing that is stored


def messages(peer: Peer) -> Iterator[tuple[CommandSet, bool]]:
    """The responses that come, each with its dataset taken away; -> the command set, whether it had one."""
    command, wanted = b"", 1
    response = None
    while True:
        answer = peer.receive()
        assert answer[:1] == b"\4", f"no message but {answer[:30].hex() or 'the end'}"
        for control, fragment in pdvs_of(answer):
            assert control & 1 == wanted, "a command where a dataset is due, or the other way round"
            command += fragment if wanted else b""
            if not control & LAST:
                continue
            if wanted:
                response, command = decode_command(command), b""
                wanted = 0 if response.command_data_set_type != NO_DATA_SET else 1
            else:
                wanted = 1
            if wanted:
                yield response, response.command_data_set_type != NO_DATA_SET


def answers(peer: Peer, message_id: int = 1) -> tuple[int, int]:
    """-> (number of matches, final status) of the query that is under way."""
    found = 0
    for response, with_identifier in messages(peer):
        assert response.message_id_being_responded_to == message_id
        if response.status not in PENDING:
            assert not with_identifier
            return found, response.status
        assert with_identifier
        found += 1
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Asked:
    """An identifier and what must come of its C-FIND.

    row: key of tests.hostile.rows. status: what is right. found: how many matches, None for any number.
    """

    row: str
    name: str
    identifier: bytes
    status: Callable[[int], bool]
    found: int | None = 0
    transfer_syntax: str = EXPLICIT_VR_LE


def run_query(server, case: Asked) -> None:
    """Sends the case's query; whatever comes of it, the association can be used afterwards."""
    with Peer(server.port) as peer:
        peer.associate(find_rq(case.transfer_syntax))
        peer.send(find(case.identifier))
        server.others_are_served()
        found, status = answers(peer)
        assert case.status(status), f"{status:04X}H"
        assert case.found in (None, found)
        peer.send(echo(2))
        assert peer.status() == 0
        peer.release()
    server.lines.expect(*([] if status == SUCCESS else [f"{status:04X}H"]), number=None)


def served(status: int) -> bool:
    """Answered to the end."""
    return status == SUCCESS


def mismatch(status: int) -> bool:
    return status == MISMATCH


def too_much(status: int) -> bool:
    """Beyond a limit."""
    return status in (RESOURCES, MISMATCH)


def not_understood(status: int) -> bool:
    """The identifier cannot be read, or does not fit."""
    return status >> 12 == 0xC or status in (MISMATCH, RESOURCES)


def either(status: int) -> bool:
    """Taken as what it may have meant, or refused."""
    return served(status) or not_understood(status)

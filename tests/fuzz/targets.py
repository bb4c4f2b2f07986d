"""What is fuzzed: each target with its corpus and the closed list of its exceptions.

A new decoder becomes a target by one more entry of TARGETS.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dicomserver.wire.command import decode_command, encode_command
from dicomserver.wire.errors import DatasetError, WireError
from dicomserver.wire.part10 import decode_file_meta, encode_file_meta
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from tests.fuzz import queries, transfer
from tests.wire.samples import COMMANDS, METAS, PDUS


@dataclass(frozen=True)
class Target:
    """`run` takes any bytes and returns, or raises one of `allowed`; all else is a finding."""

    run: Callable[[bytes], None]
    corpus: tuple[bytes, ...]
    allowed: tuple[type[Exception], ...] = (WireError,)


class RoundTripFailed(Exception):
    """What was read and written again does not read the same."""


def _same(read: object, again: object) -> None:
    if read != again:
        raise RoundTripFailed(f"{read!r} became {again!r}")


def association(data: bytes) -> None:
    """Any PDU."""
    pdu = decode_pdu(data)
    _same(pdu, decode_pdu(encode_pdu(pdu)))


def command(data: bytes) -> None:
    """A command set."""
    elements = decode_command(data)
    _same(elements, decode_command(encode_command(elements)))


def meta(data: bytes) -> None:
    """The begin of a file."""
    read = decode_file_meta(data)
    header = encode_file_meta(
        read.sop_class_uid, read.sop_instance_uid, read.transfer_syntax_uid, source_ae=read.source_ae,
        sending_ae=read.sending_ae, receiving_ae=read.receiving_ae, received_at=read.received_at)
    again = decode_file_meta(bytes(128) + b"DICM" + header)
    _same(replace(read, dataset_offset=0), replace(again, dataset_offset=0))


TARGETS: dict[str, Target] = {
    "association": Target(association, tuple(encode_pdu(pdu) for name, pdu in PDUS.items() if "128" not in name)),
    "command": Target(command, tuple(encode_command(elements) for elements in COMMANDS.values())),
    "identifier": Target(queries.identifier, queries.IDENTIFIERS),
    "meta": Target(meta, tuple(METAS.values())),
    "pdata": Target(transfer.pdata, transfer.STREAMS),
    "response": Target(queries.response, queries.BLOBS, (DatasetError,)),
    "scanner": Target(transfer.scanner, transfer.DATASETS),
}

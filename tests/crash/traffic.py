"""Instances and their sender: small images over one association, with our own codecs."""
from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from dicomserver.scu.requester import Requester
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose
from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_STORE_RQ

CT = "1.2.840.10008.5.1.4.1.1.2"
_ROOT = "1.2.826.0.1.3680043.9.7"
_HAS_DATASET = 1
_LONG = ("OB", "OW", "SQ", "UN", "UT")


@dataclass(frozen=True, slots=True)
class Sample:
    """An instance in one version of its content; `number` is the same in every version."""

    number: int
    study: str
    series: str
    uid: str
    dataset: bytes


def sample(number: int, study: int = 1, series: int = 1, octets: int = 2000, version: int = 0) -> Sample:
    """Always the same for the same arguments; UIDs have one length, so that none is part of another."""
    study_uid, series_uid = f"{_ROOT}.1{study:04d}", f"{_ROOT}.1{study:04d}.1{series:03d}"
    uid = f"{series_uid}.1{number:06d}"
    pixels = random.Random(f"{number} {version}").randbytes(octets)
    dataset = b"".join([
        _element(0x0008, 0x0016, "UI", CT), _element(0x0008, 0x0018, "UI", uid),
        _element(0x0008, 0x0020, "DA", "20260101"), _element(0x0008, 0x0060, "CS", "CT"),
        _element(0x0010, 0x0010, "PN", f"TEST^{study}"),
        _element(0x0010, 0x0020, "LO", f"P{study}"), _element(0x0020, 0x000D, "UI", study_uid),
        _element(0x0020, 0x000E, "UI", series_uid), _element(0x0020, 0x0013, "IS", str(number)),
        _element(0x7FE0, 0x0010, "OW", pixels)])
    return Sample(number, study_uid, series_uid, uid, dataset)


def _element(group: int, element: int, vr: str, value: str | bytes) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    if len(octets) % 2:
        octets += b"\0" if vr in ("UI", "OW") else b" "
    head = struct.pack("<HH", group, element) + vr.encode()
    length = struct.pack("<HI", 0, len(octets)) if vr in _LONG else struct.pack("<H", len(octets))
    return head + length + octets


class Sender:
    """One association; of one thread. Raises AssociationFailed when the server goes away."""

    def __init__(self, port: int) -> None:
        request = propose([(CT, (EXPLICIT_VR_LE,))], calling_ae_title="CRASH", called_ae_title="DICOMKIT_SCP")
        self._requester = Requester("127.0.0.1", port, request, deadlines=Deadlines(write=60), connect_timeout=60)
        self._context = self._requester.context_for(CT).context_id

    def store(self, one: Sample, message: int) -> int:
        """-> the status. `message` is the Message ID (0000,0110)."""
        self._requester.send(self._context, CommandSet(
            affected_sop_class_uid=CT, command_field=C_STORE_RQ, message_id=message, priority=0,
            command_data_set_type=_HAS_DATASET, affected_sop_instance_uid=one.uid), one.dataset)
        return self._requester.receive().command.status

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if kind is None:
            self._requester.release()
        else:
            self._requester.abort()

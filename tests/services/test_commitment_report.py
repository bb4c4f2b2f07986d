"""What is found of each reference, and the report as pydicom reads it."""
from __future__ import annotations

import logging
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomserver.archive.commitments import Reference
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.index import IndexUnavailable
from dicomserver.services.commitment_report import Interrupted, check, event_report
from dicomserver.wire.element import encode_element
from tests.interop.sender import Sender
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.services.commitments import BIG_ENDIAN, IMPLICIT, PUSH_MODEL, WELL_KNOWN
from tests.services.test_store import Faulty, failing

LOG = logging.getLogger("test.services")
MR = "1.2.840.10008.5.1.4.1.1.4"
SENT = [instance(1, number) for number in range(3)]
REFERENCES = [Reference(sent.sop_class, sent.sop_instance) for sent in SENT]


@pytest.fixture
def stored(provider):
    """The provider, with three instances."""
    with Sender(provider.port, [(CT, [EXPLICIT])]) as association:
        for sent in SENT:
            assert association.store(1, CT, sent.sop_instance, sent.dataset).status == 0
    return provider


def found(provider, references, **replaced) -> list[int]:
    return list(check(provider.index, Faulty(provider.archive, **replaced), references, lambda: True, LOG))


def test_whole_ones(stored) -> None:
    assert found(stored, REFERENCES) == [0, 0, 0]


def test_reasons(stored) -> None:
    slot = stored.index.find(SENT[2].sop_instance).slot
    references = [REFERENCES[0], Reference(MR, SENT[1].sop_instance), Reference(CT, "1.2.3.4"), REFERENCES[2]]
    assert found(stored, references, is_being_deleted=lambda one: one == slot) == [0, 0x0119, 0x0112, 0x0112]


@pytest.mark.parametrize("error, reason, said", [
    (InstanceMissing("gone"), 0x0112, "its file is missing"), (InstanceDamaged("a checksum"), 0x0110, "a checksum"),
    (OSError(24, "too many open files"), 0x0213, "cannot be read now")])
def test_files_that_fail(error: Exception, reason: int, said: str, stored, caplog: pytest.LogCaptureFixture) -> None:
    assert found(stored, REFERENCES[:1], verify=failing(error), digest=failing(error)) == [reason]
    assert said in caplog.text
    assert stored.index.integrity.count_faults() == (reason != 0x0213)


def test_one_that_is_deleted_meanwhile_is_no_error(stored, caplog: pytest.LogCaptureFixture) -> None:
    row = stored.index.find(SENT[0].sop_instance)

    def delete(_: object) -> None:
        stored.index.remove([row.sop_instance_uid], [row.slot])
        raise InstanceMissing("gone")
    assert found(stored, REFERENCES[:1], verify=delete, digest=failing(InstanceMissing("gone"))) == [0x0112]
    assert "ERROR" not in caplog.text


def test_an_index_that_fails_is_no_reason(stored) -> None:
    with pytest.raises(IndexUnavailable):
        check(Faulty(stored.index, find=failing(IndexUnavailable("no"))), stored.archive, REFERENCES, lambda: True, LOG)


def test_a_check_can_be_broken_off(stored) -> None:
    going = iter((True, False))
    with pytest.raises(Interrupted):
        check(stored.index, stored.archive, REFERENCES, lambda: next(going), LOG)


def read(information: bytes, syntax: str) -> Dataset:
    meta = encode_element(0x00020010, "UI", syntax.encode())
    head = bytes(128) + b"DICM" + encode_element(0x00020000, "UL", len(meta).to_bytes(4, "little")) + meta
    return dcmread(BytesIO(head + information))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("reasons, event_type", [([0, 0, 0], 1), ([0, 0x0112, 0x0110], 2), ([0x0213] * 3, 2)])
def test_the_report(syntax: str, reasons: list[int], event_type: int) -> None:
    command, information = event_report("1.2.77", REFERENCES, reasons, "US", syntax)
    assert (command.event_type_id, command.affected_sop_class_uid, command.affected_sop_instance_uid) == (
        event_type, PUSH_MODEL, WELL_KNOWN)
    dataset = read(information, syntax)
    assert (dataset.TransactionUID, dataset.RetrieveAETitle) == ("1.2.77", "US")
    assert [element.tag for element in dataset] == sorted(element.tag for element in dataset)
    committed = dataset.get("ReferencedSOPSequence")
    failed = dataset.get("FailedSOPSequence")
    expected = [one for one, reason in zip(REFERENCES, reasons) if not reason]
    assert (committed is not None) == bool(expected) and (failed is not None) == any(reasons)
    assert [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in committed or ()] == expected
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in failed or ()] == [
        (one.sop_instance_uid, reason) for one, reason in zip(REFERENCES, reasons) if reason]

"""Which SOP classes are for storage: pynetdicom's own lists agree."""
from __future__ import annotations

import pytest
from pynetdicom import sop_class

from dicomserver.standard.sop_classes import is_for_storage, is_private_uid, storage_sop_classes


def test_all_of_pynetdicom_are_there() -> None:
    assert set(sop_class._STORAGE_CLASSES.values()) <= storage_sop_classes()


@pytest.mark.parametrize("uid, what", [
    ("1.2.840.10008.5.1.4.1.1.2", "CT"),
    ("1.2.840.10008.5.1.4.1.1.3", "ultrasound multi-frame, retired"),
    ("1.2.840.10008.5.1.4.1.1.12.77", "retired, without a name"),
    ("1.2.840.10008.5.1.4.34.7", "RT beams delivery instruction"),
    ("1.2.840.10008.5.1.4.38.1", "hanging protocol"),
    ("1.2.840.10008.5.1.1.30", "hardcopy color, retired"),
])
def test_storage(uid: str, what: str) -> None:
    assert uid in storage_sop_classes(), what


@pytest.mark.parametrize("uid, what", [
    ("1.2.840.10008.1.3.10", "DICOMDIR"),
    ("1.2.840.10008.1.20.1", "storage commitment push"),
    ("1.2.840.10008.1.20.2", "storage commitment pull"),
    ("1.2.840.10008.1.1", "verification"),
    ("1.2.840.10008.5.1.4.1.2.2.1", "study root find"),
    ("1.2.840.10008.5.1.4.1.1.200.4", "protocol approval find"),
    ("1.2.840.10008.4.2", "storage service class"),
    ("1.2.840.10008.1.2", "a transfer syntax"),
])
def test_not_storage(uid: str, what: str) -> None:
    assert uid not in storage_sop_classes(), what


def test_no_storage_class_of_the_standard_is_private() -> None:
    assert not [uid for uid in storage_sop_classes() if is_private_uid(uid)]
    assert is_private_uid("1.2.840.113619.4.26")        # GE
    assert is_private_uid("1.2.840.1000.8")
    assert is_private_uid("")


def test_what_may_come_by_c_store() -> None:
    assert is_for_storage("1.2.840.10008.5.1.4.1.1.2")
    assert is_for_storage("1.2.840.113619.4.26")
    assert is_for_storage("1.2.840.10008.5.1.4.1.1.99999")      # newer than our dictionary
    assert not is_for_storage("1.2.840.10008.1.1")
    assert not is_for_storage("1.2.840.10008.1.20.1")

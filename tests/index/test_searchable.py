from __future__ import annotations

import pytest

from dicomserver.index.searchable import (
    Patient, Series, Study, instance_number_of, patient_of, series_of, study_of,
)
from dicomserver.wire.packed import Element, pack
from tests.index.samples import LATIN_1, packed


def test_columns_of_a_patient() -> None:
    raw = packed({0x00100010: b"B\xfcch^Eva ", 0x00100020: b" 42 ", 0x00100021: b"CLINIC",
                  0x00100030: b"19800102", 0x00100040: b"F "})
    assert patient_of(raw, LATIN_1) == Patient("42", "CLINIC", "Büch^Eva", "buch^eva", None, None, "buech^eva",
                                                "AF PK", "19800102", "F")
    assert patient_of(b"", b"") == Patient(None, "", *[None] * 8)


def test_columns_of_a_study() -> None:
    raw = packed({0x00080020: b"20240229", 0x00080030: b"101112", 0x00080050: b"A1", 0x00200010: b"7",
                  0x00080090: b"WHO^DOCTOR", 0x00081030: b"Abdomen"})
    assert study_of(raw, b"") == Study("20240229", "101112.000000", "A1", "7", "WHO^DOCTOR", "who^doctor", None, None,
                                       None, "A TKTR", "Abdomen", "abdomen")
    assert study_of(b"", b"") == Study(*[None] * 12)


def test_columns_of_a_series() -> None:
    raw = packed({0x00080060: b"CT", 0x00200011: b"3 ", 0x0008103E: b"Axial", 0x00180015: b"CHEST",
                  0x00400244: b"20240301", 0x00400245: b"07"})
    assert series_of(raw, b"") == Series("CT", 3, "Axial", "axial", "CHEST", "20240301", "070000.000000")
    assert series_of(b"", b"") == Series(*[None] * 7)


def test_elements_of_sequences_and_repetitions_do_not_count() -> None:
    raw = pack([
        Element(tag=0x00100020, sequence=0x00101002, item=0, vr="LO", value=b"OTHER"),
        Element(tag=0x00100020, sequence=0, item=0, vr="LO", value=b"FIRST"),
        Element(tag=0x00100020, sequence=0, item=0, vr="LO", value=b"SECOND"),
    ])
    assert patient_of(raw, b"").patient_id == "FIRST"


def test_finds_the_instance_number() -> None:
    nested = Element(tag=0x00200013, sequence=0x00081140, item=0, vr="IS", value=b"9")
    number = Element(tag=0x00200013, sequence=0, item=0, vr="IS", value=b"12 ")
    looks_like_it = b"\x13\0 \0\0\0\0\0IS\0\0\1\0\0\0" + b"5"
    other = Element(tag=0x00080018, sequence=0, item=0, vr="UI", value=looks_like_it)
    assert instance_number_of(pack([other, nested, number])) == 12
    assert instance_number_of(pack([other, nested])) is None
    assert instance_number_of(b"") is None


JOHN = Patient("1", "", "DOE^JOHN", "doe^john", None, None, None, "AN JN T", "19700131", "M")


@pytest.mark.parametrize(("change", "differs"), [
    ({}, False), ({"sex": "F"}, False), ({"name": "Doe^John^"}, False), ({"name": None}, False),
    ({"birth_date": None}, False), ({"issuer": "A"}, False), ({"name": "DOE^JON"}, True),
    ({"birth_date": "19700130"}, True), ({"patient_id": "2"}, True), ({"patient_id": None}, True),
])
def test_tells_patients_apart(change: dict[str, str | None], differs: bool) -> None:
    other = JOHN._replace(**change)
    assert JOHN.differs(other) is other.differs(JOHN) is differs


def test_two_issuers_are_two_patients() -> None:
    assert JOHN._replace(issuer="A").differs(JOHN._replace(issuer="B"))


def test_an_id_too_long_to_keep_is_none() -> None:
    for length, kept in ((1023, True), (1024, False), (1025, False)):
        assert (patient_of(packed({0x00100020: b"9" * length}), b"").patient_id is not None) is kept

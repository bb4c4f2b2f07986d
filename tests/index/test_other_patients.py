"""On every engine: which studies name several patients, until somebody says that this is right."""
from __future__ import annotations

import pytest

from dicomserver.index import Index, Person, Persons, open_index, rebuild_index
from dicomserver.index.other_patients import Disputed, person_of
from dicomserver.index.searchable import patient_of
from tests.index.samples import BIRTH_DATE, ISSUER, PATIENT_ID, PATIENT_NAME, make

JOHN = Person("P1", "", "DOE^JOHN", "19700131")
JANE = {PATIENT_NAME: b"ROE^JANE"}
OTHERS = {"name": JANE, "birth date": {BIRTH_DATE: b"19700201"}, "id": {PATIENT_ID: b"P2"}, "no id": {PATIENT_ID: b""}}


def disputed(index: Index) -> list[str]:
    found = [one.study_instance_uid for one in index.other_patients.disputed()]
    assert index.other_patients.count() == len(found)
    return found


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_a_study_with_two_patients(index: Index, other: dict[int, bytes]) -> None:
    index.add(make(1))
    assert disputed(index) == []
    for number in (2, 3):
        assert index.add(make(number, patient=other, source_ae="CT2")) is None
    assert index.add(make(4)) is None
    assert index.other_patients.disputed() == [Disputed("1.2.3", "1.2.3.1.2", 1_700_000_000_000_002, "CT2", 2)]
    whom = person_of(patient_of(make(patient=other).patient, b""))
    assert index.other_patients.of("1.2.3") == Persons(JOHN, JOHN, {whom: ["1.2.3.1.2", "1.2.3.1.3"]})
    assert index.counts()[:] == (1, 1, 1, 4)


@pytest.mark.parametrize("other", [JANE, {BIRTH_DATE: b"19700201"}], ids=["name", "birth date"])
def test_a_new_study_that_names_its_patient_otherwise(index: Index, other: dict[int, bytes]) -> None:
    index.add(make(1, study="1.1"))
    for number in (2, 3):
        index.add(make(number, study="1.2", patient=other))
    index.add(make(4, study="1.3"))
    assert disputed(index) == ["1.2"]
    found = index.other_patients.of("1.2")
    assert found.patient == JOHN and found.study == person_of(patient_of(make(patient=other).patient, b""))
    assert found.others == {found.study: ["1.2.1.2", "1.2.1.3"]}


@pytest.mark.parametrize("same", [{PATIENT_NAME: b"Doe^John^^ "}, {PATIENT_NAME: b""}, {BIRTH_DATE: b""},
                                  {BIRTH_DATE: b"1970.01.31"}, {BIRTH_DATE: b"unknown"}])
def test_what_means_the_same_or_nothing(index: Index, same: dict[int, bytes]) -> None:
    index.add(make(1))
    index.add(make(2, patient=same))
    index.add(make(1, study="1.9", patient=same))
    assert disputed(index) == []


def test_a_study_that_says_little_hides_nobody(index: Index) -> None:
    index.add(make(1, study="1.1"))
    index.add(make(2, study="1.2", patient={PATIENT_NAME: b""}))
    index.add(make(3, study="1.2", patient=JANE))
    assert disputed(index) == ["1.2"]


def test_several_others(index: Index) -> None:
    index.add(make(1))
    index.add(make(2, patient=JANE))
    index.add(make(3, patient={PATIENT_ID: b"P3", ISSUER: b"HERE"}))
    index.add(make(4, patient=JANE))
    assert index.other_patients.of("1.2.3").others == {
        Person("P1", "", "ROE^JANE", "19700131"): ["1.2.3.1.2", "1.2.3.1.4"],
        Person("P3", "HERE", "DOE^JOHN", "19700131"): ["1.2.3.1.3"]}
    assert index.other_patients.of("9.9") is None


def test_it_goes_with_its_instances(index: Index) -> None:
    for number, patient in ((1, {}), (2, JANE), (3, JANE)):
        index.add(make(number, patient=patient))
    index.remove(["1.2.3.1.2"], [2])
    assert [one.sop_instance_uid for one in index.other_patients.disputed()] == ["1.2.3.1.3"]
    index.remove(["1.2.3.1.3"], [3])
    assert disputed(index) == [] and index.other_patients.of("1.2.3").others == {}


def test_an_accepted_one_is_told_no_more_and_a_third_one_is(index: Index) -> None:
    index.add(make(1))
    index.add(make(2, patient=JANE))
    assert index.other_patients.accept("1.2.3") == 1
    assert index.other_patients.accept("1.2.3") == 0
    index.add(make(3, patient=JANE))
    assert disputed(index) == [] and index.other_patients.of("1.2.3").others == {}
    index.add(make(4, patient={PATIENT_NAME: b"POE^JIM"}))
    assert index.other_patients.of("1.2.3").others == {Person("P1", "", "POE^JIM", "19700131"): ["1.2.3.1.4"]}


def test_an_accepted_one_is_so_in_all_studies_of_the_patient_and_in_no_others(index: Index) -> None:
    """A new name by marriage: every later study has it."""
    index.add(make(1, study="1.1"))
    for study in ("1.2", "1.3"):
        index.add(make(2, study=study, patient=JANE))
    for number, patient in ((1, {PATIENT_ID: b"P7"}), (2, {PATIENT_ID: b"P7"} | JANE)):
        index.add(make(number, study="1.7", patient=patient))
    assert index.other_patients.accept("1.2") == 2
    index.add(make(3, study="1.4", patient=JANE))
    assert disputed(index) == ["1.7"]


def test_what_was_accepted_survives_a_power_cut(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    index.add(make(1))
    index.add(make(2, patient=JANE))
    engine = index._engine
    monkeypatch.setattr(engine, "sync", lambda: synced.append(
        engine.writer().one("SELECT accepted FROM other_patients")))
    index.other_patients.accept("1.2.3")
    assert synced == [(1,)]


def test_it_is_kept_over_a_restart_and_found_again_by_a_rebuild(url: str) -> None:
    index = open_index(url)
    instances = [make(1), make(2, patient=JANE)]
    index.add_many(instances)
    index.close()
    index = open_index(url)
    assert disputed(index) == ["1.2.3"]
    index.other_patients.accept("1.2.3")
    index.close()
    index = open_index(url)
    assert disputed(index) == []
    index.close()
    with rebuild_index(url) as new:
        new.add_many(instances)
    index = open_index(url)
    assert disputed(index) == ["1.2.3"]
    index.close()


def test_an_instance_in_the_place_of_another(index: Index) -> None:
    index.add(make(1))
    index.add(make(2, patient=JANE))
    assert index.replace(2, make(2, slot=3)) is None
    assert disputed(index) == []
    assert index.replace(3, make(2, slot=4, patient=JANE)) is None
    assert disputed(index) == ["1.2.3"]

import logging

import pytest

from dicomserver.index import open_index
from dicomserver.server.conflict import PATIENT, Undecided
from dicomserver.server.disputed import DisputedStudies
from tests.index.samples import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, make

JANE = {PATIENT_NAME: b"ROE^JANE"}
JOHN = {"patientID": "P1", "issuerOfPatientID": "", "patientName": "DOE^JOHN", "patientBirthDate": "19700131"}


@pytest.fixture
def index():
    opened = open_index("memory:")
    for number, patient in enumerate(({}, JANE, {PATIENT_ID: b"P2", BIRTH_DATE: b""}, JANE), start=1):
        opened.add(make(number, patient=patient, source_ae="CT2"))
    yield opened
    opened.close()


@pytest.fixture
def disputed(index):
    return DisputedStudies(index, logging.getLogger("test.disputed"))


def only(disputed):
    found, = disputed.conflicts()
    return found


def test_listed(disputed):
    assert disputed.count() == 1
    assert only(disputed).as_json() | {"id": "", "reason": ""} == {
        "id": "", "kind": PATIENT, "since": "2023-11-14T22:13:20.000002+00:00", "sourceAE": "CT2",
        "sopInstanceUID": "1.2.3.1.2", "studyInstanceUID": "1.2.3", "reason": "", "file": "", "bytes": 0,
        "hasStored": True}


def test_who_is_named_where(disputed):
    assert disputed.show(only(disputed)) == {"study": JOHN, "others": [
        JOHN | {"patientName": "ROE^JANE", "instances": ["1.2.3.1.2", "1.2.3.1.4"]},
        JOHN | {"patientID": "P2", "patientBirthDate": "", "instances": ["1.2.3.1.3"]}]}


def test_a_patient_who_is_another_one_elsewhere(disputed, index):
    index.add(make(9, study="1.8", patient=JANE))
    _, other = disputed.conflicts()
    jane = JOHN | {"patientName": "ROE^JANE"}
    assert disputed.show(other) == {"study": jane, "patient": JOHN, "others": [jane | {"instances": ["1.8.1.9"]}]}


def test_accepted_it_is_not_listed_any_more_and_the_log_names_nobody(disputed, index, caplog):
    caplog.set_level(logging.INFO)
    conflict = only(disputed)
    assert disputed.accept(conflict) == "what its instances say of the patient counts as right (3 differ)"
    assert list(disputed.conflicts()) == [] and disputed.count() == 0
    assert caplog.messages == ["a study that names several patients was accepted as it is"]
    assert disputed.show(conflict) == {"study": JOHN, "others": []}


def test_it_cannot_be_rejected(disputed):
    with pytest.raises(Undecided, match="dicom-server delete --instance UID"):
        disputed.reject(only(disputed))
    assert disputed.count() == 1


def test_deleted_meanwhile(disputed, index):
    conflict = only(disputed)
    index.remove([f"1.2.3.1.{number}" for number in (1, 2, 3, 4)], [1, 2, 3, 4])
    with pytest.raises(Undecided, match="deleted meanwhile"):
        disputed.show(conflict)

"""One Patient ID of several issuers is several patients: a retrieval never sends the images of more than one."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomserver.services.move import Destination as Known
from tests.interop.destination import Destination
from tests.interop.find.keys import EXPLICIT, Keys
from tests.interop.retriever import GET, MOVE, Retrieved, Retriever
from tests.interop.stored import Sent
from tests.interop.synthetic import CT, instance
from tests.services.retrieving import fill

ISSUERS = {"North": 1, "South": 2, "": 3}       # the number of the study of each one's patient
PATIENT: Keys = {"PatientID": "PATIENT-1"}
ISSUER = 0x00100021

# A request, what it got, and whose instances these were.
Retrieve = Callable[[str, str, Keys], tuple[Retrieved, list[str]]]


def of(issuer: str) -> Sent:
    return instance(ISSUERS[issuer], 1, issuer=issuer, patient_name=f"Doe^{issuer}")


@pytest.fixture(params=["get", "move"])
def retrieve(request: pytest.FixtureRequest, provider) -> Retrieve:
    owners = {of(issuer).sop_instance: issuer for issuer in ISSUERS}
    if request.param == "get":
        def get(model: str, level: str, keys: Keys) -> tuple[Retrieved, list[str]]:
            with Retriever(provider.port, GET[model], [(CT, EXPLICIT)]) as asker:
                found = asker.get(level, keys)
            return found, [owners[one.sop_instance] for one in found.stored]
        yield get
        return
    there = Destination((0,))
    provider.destinations["THERE"] = Known("127.0.0.1", there.port, "THERE")

    def move(model: str, level: str, keys: Keys) -> tuple[Retrieved, list[str]]:
        before = len(there.stored)
        with Retriever(provider.port, MOVE[model]) as asker:
            found = asker.move(level, keys, "THERE")
        return found, [owners[one.sop_instance] for one in there.stored[before:]]
    yield move
    there.close()


@pytest.mark.parametrize("model", ["patient", "patient/study"])
def test_each_patient_alone(provider, retrieve: Retrieve, model: str) -> None:
    fill(provider, [of(issuer) for issuer in ISSUERS])
    for asked, owner in [("North", "North"), (" South ", "South"), ('""', "")]:
        found, owners = retrieve(model, "PATIENT", {**PATIENT, "IssuerOfPatientID": asked})
        assert (found.status, owners) == (0, [owner])
    found, owners = retrieve(model, "PATIENT", {**PATIENT, "IssuerOfPatientID": "West"})
    assert (found.outcome, owners) == ((0, (None, 0, 0, 0)), [])


@pytest.mark.parametrize("others", [["South"], [""], ["South", ""]])
@pytest.mark.parametrize("keys", [PATIENT, {**PATIENT, "IssuerOfPatientID": ""}, {"PatientID": "PATIENT-1\\OTHER"}])
def test_nobody_guesses_which_one_is_meant(provider, retrieve: Retrieve, others: list[str], keys: Keys) -> None:
    fill(provider, [of("North")])
    assert retrieve("patient", "PATIENT", keys)[1] == ["North"]
    fill(provider, [of(issuer) for issuer in others])
    found, owners = retrieve("patient", "PATIENT", keys)
    assert (found.status, owners) == (0xA900, [])
    assert found.final.elements[0x00000902].startswith(b"several patients have this id")
    assert found.final.elements[0x00000901] == (ISSUER >> 16).to_bytes(2, "little") + b"\x21\0"


@pytest.mark.parametrize("asked", ["N*", "North\\S*", "?"])
def test_a_wild_card_is_no_issuer(provider, retrieve: Retrieve, asked: str) -> None:
    fill(provider, [of("North")])
    found, owners = retrieve("patient", "PATIENT", {**PATIENT, "IssuerOfPatientID": asked})
    assert (found.status, owners) == (0xA900, [])


def test_below_the_patient_a_study_says_which_one_is_meant(provider, retrieve: Retrieve) -> None:
    fill(provider, [of("North"), of("South")])
    keys = {**PATIENT, "StudyInstanceUID": of("South").study}
    assert retrieve("patient", "STUDY", keys)[1] == ["South"]
    assert retrieve("patient", "STUDY", {**keys, "IssuerOfPatientID": "South"})[1] == ["South"]
    assert retrieve("patient", "STUDY", {**keys, "IssuerOfPatientID": "North"})[1] == []
    assert retrieve("study", "STUDY", {**keys, "IssuerOfPatientID": "North"})[1] == ["South"]      # no key there

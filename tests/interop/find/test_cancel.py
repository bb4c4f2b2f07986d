"""C-CANCEL between two responses, of something else, and too late; the association stays usable."""
from __future__ import annotations

import pytest

from tests.interop.find.asker import Asker, store
from tests.interop.find.keys import Keys
from tests.interop.installed import Installed

ROOT = "1.2.826.0.1.3680043.9.20"
STUDIES, WORDS = 700, 200     # more bytes of responses than any buffer of the kernel takes
# What a response is made of, so that all of them together do not fit into the buffers between us.
LONG = ["StudyComments", "StudyDescription", "AdditionalPatientHistory", "PatientComments", "InstitutionName",
        "MedicalAlerts", "Allergies", "AdmittingDiagnosesDescription", "RequestedProcedureDescription"]


def study(number: int) -> Keys:
    """An instance whose study has much to say."""
    uid = f"{ROOT}.{number}"
    return {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": f"{uid}.1.1", "StudyInstanceUID": uid,
            "SeriesInstanceUID": f"{uid}.1", "PatientID": f"C-{number}", **{name: "word " * WORDS for name in LONG}}


@pytest.fixture(scope="module")
def port(shared: Installed) -> int:
    store(shared.port, [study(number) for number in range(STUDIES)])
    return shared.port


QUERY: Keys = {"PatientID": "C-*", "StudyInstanceUID": "", **dict.fromkeys(LONG, "")}


def slow(port: int) -> Asker:
    """An association into which the server cannot send far ahead of us."""
    return Asker(port, receive_buffer=4096)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_cancel_between_responses(port: int, after: int) -> None:
    with slow(port) as asker:
        answer = asker.find("STUDY", QUERY, cancel_after=after)
        assert answer.status == 0xFE00
        assert answer.final.elements[0x00000800] == b"\1\1"
        assert after <= len(answer.raw) < STUDIES
        assert len(asker.find("STUDY", {"PatientID": "C-7"}).raw) == 1


@pytest.mark.parametrize("other", [1, -1, 1000])
def test_another_message_is_cancelled(port: int, other: int) -> None:
    with slow(port) as asker:
        asker.find("STUDY", {"PatientID": "C-1"})
        answer = asker.find("STUDY", QUERY, cancel_after=3, cancelled=other)
        assert (answer.status, len(answer.raw)) == (0, STUDIES)


def test_a_cancel_that_comes_too_late(port: int) -> None:
    with Asker(port) as asker:
        message = asker.begin("STUDY", {"PatientID": "C-1*"})
        assert asker.finish(message).status == 0
        asker.cancel(message)
        assert asker.find("STUDY", {"PatientID": "C-1"}).status == 0
        asker.cancel(message)


def test_a_cancel_that_comes_too_early(port: int) -> None:
    """A cancel of a message that is still to come is one of nothing."""
    with Asker(port) as asker:
        asker.cancel(1)
        answer = asker.find("STUDY", {"PatientID": "C-1*"})
        assert (answer.status, len(answer.raw)) == (0, 1 + 10 + 100)


def test_cancelled_again_and_again(port: int) -> None:
    with slow(port) as asker:
        for _ in range(20):
            assert asker.find("STUDY", QUERY, cancel_after=1).status == 0xFE00
        assert len(asker.find("STUDY", QUERY).raw) == STUDIES

"""What the index keeps: as pydicom names it, and nothing of the standard's tables forgotten."""
from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from dicomserver.standard.attributes import INDEXED, Attribute, Level


@pytest.mark.parametrize("attribute", INDEXED, ids=lambda attribute: f"{attribute.sequence:08X}-{attribute.keyword}")
def test_as_pydicom_has_it(attribute: Attribute) -> None:
    assert keyword_for_tag(attribute.tag) == attribute.keyword
    assert dictionary_VR(attribute.tag) == attribute.vr
    assert len(attribute.vr) == 2 and attribute.vr != "SQ"
    if attribute.sequence:
        assert dictionary_VR(attribute.sequence) == "SQ"


def test_nothing_comes_twice() -> None:
    """A tag is of one level, at each place where it may stand."""
    places = [(attribute.sequence, attribute.tag) for attribute in INDEXED]
    assert len(set(places)) == len(places)


# PS3.4 Tables C.6-1 to C.6-4 and PS3.18 Tables 10.6.1-5: what is asked for, but for the counts and what the server
# itself knows (availability, retrieve URL and AE title).
ASKED_FOR = {
    Level.PATIENT: """PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex
        OtherPatientNames EthnicGroup PatientComments""",
    Level.STUDY: """StudyDate StudyTime AccessionNumber StudyID StudyInstanceUID ReferringPhysicianName StudyDescription
        NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge PatientSize PatientWeight Occupation
        AdditionalPatientHistory TimezoneOffsetFromUTC""",
    Level.SERIES: """Modality SeriesNumber SeriesInstanceUID SeriesDescription PerformedProcedureStepStartDate
        PerformedProcedureStepStartTime""",
    Level.INSTANCE: """InstanceNumber SOPInstanceUID SOPClassUID Rows Columns BitsAllocated NumberOfFrames
        SpecificCharacterSet AvailableTransferSyntaxUID""",
}


@pytest.mark.parametrize("level", Level)
def test_what_the_standard_asks_for_is_kept_at_its_level(level: Level) -> None:
    kept = {attribute.keyword for attribute in INDEXED if attribute.level is level and not attribute.sequence}
    assert set(ASKED_FOR[level].split()) - kept == set()


@pytest.mark.parametrize("sequence, tags", [
    (0x00400275, {0x00400009, 0x00401001, 0x00400007}),     # request attributes
    (0x00101002, {0x00100020, 0x00100021}),                 # other patient IDs
    (0x00081032, {0x00080100, 0x00080102, 0x00080104}),     # procedure code
])
def test_nested_ones_know_their_sequence(sequence: int, tags: set[int]) -> None:
    assert tags <= {attribute.tag for attribute in INDEXED if attribute.sequence == sequence}

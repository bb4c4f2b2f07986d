"""What stands in a response: what was asked for and is kept, what every response has, and nothing else."""
from __future__ import annotations

import pytest
from pydicom.datadict import keyword_for_tag

from dicomserver.standard.attributes import INDEXED
from tests.interop.find.asker import Asker, raw_elements, store
from tests.interop.find.keys import BIG_ENDIAN, EXPLICIT, SYNTAXES, Keys, tag_of
from tests.interop.find.oracle import LEVELS, PATIENT_ROOT, STUDY_ROOT
from tests.interop.installed import Installed

ROOT = "1.2.826.0.1.3680043.9.19"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
AE_TITLE = "FOUND-HERE"
ALWAYS = ["QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability"]

FULL: Keys = {
    "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": CT, "SOPInstanceUID": f"{ROOT}.1.1.1", "StudyInstanceUID":
    f"{ROOT}.1", "SeriesInstanceUID": f"{ROOT}.1.1", "PatientID": "R-1", "PatientName": "Müller^Jörg=山田^太郎",
    "PatientSex": "", "PatientComments": "odd", "StudyDate": "20200131", "StudyTime": "1015", "AccessionNumber": " A1",
    "StudyDescription": "Plain", "Modality": "CT", "SeriesNumber": "007", "InstanceNumber": "1", "Rows": [512],
    "SliceLocation": "1.50", "ImageType": "ORIGINAL\\PRIMARY", "FrameOfReferenceUID": "1.2.3",
    "RequestAttributesSequence": [
        {"ScheduledProcedureStepID": "S1", "RequestedProcedureID": "R1", "ScheduledProcedureStepDescription": "Kopf"},
        {"ScheduledProcedureStepID": "S2", "RequestedProcedureDescription": "Müde"}],
    "ProcedureCodeSequence": []}
SECOND: Keys = {**FULL, "SOPInstanceUID": f"{ROOT}.1.1.2", "InstanceNumber": "2"}
REPORT: Keys = {**FULL, "SOPClassUID": MR, "SOPInstanceUID": f"{ROOT}.1.2.1", "SeriesInstanceUID": f"{ROOT}.1.2",
                "Modality": "MR"}
STUDY, SERIES, IMAGE = ({name: FULL[name] for name in names} for names in (
    ("PatientID", "StudyInstanceUID"), ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")))
WITHIN = {"PATIENT": {"PatientID": "R-1"}, "STUDY": STUDY, "SERIES": SERIES, "IMAGE": IMAGE}


@pytest.fixture(scope="module")
def port(shared: Installed) -> int:
    """Of a server that has a study of two series and three instances."""
    shared.stop()
    shared.configure(aeTitle=AE_TITLE)
    shared.start()
    store(shared.port, [FULL, SECOND, REPORT])
    return shared.port


def only(port: int, level: str, keys: Keys, syntax: str = EXPLICIT, model: str = PATIENT_ROOT):
    """The one match, as bytes and as pydicom reads it."""
    with Asker(port, model, syntax) as asker:
        answer = asker.find(level, {**WITHIN[level], **keys})
    assert (answer.status, len(answer.raw)) == (0, 1)
    return answer.raw[0], answer.matches[0]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("level", LEVELS)
def test_what_every_response_has(port: int, level: str, syntax: str) -> None:
    _, match = only(port, level, {}, syntax)
    assert (match.QueryRetrieveLevel, match.RetrieveAETitle, match.InstanceAvailability) == (level, AE_TITLE, "ONLINE")
    assert {keyword_for_tag(tag) for tag in match.keys()} == {*ALWAYS, *WITHIN[level]}


@pytest.mark.parametrize("level", LEVELS)
def test_every_attribute_that_is_kept(port: int, level: str) -> None:
    """All are there, in ascending order, each with an even length, and those that the instance lacks are empty."""
    number = LEVELS.index(level)
    asked = {one.sequence or one.tag for one in INDEXED if one.level <= number} - {tag_of("SpecificCharacterSet")}
    keys = {tag: [] if keyword_for_tag(tag).endswith("Sequence") else b"" for tag in asked}
    raw, match = only(port, level, {**keys, **{tag_of(name): value for name, value in WITHIN[level].items()}})
    tags = [tag for tag, _ in raw_elements(raw)]
    assert tags == sorted(set(tags))
    assert set(tags) == asked | {tag_of(name) for name in (*ALWAYS, "SpecificCharacterSet")}
    assert all(len(value) % 2 == 0 for _, value in raw_elements(raw))
    lacking = {tag for tag in asked if keyword_for_tag(tag) not in FULL} - {tag_of("AvailableTransferSyntaxUID")}
    assert {tag for tag, value in raw_elements(raw) if not value} >= lacking
    assert match.PatientName == "Müller^Jörg=山田^太郎"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_are_the_stored_ones(port: int, syntax: str) -> None:
    asked = ("SeriesNumber", "SliceLocation", "ImageType", "AccessionNumber", "Rows", "FrameOfReferenceUID",
             "StudyDate", "StudyTime", "SOPClassUID")
    _, match = only(port, "IMAGE", dict.fromkeys(asked, b""), syntax)
    assert match.Rows == 512
    held = {keyword: match.get_item(tag_of(keyword)).value for keyword in asked if keyword != "Rows"}
    assert held == {"SeriesNumber": b"007 ", "SliceLocation": b"1.50", "ImageType": b"ORIGINAL\\PRIMARY",
                    "AccessionNumber": b" A1 ", "FrameOfReferenceUID": b"1.2.3\0", "StudyDate": b"20200131",
                    "StudyTime": b"1015", "SOPClassUID": CT.encode() + b"\0"}


def test_present_but_empty_is_empty(port: int) -> None:
    raw, _ = only(port, "STUDY", {"PatientSex": "", "StudyID": "", "ProcedureCodeSequence": []})
    values = dict(raw_elements(raw))
    assert [values[tag_of(name)] for name in ("PatientSex", "StudyID", "ProcedureCodeSequence")] == [b"", b"", b""]


@pytest.mark.parametrize("keys", [{"Modality": ""}, {0x00091010: ""}, {"PixelSpacing": ""}, {"SOPInstanceUID": ""}])
def test_what_is_not_kept_is_not_returned(port: int, keys: Keys) -> None:
    _, match = only(port, "STUDY", keys)
    assert {keyword_for_tag(tag) for tag in match.keys()} == {*ALWAYS, *STUDY}


def test_keys_of_the_levels_above_are_returned(port: int) -> None:
    _, match = only(port, "IMAGE", {"StudyDescription": "", "Modality": "", "PatientComments": ""})
    assert (match.StudyDescription, match.Modality, match.PatientComments) == ("Plain", "CT", "odd")


@pytest.mark.parametrize("level, counts", [
    ("PATIENT", {"NumberOfPatientRelatedStudies": 1, "NumberOfPatientRelatedSeries": 2,
                 "NumberOfPatientRelatedInstances": 3}),
    ("STUDY", {"NumberOfStudyRelatedSeries": 2, "NumberOfStudyRelatedInstances": 3,
               "NumberOfPatientRelatedInstances": 3}),
    ("SERIES", {"NumberOfSeriesRelatedInstances": 2, "NumberOfStudyRelatedInstances": 3}),
    ("IMAGE", {"NumberOfSeriesRelatedInstances": 2, "NumberOfPatientRelatedStudies": 1}),
])
def test_counts(port: int, level: str, counts: dict[str, int]) -> None:
    _, match = only(port, level, dict.fromkeys(counts, ""))
    assert {keyword: int(match[keyword].value) for keyword in counts} == counts


def test_what_a_study_is_made_of(port: int) -> None:
    _, match = only(port, "STUDY", {"ModalitiesInStudy": "", "SOPClassesInStudy": ""})
    assert (sorted(match.ModalitiesInStudy), sorted(match.SOPClassesInStudy)) == (["CT", "MR"], [CT, MR])
    _, match = only(port, "STUDY", {"ModalitiesInStudy": "MR"})
    assert sorted(match.ModalitiesInStudy) == ["CT", "MR"]      # all of them, not what was asked for


def test_how_an_instance_is_encoded(port: int) -> None:
    _, match = only(port, "IMAGE", {"AvailableTransferSyntaxUID": ""})
    assert match.AvailableTransferSyntaxUID == EXPLICIT


STEP, PROCEDURE, WORDS = "ScheduledProcedureStepID", "RequestedProcedureID", "RequestedProcedureDescription"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("asked, returned", [
    ([], [{STEP: "S1", PROCEDURE: "R1", "ScheduledProcedureStepDescription": "Kopf"}, {STEP: "S2", WORDS: "Müde"}]),
    ([{STEP: "", PROCEDURE: ""}], [{STEP: "S1", PROCEDURE: "R1"}, {STEP: "S2", PROCEDURE: ""}]),
])
def test_the_items_of_a_sequence(port: int, asked: list, returned: list, syntax: str) -> None:
    """A sequence key without an item asks for all that is kept of each item, with one for what the item names."""
    _, match = only(port, "SERIES", {"RequestAttributesSequence": asked}, syntax)
    items = [{element.keyword: element.value or "" for element in item} for item in match.RequestAttributesSequence]
    assert items == returned


def test_a_sequence_that_matches_is_returned_with_all_its_items(port: int) -> None:
    _, match = only(port, "SERIES", {"RequestAttributesSequence": [{STEP: "S2"}]})
    assert "S2" in [item[STEP].value for item in match.RequestAttributesSequence]


NAME = {"PatientName": ""}


@pytest.mark.parametrize("asked, keys, answered", [
    (None, {"StudyDescription": ""}, None),
    ("ISO_IR 100", {"StudyDescription": ""}, None),
    ("ISO_IR 192", {"StudyDescription": ""}, None),
    (None, NAME, "ISO_IR 192"),
    ("", NAME, "ISO_IR 192"),
    ("ISO_IR 100", NAME, "ISO_IR 192"),
    ("ISO_IR 192", NAME, "ISO_IR 192"),
    ("GB18030", NAME, "GB18030"),
    ("ISO_IR 9999", NAME, "ISO_IR 192"),
    (None, {"RequestAttributesSequence": [{WORDS: ""}]}, "ISO_IR 192"),
    ("ISO_IR 100", {"RequestAttributesSequence": [{WORDS: ""}]}, "ISO_IR 100"),
    ("ISO_IR 144", {"RequestAttributesSequence": [{WORDS: ""}]}, "ISO_IR 192"),
    ("ISO_IR 100", {"RequestAttributesSequence": [{STEP: ""}]}, None),
])
def test_the_character_set_of_a_response(port: int, asked: str | None, keys: Keys, answered: str | None) -> None:
    """The asker's own one if it can say everything, else UTF-8; none where all is ASCII; never an empty one."""
    declared = {} if asked is None else {"SpecificCharacterSet": asked}
    _, match = only(port, "SERIES", {**declared, **keys})
    assert match.get("SpecificCharacterSet") == answered
    if "PatientName" in keys:
        assert match.PatientName == "Müller^Jörg=山田^太郎"


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_no_match_is_one_response(port: int, syntax: str) -> None:
    with Asker(port, STUDY_ROOT, syntax) as asker:
        answer = asker.find("STUDY", {"StudyInstanceUID": "9.9.9"})
        assert (answer.status, answer.pending, answer.final.elements[0x00000800]) == (0, [], b"\1\1")


@pytest.mark.parametrize("level, keys, status, offending", [
    ("STUDY", {"StudyDate": "tomorrow"}, 0xC000, "StudyDate"),
    ("SERIES", {}, 0xA900, "StudyInstanceUID"),
    ("SHELF", {}, 0xA900, "QueryRetrieveLevel"),
    (None, {}, 0xA900, "QueryRetrieveLevel"),
])
def test_a_failure_says_why(port: int, level: str | None, keys: Keys, status: int, offending: str) -> None:
    """Error Comment (0000,0902); Offending Element (0000,0901) may be left out, but never names another one."""
    with Asker(port, STUDY_ROOT) as asker:
        answer = asker.find(level, {"PatientName": "Secret^Person", **keys})
    assert (answer.status, answer.raw) == (status, [])
    assert 0 < len(answer.final.comment) <= 64
    assert "Secret" not in answer.final.comment and "tomorrow" not in answer.final.comment
    tag = tag_of(offending)
    assert answer.final.elements.get(0x00000901, b"") in (b"", (tag >> 16).to_bytes(2, "little")
                                                          + (tag & 0xFFFF).to_bytes(2, "little"))

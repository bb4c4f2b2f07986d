"""A handful of patients whose studies, series and instances are told apart at a glance, and what is asked of them.

    F-1  study 1   series 1 CT: 1 2 3     series 2 SR: 1
         study 2   series 1 MR: 1 2
    F-2  study 3   series 1 CT: 1         (he and F-1 have the name in common)
    F-3  study 4   series 1 CR: 1         (of issuer North)
    F-3  study 5   series 1 CR: 1         (of issuer South)
    none study 6   series 1 OT: 1
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.interop.find.keys import Keys
from tests.interop.find.oracle import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT

ROOT = "1.2.826.0.1.3680043.9.18"
CT, MR, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.11"
CR, OT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"

_PATIENTS = {1: ("F-1", "Family^One", ""), 2: ("F-1", "Family^One", ""), 3: ("F-2", "Family^One", ""),
             4: ("F-3", "Family^Three", "North"), 5: ("F-3", "Family^Four", "South"), 6: ("", "Family^Nobody", "")}
# (study, series): SOP class, modality, number of instances.
_SERIES = {(1, 1): (CT, "CT", 3), (1, 2): (SR, "SR", 1), (2, 1): (MR, "MR", 2), (3, 1): (CT, "CT", 1),
           (4, 1): (CR, "CR", 1), (5, 1): (CR, "CR", 1), (6, 1): (OT, "OT", 1)}


def uid(*numbers: int) -> str:
    """Of a study, a series or an instance."""
    return ".".join([ROOT, *map(str, numbers)])


def instances() -> Iterator[Keys]:
    """In the order in which they are to be stored."""
    for (study, series), (sop_class, modality, count) in _SERIES.items():
        patient_id, name, issuer = _PATIENTS[study]
        for number in range(1, count + 1):
            yield {"SOPClassUID": sop_class, "SOPInstanceUID": uid(study, series, number), "PatientID": patient_id,
                   "PatientName": name, "IssuerOfPatientID": issuer, "StudyInstanceUID": uid(study),
                   "SeriesInstanceUID": uid(study, series), "Modality": modality, "InstanceNumber": str(number),
                   "SeriesDescription": f"Series {series}", "StudyDescription": f"Study {study}"}


@dataclass(frozen=True, slots=True)
class Row:
    """found: the entities without ROOT, or the final status. pending: of each match."""

    model: str
    level: str | None
    keys: Keys
    found: str
    relational: bool = False
    pending: int = 0xFF00


ONE, SERIES_1, FIRST = ({"StudyInstanceUID": uid(1)}, {"StudyInstanceUID": uid(1), "SeriesInstanceUID": uid(1, 1)},
                        {"PatientID": "F-1"})
_OURS = {"PatientName": "family*"}
_NOT_OF_THE_MODEL = [Row(model, level, {**FIRST, **SERIES_1}, "A900") for model, levels in {
    PATIENT_ROOT: (None, "", "INSTANCE", "study?", "*", "STUDY\\SERIES", "WORKLIST", "STUDYS"),
    STUDY_ROOT: (None, "", "PATIENT", "INSTANCE", "S*", "SERIES\\IMAGE"),
    PATIENT_STUDY_ONLY: (None, "", "SERIES", "IMAGE", "INSTANCE", "STUD?"),
}.items() for level in levels]

# A unique key above the level: missing, empty, a list, a pattern.
_BROKEN = ({}, {"PatientID": ""}, {"PatientID": "F-1\\F-2"}, {"PatientID": "F*"}, {"PatientID": "F-?"},
           {"PatientID": "*"})
_BROKEN_UIDS = (None, "", f"{uid(1)}\\{uid(2)}", "*", "1.2.*", f"{uid(1)[:-1]}?")


def _with(keys: Keys, keyword: str, value: str | None) -> Keys:
    return {name: held for name, held in keys.items() if name != keyword} | ({} if value is None else {keyword: value})


_HIERARCHY = [Row(model, "STUDY", keys, "A900") for model in (PATIENT_ROOT, PATIENT_STUDY_ONLY) for keys in _BROKEN] + [
    Row(PATIENT_ROOT, level, {**SERIES_1, **keys}, "A900") for level in ("SERIES", "IMAGE") for keys in _BROKEN] + [
    Row(STUDY_ROOT, level, _with(SERIES_1, "StudyInstanceUID", value), "A900")
    for level in ("SERIES", "IMAGE") for value in _BROKEN_UIDS] + [
    Row(STUDY_ROOT, "IMAGE", _with(SERIES_1, "SeriesInstanceUID", value), "A900") for value in _BROKEN_UIDS] + [
    Row(PATIENT_ROOT, "IMAGE", {**FIRST, **_with(SERIES_1, "SeriesInstanceUID", value)}, "A900")
    for value in _BROKEN_UIDS]

# The same with relational queries negotiated: the keys are like any others.
_RELATIONAL = [Row(PATIENT_ROOT, "STUDY", _OURS | keys, found, True) for keys, found in zip(
    _BROKEN, ("1 2 3 4 5 6", "1 2 3 4 5 6", "1 2 3", "1 2 3 4 5", "1 2 3 4 5", "1 2 3 4 5 6"))] + [
    Row(STUDY_ROOT, "SERIES", _OURS | _with(ONE, "StudyInstanceUID", value), found, True) for value, found in zip(
        _BROKEN_UIDS, ("1.1 1.2 2.1 3.1 4.1 5.1 6.1",) * 2 + ("1.1 1.2 2.1", "", "", ""))] + [
    Row(STUDY_ROOT, "IMAGE", _OURS | {"Modality": "MR"}, "2.1.1 2.1.2", True),
    Row(STUDY_ROOT, "IMAGE", _OURS | {"StudyDescription": "Study 1", "InstanceNumber": "1"}, "1.1.1 1.2.1", True),
    Row(STUDY_ROOT, "IMAGE", {"SOPInstanceUID": uid(1, 1, 2)}, "1.1.2", True),
    Row(PATIENT_ROOT, "IMAGE", {"SOPInstanceUID": f"{uid(1, 1, 2)}\\{uid(3, 1, 1)}"}, "1.1.2 3.1.1", True),
    Row(PATIENT_ROOT, "IMAGE", {"SOPInstanceUID": uid(1, 1, 2), "PatientID": "F-2"}, "", True),
    Row(PATIENT_ROOT, "SERIES", _OURS | {"ModalitiesInStudy": "SR"}, "1.1 1.2", True),
]

_FOUND = [
    Row(PATIENT_ROOT, "PATIENT", _OURS, "F-1 F-2 F-3 F-3 -"),
    Row(PATIENT_ROOT, "PATIENT", {"PatientID": "F-3"}, "F-3 F-3"),
    Row(PATIENT_ROOT, "PATIENT", {"PatientID": "F-3", "IssuerOfPatientID": "South"}, "F-3"),
    Row(PATIENT_ROOT, "PATIENT", {"PatientID": "F-1\\F-2"}, "F-1 F-2"),
    Row(PATIENT_STUDY_ONLY, "PATIENT", _OURS | {"PatientID": "?-1"}, "F-1"),
    Row(PATIENT_ROOT, "STUDY", FIRST, "1 2"), Row(PATIENT_ROOT, "STUDY", {"PatientID": "F-3"}, "4 5"),
    Row(PATIENT_ROOT, "STUDY", {"PatientID": "F-9"}, ""), Row(PATIENT_STUDY_ONLY, "STUDY", FIRST, "1 2"),
    Row(PATIENT_ROOT, "STUDY", {**FIRST, "StudyInstanceUID": uid(3)}, ""),
    Row(STUDY_ROOT, "STUDY", _OURS, "1 2 3 4 5 6"), Row(STUDY_ROOT, "STUDY", {"PatientID": "F-1\\F-2"}, "1 2 3"),
    Row(STUDY_ROOT, "STUDY", {"PatientID": "F-?"}, "1 2 3 4 5"), Row(STUDY_ROOT, "STUDY", FIRST | ONE, "1"),
    Row(STUDY_ROOT, "STUDY", {"StudyInstanceUID": f"{uid(1)}\\{uid(3)}\\{uid(9)}"}, "1 3"),
    Row(STUDY_ROOT, "SERIES", ONE, "1.1 1.2"), Row(STUDY_ROOT, "SERIES", ONE | {"Modality": "SR"}, "1.2"),
    Row(STUDY_ROOT, "SERIES", ONE | {"PatientName": "family^ONE"}, "1.1 1.2"),
    Row(STUDY_ROOT, "SERIES", ONE | {"PatientName": "Somebody*"}, ""),
    Row(STUDY_ROOT, "SERIES", ONE | {"StudyDescription": "Study 1"}, "1.1 1.2"),
    Row(STUDY_ROOT, "SERIES", ONE | {"SeriesInstanceUID": f"{uid(1, 2)}\\{uid(2, 1)}"}, "1.2"),
    Row(PATIENT_ROOT, "SERIES", FIRST | ONE, "1.1 1.2"), Row(PATIENT_ROOT, "SERIES", {"PatientID": "F-2"} | ONE, ""),
    Row(STUDY_ROOT, "IMAGE", SERIES_1, "1.1.1 1.1.2 1.1.3"),
    Row(STUDY_ROOT, "IMAGE", SERIES_1 | {"SOPInstanceUID": f"{uid(1, 1, 3)}\\{uid(1, 2, 1)}"}, "1.1.3"),
    Row(STUDY_ROOT, "IMAGE", {"StudyInstanceUID": uid(2), "SeriesInstanceUID": uid(1, 1)}, ""),
    Row(PATIENT_ROOT, "IMAGE", FIRST | SERIES_1 | {"InstanceNumber": "02"}, "1.1.2"),
    Row(STUDY_ROOT, "IMAGE", SERIES_1 | {"Modality": "CT", "SeriesDescription": "Series*"}, "1.1.1 1.1.2 1.1.3"),
]
_COMPUTED = [Row(STUDY_ROOT, "STUDY", _OURS | keys, found) for keys, found in [
    ({"ModalitiesInStudy": "CT"}, "1 3"), ({"ModalitiesInStudy": "SR\\MR"}, "1 2"),
    ({"ModalitiesInStudy": "C?"}, "1 3 4 5"), ({"ModalitiesInStudy": "ct"}, ""),
    ({"ModalitiesInStudy": "CT\\SR"}, "1 3"), ({"ModalitiesInStudy": "*R"}, "1 2 4 5"),
    ({"SOPClassesInStudy": SR}, "1"), ({"SOPClassesInStudy": f"{MR}\\{OT}"}, "2 6"),
    ({"SOPClassesInStudy": "1.2.*"}, ""),
    ({"NumberOfStudyRelatedInstances": "4"}, "1"), ({"NumberOfStudyRelatedInstances": "01"}, "3 4 5 6"),
    ({"NumberOfStudyRelatedInstances": "2\\4"}, "1 2"), ({"NumberOfStudyRelatedSeries": "2"}, "1"),
    ({"NumberOfStudyRelatedSeries": "0"}, ""), ({"NumberOfPatientRelatedStudies": "2"}, "1 2"),
    ({"NumberOfPatientRelatedSeries": "3"}, "1 2"), ({"NumberOfPatientRelatedInstances": "6"}, "1 2"),
    ({"NumberOfStudyRelatedInstances": "*", "ModalitiesInStudy": ""}, "1 2 3 4 5 6"),
]] + [
    Row(PATIENT_ROOT, "PATIENT", _OURS | {"NumberOfPatientRelatedStudies": "1"}, "F-2 F-3 F-3 -"),
    Row(PATIENT_ROOT, "PATIENT", _OURS | {"NumberOfPatientRelatedSeries": "3"}, "F-1"),
    Row(PATIENT_ROOT, "PATIENT", _OURS | {"NumberOfPatientRelatedInstances": "06"}, "F-1"),
    Row(STUDY_ROOT, "SERIES", ONE | {"NumberOfSeriesRelatedInstances": "3"}, "1.1"),
    Row(STUDY_ROOT, "SERIES", ONE | {"NumberOfSeriesRelatedInstances": "1\\3"}, "1.1 1.2"),
    Row(STUDY_ROOT, "SERIES", ONE | {"NumberOfStudyRelatedInstances": "4", "ModalitiesInStudy": "SR"}, "1.1 1.2"),
]
# What is below the level, private or of nobody restricts nothing, and is told by FF01.
_UNSUPPORTED = [Row(STUDY_ROOT, "STUDY", ONE | keys, "1", pending=0xFF01) for keys in (
    {"Modality": "XX"}, {"SeriesInstanceUID": "1.2"}, {"SOPInstanceUID": ""}, {"InstanceNumber": "77"},
    {"NumberOfSeriesRelatedInstances": "9"}, {0x00091010: "private"}, {"PixelSpacing": "1\\1"}, {"KVP": "120"},
    {"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.2"}]}, {"RequestAttributesSequence": []},
    {"ProcedureCodeSequence": [{"CodeValue": "", "CodingSchemeVersion": "1"}]},
)] + [Row(PATIENT_ROOT, "PATIENT", {**FIRST, "StudyDate": "20990101"}, "F-1", pending=0xFF01),
      Row(PATIENT_STUDY_ONLY, "PATIENT", {**FIRST, "StudyInstanceUID": ""}, "F-1", pending=0xFF01),
      Row(STUDY_ROOT, "SERIES", ONE | {"SOPClassUID": CT, "Modality": "CT"}, "1.1", pending=0xFF01),
      Row(STUDY_ROOT, "IMAGE", SERIES_1 | {"PixelSpacing": ""}, "1.1.1 1.1.2 1.1.3", pending=0xFF01),
      Row(PATIENT_ROOT, "STUDY", {**_OURS, "SeriesNumber": "9"}, "1 2 3 4 5 6", True, 0xFF01)]
_SUPPORTED = [Row(STUDY_ROOT, "STUDY", ONE | keys, "1") for keys in (
    {"RetrieveAETitle": "", "InstanceAvailability": ""}, {"SpecificCharacterSet": "ISO_IR 100"},
    {"PatientName": "", "PatientSex": "", "StudyDate": "", "ProcedureCodeSequence": []})]

ROWS = [*_NOT_OF_THE_MODEL, *_HIERARCHY, *_RELATIONAL, *_FOUND, *_COMPUTED, *_UNSUPPORTED, *_SUPPORTED]

"""Sequence matching: all keys of the item within one and the same item that is stored (PS3.4 C.2.2.2.6)."""
from __future__ import annotations

from tests.interop.find.group import Group
from tests.interop.find.keys import Keys

_STEP, _PROCEDURE = "ScheduledProcedureStepID", "RequestedProcedureID"


def _code(value: str, scheme: str = "DCM", meaning: str = "") -> Keys:
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning or f"Meaning of {value}"}


def _codes(rule: str, level: str, keyword: str) -> Group:
    """The same questions to each sequence of codes."""
    stored = {"a": [_code("T1", "DCM"), _code("T2", "SRT")], "b": [_code("T1", "SRT", "Häufig")], "c": []}
    held = {letter: {keyword: items} for letter, items in stored.items()} | {"d": {}}
    return Group(f"{rule}: {keyword}", level, held, [
        ({keyword: [{"CodeValue": "T1"}]}, "ab"),
        ({keyword: [{"CodeValue": "T1", "CodingSchemeDesignator": "SRT"}]}, "b"),
        ({keyword: [{"CodeValue": "T2", "CodingSchemeDesignator": "SRT"}]}, "a"),
        ({keyword: [{"CodeValue": "T?", "CodingSchemeDesignator": "D*"}]}, "a"),
        ({keyword: [{"CodeMeaning": "H?ufig"}]}, "b"),
        ({keyword: [{"CodeMeaning": "häufig"}]}, ""),
        ({keyword: [{"CodeValue": "", "CodeMeaning": ""}]}, "abcd"),
        ({keyword: []}, "abcd"),
    ])


GROUPS: list[Group] = [
    Group("sequences: request attributes", "SERIES", {
        "a": {"RequestAttributesSequence": [{_STEP: "S1", _PROCEDURE: "R1"}, {_STEP: "S2", _PROCEDURE: "R2"}]},
        "b": {"RequestAttributesSequence": [{_STEP: "S1", _PROCEDURE: "R2"}]},
        "c": {"RequestAttributesSequence": []},
        "d": {},
        "e": {"RequestAttributesSequence": [{_STEP: "S3", "StudyInstanceUID": "1.2.3"}]},
    }, [({"RequestAttributesSequence": items}, found) for items, found in [
        ([{_STEP: "S1"}], "ab"), ([{_STEP: "S1", _PROCEDURE: "R2"}], "b"), ([{_STEP: "S2", _PROCEDURE: "R2"}], "a"),
        ([{_STEP: "S2", _PROCEDURE: "R1"}], ""), ([{_STEP: "S?"}], "abe"), ([{_STEP: ""}], "abcde"), ([{}], "abcde"),
        ([], "abcde"), ([{_STEP: "S1\\S3"}], "abe"), ([{_STEP: "S3", _PROCEDURE: "*"}], "e"), ([{_STEP: "s1"}], ""),
        ([{_STEP: "S3", _PROCEDURE: '""'}], "e"), ([{_STEP: "S1", _PROCEDURE: '""'}], ""),
        ([{"StudyInstanceUID": "1.2.3"}], "e"), ([{"StudyInstanceUID": "9.9\\1.2.3"}], "e"),
        ([{"StudyInstanceUID": "1.2.?"}], ""), ([{_STEP: "S1", "Modality": "XX"}], "ab"),
        ([{_STEP: "S1"}, {_STEP: "S2"}], "A900"), ([{_STEP: "%"}], ""), ([{_PROCEDURE: "R1\\R2", _STEP: "S1"}], "ab"),
    ]]),
    Group("sequences: other Patient IDs", "PATIENT", {
        "a": {"OtherPatientIDsSequence": [{"PatientID": "O1", "IssuerOfPatientID": "X", "TypeOfPatientID": "TEXT"},
                                          {"PatientID": "O2", "IssuerOfPatientID": "Y"}]},
        "b": {"OtherPatientIDsSequence": [{"PatientID": "O2", "IssuerOfPatientID": "X"}]},
        "c": {},
    }, [({"OtherPatientIDsSequence": items}, found) for items, found in [
        ([{"PatientID": "O2"}], "ab"), ([{"PatientID": "O2", "IssuerOfPatientID": "X"}], "b"),
        ([{"PatientID": "O*", "TypeOfPatientID": "TEXT"}], "a"), ([{"PatientID": "O3"}], ""), ([{}], "abc"),
        ([], "abc"), ([{"IssuerOfPatientID": "Y"}], "a"),
    ]]),
    Group("sequences: issuer of the Patient ID", "PATIENT", {
        "a": {"IssuerOfPatientIDQualifiersSequence": [{"UniversalEntityID": "urn\\x", "UniversalEntityIDType": "URI"}]},
        "b": {"IssuerOfPatientIDQualifiersSequence": [{"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}]},
    }, [({"IssuerOfPatientIDQualifiersSequence": [keys]}, found) for keys, found in [
        ({"UniversalEntityID": "urn\\x"}, "a"), ({"UniversalEntityID": "1.2.*"}, "b"), ({"UniversalEntityID": "x"}, ""),
        ({"UniversalEntityIDType": "URI\\ISO"}, "ab"),
    ]]),
    Group("sequences: issuer of the accession number", "STUDY", {
        "a": {"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "North"}]},
        "b": {"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "South"}]},
    }, [
        ({"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "South"}]}, "b"),
        ({"AccessionNumber": "A2", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "South"}]}, ""),
        ({"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [{"LocalNamespaceEntityID": "?outh"}]}, "b"),
        ({"AccessionNumber": "A1"}, "ab"),
    ]),
    _codes("sequences of codes", "STUDY", "ProcedureCodeSequence"),
    _codes("sequences of codes", "STUDY", "RequestedProcedureCodeSequence"),
    _codes("sequences of codes", "SERIES", "AnatomicRegionSequence"),
    _codes("sequences of codes", "SERIES", "SeriesDescriptionCodeSequence"),
    _codes("sequences of codes", "IMAGE", "ConceptNameCodeSequence"),
    Group("sequences: verifying observer", "IMAGE", {
        "a": {"VerifyingObserverSequence": [
            {"VerifyingObserverName": "Gräf^Öz=山田^太郎", "VerificationDateTime": "20200101103000"},
            {"VerifyingObserverName": "Roe^R", "VerificationDateTime": "20210101"}]},
        "b": {"VerifyingObserverSequence": [
            {"VerifyingObserverName": "ROE^R", "VerificationDateTime": "20220101", "VerifyingOrganization": "North"}]},
    }, [({"VerifyingObserverSequence": [keys]}, found) for keys, found in [
        ({"VerifyingObserverName": "graf*"}, "a"), ({"VerifyingObserverName": "山田*"}, "a"),
        ({"VerifyingObserverName": "roe^r"}, "ab"),
        ({"VerifyingObserverName": "roe*", "VerificationDateTime": "2021"}, "a"),
        ({"VerifyingObserverName": "roe*", "VerificationDateTime": "2020"}, ""),
        ({"VerificationDateTime": "2021-"}, "ab"), ({"VerificationDateTime": "-2020"}, "a"),
        ({"VerificationDateTime": "soon"}, "C000"), ({"VerifyingOrganization": "North"}, "b"),
    ]]),
    Group("sequences: referenced series", "IMAGE", {
        "a": {"ReferencedSeriesSequence": [{"SeriesInstanceUID": "1.2.3"}, {"SeriesInstanceUID": "1.2.4"}]},
        "b": {"ReferencedSeriesSequence": [{"SeriesInstanceUID": "1.2.4"}]},
    }, [({"ReferencedSeriesSequence": [{"SeriesInstanceUID": uid}]}, found) for uid, found in [
        ("1.2.3", "a"), ("1.2.4", "ab"), ("1.2.3\\1.2.4", "ab"), ("1.2.5", ""), ("1.2.*", ""),
    ]]),
]

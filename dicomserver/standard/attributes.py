"""The attributes that the index keeps of each level: those of PS3.4 C.6 (queries) and PS3.18 10.6 (QIDO-RS), and
what viewers and archives ask for beside them. More is cheap now; later it would cost a scan of the archive."""
from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from dicomserver.standard.dictionary import data_dictionary


class Level(IntEnum):
    """The levels of the query/retrieve information models (PS3.4 C.6.1.1)."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Attribute(NamedTuple):
    """One attribute to keep."""

    keyword: str
    tag: int            # 0xGGGGEEEE
    vr: str             # the dictionary's
    level: Level
    sequence: int = 0   # tag of the sequence whose items hold it; 0: at the top of the dataset


# "Sequence > attributes of its items" after the plain ones of the level.
_PATIENT = """
    PatientName PatientID IssuerOfPatientID TypeOfPatientID PatientBirthDate PatientBirthTime PatientSex
    OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName EthnicGroup PatientComments
    ResponsiblePerson ResponsibleOrganization PatientSpeciesDescription PatientBreedDescription
    PatientIdentityRemoved QualityControlSubject
    OtherPatientIDsSequence > PatientID IssuerOfPatientID TypeOfPatientID
    IssuerOfPatientIDQualifiersSequence > UniversalEntityID UniversalEntityIDType
"""
_STUDY = """
    StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
    ConsultingPhysicianName PhysiciansOfRecord NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription
    RequestingPhysician RequestingService RequestedProcedureDescription PatientAge PatientSize PatientWeight
    MedicalAlerts Allergies PregnancyStatus Occupation AdditionalPatientHistory AdmissionID InstitutionName
    StudyStatusID StudyPriorityID StudyComments TimezoneOffsetFromUTC
    IssuerOfAccessionNumberSequence > LocalNamespaceEntityID UniversalEntityID UniversalEntityIDType
    ProcedureCodeSequence > CodeValue CodingSchemeDesignator CodeMeaning
    RequestedProcedureCodeSequence > CodeValue CodingSchemeDesignator CodeMeaning
"""
_SERIES = """
    SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined Laterality
    ProtocolName PatientPosition PerformingPhysicianName OperatorsName Manufacturer ManufacturerModelName
    StationName InstitutionalDepartmentName DeviceSerialNumber SoftwareVersions FrameOfReferenceUID
    PositionReferenceIndicator PerformedProcedureStepID PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime PerformedProcedureStepDescription SpatialResolution
    ClinicalTrialSeriesID
    RequestAttributesSequence > ScheduledProcedureStepID RequestedProcedureID ScheduledProcedureStepDescription
        RequestedProcedureDescription AccessionNumber StudyInstanceUID
    SeriesDescriptionCodeSequence > CodeValue CodingSchemeDesignator CodeMeaning
    AnatomicRegionSequence > CodeValue CodingSchemeDesignator CodeMeaning
"""
_INSTANCE = """
    SOPClassUID SOPInstanceUID SpecificCharacterSet AvailableTransferSyntaxUID InstanceNumber
    InstanceCreationDate InstanceCreationTime AcquisitionNumber AcquisitionDateTime ContentDate ContentTime ImageType
    ImageComments ContentLabel ContentDescription ContentCreatorName DocumentTitle
    Rows Columns NumberOfFrames BitsAllocated SamplesPerPixel PhotometricInterpretation LossyImageCompression
    ImagePositionPatient ImageOrientationPatient SliceLocation TemporalPositionIdentifier
    ViewPosition ImageLaterality ConcatenationUID SOPInstanceStatus
    CompletionFlag VerificationFlag MIMETypeOfEncapsulatedDocument PresentationCreationDate
    PresentationCreationTime EchoNumbers
    ConceptNameCodeSequence > CodeValue CodingSchemeDesignator CodeMeaning
    ReferencedSeriesSequence > SeriesInstanceUID
    VerifyingObserverSequence > VerifyingOrganization VerificationDateTime VerifyingObserverName
"""


def _attributes(tables: dict[Level, str]) -> Iterator[Attribute]:
    by_keyword = {row[4]: (tag, row[0]) for tag, row in data_dictionary().items()}
    for level, table in tables.items():
        sequence = 0
        words = table.split()
        for word, following in zip(words, [*words[1:], ""]):
            if following == ">":
                sequence = by_keyword[word][0]
            elif word != ">":
                yield Attribute(word, *by_keyword[word], level, sequence)


INDEXED: tuple[Attribute, ...] = tuple(_attributes(
    {Level.PATIENT: _PATIENT, Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.INSTANCE: _INSTANCE}))

"""The query/retrieve information models (PS3.4 C.6): their levels, unique keys and the attributes that are computed."""
from __future__ import annotations

from functools import cache

from dicomserver.standard.attributes import INDEXED, Attribute, Level

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY_FIND = "1.2.840.10008.5.1.4.1.2.3.1"

_PATIENT_ROOT = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.INSTANCE)
_STUDY_ROOT = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_PATIENT_STUDY_ONLY = (Level.PATIENT, Level.STUDY)

# By SOP class, the highest level first. In Study Root the patient's attributes belong to the study (C.6.2.1).
FIND_LEVELS: dict[str, tuple[Level, ...]] = {
    PATIENT_ROOT_FIND: _PATIENT_ROOT, STUDY_ROOT_FIND: _STUDY_ROOT, PATIENT_STUDY_ONLY_FIND: _PATIENT_STUDY_ONLY}
MOVE_LEVELS: dict[str, tuple[Level, ...]] = {
    "1.2.840.10008.5.1.4.1.2.1.2": _PATIENT_ROOT, "1.2.840.10008.5.1.4.1.2.2.2": _STUDY_ROOT,
    "1.2.840.10008.5.1.4.1.2.3.2": _PATIENT_STUDY_ONLY}
GET_LEVELS: dict[str, tuple[Level, ...]] = {
    "1.2.840.10008.5.1.4.1.2.1.3": _PATIENT_ROOT, "1.2.840.10008.5.1.4.1.2.2.3": _STUDY_ROOT,
    "1.2.840.10008.5.1.4.1.2.3.3": _PATIENT_STUDY_ONLY}

# The values of Query/Retrieve Level (0008,0052).
LEVEL_NAMES: dict[Level, str] = {
    Level.PATIENT: "PATIENT", Level.STUDY: "STUDY", Level.SERIES: "SERIES", Level.INSTANCE: "IMAGE"}

UNIQUE_KEYS: dict[Level, int] = {
    Level.PATIENT: 0x00100020, Level.STUDY: 0x0020000D, Level.SERIES: 0x0020000E, Level.INSTANCE: 0x00080018}

SPECIFIC_CHARACTER_SET = 0x00080005
QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
ISSUER_OF_PATIENT_ID = 0x00100021
INSTANCE_AVAILABILITY = 0x00080056
TIMEZONE_OFFSET_FROM_UTC = 0x00080201

MODALITIES_IN_STUDY = 0x00080061
SOP_CLASSES_IN_STUDY = 0x00080062
AVAILABLE_TRANSFER_SYNTAX_UID = 0x00083002
PATIENT_STUDIES, PATIENT_SERIES, PATIENT_INSTANCES = 0x00201200, 0x00201202, 0x00201204
STUDY_SERIES, STUDY_INSTANCES = 0x00201206, 0x00201208
SERIES_INSTANCES = 0x00201209

# No object has these; the index works them out (PS3.4 C.3.4, and (0008,3002) of PS3.18 10.6.3).
COMPUTED: tuple[Attribute, ...] = (
    Attribute("ModalitiesInStudy", MODALITIES_IN_STUDY, "CS", Level.STUDY),
    Attribute("SOPClassesInStudy", SOP_CLASSES_IN_STUDY, "UI", Level.STUDY),
    Attribute("AvailableTransferSyntaxUID", AVAILABLE_TRANSFER_SYNTAX_UID, "UI", Level.INSTANCE),
    Attribute("NumberOfPatientRelatedStudies", PATIENT_STUDIES, "IS", Level.PATIENT),
    Attribute("NumberOfPatientRelatedSeries", PATIENT_SERIES, "IS", Level.PATIENT),
    Attribute("NumberOfPatientRelatedInstances", PATIENT_INSTANCES, "IS", Level.PATIENT),
    Attribute("NumberOfStudyRelatedSeries", STUDY_SERIES, "IS", Level.STUDY),
    Attribute("NumberOfStudyRelatedInstances", STUDY_INSTANCES, "IS", Level.STUDY),
    Attribute("NumberOfSeriesRelatedInstances", SERIES_INSTANCES, "IS", Level.SERIES),
)
COMPUTED_TAGS = frozenset(attribute.tag for attribute in COMPUTED)

# Dates with the times that belong to them, for combined date-time matching (PS3.4 C.2.2.2.5.2).
DATE_TIME_PAIRS: dict[int, int] = {
    0x00080020: 0x00080030, 0x00080021: 0x00080031, 0x00080023: 0x00080033, 0x00080012: 0x00080013,
    0x00100030: 0x00100032, 0x00400244: 0x00400245, 0x00700082: 0x00700083}


@cache
def query_attributes() -> dict[tuple[int, int], Attribute]:
    """Every attribute that a query may ask for, by (sequence, tag); sequence 0 is the top of the dataset."""
    kept = {(attribute.sequence, attribute.tag): attribute for attribute in INDEXED
            if attribute.tag not in (SPECIFIC_CHARACTER_SET, AVAILABLE_TRANSFER_SYNTAX_UID)}
    return kept | {(0, attribute.tag): attribute for attribute in COMPUTED}


@cache
def query_sequences() -> dict[int, tuple[Attribute, ...]]:
    """The sequences of which something is kept, by their tags: what is kept of each item."""
    found: dict[int, tuple[Attribute, ...]] = {}
    for attribute in INDEXED:
        if attribute.sequence:
            found[attribute.sequence] = (*found.get(attribute.sequence, ()), attribute)
    return found

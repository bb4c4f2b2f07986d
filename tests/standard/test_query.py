"""The query/retrieve models: as the standard's tables and pydicom's dictionary have them."""
from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.uid import UID

from dicomserver.standard import query
from dicomserver.standard.attributes import INDEXED, Attribute, Level
from dicomserver.standard.query import (
    COMPUTED, COMPUTED_TAGS, DATE_TIME_PAIRS, FIND_LEVELS, LEVEL_NAMES, UNIQUE_KEYS, query_attributes, query_sequences,
)


@pytest.mark.parametrize("uid, name, levels", [
    (query.PATIENT_ROOT_FIND, "Patient Root", "PATIENT STUDY SERIES IMAGE"),
    (query.STUDY_ROOT_FIND, "Study Root", "STUDY SERIES IMAGE"),
    (query.PATIENT_STUDY_ONLY_FIND, "Patient/Study Only", "PATIENT STUDY"),
])
def test_models(uid: str, name: str, levels: str) -> None:
    assert UID(uid).name.startswith(name) and "FIND" in UID(uid).name
    assert [LEVEL_NAMES[level] for level in FIND_LEVELS[uid]] == levels.split()
    assert list(FIND_LEVELS[uid]) == sorted(FIND_LEVELS[uid])


def test_there_are_three_models() -> None:
    assert len(FIND_LEVELS) == 3


@pytest.mark.parametrize("level, keyword", [
    (Level.PATIENT, "PatientID"), (Level.STUDY, "StudyInstanceUID"), (Level.SERIES, "SeriesInstanceUID"),
    (Level.INSTANCE, "SOPInstanceUID")])
def test_unique_keys(level: Level, keyword: str) -> None:
    tag = UNIQUE_KEYS[level]
    assert keyword_for_tag(tag) == keyword
    assert query_attributes()[0, tag].level is level


@pytest.mark.parametrize("tag, keyword", [
    (query.SPECIFIC_CHARACTER_SET, "SpecificCharacterSet"), (query.QUERY_RETRIEVE_LEVEL, "QueryRetrieveLevel"),
    (query.RETRIEVE_AE_TITLE, "RetrieveAETitle"), (query.INSTANCE_AVAILABILITY, "InstanceAvailability"),
    (query.TIMEZONE_OFFSET_FROM_UTC, "TimezoneOffsetFromUTC"),
])
def test_tags_by_name(tag: int, keyword: str) -> None:
    assert tag_for_keyword(keyword) == tag


@pytest.mark.parametrize("attribute", COMPUTED, ids=lambda attribute: attribute.keyword)
def test_computed_as_pydicom_has_it(attribute: Attribute) -> None:
    assert tag_for_keyword(attribute.keyword) == attribute.tag
    assert dictionary_VR(attribute.tag) == attribute.vr
    assert attribute.tag in COMPUTED_TAGS
    assert query_attributes()[0, attribute.tag] is attribute


@pytest.mark.parametrize("level, words", [(Level.PATIENT, "PatientRelated"), (Level.STUDY, "StudyRelated"),
                                          (Level.SERIES, "SeriesRelated")])
def test_counts_are_of_the_level_that_they_name(level: Level, words: str) -> None:
    counts = {attribute.keyword for attribute in COMPUTED if words in attribute.keyword}
    assert counts == {attribute.keyword for attribute in COMPUTED
                      if attribute.level is level and attribute.keyword.startswith("NumberOf")}
    assert len(counts) == 3 - level


@pytest.mark.parametrize("date, time", DATE_TIME_PAIRS.items(), ids=lambda tag: f"{tag:08X}")
def test_a_date_and_its_time_belong_together(date: int, time: int) -> None:
    assert (dictionary_VR(date), dictionary_VR(time)) == ("DA", "TM")
    assert keyword_for_tag(date).replace("Date", "") == keyword_for_tag(time).replace("Time", "")


def test_whatever_is_kept_can_be_asked_for() -> None:
    places = {(attribute.sequence, attribute.tag) for attribute in INDEXED}
    assert places - set(query_attributes()) == {(0, query.SPECIFIC_CHARACTER_SET)}
    assert set(query_attributes()) - places <= {(0, tag) for tag in COMPUTED_TAGS}


def test_every_date_with_its_time_is_paired() -> None:
    """A pair that the index keeps and that the table lacks would never be one interval."""
    kept = {attribute.keyword: attribute for attribute in INDEXED if not attribute.sequence}
    pairs = {attribute.tag: kept[name].tag for keyword, attribute in kept.items() if attribute.vr == "DA"
             for name in [keyword.replace("Date", "Time")] if name in kept}
    assert pairs.items() <= DATE_TIME_PAIRS.items()


@pytest.mark.parametrize("tag", query_sequences(), ids=lambda tag: f"{tag:08X}")
def test_sequences(tag: int) -> None:
    within = query_sequences()[tag]
    assert dictionary_VR(tag) == "SQ"
    assert set(within) == {attribute for attribute in INDEXED if attribute.sequence == tag}
    assert len({attribute.level for attribute in within}) == 1      # one column holds them all
    assert (0, tag) not in query_attributes()

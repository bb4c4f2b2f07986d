"""Which condition finds the rows. The shares are guesses; their order is what people's archives are like."""
from __future__ import annotations

import pytest

from dicomserver.index.search.breadth import ALL, narrowest, share_of
from dicomserver.index.search.criteria import Within
from dicomserver.index.search.query import Condition, ItemCondition, Moment, Query
from dicomserver.index.search.times import Span, date_time_span
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import query_attributes
from tests.index.search.test_selection import BY_KEYWORD, query


def found_by(level: Level = Level.STUDY, **keys: str) -> str | None:
    condition = narrowest(query(level, **keys))
    return condition and condition.attribute.keyword


@pytest.mark.parametrize("keys, finds", [
    ({"PatientID": "P1", "PatientName": "s*"}, "PatientID"),
    ({"StudyDate": "20240101", "PatientName": "s*"}, "StudyDate"),
    ({"StudyDate": "20240101-20240107", "PatientName": "*son*"}, "StudyDate"),
    ({"StudyDate": "20150101-20241231", "PatientName": "doe^j*"}, "PatientName"),
    ({"StudyDate": "20150101-", "PatientName": "*smith*"}, "PatientName"),
    ({"StudyDate": "20240101-20240131", "PatientName": "*smith*"}, "PatientName"),
    ({"StudyDate": "20240101-20240131", "PatientName": "*mi*"}, "StudyDate"),
    ({"StudyDate": "20240101", "AccessionNumber": "2024*"}, "StudyDate"),
    ({"StudyDate": "20240101-20240131", "AccessionNumber": "2024CT000123*"}, "AccessionNumber"),
    ({"PatientBirthDate": "19500101", "PatientName": "smi*"}, "PatientBirthDate"),
    ({"PatientSex": "F", "PatientName": "s*"}, "PatientName"),
    ({"ModalitiesInStudy": "CT", "StudyDate": "20150101-"}, "StudyDate"),
    ({"PatientName": "a*\\b*", "StudyDate": "20240101-20240630"}, "StudyDate"),
    ({"ReferringPhysicianName": "*ab*", "StudyDescription": "*knee*"}, "StudyDescription"),
    ({"StudyDescription": "knee", "AccessionNumber": "A*"}, "AccessionNumber"),
    ({"PatientComments": "x", "PatientID": "*123*"}, "PatientID"),
    ({"PatientSex": "F", "PatientName": "*a*"}, None), ({"PatientID": "P1"}, None), ({}, None),
])
def test_the_narrowest_condition_finds(keys: dict[str, str], finds: str | None) -> None:
    assert found_by(**keys) == found_by(**dict(reversed(keys.items()))) == finds


def test_of_two_unique_keys_the_lower_one_finds() -> None:
    assert found_by(Level.INSTANCE, StudyInstanceUID="1.2", SeriesInstanceUID="1.3") == "SeriesInstanceUID"
    assert found_by(Level.INSTANCE, SOPInstanceUID="1.4", SeriesInstanceUID="1.3") == "SOPInstanceUID"


def test_a_date_with_its_time_is_as_narrow_as_its_days() -> None:
    date, time = BY_KEYWORD["StudyDate"], BY_KEYWORD["StudyTime"]
    ends = [Span(*[f"202401{day}100000.000000"] * 2) for day in ("01", "02")]
    days = Moment(date, time, Within(*ends, date_time_span))
    name, = query(Level.STUDY, PatientName="s*").conditions
    assert narrowest(Query(Level.STUDY, (name, days))) is days
    assert share_of(Moment(date, time, Within(ends[0], None, date_time_span)), Level.STUDY) > share_of(
        days, Level.STUDY)
    series = Moment(query_attributes()[0, 0x00080021], query_attributes()[0, 0x00080031], days.criterion)
    assert share_of(series, Level.SERIES) == ALL and narrowest(Query(Level.SERIES, (series, name))) is name


def test_what_stands_in_a_sequence_finds_nothing() -> None:
    name, = query(Level.STUDY, PatientName="s*").conditions
    item = ItemCondition((Condition(query_attributes()[0, 0x00104000], name.criterion),))
    assert share_of(item, Level.STUDY) == ALL
    assert narrowest(Query(Level.STUDY, (item, name))) is name


@pytest.mark.parametrize("keyword, value", [
    ("PatientName", '""'), ("StudyTime", "1000-1100"), ("NumberOfStudyRelatedSeries", "3"), ("PatientSex", "F"),
    ("StudyDescription", "knee"), ("PatientName", "?"), ("StudyDescription", "kn*")])
def test_no_index_finds_these(keyword: str, value: str) -> None:
    condition, = query(Level.STUDY, **{keyword: value}).conditions
    assert share_of(condition, Level.STUDY) == ALL

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from dicomserver.index.search.criteria import Equal, Like, Within
from dicomserver.index.search.keys import MOST_ALTERNATIVES, MOST_VALUES
from dicomserver.index.search.query import Condition, ItemCondition, Moment
from dicomserver.services.identifiers import IdentifierRefused, Options, Question, read_question
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from dicomserver.wire.identifier import IdentifierElement
from dicomserver.wire.matches import ResponseField, Source

LEVEL, NAME, ID, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
CHARACTER_SET, RETRIEVE_AE, AVAILABILITY, ZONE = 0x00080005, 0x00080054, 0x00080056, 0x00080201
DATE, TIME, MODALITY, MODALITIES, SERIES_COUNT = 0x00080020, 0x00080030, 0x00080060, 0x00080061, 0x00201206
CODES, CODE, SCHEME, MEANING = 0x00081032, 0x00080100, 0x00080102, 0x00080104
CONSTANTS = [(LEVEL, "CS"), (RETRIEVE_AE, "AE"), (AVAILABILITY, "CS")]
RELATIONAL, COMBINED = Options(relational=True), Options(combined_date_time=True)

Keys = Mapping[int, bytes | Sequence[Mapping[int, bytes]]]


def elements(keys: Keys) -> list[IdentifierElement]:
    return [IdentifierElement(tag, "", value, None) if isinstance(value, bytes) else
            IdentifierElement(tag, "SQ", b"", [elements(item) for item in value]) for tag, value in keys.items()]


def read(level: str, keys: Keys, sop_class: str = STUDY_ROOT_FIND, options: Options = Options()) -> Question:
    return read_question(elements({LEVEL: level.encode(), **keys}), sop_class, options, "US")


def refused(level: str, keys: Keys, sop_class: str = STUDY_ROOT_FIND,
            options: Options = Options()) -> IdentifierRefused:
    with pytest.raises(IdentifierRefused) as error:
        read(level, keys, sop_class, options)
    return error.value


def criteria(question: Question) -> dict[int, object]:
    return {one.attribute.tag: one.criterion for one in question.query.conditions if isinstance(one, Condition)}


@pytest.mark.parametrize("sop_class, names", [
    (PATIENT_ROOT_FIND, ["PATIENT", "STUDY", "SERIES", "IMAGE"]), (STUDY_ROOT_FIND, ["STUDY", "SERIES", "IMAGE"]),
    (PATIENT_STUDY_ONLY_FIND, ["PATIENT", "STUDY"])])
def test_the_levels_of_a_model(sop_class: str, names: list[str]) -> None:
    for level, name in zip(Level, ["PATIENT", "STUDY", "SERIES", "IMAGE"]):
        if name in names:
            question = read(name + " ", {}, sop_class, RELATIONAL)
            assert question.query.level is level
            assert ResponseField(LEVEL, "CS", Source.CONSTANT, 0, name.encode()) in question.fields
        else:
            assert refused(name, {}, sop_class, RELATIONAL).status == 0xA900


@pytest.mark.parametrize("level", ["", "study", "INSTANCE", "STUDY\\SERIES", "*", "\u00c4"])
def test_what_is_no_level(level: str) -> None:
    error = refused(level, {})
    assert (error.status, error.offending) == (0xA900, LEVEL)


def test_without_a_level() -> None:
    with pytest.raises(IdentifierRefused, match="Level is missing") as error:
        read_question([], STUDY_ROOT_FIND, Options(), "US")
    assert (error.value.status, error.value.offending) == (0xA900, LEVEL)


PATIENT_1, STUDY_1, SERIES_1 = {ID: b"P1"}, {STUDY: b"1.2 "}, {SERIES: b"1.2.3\0"}


@pytest.mark.parametrize("sop_class, level, keys, missing", [
    (PATIENT_ROOT_FIND, "STUDY", {}, ID), (PATIENT_ROOT_FIND, "STUDY", PATIENT_1, None),
    (PATIENT_ROOT_FIND, "SERIES", STUDY_1, ID), (PATIENT_ROOT_FIND, "SERIES", PATIENT_1, STUDY),
    (PATIENT_ROOT_FIND, "IMAGE", PATIENT_1 | STUDY_1, SERIES), (STUDY_ROOT_FIND, "SERIES", STUDY_1, None),
    (PATIENT_ROOT_FIND, "IMAGE", PATIENT_1 | STUDY_1 | SERIES_1, None), (STUDY_ROOT_FIND, "STUDY", {}, None),
    (STUDY_ROOT_FIND, "SERIES", PATIENT_1, STUDY), (STUDY_ROOT_FIND, "IMAGE", STUDY_1, SERIES),
    (PATIENT_STUDY_ONLY_FIND, "PATIENT", {}, None), (PATIENT_STUDY_ONLY_FIND, "STUDY", {}, ID),
    *((STUDY_ROOT_FIND, "SERIES", {STUDY: value}, STUDY) for value in (
        b"", b" ", b"*", b"1.*", b"1.2\\1.3", b"1.2?", b'""', b"junk", b"1..2")),
    *((PATIENT_ROOT_FIND, "STUDY", {ID: value}, ID) for value in (b"", b"*", b"P?", b"P1\\P2", b'""')),
    (PATIENT_ROOT_FIND, "STUDY", {ID: b"P1\\P1"}, None), (STUDY_ROOT_FIND, "SERIES", {STUDY: b"1.2\\1.2 "}, None),
])
def test_unique_keys_above_the_level(sop_class: str, level: str, keys: Keys, missing: int | None) -> None:
    """Exactly one value each; with relational queries they are keys like others."""
    if missing is None:
        read(level, keys, sop_class)
    else:
        error = refused(level, keys, sop_class)
        assert (error.status, error.offending) == (0xA900, missing)
    read(level, keys, sop_class, RELATIONAL)


def test_keys_become_conditions_and_fields() -> None:
    question = read("SERIES", {NAME: b"DOE*", STUDY: b"1.2", MODALITY: b"CT", SERIES: b"",
                               CHARACTER_SET: b"ISO_IR 100"})
    assert question.query.level is Level.SERIES and question.all_supported
    assert set(criteria(question)) == {NAME, STUDY, MODALITY}
    assert criteria(question)[STUDY] == Equal(frozenset({"1.2"}))
    assert question.character_set == b"ISO_IR 100"
    assert question.fields == [
        ResponseField(LEVEL, "CS", Source.CONSTANT, 0, b"SERIES"),
        ResponseField(RETRIEVE_AE, "AE", Source.CONSTANT, 0, b"US"),
        ResponseField(AVAILABILITY, "CS", Source.CONSTANT, 0, b"ONLINE"),
        ResponseField(MODALITY, "CS", Source.PACKED, 4),
        ResponseField(NAME, "PN", Source.PACKED, 0), ResponseField(STUDY, "UI", Source.PACKED, 2),
        ResponseField(SERIES, "UI", Source.PACKED, 4)]


def test_keys_are_read_in_their_character_set() -> None:
    question = read("STUDY", {CHARACTER_SET: b"ISO_IR 192", ID: "Ä*".encode()})
    assert criteria(question) == {ID: Like("Ä*")}


def test_what_is_computed_stands_behind_the_levels() -> None:
    question = read("STUDY", {SERIES_COUNT: b"2", MODALITIES: b""})
    assert question.query.computed == (SERIES_COUNT, MODALITIES)
    assert set(criteria(question)) == {SERIES_COUNT}
    assert ResponseField(MODALITIES, "CS", Source.PLAIN, 5) in question.fields
    assert ResponseField(SERIES_COUNT, "IS", Source.PLAIN, 4) in question.fields


@pytest.mark.parametrize("keys", [
    {0x00091001: b"private"}, {MODALITY: b"CT"}, {INSTANCE: b"1.2"}, {0x00189999: b"unknown"}, {0x00201209: b""},
    {NAME: [{NAME: b"x"}]}, {0x00081140: []}, {CODES: [{NAME: b"x"}]}, {CODES: [{0x00091001: b""}]}])
def test_what_is_not_supported_is_left_out_and_said(keys: Keys) -> None:
    """Keys of a level below, unknown ones, and sequences where there is none; they restrict nothing."""
    question = read("STUDY", keys)
    assert not question.all_supported
    assert question.query.conditions == () == question.query.computed
    assert [(field.tag, field.vr) for field in question.fields if field.tag != CODES] == CONSTANTS


@pytest.mark.parametrize("keys", [
    {0x00100000: b"\4\0\0\0"}, {RETRIEVE_AE: b"THEM"}, {AVAILABILITY: b"OFFLINE"}, {CODES: [{0x00080000: b"\4\0\0\0"}]},
    {CHARACTER_SET: b"ISO_IR 100"}])
def test_what_is_no_key(keys: Keys) -> None:
    question = read("STUDY", keys)
    assert question.all_supported and question.query.conditions == ()
    assert [(field.tag, field.vr) for field in question.fields if field.tag != CODES] == CONSTANTS


def test_the_zone_of_the_keys_is_returned_and_never_matched() -> None:
    question = read("STUDY", {ZONE: b"+0100"})
    assert question.query.conditions == () and question.all_supported
    assert ResponseField(ZONE, "SH", Source.PACKED, 2) in question.fields


@pytest.mark.parametrize("items, asked", [
    ([], ()), ([{}], ()), ([{CODE: b""}], ((CODE, "SH"),)),
    ([{MEANING: b"*knee*", CODE: b""}], ((CODE, "SH"), (MEANING, "LO")))])
def test_sequences(items: list[Mapping[int, bytes]], asked: tuple) -> None:
    question = read("STUDY", {CODES: items})
    assert ResponseField(CODES, "SQ", Source.SEQUENCE, 2, b"", asked) in question.fields
    assert len(question.query.conditions) == any(item.get(MEANING) for item in items)


def test_the_keys_of_an_item_are_one_condition() -> None:
    [condition] = read("STUDY", {CODES: [{CODE: b"T-1", SCHEME: b"SRT", MEANING: b"*"}]}).query.conditions
    assert isinstance(condition, ItemCondition)
    assert [one.attribute[1:5] for one in condition.conditions] == [
        (CODE, "SH", Level.STUDY, CODES), (SCHEME, "SH", Level.STUDY, CODES)]


def test_a_sequence_of_zero_length_that_came_as_something_else() -> None:
    question = read("STUDY", {CODES: b""})
    assert question.all_supported and question.query.conditions == ()


@pytest.mark.parametrize("keys, status, offending", [
    ({DATE: b"junk"}, 0xC000, DATE), ({TIME: b"25"}, 0xC000, TIME), ({DATE: b"20240101-x"}, 0xC000, DATE),
    ({SERIES_COUNT: b"many"}, 0xC000, SERIES_COUNT), ({CODES: [{}, {}]}, 0xA900, CODES),
    ({CODES: [{CODE: b"x" * 5000}]}, 0xC000, CODE), ({STUDY: b"1\\" * MOST_VALUES + b"1"}, 0xA700, STUDY),
    ({NAME: b"a\\" * MOST_ALTERNATIVES + b"a"}, 0xA700, NAME)])
def test_what_cannot_be_answered(keys: Keys, status: int, offending: int) -> None:
    error = refused("STUDY", keys)
    assert (error.status, error.offending) == (status, offending)
    assert 10 < len(str(error)) <= 64 and str(error).isascii()
    assert not any(text in str(error) for text in ("junk", "many", "xxx"))


RANGE, HOURS = b"20240101-20240131", b"10-12"


@pytest.mark.parametrize("date, time, low, high", [
    (RANGE, HOURS, "20240101100000.000000", "20240131125960.999999"),
    (RANGE, b"10-", "20240101100000.000000", "20240131235960.999999"),
    (RANGE, b"-12", "20240101000000.000000", "20240131125960.999999"),
    (b"20240101-", HOURS, "20240101100000.000000", None), (b"-20240131", HOURS, None, "20240131125960.999999")])
def test_combined_date_time_matching(date: bytes, time: bytes, low: str | None, high: str | None) -> None:
    [moment] = read("STUDY", {DATE: date, TIME: time}, options=COMBINED).query.conditions
    assert isinstance(moment, Moment) and (moment.date.tag, moment.time.tag) == (DATE, TIME)
    assert moment.criterion.low is None if low is None else moment.criterion.low.low == low
    assert moment.criterion.high is None if high is None else moment.criterion.high.high == high


@pytest.mark.parametrize("date, time, options", [
    (RANGE, HOURS, Options()), (b"20240101", HOURS, COMBINED), (RANGE, b"10", COMBINED), (RANGE, b'""', COMBINED),
    (RANGE + b"\\20250101", HOURS, COMBINED)])
def test_otherwise_each_is_matched_alone(date: bytes, time: bytes, options: Options) -> None:
    assert set(criteria(read("STUDY", {DATE: date, TIME: time}, options=options))) == {DATE, TIME}


def test_a_range_of_times_without_dates() -> None:
    [condition] = read("STUDY", {TIME: HOURS}, options=COMBINED).query.conditions
    assert isinstance(condition.criterion, Within)


@pytest.mark.parametrize("proposed, granted, options", [
    (b"", b"", Options()), (b"\1", b"\1", RELATIONAL), (b"\0\1", b"\0\1", COMBINED), (b"\2\1", b"\0\1", COMBINED),
    (b"\1" * 7, b"\1\1\1\0\0\1\1", Options(True, True, True)),
    (b"\1" * 9, b"\1\1\1\0\0\1\1", Options(True, True, True)),
    (b"\0" * 7, b"\0" * 7, Options()), (b"\0\0\1", b"\0\0\1", Options(fuzzy_names=True)),
    (b"\0\0\2", b"\0\0\0", Options())])
def test_extended_negotiation(proposed: bytes, granted: bytes, options: Options) -> None:
    assert Options.answer(proposed) == granted
    assert Options.of(granted) == options

"""C-FIND by a real requestor: what is answered, how it ends, and what a peer or the index can do about it."""
from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator

import pytest

from dicomserver.index import Index, IndexDamaged, IndexUnavailable, SearchInterrupted
from dicomserver.index.search.query import Query
from dicomserver.services.find import QueryLimits
from dicomserver.session.acceptor import MessageLimits
from dicomserver.standard.query import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from dicomserver.wire.commands import C_FIND_RQ
from tests.index.samples import PATIENT_ID, STUDY_DESCRIPTION, make
from tests.interop.find.asker import Answer, Asker, store
from tests.interop.find.family import instances, uid
from tests.interop.find.keys import BIG_ENDIAN, EXPLICIT, IMPLICIT, Keys, encoded
from tests.interop.sender import DATASET, NO_DATASET, command_set

COMMENT, OFFENDING = 0x00000902, 0x00000901
FAMILY: Keys = {"PatientName": "family*", "StudyInstanceUID": ""}
STUDY_COMMENTS = 0x00324000
MANY = 4500      # more bytes of responses than any buffer of the kernel takes


@pytest.fixture
def family(provider):
    """The provider, with the family stored."""
    store(provider.port, list(instances()))
    return provider


def find(provider, level: str | None, keys: Keys, model: str = STUDY_ROOT_FIND, syntax: str = EXPLICIT) -> Answer:
    with Asker(provider.port, model, syntax, called="US") as asker:
        return asker.find(level, keys)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("model, level, keys, found", [
    (STUDY_ROOT_FIND, "STUDY", FAMILY, 6), (PATIENT_ROOT_FIND, "PATIENT", {"PatientName": "family^one"}, 2),
    (PATIENT_STUDY_ONLY_FIND, "STUDY", {"PatientID": "F-1", "StudyInstanceUID": ""}, 2),
    (STUDY_ROOT_FIND, "SERIES", {"StudyInstanceUID": uid(1), "Modality": ""}, 2),
    (STUDY_ROOT_FIND, "IMAGE", {"StudyInstanceUID": uid(1), "SeriesInstanceUID": uid(1, 1), "InstanceNumber": "2\\3"},
     2),
    (STUDY_ROOT_FIND, "STUDY", {"PatientName": "nobody"}, 0)])
def test_matches_and_then_success(family, model: str, level: str, keys: Keys, found: int, syntax: str) -> None:
    answer = find(family, level, keys, model, syntax)
    assert (len(answer.raw), answer.status, answer.statuses) == (found, 0, {0xFF00} if found else set())
    for match in answer.matches:
        assert (match.QueryRetrieveLevel, match.RetrieveAETitle, match.InstanceAvailability) == (level, "US", "ONLINE")
        tags = [element.tag for element in match]
        assert tags == sorted(tags) and len(tags) == len(keys) + 3
    assert family.answered[-1] == (C_FIND_RQ, 0)


def test_values_are_those_that_are_stored(family) -> None:
    answer = find(family, "STUDY", {
        "PatientID": "F-1", "NumberOfStudyRelatedInstances": "",
        **dict.fromkeys(("StudyDescription", "ModalitiesInStudy", "StudyDate"), "")})
    assert answer.values("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances", "StudyDate") == [
        ("Study 1", "['CT', 'SR']", "4", ""), ("Study 2", "MR", "2", "")]


def test_an_unsupported_key_is_said_in_every_match(family) -> None:
    answer = find(family, "STUDY", {**FAMILY, "Modality": "CT", "SliceThickness": ""})
    assert (len(answer.raw), answer.statuses, answer.status) == (6, {0xFF01}, 0)
    assert not any("Modality" in match or "SliceThickness" in match for match in answer.matches)


GERMAN: Keys = {**next(instances()), "StudyInstanceUID": uid(9), "SeriesInstanceUID": uid(9, 1), "PatientID": "F-9",
                "SOPInstanceUID": uid(9, 1, 1), "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Größe^Jörg",
                "StudyDescription": "Größe"}


@pytest.mark.parametrize("asked, said", [("ISO_IR 192", "ISO_IR 192"), ("ISO_IR 100", "ISO_IR 100"),
                                         ("ISO_IR 144", "ISO_IR 192"), ("", "ISO_IR 192")])
def test_letters_come_in_the_asker_s_character_set_if_it_has_them(family, asked: str, said: str) -> None:
    store(family.port, [GERMAN])
    keys = {"SpecificCharacterSet": asked, "PatientName": "gr*", "StudyDescription": ""}
    [match] = find(family, "STUDY", keys).matches
    assert (match.StudyDescription, match.SpecificCharacterSet) == ("Größe", said)


def test_no_character_set_is_said_where_there_are_no_such_letters(family) -> None:
    store(family.port, [GERMAN])
    answer = find(family, "STUDY", {"SpecificCharacterSet": "ISO_IR 192", "StudyDescription": ""})
    assert [match.StudyDescription for match in answer.matches if "SpecificCharacterSet" in match] == ["Größe"]
    assert len(answer.matches) == 7


def test_extended_negotiation(family) -> None:
    with Asker(family.port, called="US", negotiated=b"\1\1\1\1") as asker:
        assert asker.extended == {STUDY_ROOT_FIND: b"\1\1\1\0"}
        assert len(asker.find("IMAGE", {"PatientID": "F-*"}).raw) == 9
    assert find(family, "IMAGE", {"PatientID": "F-*"}).status == 0xA900


@pytest.mark.parametrize("fuzzy_for, negotiated, found", [
    ([], b"", 0), ([], b"\1", 0), ([], b"\0\0\1", 2), (["SOMEBODY"], b"", 0), (["INTEROP"], b"", 2), (["*"], b"", 2),
    (["*"], b"\0\0\0", 2)])
def test_names_that_sound_alike(family, fuzzy_for: list[str], negotiated: bytes, found: int) -> None:
    """For who has negotiated it, and for those of the configuration."""
    family.fuzzy_for = frozenset(fuzzy_for)
    with Asker(family.port, PATIENT_ROOT_FIND, called="US", negotiated=negotiated) as asker:
        assert len(asker.find("PATIENT", {"PatientName": "Phamilee^Wan", "PatientID": ""}).raw) == found
    with Asker(family.port, PATIENT_ROOT_FIND, called="US", negotiated=negotiated) as asker:
        assert len(asker.find("PATIENT", {"PatientName": "family^one", "PatientID": ""}).raw) == 2


def test_names_in_sequences_and_without_a_column_sound_too(family) -> None:
    operator = {**next(instances()), "OperatorsName": "Smith^Ann", "StudyInstanceUID": uid(8),
                "SeriesInstanceUID": uid(8, 1), "SOPInstanceUID": uid(8, 1, 1)}
    store(family.port, [operator])
    keys: Keys = {"OperatorsName": "Smyth", "StudyInstanceUID": uid(8), "SeriesInstanceUID": ""}
    for negotiated, found in ((b"", 0), (b"\0\0\1", 1)):
        with Asker(family.port, called="US", negotiated=negotiated) as asker:
            assert len(asker.find("SERIES", keys).raw) == found


# -- what is refused -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("level, keys, status, offending", [
    (None, FAMILY, 0xA900, 0x00080052), ("PATIENT", FAMILY, 0xA900, 0x00080052), ("SERIES", {}, 0xA900, 0x0020000D),
    ("STUDY", {"StudyDate": "1 May"}, 0xC000, 0x00080020),
    ("STUDY", {"PatientName": "secret*\\" * 500 + "x"}, 0xA700, 0x00100010),
    ("STUDY", {"ProcedureCodeSequence": [{"CodeValue": "1"}, {"CodeValue": "2"}]}, 0xA900, 0x00081032)])
def test_refusals_say_what_is_wrong(family, caplog, level: str | None, keys: Keys, status: int, offending: int) -> None:
    with Asker(family.port, called="US") as asker:
        answer = asker.find(level, keys)
        assert (answer.status, answer.raw) == (status, [])
        assert answer.final.elements[OFFENDING] == struct.pack("<HH", offending >> 16, offending & 0xFFFF)
        assert answer.final.comment
        assert len(asker.find("STUDY", FAMILY).raw) == 6
    assert family.answered[-2:] == [(C_FIND_RQ, status), (C_FIND_RQ, 0)]
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{status:04X}H" in line and "INTEROP" in line
    assert not any(value in line for value in ("secret", "1 May"))


def test_a_malformed_identifier(family) -> None:
    with Asker(family.port, called="US") as asker:
        answer = sent(asker, encoded({"QueryRetrieveLevel": "STUDY"})[:-3])
        assert answer.status == 0xC000 and answer.final.comment and OFFENDING not in answer.final.elements
        assert asker.find("STUDY", FAMILY).status == 0


def test_a_request_without_identifier(family) -> None:
    with Asker(family.port, called="US") as asker:
        answer = sent(asker, None)
        assert (answer.status, answer.final.comment) == (0xC000, "the request has no identifier")
        assert asker.find("STUDY", FAMILY).status == 0


@pytest.mark.parametrize("other", [PATIENT_ROOT_FIND, "1.2.840.10008.5.1.4.1.1.2"])
def test_another_sop_class_than_that_of_the_context(family, other: str) -> None:
    with Asker(family.port, called="US") as asker:
        answer = sent(asker, encoded({"QueryRetrieveLevel": "STUDY"}), other)
        assert answer.status == 0x0122 and answer.final.comment
        assert asker.find("STUDY", FAMILY).status == 0


def test_a_context_of_something_else(family) -> None:
    with Asker(family.port, "1.2.840.10008.1.1", called="US") as asker:
        assert sent(asker, encoded({"QueryRetrieveLevel": "STUDY"})).status == 0x0122


@pytest.mark.parametrize("too_long, status", [(0, 0), (1, 0xA700), (50, 0xA700)])
def test_the_longest_identifier(family, too_long: int, status: int) -> None:
    identifier = encoded({"QueryRetrieveLevel": "STUDY", "PatientName": "family*".ljust(150)})
    family.limits = MessageLimits(identifier=len(identifier) - too_long)
    with Asker(family.port, called="US") as asker:
        answer = sent(asker, identifier)
        assert (answer.status, len(answer.raw)) == (status, 0 if status else 6)
        assert asker.find("STUDY", {"PatientID": "F-1"}).status == 0


def sent(asker: Asker, identifier: bytes | None, sop_class: str = "") -> Answer:
    """The answer to these bytes."""
    message = asker._next_message()
    follows = NO_DATASET if identifier is None else DATASET
    asker.request(1, command_set(sop_class or asker.model, C_FIND_RQ, message, follows))
    if identifier is not None:
        asker.send_dataset(1, identifier)
    return asker.finish(message)


# -- limits --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("most, found, status", [(0, 6, 0), (7, 6, 0), (6, 6, 0), (5, 5, 0xA700), (1, 1, 0xA700)])
def test_so_many_matches_and_no_more(family, most: int, found: int, status: int) -> None:
    family.query = QueryLimits(matches=most)
    answer = find(family, "STUDY", FAMILY)
    assert (len(answer.raw), answer.status) == (found, status)
    if status:
        assert answer.final.comment == f"more than {most} matches"


@pytest.mark.parametrize("most", [49, 50, 51, 300])
def test_the_limit_across_pages(family, most: int) -> None:
    fill(family.index, 300)
    family.query = QueryLimits(matches=most)
    answer = find(family, "STUDY", {"PatientID": "C-*"})
    assert (len(answer.raw), answer.status) == (most, 0 if most == 300 else 0xA700)


def test_the_deadline(family) -> None:
    """None is met here: what was found before it is sent, then the query ends."""
    fill(family.index, 300)
    family.query = QueryLimits(seconds=0)
    answer = find(family, "STUDY", {"PatientID": "C-*"})
    assert (answer.status, answer.final.comment) == (0xA700, "the query takes too long")
    assert len(answer.raw) < 300
    family.query = QueryLimits()
    assert len(find(family, "STUDY", {"PatientID": "C-*"}).raw) == 300


def fill(index: Index, count: int, comment: bytes = b"") -> None:
    """Studies of the patients C-1, C-2 …; comment: how much each has to say."""
    index.add_many(make(1, study=f"1.{number}", slot=number, patient={PATIENT_ID: b"C-%d" % number},
                        of_study={STUDY_COMMENTS: comment, STUDY_DESCRIPTION: comment})
                   for number in range(1, count + 1))


class Faulty:
    """Stands for an index that fails when it is searched, before or after a page."""

    def __init__(self, index: Index, error: Exception, pages: int) -> None:
        self._index, self._error, self._pages = index, error, pages
        self.closed = 0

    def search(self, query: Query, keep_going: Callable[[], bool]) -> Iterator[list[tuple]]:
        assert keep_going()
        try:
            pages = self._index.search(query)
            for _ in range(self._pages):
                yield next(pages)
            raise self._error
        finally:
            self.closed += 1


@pytest.mark.parametrize("error, comment", [
    (IndexUnavailable("SQLite: SQLITE_IOERR"), "the index is unavailable: SQLite: SQLITE_IOERR"),
    (IndexDamaged("SQLite: SQLITE_CORRUPT"), "the index is unavailable: SQLite: SQLITE_CORRUPT"),
    (SearchInterrupted("x"), "the query takes too long"),
    (IndexUnavailable("x" * 99), "the index is unavailable: " + "x" * 38)])
@pytest.mark.parametrize("pages", [0, 1, 2])
def test_an_index_that_fails(family, error: Exception, comment: str, pages: int) -> None:
    fill(family.index, 100)
    index, family.index = family.index, Faulty(family.index, error, pages)
    with Asker(family.port, called="US") as asker:
        answer = asker.find("STUDY", {"PatientID": "C-*"})
        assert (answer.status, len(answer.raw)) == (0xA700, [0, 50, 100][pages])
        assert answer.final.comment == comment
        assert asker.find("STUDY", {"PatientID": "C-*"}).status == 0xA700
    assert family.index.closed == 2
    family.index = index
    assert find(family, "STUDY", {"PatientID": "C-1"}).status == 0


def test_an_index_that_is_closed(family) -> None:
    family.index.close()
    answer = find(family, "STUDY", FAMILY)
    assert (answer.status, answer.final.comment) == (0xA700, "the index is unavailable: the index is closed")


# -- cancel --------------------------------------------------------------------------------------------------------

LONG: Keys = {"PatientID": "C-*", "StudyComments": "", "StudyDescription": ""}


@pytest.mark.parametrize("after", [0, 1, 60])
def test_a_cancel_ends_it(family, after: int) -> None:
    fill(family.index, MANY, b"x" * 1000)
    with Asker(family.port, called="US", receive_buffer=4096) as asker:
        answer = asker.find("STUDY", LONG, cancel_after=after)
        assert answer.status == 0xFE00 and after <= len(answer.raw) < MANY
        assert OFFENDING not in answer.final.elements and COMMENT not in answer.final.elements
        assert len(asker.find("STUDY", {"PatientID": "C-7"}).raw) == 1
    assert family.answered[-2:] == [(C_FIND_RQ, 0xFE00), (C_FIND_RQ, 0)]


def test_a_cancel_of_something_else_does_not(family) -> None:
    fill(family.index, 200)
    with Asker(family.port, called="US", receive_buffer=4096) as asker:
        asker.cancel(1)
        asker.find("STUDY", {"PatientID": "C-1"})
        answer = asker.find("STUDY", LONG, cancel_after=1, cancelled=-1)
        assert (answer.status, len(answer.raw)) == (0, 200)
        asker.cancel(2)
        assert asker.find("STUDY", {"PatientID": "C-1"}).status == 0


def test_a_peer_that_goes_away_leaves_nothing_behind(family) -> None:
    fill(family.index, MANY, b"x" * 1000)
    for _ in range(20):
        asker = Asker(family.port, called="US", receive_buffer=4096)
        asker.begin("STUDY", LONG)
        asker.receive()
        asker.close()
    assert find(family, "STUDY", {"PatientID": "C-7"}).status == 0

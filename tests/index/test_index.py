"""The contract of every engine."""
from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from dicomserver.index import Counts, Index, IndexUnavailable, Instance, SearchInterrupted, Stored, open_index
from dicomserver.index.sqlite import connection
from tests.index.samples import (
    ACCESSION_NUMBER, BIRTH_DATE, CT, EXPLICIT, INSTANCE_NUMBER, ISSUER, MODALITY, PATIENT_ID, PATIENT_NAME,
    SERIES_NUMBER, STUDY_DATE, STUDY_DESCRIPTION, STUDY_TIME, ask, make, packed, sizes,
)


def uids(found: Iterable[Stored]) -> list[str]:
    return [stored.sop_instance_uid for stored in found]


def test_keeps_what_it_is_given(index: Index) -> None:
    assert index.add(make(7, flags=3)) is None
    assert index.find("1.2.3.1.7") == Stored(
        "1.2.3", "1.2.3.1", "1.2.3.1.7", CT, EXPLICIT, 7, 4407, 356, (1 << 64) - 7, 1_700_000_000_000_007, 3)
    assert index.find("1.2.3.1.8") is None


@pytest.mark.parametrize("checksum", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_keeps_unsigned_checksums(index: Index, checksum: int) -> None:
    index.add(make(checksum=checksum, slot=(1 << 63) - 1))
    assert index.find("1.2.3.1.1").checksum == checksum
    assert index.find("1.2.3.1.1").slot == (1 << 63) - 1


def test_the_first_of_a_uid_stays(index: Index) -> None:
    index.add(make(1))
    index.add(make(2))
    for known in (True, False):  # of a series that is remembered, and of one that would be new
        again = make(1, slot=99, study="1.2.3" if known else "9.9", series="1.2.3.1",
                     patient={} if known else {PATIENT_NAME: b"ELSE^SOMEBODY"})
        stored = index.add(again)
        assert stored == index.find("1.2.3.1.1")
        assert stored.slot == 1 and stored.study_instance_uid == "1.2.3"
    assert index.counts() == Counts(1, 1, 1, 2)
    assert index.other_patients.count() == 0


def test_counts_every_level(index: Index) -> None:
    for study in ("1.1", "1.2"):
        for series in (1, 2, 3):
            for number in range(series):
                index.add(make(number + 1, study=study, series=f"{study}.{series}"))
    assert index.counts() == Counts(1, 2, 6, 12)
    assert index.study_count() == 2
    assert sizes(index) == [("1.1", 3, 6), ("1.2", 3, 6)]
    assert ask(index, "SELECT studies FROM patients") == [(2,)]
    assert ask(index, "SELECT uid, instances FROM series JOIN tallies ON series = id WHERE study = 1") == [
        ("1.1.1", 1), ("1.1.2", 2), ("1.1.3", 3)]


def test_selects_by_each_level(index: Index) -> None:
    for study in ("1.1", "1.2"):
        for series in (1, 2):
            index.add(make(1, study=study, series=f"{study}.{series}"))
            index.add(make(2, study=study, series=f"{study}.{series}"))
    assert len(uids(index.select())) == 8
    assert uids(index.select(study="1.1")) == ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.1.2.2"]
    assert uids(index.select(study="1.1", series="1.1.2")) == uids(index.select(series="1.1.2")) == [
        "1.1.2.1", "1.1.2.2"]
    assert uids(index.select(instance="1.2.1.2")) == ["1.2.1.2"]
    assert uids(index.select(study="1.2", series="1.2.1", instance="1.2.1.2")) == ["1.2.1.2"]
    for nothing in ({"study": "1.3"}, {"series": "1.3"}, {"instance": "1.3"},
                    {"study": "1.1", "series": "1.2.1"}, {"study": "1.1", "instance": "1.2.1.2"},
                    {"series": "1.1.1", "instance": "1.2.1.2"}):
        assert uids(index.select(**nothing)) == []


def test_the_studies_of_a_patient(index: Index) -> None:
    for study, patient in (("1.1", {PATIENT_ID: b"P1"}), ("1.2", {PATIENT_ID: b"P1", ISSUER: b"HERE"}),
                           ("1.3", {PATIENT_ID: b"P2"}), ("1.4", {PATIENT_ID: b""})):
        index.add(make(1, study=study, patient=patient))
    assert index.studies_of("P1") == [("1.1", ""), ("1.2", "HERE")]
    assert index.studies_of("P2") == [("1.3", "")]
    assert index.studies_of("p1") == index.studies_of("") == []


def test_how_old_and_large_studies_are(index: Index) -> None:
    assert index.ages() == []
    for number, study in ((5, "1.1"), (3, "1.2"), (1, "1.1"), (4, "1.3")):
        index.add(make(number, study=study, series=f"{study}.{number}"))
    then = 1_700_000_000_000_000
    assert index.ages() == [("1.2", then + 3, 1, 4403), ("1.3", then + 4, 1, 4404), ("1.1", then + 5, 2, 8806)]


def test_selects_more_than_a_page_while_it_changes(index: Index) -> None:
    index.add_many(make(number) for number in range(1, 1201))
    found = index.select(study="1.2.3")
    first = next(found).sop_instance_uid
    index.remove(["1.2.3.1.1200"], [1200])
    index.add(make(1201))
    assert [first, *uids(found)] == [f"1.2.3.1.{number}" for number in (*range(1, 1200), 1201)]
    assert len(uids(index.select())) == 1200


def test_a_series_uid_in_two_studies_is_two_series(index: Index) -> None:
    index.add(make(1, study="1.1", series="5.5"))
    index.add(make(2, study="1.2", series="5.5"))
    assert index.counts() == Counts(1, 2, 2, 2)
    assert uids(index.select(study="1.2")) == ["5.5.2"]
    assert uids(index.select(series="5.5")) == ["5.5.1", "5.5.2"]


def test_removes_what_stands_empty(index: Index) -> None:
    for number in (1, 2):
        for series in ("1.2.3.1", "1.2.3.2"):
            index.add(make(number, series=series))
    assert index.remove(["1.2.3.1.1"], [1]) == 1
    assert sizes(index) == [("1.2.3", 2, 3)]
    assert index.remove(["1.2.3.1.2"], [2]) == 1
    assert sizes(index) == [("1.2.3", 1, 2)]
    assert index.remove(["1.2.3.2.1", "1.2.3.2.2"], [1, 2]) == 2
    assert index.counts() == Counts(0, 0, 0, 0)


def test_removes_only_the_slot_that_was_meant(index: Index) -> None:
    index.add(make(1))
    assert index.remove(["1.2.3.1.1", "no.such"], [2, 1]) == 0
    assert index.find("1.2.3.1.1").slot == 1
    with pytest.raises(ValueError):
        index.remove(["1.2.3.1.1"], [])


def test_whose_row_a_slot_has(index: Index) -> None:
    index.add_many(make(number, slot=number + (3 << 56)) for number in range(1, 1201))
    asked = [(3 << 56) + number for number in (*range(1000, 1300), 7)]
    found = index.uids_in_slots(asked)
    assert found == {(3 << 56) + number: f"1.2.3.1.{number}" for number in (*range(1000, 1201), 7)}
    assert index.uids_in_slots([]) == index.uids_in_slots([1]) == {}


def test_whoever_looks_for_slots_may_end_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STEPS_UNWATCHED", 10)
    index.add_many(make(number) for number in range(1, 101))

    class Stopped(Exception):
        pass

    def stop() -> bool:
        raise Stopped

    with pytest.raises(SearchInterrupted):
        index.uids_in_slots([1], lambda: False)
    with pytest.raises(Stopped):
        index.uids_in_slots([1], stop)
    assert index.uids_in_slots([1]) == {1: "1.2.3.1.1"}


def test_a_removed_series_is_not_remembered(index: Index) -> None:
    index.add(make(1))
    index.add(make(2))
    index.remove(["1.2.3.1.1", "1.2.3.1.2"], [1, 2])
    index.add(make(1, study="7.7"))
    index.add(make(1))
    assert index.find("1.2.3.1.1").study_instance_uid == "1.2.3"
    assert sizes(index) == [("1.2.3", 1, 1), ("7.7", 1, 1)]


def test_patients_are_told_apart_by_id_and_issuer(index: Index) -> None:
    same, other = {PATIENT_ID: b" P1 "}, {ISSUER: b"ELSEWHERE"}
    for number, patient in enumerate(({}, same, other), start=1):
        index.add(make(study=f"1.{number}", patient=patient))
    assert ask(index, "SELECT patient_id, issuer, studies FROM patients ORDER BY issuer") == [
        ("P1", "", 2), ("P1", "ELSEWHERE", 1)]


@pytest.mark.parametrize("nothing", [b"", b"  ", b"\0", b"X" * 1025])
def test_without_an_id_each_study_has_a_patient_of_its_own(index: Index, nothing: bytes) -> None:
    for study in ("1.1", "1.2"):
        index.add(make(1, study=study, patient={PATIENT_ID: nothing}))
        index.add(make(2, study=study, patient={PATIENT_ID: nothing}))
    assert index.counts() == Counts(2, 2, 2, 4)
    assert ask(index, "SELECT DISTINCT patient_id FROM studies") == [(None,)]
    assert index.other_patients.count() == 0
    index.remove(["1.1.1.1", "1.1.1.2"], [1, 2])
    assert index.counts() == Counts(1, 1, 1, 2)


def test_one_takes_the_place_of_another(index: Index) -> None:
    index.add(make(1, study="1.2.3"))
    assert index.replace(1, make(1, study="7.7", series="1.2.3.1", slot=5)) is None
    assert (index.find("1.2.3.1.1").slot, index.find("1.2.3.1.1").study_instance_uid) == (5, "7.7")
    assert index.counts() == Counts(1, 1, 1, 1)
    index.add(make(2, study="7.7", series="1.2.3.1"))       # what the old one's series was is not remembered
    assert sizes(index) == [("7.7", 1, 2)]


def test_only_the_one_that_is_meant_is_replaced(index: Index) -> None:
    index.add(make(1, slot=9))
    assert index.replace(8, make(1, slot=10)).slot == 9
    assert index.find("1.2.3.1.1").slot == 9
    assert index.replace(8, make(2, slot=11)) is None       # nothing was there any more
    assert index.find("1.2.3.1.2").slot == 11


def test_a_replacement_that_fails_changes_nothing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add(make(1))

    def fails(*arguments: object) -> None:
        raise IndexUnavailable("for a test")

    with monkeypatch.context() as patch:
        patch.setattr(index._ledger, "add", fails)
        with pytest.raises(IndexUnavailable):
            index.replace(1, make(1, slot=5))
    assert index.find("1.2.3.1.1").slot == 1
    assert index.counts() == Counts(1, 1, 1, 1)


def test_keeps_raw_attributes_and_character_set_of_every_level(index: Index) -> None:
    sent = make(character_set=b"ISO_IR 192", patient={PATIENT_NAME: "Müller^Jörg".encode()},
                of_study={STUDY_DESCRIPTION: "Schädel".encode()})
    index.add(sent)
    for table, raw in (("patients", sent.patient), ("studies", sent.study), ("series", sent.series),
                       ("instances", sent.instance)):
        assert ask(index, f"SELECT character_set, attributes FROM {table}") == [(b"ISO_IR 192", raw)]
    names = [("Müller^Jörg", "muller^jorg")]
    assert ask(index, "SELECT patient_name, patient_name_folded FROM studies") == names
    assert ask(index, "SELECT description, description_folded FROM studies") == [("Schädel", "schadel")]
    assert ask(index, "SELECT name, name_folded FROM patients") == names


def test_what_cannot_be_read_is_null(index: Index) -> None:
    sent = make(patient={BIRTH_DATE: b"19701331"},
                of_study={STUDY_DATE: b"junk", STUDY_TIME: b"2561", ACCESSION_NUMBER: b"  "},
                of_series={MODALITY: b"\0", SERIES_NUMBER: b"1e309"},
                of_instance={INSTANCE_NUMBER: b"99999999999999999999"})
    assert index.add(sent) is None
    assert ask(index, "SELECT birth_date FROM patients") == [(None,)]
    assert ask(index, "SELECT study_date, study_time, accession_number FROM studies") == [(None, None, None)]
    assert ask(index, "SELECT modality, number FROM series") == [(None, None)]
    assert ask(index, "SELECT number, attributes FROM instances") == [(None, sent.instance)]


def test_indexed_text_is_bounded(index: Index) -> None:
    index.add(make(patient={PATIENT_NAME: b"\xe9" * 65535}, of_study={STUDY_DESCRIPTION: b"x" * 65535}))
    [(name, folded, description)] = ask(
        index, "SELECT patient_name, patient_name_folded, description FROM studies")
    assert (name, folded, description) == ("é" * 512, "e" * 512, "x" * 1024)


def test_hostile_text_is_only_text(index: Index) -> None:
    name = "'; DROP TABLE studies;-- <script>\n^a\0b"
    index.add(make(patient={PATIENT_NAME: name.encode()}, source_ae="it's %s ?1"))
    assert ask(index, "SELECT name FROM patients") == [(name.replace("\0", ""),)]
    assert ("it's %s ?1",) in ask(index, "SELECT text FROM labels")


def test_adds_many(index: Index) -> None:
    index.add(make(5))
    known: list[tuple[Instance, Stored]] = []
    again = [make(5, slot=99), make(6)]
    assert index.add_many([make(number) for number in range(10, 2510)] + again,
                          lambda instance, stored: known.append((instance, stored))) == 2501
    assert known == [(again[0], index.find("1.2.3.1.5"))]
    assert index.counts().instances == 2502
    assert index.add_many(iter(())) == 0


def test_adds_many_up_to_an_error(index: Index) -> None:
    wrong = make(1500, slot="not a number")
    with pytest.raises(IndexUnavailable, match="SQLITE_CONSTRAINT_DATATYPE|22P02"):
        index.add_many(wrong if number == 1500 else make(number) for number in range(1, 2001))
    assert index.counts() == Counts(1, 1, 1, 1000)
    assert index.add(make(1500)) is None


def test_one_bad_instance_leaves_nothing_behind(index: Index) -> None:
    with pytest.raises(IndexUnavailable):
        index.add(make(1, slot="not a number"))
    with pytest.raises((OverflowError, IndexUnavailable)):
        index.add(make(1, slot=1 << 63))
    assert index.counts() == Counts(0, 0, 0, 0)
    assert index.add(make(1)) is None
    with pytest.raises(IndexUnavailable):
        index.add(make(2, slot=None))
    assert index.counts() == Counts(1, 1, 1, 1)


def test_threads_lose_and_double_nothing(index: Index) -> None:
    """Eight threads add the same thousand instances of fifty studies; each must be new exactly once."""
    new: list[str] = []
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def work(first: int) -> None:
        start.wait()
        try:
            for step in range(1000):
                number = (step * 7 + first * 125) % 1000
                instance = make(number + 1, study=f"1.{number % 50}")
                if index.add(instance) is None:
                    new.append(instance.sop_instance_uid)
                elif index.find(instance.sop_instance_uid).slot != number + 1:
                    raise AssertionError(instance.sop_instance_uid)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        index.make_durable()
        index.checkpoint()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(new) == len(set(new)) == 1000
    assert index.counts() == Counts(1, 50, 50, 1000)
    assert sizes(index) == sorted((f"1.{number}", 1, 20) for number in range(50))


def test_a_bad_ticket_does_not_fail_the_others(index: Index) -> None:
    """Tickets that gather while the lock is held are one batch; the wrong one among them fails alone."""
    outcomes: dict[int, object] = {}

    def work(number: int) -> None:
        try:
            outcomes[number] = index.add(make(number, slot="wrong" if number == 3 else number))
        except IndexUnavailable as error:
            outcomes[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    with index._engine.lock:
        for thread in threads:
            thread.start()
        gathered = threading.Event()
        while len(index._queue._waiting) < 6:
            gathered.wait(0.001)
    for thread in threads:
        thread.join()
    assert isinstance(outcomes.pop(3), IndexUnavailable)
    assert outcomes == dict.fromkeys((1, 2, 4, 5, 6))
    assert index.counts() == Counts(1, 1, 1, 5)


def test_adds_and_removes_side_by_side(index: Index) -> None:
    """A series that is emptied again and again while it is filled: no row below a series that has gone."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def empty() -> None:
        try:
            while not stop.is_set():
                found = list(index.select(study="1.2.3"))
                index.remove([one.sop_instance_uid for one in found], [one.slot for one in found])
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=empty)
    thread.start()
    for number in range(1, 1001):
        assert index.add(make(number)) is None
    stop.set()
    thread.join()
    assert faults == []
    left = list(index.select())
    assert index.counts() == (Counts(1, 1, 1, len(left)) if left else Counts(0, 0, 0, 0))
    assert sizes(index) == ([("1.2.3", 1, len(left))] if left else [])


def test_is_usable_no_more_once_closed(index: Index) -> None:
    index.add(make(1))
    index.close()
    index.close()
    for use in (lambda: index.add(make(2)), lambda: index.find("1"), index.counts, index.make_durable,
                lambda: index.remove(["1"], [1]), lambda: list(index.select())):
        with pytest.raises(IndexUnavailable):
            use()


def test_memory_is_always_fresh() -> None:
    index = open_index("memory:")
    assert index.is_fresh
    index.mark_complete()
    assert index.is_fresh
    index.close()


def test_packed_samples_are_what_the_wire_packs() -> None:
    assert packed({INSTANCE_NUMBER: b"5"}) == bytes.fromhex("13002000 0100 4c4f 35")

"""C-MOVE: what the destination gets, and what the requester hears of it."""
from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace

import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.services.move import Destination as Known
from dicomserver.session.acceptor import Deadlines
from tests.interop.destination import (
    Deed,
    Destination,
    abort,
    hang_up,
    nothing,
    reset,
    rubbish,
    stranger,
)
from tests.interop.find.keys import IMPLICIT, SYNTAXES
from tests.interop.retriever import MOVE, Retriever
from tests.interop.stored import Sent
from tests.interop.synthetic import CT, EXPLICIT, element, instance
from tests.services.retrieving import HARMS, LARGE, STUDY, fill, study
from tests.services.test_store import Faulty, failing

KEYS = {"StudyInstanceUID": STUDY}
MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def send_to(provider):
    """Makes a destination of the name THERE."""
    made: list[Destination] = []

    def one(script=(0,), **how) -> Destination:
        made.append(Destination(script, **how))
        provider.destinations["THERE"] = Known("127.0.0.1", made[-1].port, "ELSEWHERE")
        return made[-1]
    yield one
    for destination in made:
        destination.close()


def move(provider, level: str = "STUDY", keys=KEYS, **more):
    """One C-MOVE to THERE; the association goes on whatever comes of it."""
    with Retriever(provider.port, calling="ASKER") as asker:
        found = asker.move(level, keys, "THERE", **more)
        assert asker.move("STUDY", {"StudyInstanceUID": "9.9"}, "THERE").outcome == (0, (None, 0, 0, 0))
    assert found.stored == []
    return found


def test_what_is_sent_and_what_is_said(provider, send_to) -> None:
    sent = fill(provider, study(3))
    there = send_to()
    with Retriever(provider.port, calling="ASKER") as asker:
        message = asker.begin("STUDY", KEYS, "THERE", priority=2, message=0xFFFF)
        found = asker.finish(message)
    assert found.outcome == (0, (None, 3, 0, 0)) and found.failed is None
    assert found.final.elements[0x00000800] == b"\1\1"
    assert [one.dataset for one in there.stored] == [one.dataset for one in sent]
    assert [one.sop_instance for one in there.stored] == [one.sop_instance for one in sent]
    assert [one.message_id for one in there.stored] == [1, 2, 3]
    for one in there.stored:
        assert one.elements[0x00000700] == b"\2\0"      # the priority
        assert one.elements[0x00001030].decode().strip() == "ASKER"
        assert one.elements[0x00001031] == b"\xff\xff"
    assert there.titles == [("ELSEWHERE", "US")]
    assert there.proposed == [[(CT, [IMPLICIT]), (CT, [EXPLICIT])]]     # what it can be converted to, too
    assert there.wait_for_endings(1) == [5]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("model, level, keys, count", [
    ("patient", "PATIENT", {"PatientID": "PATIENT-1"}, 4),
    ("patient", "STUDY", {"PatientID": "PATIENT-1", **KEYS}, 3),
    ("study", "STUDY", KEYS, 3),
    ("study", "STUDY", {"StudyInstanceUID": f"{STUDY}\\{instance(2, 1).study}"}, 4),
    ("study", "SERIES", {**KEYS, "SeriesInstanceUID": STUDY + ".2"}, 3),
    ("study", "IMAGE", {**KEYS, "SeriesInstanceUID": STUDY + ".2", "SOPInstanceUID": f"{STUDY}.2.1\\{STUDY}.2.3"}, 2),
    ("patient/study", "PATIENT", {"PatientID": "PATIENT-1"}, 4),
    ("patient/study", "STUDY", {"PatientID": "PATIENT-1", **KEYS}, 3),
])
def test_levels_and_models(provider, send_to, model, level, keys, count, syntax) -> None:
    fill(provider, [*study(3), instance(2, 1)])
    there = send_to()
    with Retriever(provider.port, MOVE[model], syntax=syntax) as asker:
        assert asker.move(level, keys, "THERE").outcome == (0, (None, count, 0, 0))
    assert len({one.sop_instance for one in there.stored}) == count


@pytest.mark.parametrize("level, keys", [
    ("STUDY", {"StudyInstanceUID": "1.2.3.9"}), ("STUDY", {"StudyInstanceUID": "1.2.3.9\\1.2.3.8"})])
def test_without_matches_nobody_is_called(provider, send_to, level, keys) -> None:
    fill(provider, study(1))
    there = send_to()
    assert move(provider, level, keys).outcome == (0, (None, 0, 0, 0))
    assert not there.reached.is_set()


REFUSED = {
    "no level": (None, KEYS, 0xA900), "a level of another model": ("PATIENT", {"PatientID": "1"}, 0xA900),
    "no key": ("STUDY", {}, 0xA900), "an empty key": ("STUDY", {"StudyInstanceUID": ""}, 0xA900),
    "no key above": ("SERIES", {"SeriesInstanceUID": STUDY}, 0xA900),
    "a list above": ("SERIES", {"StudyInstanceUID": f"{STUDY}\\1.2", "SeriesInstanceUID": STUDY}, 0xA900),
    "no UID above": ("SERIES", {"StudyInstanceUID": "*", "SeriesInstanceUID": STUDY}, 0xA900),
}


@pytest.mark.parametrize("level, keys, status", REFUSED.values(), ids=list(REFUSED))
def test_identifiers_that_are_refused(provider, send_to, level, keys, status) -> None:
    fill(provider, study(1))
    there = send_to()
    found = move(provider, level, keys)
    assert found.status == status and found.dataset is None
    assert found.final.comment
    assert not there.reached.is_set()


@pytest.mark.parametrize("count, status", [(10_000, 0), (10_001, 0xA700)])
def test_long_lists(provider, send_to, count, status) -> None:
    send_to()
    with Retriever(provider.port, syntax=IMPLICIT) as asker:
        assert asker.move("STUDY", {"StudyInstanceUID": "\\".join(map("1.{}".format, range(count)))}, "THERE"
                          ).status == status


@pytest.mark.parametrize("name", ["NOWHERE", "", "127.0.0.1:{port}", "US", "THERE2"])
def test_only_the_table_says_where_to(provider, send_to, name) -> None:
    fill(provider, study(1))
    there = send_to()
    with Retriever(provider.port) as asker:
        found = asker.move("STUDY", KEYS, name.format(port=there.port)[:16])
        assert (found.status, found.dataset) == (0xA801, None)
        assert asker.move("STUDY", KEYS, " THERE ").outcome == (0, (None, 1, 0, 0))
    assert len(there.proposed) == 1


# What the destination answers, and what the requester is told: status, completed, failed, warning, failed instances.
ANSWERS: dict[str, tuple[list[int | Deed], int, tuple[int, int, int], set[int]]] = {
    "warnings": ([0xB000, 0xB006, 0xB007], 0xB000, (0, 0, 3), set()),
    "one warning": ([0, 0xB000, 0], 0xB000, (2, 0, 1), set()),
    "all fail": ([0xA700, 0xC000, 0x0122], 0xA702, (0, 3, 0), {1, 2, 3}),
    "one fails": ([0, 0xA900, 0], 0xB000, (2, 1, 0), {2}),
    "some of each": ([0xB007, 0xC123, 0], 0xB000, (1, 1, 1), {2}),
    "a status of no kind": ([0, 0x9999, 0], 0xB000, (2, 1, 0), {2}),
    "cancel and pending are none": ([0xFE00, 0xFF00, 0], 0xB000, (1, 2, 0), {1, 2}),
    "aborts first": ([abort], 0xA702, (0, 3, 0), {1, 2, 3}),
    "aborts in the middle": ([0, abort], 0xB000, (1, 2, 0), {2, 3}),
    "hangs up": ([0, hang_up], 0xB000, (1, 2, 0), {2, 3}),
    "resets": ([0, 0, reset], 0xB000, (2, 1, 0), {3}),
    "speaks rubbish": ([0, rubbish], 0xB000, (1, 2, 0), {2, 3}),
    "answers something else": ([0, stranger], 0xB000, (1, 2, 0), {2, 3}),
    "says nothing": ([0, nothing], 0xB000, (1, 2, 0), {2, 3}),
}


@pytest.mark.parametrize("script, status, counted, failed", ANSWERS.values(), ids=list(ANSWERS))
@pytest.mark.parametrize("size", [1000, LARGE])
def test_what_the_destination_answers(provider, send_to, size, script, status, counted, failed) -> None:
    provider.deadlines = Deadlines(idle=0.3 if nothing in script else 30)
    sent = fill(provider, study(3, size))
    there = send_to(script)
    found = move(provider)
    assert found.outcome == (status, (None, *counted))
    assert set(found.failed or ()) == {sent[number - 1].sop_instance for number in failed}
    assert (found.failed is None) == (not failed)
    there.wait_for_endings(1)


def test_a_destination_that_is_down(provider, caplog) -> None:
    fill(provider, study(3))
    with socket.create_server(("127.0.0.1", 0)) as door:
        provider.destinations["THERE"] = Known("127.0.0.1", door.getsockname()[1], "GONE")
    found = move(provider)
    assert found.outcome == (0xA702, (None, 0, 3, 0)) and len(found.failed) == 3
    assert "3 sub-operations failed: no association with GONE: it cannot be reached: Connection refused" in caplog.text


@pytest.mark.parametrize("host", ["host.invalid", "x" * 64 + ".invalid"])
def test_a_destination_that_nobody_knows(provider, host) -> None:
    fill(provider, study(1))
    provider.destinations["THERE"] = Known(host, 104, "GONE")
    assert move(provider).outcome == (0xA702, (None, 0, 1, 0))


@pytest.mark.parametrize("how", [
    {"rejected": (1, 1, 7)}, {"rejected": (2, 3, 2)}, {"mute": True}, {"refused": {CT}},
    {"refused": {EXPLICIT, IMPLICIT}}, {"maximum": 5}, {"unread": True}], ids=[
    "rejected for good", "rejected for now", "mute", "class refused", "syntaxes refused", "small PDUs", "unread"])
def test_a_destination_that_takes_nothing(provider, send_to, how) -> None:
    provider.deadlines = Deadlines(idle=0.3, write=0.3)
    sent = fill(provider, study(2, 8 << 20 if "unread" in how else 1000))
    there = send_to(**how)
    found = move(provider)
    assert found.outcome == (0xA702, (None, 0, 2, 0))
    assert found.failed == [one.sop_instance for one in sent]
    there.close()
    there.wait_for_endings(1)


def of_class(sop_class: str, number: int) -> Sent:
    one = instance(1, number)
    head = element(0x00080016, "UI", CT.encode())
    assert one.dataset.startswith(head)
    return replace(one, sop_class=sop_class,
                   dataset=element(0x00080016, "UI", sop_class.encode()) + one.dataset[len(head):])


def test_a_refused_context_costs_only_its_own_instances(provider, send_to, caplog) -> None:
    other = of_class(MR, 9)
    fill(provider, [*study(2), other])
    there = send_to(refused={MR})
    found = move(provider)
    assert (found.outcome, found.failed) == ((0xB000, (None, 2, 1, 0)), [other.sop_instance])
    assert there.proposed == [[(CT, [IMPLICIT]), (CT, [EXPLICIT]), (MR, [IMPLICIT]), (MR, [EXPLICIT])]]
    assert "1 sub-operations failed: the destination does not accept its SOP class" in caplog.text
    assert there.wait_for_endings(1) == [5]


def test_more_contexts_than_one_association_has(provider, send_to) -> None:
    sent = [of_class(f"1.2.826.0.1.{1000 + number}", number) for number in range(130)]
    fill(provider, sent[:65])
    fill(provider, sent[65:])
    there = send_to()
    assert move(provider).outcome == (0, (None, 130, 0, 0))
    # In any order: the associations do not wait for each other.
    assert sorted(one.dataset for one in there.stored) == sorted(one.dataset for one in sent)
    assert sorted(map(len, there.proposed)) == [4, 128, 128] and there.wait_for_endings(3) == [5, 5, 5]


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_a_failed_sub_operation_and_no_more(provider, send_to, size, harm) -> None:
    sent = fill(provider, study(4, size))
    harm(provider, sent[1])
    there = send_to()
    found = move(provider)
    assert provider.index.integrity.count_faults() == 1
    assert found.outcome == (0xB000, (None, 3, 1, 0))
    assert found.failed == [sent[1].sop_instance]
    assert [one.dataset for one in there.stored] == [sent[0].dataset, sent[2].dataset, sent[3].dataset]


def test_cancelled(provider, send_to) -> None:
    sent = fill(provider, study(5))
    arrived, goes_on = threading.Event(), threading.Event()

    def before(number: int) -> None:
        if number == 1:
            arrived.set()
            assert goes_on.wait(30)
    there = send_to([0, 0xC000], before=before)
    with Retriever(provider.port) as asker:
        message = asker.begin("STUDY", KEYS, "THERE")
        assert arrived.wait(30)
        asker.cancel(message + 1)       # of another request
        asker.cancel(message)
        goes_on.set()
        found = asker.finish(message)
        assert found.outcome == (0xFE00, (3, 1, 1, 0))
        assert found.failed == [sent[1].sop_instance]
        asker.cancel(message)           # late
        assert asker.move("STUDY", {"StudyInstanceUID": "9.9"}, "THERE").status == 0
    assert len(there.stored) == 2 and there.wait_for_endings(1) == [5]


def test_pending_responses_have_four_counters(provider, send_to, monkeypatch) -> None:
    monkeypatch.setattr("dicomserver.services.suboperations.PENDING_SECONDS", 0)
    fill(provider, study(4))
    send_to([0, 0xB000, 0xA700])
    found = move(provider)
    told = [tuple(int.from_bytes(one.elements[tag], "little") for tag in (0x1020, 0x1021, 0x1022, 0x1023))
            for one in found.pending]
    assert told == [(3, 1, 0, 0), (2, 1, 0, 1), (1, 1, 1, 1)]
    assert found.outcome == (0xB000, (None, 1, 2, 1))


@pytest.mark.parametrize("end", [abort, hang_up, reset])
def test_the_requester_goes_away_in_the_middle(provider, send_to, end) -> None:
    fill(provider, study(50))
    asker = Retriever(provider.port)
    there = send_to(before=lambda number: end(asker.socket) if number == 3 else None)
    asker.begin("STUDY", KEYS, "THERE")
    assert there.wait_for_endings(1) == [7]
    assert 4 <= len(there.stored) < 50
    asker.close()
    assert move(provider, "IMAGE", {**KEYS, "SeriesInstanceUID": STUDY + ".2", "SOPInstanceUID": STUDY + ".2.1"}
                ).outcome == (0, (None, 1, 0, 0))


def test_a_stop_lets_a_move_come_to_its_end(provider, send_to) -> None:
    fill(provider, study(20))
    there = send_to(before=lambda number: provider.acceptor.stop(False) if number == 3 else None)
    asker = Retriever(provider.port)
    assert asker.finish(asker.begin("STUDY", KEYS, "THERE")).outcome == (0, (None, 20, 0, 0))
    assert asker.receive()[0] == 7      # then we are told that it stops
    assert there.wait_for_endings(1) == [5]
    asker.close()


@pytest.mark.parametrize("how", [
    {"script": [0, nothing]}, {"mute": True}, {"unread": True}, {"release": False}], ids="-".join)
def test_the_end_of_the_grace_period_ends_both_associations(provider, send_to, how) -> None:
    fill(provider, study(2, 8 << 20 if "unread" in how else 1000))
    there = send_to(**how)
    asker = Retriever(provider.port)
    asker.begin("STUDY", KEYS, "THERE")
    assert there.reached.wait(30)
    provider.acceptor.stop(False)
    provider.acceptor.stop(True)
    while asker.receive()[0] not in (0, 7):
        pass
    asker.close()
    there.close()
    there.wait_for_endings(1)


def test_a_release_that_is_never_confirmed(provider, send_to, caplog) -> None:
    provider.deadlines = Deadlines(idle=0.3)
    caplog.set_level("INFO")
    fill(provider, study(2))
    send_to(release=False)
    assert move(provider).outcome == (0, (None, 2, 0, 0))
    assert "was not released: it did not answer" in caplog.text


def test_deleted_while_it_is_moved(provider, send_to) -> None:
    sent = fill(provider, study(3))

    def delete(number: int) -> None:
        if number == 0:
            row = provider.index.find(sent[1].sop_instance)
            provider.index.remove([sent[1].sop_instance], [row.slot])
            os.truncate(os.path.join(provider.archive.path, "intake", f"{row.slot:016x}"), 0)
    there = send_to(before=delete)
    found = move(provider)
    assert found.outcome == (0xB000, (None, 2, 1, 0)) and found.failed == [sent[1].sop_instance]
    assert [one.sop_instance for one in there.stored] == [sent[0].sop_instance, sent[2].sop_instance]


@pytest.mark.parametrize("method, outcome", [
    ("instance_ids", (0xA701, (None, None, None, None))), ("instances", (0xA702, (None, 0, 2, 0)))])
def test_an_index_that_does_not_answer(provider, send_to, method, outcome) -> None:
    fill(provider, study(2))
    there = send_to()
    provider.index = Faulty(provider.index, **{method: failing(IndexUnavailable("it is away"))})
    with Retriever(provider.port) as asker:
        assert asker.move("STUDY", KEYS, "THERE").outcome == outcome
    assert not there.reached.is_set()


def test_a_class_that_is_not_that_of_the_context(provider, send_to) -> None:
    send_to()
    with Retriever(provider.port) as asker:
        asker.model = MOVE["patient"]
        assert asker.move("STUDY", KEYS, "THERE").status == 0x0122

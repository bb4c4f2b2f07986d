"""C-GET: what comes over the requester's own association, and what it hears of it."""
from __future__ import annotations

import logging
import os

import pytest

from dicomserver.index import IndexUnavailable
from tests.interop.find.keys import EXPLICIT, SYNTAXES
from tests.interop.retriever import GET, Retriever
from tests.interop.sender import Ended, data_tf
from tests.interop.synthetic import CT, instance
from tests.services.retrieving import HARMS, LARGE, STUDY, fill, flip_a_bit, stored_file, study
from tests.services.test_store import Faulty, failing

KEYS = {"StudyInstanceUID": STUDY}
STORAGE = [(CT, EXPLICIT)]


def getting(provider, storage=STORAGE, model: str = "study", **more) -> Retriever:
    return Retriever(provider.port, GET[model], storage, calling="ASKER", **more)


def get(provider, answers=lambda number: 0, **more):
    """One C-GET of the study; the association goes on whatever comes of it."""
    with getting(provider, **more) as asker:
        found = asker.get("STUDY", KEYS, answers)
        assert asker.get("STUDY", {"StudyInstanceUID": "9.9"}).outcome == (0, (None, 0, 0, 0))
    return found


def test_what_is_sent_and_what_is_said(provider) -> None:
    sent = fill(provider, study(3))
    with getting(provider) as asker:
        assert asker.granted == {CT: b"\1\1"}
        found = asker.finish(asker.begin("STUDY", KEYS, priority=1, message=0xFFFE))
    assert found.outcome == (0, (None, 3, 0, 0)) and found.failed is None
    assert found.final.elements[0x00000800] == b"\1\1"
    assert [one.dataset for one in found.stored] == [one.dataset for one in sent]
    assert [one.message_id for one in found.stored] == [0xFFFF, 1, 2]
    for one, original in zip(found.stored, sent, strict=True):
        assert one.sop_instance == original.sop_instance
        assert one.elements[0x00000700] == b"\1\0"      # the priority
        assert not {0x00001030, 0x00001031} & one.elements.keys()   # the originator belongs to C-MOVE


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("model, level, keys, count", [
    ("patient", "PATIENT", {"PatientID": "PATIENT-1"}, 4),
    ("patient", "IMAGE", {"PatientID": "PATIENT-1", **KEYS, "SeriesInstanceUID": STUDY + ".2",
                          "SOPInstanceUID": STUDY + ".2.2"}, 1),
    ("study", "STUDY", KEYS, 3),
    ("study", "SERIES", {**KEYS, "SeriesInstanceUID": f"{STUDY}.2\\1.2.3"}, 3),
    ("study", "IMAGE", {**KEYS, "SeriesInstanceUID": STUDY + ".2", "SOPInstanceUID": f"{STUDY}.2.1\\{STUDY}.2.3"}, 2),
    ("patient/study", "PATIENT", {"PatientID": "PATIENT-1"}, 4),
    ("patient/study", "STUDY", {"PatientID": "PATIENT-1", **KEYS}, 3),
])
def test_levels_and_models(provider, model, level, keys, count, syntax) -> None:
    fill(provider, [*study(3), instance(2, 1)])
    with getting(provider, model=model, syntax=syntax) as asker:
        found = asker.get(level, keys)
    assert found.outcome == (0, (None, count, 0, 0)) and len(found.stored) == count


@pytest.mark.parametrize("relational", [True, False])
@pytest.mark.parametrize("level, keys, count", [
    ("SERIES", {"SeriesInstanceUID": STUDY + ".2"}, 3), ("IMAGE", {"SOPInstanceUID": STUDY + ".2.1"}, 1),
    ("IMAGE", {**KEYS, "SOPInstanceUID": STUDY + ".2.1"}, 1),
    ("IMAGE", {"StudyInstanceUID": f"{STUDY}\\1.2", "SOPInstanceUID": STUDY + ".2.1"}, 1)])
def test_relational_retrieval(provider, level, keys, count, relational) -> None:
    fill(provider, study(3))
    with getting(provider, relational=relational) as asker:
        assert asker.extended == ({GET["study"]: b"\1"} if relational else {})
        assert asker.get(level, keys).outcome == ((0, (None, count, 0, 0)) if relational else (0xA900, (None,) * 4))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_failed_list(provider, syntax, caplog) -> None:
    """Without role selection nothing may be sent; one line says what to change."""
    sent = fill(provider, study(3))
    found = get(provider, roles=False, syntax=syntax)
    assert found.outcome == (0xA702, (None, 0, 3, 0)) and found.stored == []
    assert found.failed == [one.sop_instance for one in sent]
    lines = [line for line in caplog.messages if "sub-operations failed" in line]
    assert len(lines) == 1 and "role selection" in lines[0]


def test_whom_we_know_needs_no_role_selection(provider) -> None:
    fill(provider, study(3))
    provider.without_roles = frozenset({"ASKER"})
    assert get(provider, roles=False).outcome == (0, (None, 3, 0, 0))
    provider.without_roles = frozenset({"OTHER"})
    assert get(provider, roles=False).outcome == (0xA702, (None, 0, 3, 0))


@pytest.mark.parametrize("storage", [
    [], [(CT, "1.2.840.10008.1.2.4.90")], [("1.2.840.10008.5.1.4.1.1.4", EXPLICIT)]])
def test_nothing_is_sent_that_was_not_negotiated(provider, storage) -> None:
    sent = fill(provider, [*study(2), instance(1, 3, transfer_syntax="1.2.840.10008.1.2.4.70")])
    storage = [*storage, (CT, "1.2.840.10008.1.2.4.70")]
    with getting(provider, storage) as asker:
        found = asker.get("STUDY", KEYS)
    assert (found.outcome, found.failed) == ((0xB000, (None, 1, 2, 0)), [one.sop_instance for one in sent[:2]])
    assert [one.syntax for one in found.stored] == ["1.2.840.10008.1.2.4.70"]


ANSWERS = {
    "warnings": ((0xB000, 0xB006, 0xB007), 0xB000, (0, 0, 3), set()),
    "all fail": ((0xA700, 0xC000, 0x0122), 0xA702, (0, 3, 0), {1, 2, 3}),
    "some of each": ((0xB007, 0xC123, 0), 0xB000, (1, 1, 1), {2}),
    "cancel and pending are none": ((0xFE00, 0xFF00, 0), 0xB000, (1, 2, 0), {1, 2}),
}


@pytest.mark.parametrize("script, status, counted, failed", ANSWERS.values(), ids=list(ANSWERS))
def test_what_the_requester_answers(provider, script, status, counted, failed) -> None:
    sent = fill(provider, study(3))
    found = get(provider, script.__getitem__)
    assert found.outcome == (status, (None, *counted))
    assert set(found.failed or ()) == {sent[number - 1].sop_instance for number in failed}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_a_failed_sub_operation(provider, harm, caplog) -> None:
    sent = fill(provider, study(3))
    harm(provider, sent[1])
    found = get(provider)
    assert "ERROR    test.services:inspection.py" in caplog.text and provider.index.integrity.count_faults() == 1
    assert (found.outcome, found.failed) == ((0xB000, (None, 2, 1, 0)), [sent[1].sop_instance])
    assert [one.dataset for one in found.stored] == [sent[0].dataset, sent[2].dataset]


def test_what_cannot_be_opened_is_logged_without_its_name(provider, caplog) -> None:
    """A file's name is its SOP Instance UID."""
    sent = fill(provider, study(2))
    path = stored_file(provider, sent[1])
    path.unlink()
    path.symlink_to("elsewhere")
    assert get(provider).outcome == (0xB000, (None, 1, 1, 0))
    said = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert any("cannot be sent" in line for line in said)
    assert not any(sent[1].sop_instance in line for line in said)


def test_a_damaged_file_of_many_pdus_is_never_sent_to_its_end(provider, caplog) -> None:
    """It comes out when part of it is under way: only an abort takes that back."""
    sent = fill(provider, study(2, LARGE))
    flip_a_bit(provider, sent[1])
    with pytest.raises(Ended) as ended, getting(provider) as asker:
        asker.get("STUDY", KEYS)
    assert ended.value.args[0] == 7
    with getting(provider) as asker:
        assert asker.get("IMAGE", {**KEYS, "SeriesInstanceUID": sent[0].series, "SOPInstanceUID": sent[0].sop_instance}
                         ).outcome == (0, (None, 1, 0, 0))
    assert "aborted by us: a stored file: its bytes have changed" in caplog.text
    assert "a stored instance is damaged: the dataset's checksum does not hold" in caplog.text
    assert provider.index.integrity.count_faults() == 1


@pytest.mark.parametrize("after", [1, 2, 4])
def test_cancelled(provider, after) -> None:
    sent = fill(provider, study(5))
    with getting(provider) as asker:
        found = asker.get("STUDY", KEYS, lambda number: 0xC000 if number == 0 else 0, cancel_after=after)
        assert found.outcome == (0xFE00, (5 - after, after - 1, 1, 0))
        assert found.failed == [sent[0].sop_instance] and len(found.stored) == after
        assert asker.get("STUDY", KEYS).status == 0


def test_a_cancel_of_something_else_or_too_late(provider) -> None:
    fill(provider, study(3))
    with getting(provider) as asker:
        assert asker.get("STUDY", KEYS, cancel_after=1, cancelled=1).outcome == (0, (None, 3, 0, 0))
        assert asker.get("STUDY", KEYS, cancel_after=3).outcome == (0, (None, 3, 0, 0))
        asker.cancel(2)
        assert asker.get("STUDY", KEYS).status == 0


def test_pending_responses_have_four_counters(provider, monkeypatch) -> None:
    monkeypatch.setattr("dicomserver.services.suboperations.PENDING_SECONDS", 0)
    fill(provider, study(3))
    found = get(provider)
    assert [[one.elements[tag][0] for tag in (0x1020, 0x1021, 0x1022, 0x1023)] for one in found.pending] == [
        [2, 1, 0, 0], [1, 2, 0, 0]]
    assert found.outcome == (0, (None, 3, 0, 0))


def test_something_else_than_the_response_ends_the_association(provider) -> None:
    fill(provider, study(2))
    with getting(provider) as asker:
        asker.begin("STUDY", KEYS)
        next(asker.messages())
        asker.begin("STUDY", KEYS)
        assert asker.receive()[0] == 7
        asker.close()


@pytest.mark.parametrize("words", [bytes.fromhex("07000000000400000000"), data_tf(9, 3, b""), b""])
def test_the_requester_goes_away_in_the_middle(provider, words) -> None:
    fill(provider, study(3))
    asker = getting(provider)
    asker.begin("STUDY", KEYS)
    next(asker.messages())
    asker.socket.sendall(words)
    asker.close()
    assert get(provider).status == 0


def test_a_stop_lets_the_retrieval_come_to_its_end(provider) -> None:
    fill(provider, study(5))
    with getting(provider) as asker:
        def answer(number: int) -> int:
            if number == 1:
                provider.acceptor.stop(False)
            return 0
        assert asker.get("STUDY", KEYS, answer).outcome == (0, (None, 5, 0, 0))
        assert asker.receive()[0] == 7
        asker.close()


@pytest.mark.parametrize("size, count", [(1000, 5), (32 << 20, 2)])
def test_the_end_of_the_grace_period_ends_it(provider, size, count) -> None:
    """In the wait for a response, and in a file that the requester does not read."""
    fill(provider, study(count, size))
    asker = getting(provider, receive_buffer=4096)
    asker.begin("STUDY", KEYS)
    asker.receive()
    provider.acceptor.stop(False)
    provider.acceptor.stop(True)
    while asker.receive()[0] not in (0, 7):
        pass
    asker.close()


def test_deleted_while_it_is_retrieved(provider) -> None:
    sent = fill(provider, study(3))

    def answer(number: int) -> int:
        if number == 0:
            row = provider.index.find(sent[2].sop_instance)
            provider.index.remove([sent[2].sop_instance], [row.slot])
            os.truncate(os.path.join(provider.archive.path, "intake", f"{row.slot:016x}"), 0)
        return 0
    found = get(provider, answer)
    assert (found.outcome, found.failed) == ((0xB000, (None, 2, 1, 0)), [sent[2].sop_instance])


@pytest.mark.parametrize("method, outcome", [
    ("instance_ids", (0xA701, (None, None, None, None))), ("instances", (0xA702, (None, 0, 2, 0)))])
def test_an_index_that_does_not_answer(provider, method, outcome, caplog) -> None:
    fill(provider, study(2))
    provider.index = Faulty(provider.index, **{method: failing(IndexUnavailable("it is away"))})
    with getting(provider) as asker:
        found = asker.get("STUDY", KEYS)
    assert found.outcome == outcome and found.dataset is None
    assert "the index does not answer: it is away" in caplog.text


@pytest.mark.parametrize("level, keys, status", [
    (None, KEYS, 0xA900), ("PATIENT", {"PatientID": "PATIENT-1"}, 0xA900), ("STUDY", {}, 0xA900),
    ("STUDY", {"StudyInstanceUID": "*"}, 0), ("SERIES", {"SeriesInstanceUID": "1.2"}, 0xA900)])
def test_identifiers_that_are_refused(provider, level, keys, status) -> None:
    fill(provider, study(1))
    with getting(provider) as asker:
        found = asker.get(level, keys)
    assert (found.status, found.stored, found.dataset) == (status, [], None)

"""That the bench asks what it says and counts what comes, against a peer that matches in its own way. Never speed."""
from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import C_FIND_RSP, DATA_SET_FOLLOWS, NO_DATA_SET
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import encode_pdu
from dicomserver.wire.pdus import PDV, AssociateAC, ContextResult, DataTF, ReleaseRP
from tests.bench import find_table, finds
from tests.bench.asking import STUDY_ROOT, Answer, Asker, Question, ask_all, asking_beside, identifier
from tests.bench.clinic import Clinic
from tests.bench.content import datasets
from tests.bench.feeding import feed
from tests.bench.finds import FindFigures, Findings, StoreFigures
from tests.bench.population import INSTANCES, studies
from tests.bench.questions import KINDS, questions
from tests.bench.sender import LoadFailed

STUDIES = 60
EVERYTHING = Question(identifier([(0x0020000D, "UI", "")]), STUDIES)


@pytest.fixture(scope="module")
def clinic() -> Iterator[Clinic]:
    """Holds the first STUDIES studies."""
    one = Clinic()
    assert feed(one.port, STUDIES, seconds=60) == STUDIES
    yield one
    one.close()


def test_what_was_sent_is_the_population(clinic: Clinic) -> None:
    sent = {dataset.sop_instance_uid for study in studies(STUDIES) for dataset in datasets(study)}
    assert set(clinic.stored) == sent
    assert len(sent) == STUDIES * INSTANCES


def test_nothing_is_sent_when_time_is_up(clinic: Clinic) -> None:
    assert feed(clinic.port, STUDIES, seconds=0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_has_so_many_matches(kind: str, clinic: Clinic) -> None:
    asked = questions(STUDIES)[kind]
    answers = ask_all(clinic.port, asked, len(asked), seconds=60)
    assert [answer.matches for answer in answers] == [question.matches for question in asked]
    assert all(0 < answer.first <= answer.seconds and answer.matches > 0 for answer in answers)


def test_questions_differ() -> None:
    for kind, asked in questions(2000).items():
        assert len({question.identifier for question in asked}) == len(asked) >= (20 if kind not in finds.LARGE else 1)
    assert {question.matches for question in questions(2000)["prefix"]} <= set(range(1, 10))


def test_a_wrong_number_of_matches_is_a_failure(clinic: Clinic) -> None:
    with pytest.raises(LoadFailed, match="found 60 studies instead of 61"):
        ask_all(clinic.port, [Question(EVERYTHING.identifier, STUDIES + 1)], 1, seconds=60)


def test_a_failure_is_told() -> None:
    one = Clinic(status=0xA700)
    try:
        with pytest.raises(LoadFailed, match="status A700H"):
            ask_all(one.port, [Question(EVERYTHING.identifier, 0)], 1, seconds=60)
        with pytest.raises(LoadFailed, match="status A700H"):
            with asking_beside(one.port, [EVERYTHING], 2, pause=0):
                pass
    finally:
        one.close()


def test_askers_ask_until_the_block_ends(clinic: Clinic) -> None:
    before = clinic.asked
    with asking_beside(clinic.port, [EVERYTHING], 2, pause=0.01) as seconds:
        assert clinic.asked >= before + 2
        assert seconds == []
    assert len(seconds) == clinic.asked - before


def responses(matches: int) -> bytes:
    """So many pending responses and the final one; two PDVs share each PDU of a match."""
    def command(status: int, follows: int) -> bytes:
        return encode_command(CommandSet(
            affected_sop_class_uid=STUDY_ROOT, command_field=C_FIND_RSP, message_id_being_responded_to=1,
            command_data_set_type=follows, status=status))
    pending = command(0xFF01, DATA_SET_FOLLOWS)
    found = encode_pdu(DataTF([PDV(1, 3, pending), PDV(1, 2, EVERYTHING.identifier)]))
    return found * matches + encode_message(1, command(0, NO_DATA_SET), None, 0)


@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 20])
def test_responses_are_counted_however_they_come(piece: int) -> None:
    def serve() -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(encode_pdu(AssociateAC("ANY-SCP", "BENCH", [ContextResult(1, 0, EXPLICIT_VR_LE)])))
            connection.recv(4096)
            for at in range(0, len(said), piece):
                connection.sendall(said[at:at + piece])
            connection.recv(4096)
            connection.sendall(encode_pdu(ReleaseRP()))

    said = responses(9)
    with socket.create_server(("127.0.0.1", 0)) as door:
        peer = threading.Thread(target=serve)
        peer.start()
        asker = Asker(door.getsockname()[1])
        assert asker.ask(Question(EVERYTHING.identifier, 9)).matches == 9
        asker.release()
        peer.join()


def test_figures_are_ordered() -> None:
    made = finds.figures([Answer(3, 0.125, 0.25), Answer(4, 0.25, 0.5), Answer(3, 0.25, 0.25)], 5)
    assert made == FindFigures(3, 0.25, 0.5, 0.5, 0.25, 10, 5)


def test_all_of_it_is_measured(clinic: Clinic) -> None:
    server = SimpleNamespace(name="ours", port=clinic.port, process=SimpleNamespace(pid=os.getpid()))
    found = finds.measure(server, STUDIES, finds.Effort(asks=2, large=1, stores=3), 0.5)
    assert not found.has_failed()
    assert found.start == 0.5
    assert list(found.finds) == list(KINDS)
    assert found.finds["all"].matches == STUDIES
    assert found.finds["patient"].memory > 1 << 20
    assert [one.asked > 0 for one in found.stores.values()] == [False, True, True]


def test_the_tables_have_a_row_for_each_server() -> None:
    def findings(name: str, seconds: float, rate: float) -> Findings:
        return Findings(name, 1000, 0.25 if name == "ours" else None,
                        dict.fromkeys(KINDS, FindFigures(3, *[seconds] * 4, 3 / seconds, 50_000_000)),
                        {says: StoreFigures(rate / (turn + 1), turn)
                         for turn, says in enumerate((finds.EMPTY, *finds.PAUSES))})

    ours, theirs = findings("ours", 0.001, 900), findings("orthanc", 0.004, 300)
    lines = [line.split() for line in find_table.rows(ours, theirs)]
    assert lines[1][-9:] == ["ours", "1000", "3", "1.00", "1.00", "1.00", "1.00", "3000", "50.0"]
    assert lines[2] == ["orthanc", "1000", "3", "4.00", "4.00", "4.00", "4.00", "750", "50.0", "4.00", "x"]
    assert lines[-5][-7:] == ["ours", "1000", "225", "25", "%", "3000.00", "ms"]
    assert [line for line in lines if "start" in line] == [
        ["start", "to", "1st", "echo,", "ours,", "1000", "studies:", "0.25", "s"]]
    ours.finds["uid"] = LoadFailed("A700")
    assert ours.has_failed() and not theirs.has_failed()
    assert sum("FAILED  A700" in line for line in find_table.rows(ours)) == 1

"""C-GET and C-MOVE against pynetdicom; what arrives is read by pydicom."""

import os

import pydicom
import pytest
from pynetdicom.sop_class import CTImageStorage

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.reception import Reception
from dicomserver.scu.retrieve import Counters, Result, associate_to_get, associate_to_move, get, move
from dicomserver.scu.selection import Selection
from dicomserver.scu.storage_contexts import storage_contexts
from tests.scu.scp import STUDY, instance

CT = str(CTImageStorage)
SOME = [instance(number, series=number % 2 + 1) for number in range(4)]


def got(peer, folder, selection=Selection(STUDY), **settings):
    with associate_to_get(peer, storage_contexts([CT])) as association:
        reception = Reception(str(folder), is_tree=False, titles=("TEST_SCU", "MY_PACS"))
        return get(association, selection, reception, **settings)


def test_get_a_study(scp, tmp_path):
    received, told = [], []
    result = got(scp(kept=SOME).peer, tmp_path, received=received.append, told=told.append)
    assert (result.is_success, result.counters) == (True, Counters(completed=4))
    assert told[-1].remaining == 0 and len(told) == 4
    assert [one.path for one in received] == [f"{tmp_path}/{one.SOPInstanceUID}.dcm" for one in SOME]
    for one, sent in zip(received, SOME):
        assert (one.status, one.octets) == (0, os.path.getsize(one.path))
        assert pydicom.dcmread(one.path) == sent
    assert len(os.listdir(tmp_path)) == 4


def test_get_less_than_a_study(scp, tmp_path):
    server = scp(kept=SOME)
    assert got(server.peer, tmp_path, Selection(STUDY, f"{STUDY}.1")).counters.completed == 2
    one = Selection(STUDY, f"{STUDY}.2", f"{STUDY}.2.1")
    assert got(server.peer, tmp_path, one).counters.completed == 1


def test_get_what_is_not_there(scp, tmp_path):
    result = got(scp().peer, tmp_path)
    assert (result.is_success, result.counters) == (True, Counters())


def test_what_we_cannot_take_is_a_failure_of_that_alone(scp, tmp_path):
    broken = instance(9)
    del broken.SeriesInstanceUID
    server = scp(kept=[*SOME, broken])
    server.matching = lambda identifier: server.kept
    received = []
    result = got(server.peer, tmp_path, received=received.append)
    assert (result.is_success, result.is_partial, result.counters.failed) == (False, True, 1)
    assert result.failed_uids == [f"{STUDY}.1.9"]
    assert received[-1].failure == "Series Instance UID is missing or no UID"
    assert len(os.listdir(tmp_path)) == 4


def test_where_nothing_can_be_written_the_rest_is_cancelled(scp, tmp_path):
    received = []
    result = got(scp(kept=[instance(number) for number in range(300)]).peer, tmp_path / "none",
                 received=received.append)
    assert not result.is_success
    assert received[0].status == 0xA700
    assert received[0].failure == "writing failed: No such file or directory"


def test_a_server_without_get_or_roles(scp):
    with pytest.raises(NotNegotiated, match="does not offer retrieval over the same association"):
        associate_to_get(scp(qr=False).peer, storage_contexts([CT]))
    with pytest.raises(NotNegotiated, match="does not agree to send us anything"):
        associate_to_get(scp(storage={}).peer, storage_contexts([CT]))


def test_move(scp):
    there = scp()
    server = scp(kept=SOME, destination=("127.0.0.1", there.port))
    told = []
    with associate_to_move(server.peer) as association:
        result = move(association, Selection(STUDY), "THERE", told=told.append)
    assert (result.is_success, result.counters.completed, len(told)) == (True, 4, 4)
    assert sorted(there.stored) == sorted(one.SOPInstanceUID for one in SOME)


def test_move_to_nobody(scp):
    with associate_to_move(scp(kept=SOME).peer) as association:
        result = move(association, Selection(STUDY), "NOBODY")
    assert (result.status, result.is_success, result.is_partial) == (0xA801, False, False)


def test_move_where_some_fail(scp):
    there = scp(answers=[0, 0xC000, 0xB000, 0])
    server = scp(kept=SOME, destination=("127.0.0.1", there.port))
    with associate_to_move(server.peer) as association:
        result = move(association, Selection(STUDY), "THERE")
    assert (result.counters, result.is_partial) == (Counters(completed=2, failed=1, warning=1), True)


def test_a_server_without_move(scp):
    with pytest.raises(NotNegotiated, match="does not offer retrieval to another application entity"):
        associate_to_move(scp(qr=False).peer)


def test_an_answer_to_something_else(peer):
    from dicomserver.scu.peer import Peer
    from dicomserver.wire.command import CommandSet, encode_command
    answer = encode_command(CommandSet(command_field=0x8020, message_id_being_responded_to=1,
                                       command_data_set_type=0x0101, status=0))
    with peer.scripted(peer.accept(), peer.data((1, 3, answer))) as port:
        them = Peer(host="127.0.0.1", port=port, calling_ae_title="US", called_ae_title="THEM", timeout=2)
        with pytest.raises(Violated), associate_to_move(them) as association:
            move(association, Selection(STUDY), "THERE")


@pytest.mark.parametrize("status, counters, success, partial", [
    (0x0000, Counters(completed=3), True, False), (0x0000, Counters(), True, False),
    (0xB000, Counters(completed=2, warning=1), True, False), (0xB000, Counters(completed=2, failed=1), False, True),
    (0xB000, Counters(), False, True), (0xA702, Counters(failed=3), False, False),
    (0xFE00, Counters(remaining=3), False, True), (0x0000, Counters(completed=2, failed=1), False, True)])
def test_what_a_result_means(status, counters, success, partial):
    result = Result(status, counters)
    assert (result.is_success, result.is_partial) == (success, partial)

import os

import pytest
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian
from pynetdicom.sop_class import CTImageStorage

from dicomserver.scu.delivery import Delivery
from dicomserver.scu.part10_files import read_file
from dicomserver.scu.peer import Peer
from tests.interop.destination import Destination, abort, nothing, stranger
from tests.scu.scp import instance, write


@pytest.fixture
def files(tmp_path):
    return [read_file(write(tmp_path / f"{number}.dcm", instance(number))) for number in range(5)]


def delivered(peer, files, **settings):
    """By file: its outcome; and the pauses."""
    pauses = []
    outcomes = list(Delivery(peer, files, wait=pauses.append, **settings).outcomes())
    assert len(outcomes) == len(files)
    return {outcome.source: outcome for outcome in outcomes}, pauses


def failures(outcomes):
    return [outcome.failure for outcome in outcomes.values() if outcome.failure]


def test_many_files_over_one_association(scp, files):
    server = scp()
    outcomes, pauses = delivered(server.peer, files)
    assert (failures(outcomes), pauses, server.associations, len(server.stored)) == ([], [], 1, 5)
    assert [request.MessageID for request in server.seen] == [1, 2, 3, 4, 5]


def test_what_may_pass_is_tried_again_and_nothing_else(scp, files):
    server = scp(answers=[0, 0xA700, 0xC000, 0xB000])
    outcomes, pauses = delivered(server.peer, files, retries=2)
    assert failures(outcomes) == ["refused it with status C000H"]
    assert (pauses, len(server.seen), server.associations) == ([1], 6, 2)


def test_retries_have_an_end(scp, files):
    server = scp(answers=[0xA700] * 100)
    outcomes, pauses = delivered(server.peer, files[:1], retries=5)
    assert failures(outcomes) == ["refused it with status A700H"]
    assert pauses == [1, 2, 4, 8, 8]


def test_without_retries_nothing_is_tried_again(scp, files):
    server = scp(answers=[0xA700])
    outcomes, pauses = delivered(server.peer, files)
    assert (len(failures(outcomes)), pauses, len(server.seen)) == (1, [], 5)


def test_an_association_that_breaks_costs_one_file_at_most(scp, files):
    server = scp(abort_at=2)
    outcomes, pauses = delivered(server.peer, files)
    assert [bool(outcome.failure) for outcome in outcomes.values()].count(True) == 1
    assert (server.associations, pauses) == (2, [])


def test_with_retries_it_costs_none(scp, files):
    server = scp(abort_at=2)
    outcomes, pauses = delivered(server.peer, files, retries=1)
    assert (failures(outcomes), pauses) == ([], [1])


def test_nobody_there(scp, files):
    server = scp()
    server.close()
    outcomes, pauses = delivered(server.peer, files)
    assert (set(failures(outcomes)), pauses) == ({"cannot be reached: Connection refused"}, [])
    said = []
    outcomes, pauses = delivered(server.peer, files, retries=3, paused=lambda seconds, why: said.append(why))
    assert (len(failures(outcomes)), pauses) == (5, [1, 2, 4])
    assert said == ["the server cannot be reached: Connection refused"] * 3


def test_who_is_not_welcome_does_not_insist(scp, files):
    server = scp(require_calling_aet=["SOMEBODY"])
    outcomes, pauses = delivered(server.peer, files, retries=3)
    assert (len(failures(outcomes)), pauses) == (5, [])


def test_a_refused_syntax_fails_its_files_alone(scp, files, tmp_path):
    server = scp(storage={CTImageStorage: [ExplicitVRLittleEndian]})
    other = read_file(write(tmp_path / "x.dcm", instance(9, transfer_syntax=MPEG2MPML)))
    outcomes, _ = delivered(server.peer, [*files, other])
    assert failures(outcomes) == [
        f"takes no {MPEG2MPML.name} for CT Image Storage, only Explicit VR Little Endian"]
    server = scp(storage={})
    outcomes, _ = delivered(server.peer, files[:1])
    assert failures(outcomes) == ["takes no CT Image Storage in Explicit VR Little Endian"]


def test_a_file_that_has_gone(scp, files):
    os.unlink(files[0].path)
    outcomes, _ = delivered(scp().peer, files)
    assert failures(outcomes) == ["the file cannot be read: No such file or directory"]


def test_who_stops_asking_aborts(scp, files):
    server = scp()
    outcomes = Delivery(server.peer, files).outcomes()
    next(outcomes)
    outcomes.close()
    assert len(server.stored) == 1


def test_several_at_once_where_the_peer_agrees(files):
    with Destination([0, 0xC001, 0], window=4) as there:
        peer = Peer(host="127.0.0.1", port=there.port, calling_ae_title="US", called_ae_title="THEM")
        outcomes, pauses = delivered(peer, files)
        assert sorted(one.sop_instance for one in there.stored) == sorted(
            file.instance.sop_instance_uid for file in files)
        assert max(there.at_once) == 4
    assert failures(outcomes) == ["refused it with status C001H"]
    assert [file for file in files if outcomes[file].failure] == [files[1]]


@pytest.mark.parametrize("deed", [abort, nothing, stranger])
def test_whoever_is_to_blame_among_several_is_found(deed, files):
    """They are sent again, one by one: the others are not failures."""
    culprit = files[2].instance.sop_instance_uid
    with Destination(window=4, deeds={culprit: deed}) as there:
        peer = Peer(host="127.0.0.1", port=there.port, calling_ae_title="US", called_ae_title="THEM", timeout=1)
        outcomes, pauses = delivered(peer, files)
        # Alone again where all others were answered meanwhile.
        assert [one.sop_instance for one in there.stored].count(culprit) == (1 if deed is nothing else 2)
    assert [file for file in files if outcomes[file].failure] == [files[2]] and pauses == []

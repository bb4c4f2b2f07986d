import os

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

from dicomserver.scu.failures import Aborted, Violated
from dicomserver.scu.part10_files import read_file
from dicomserver.scu.requester import Requester
from dicomserver.scu.store import ContextRefused, Originator, StoreRequester, contexts_for, proposed
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import PRIORITY_HIGH
from tests.scu.scp import instance, write

EXPLICIT, IMPLICIT, J2K = map(str, (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless))
CT, MR = str(CTImageStorage), str(MRImageStorage)


def over(peer, file, **settings):
    """One file over an association of its own."""
    contexts, = contexts_for([file.instance.kind])
    with peer.associate(proposed(contexts)) as association:
        with file.opened() as (fd, offset, length):
            requester = StoreRequester(association, **settings)
            message_id = requester.send(file.instance, fd, offset, length)
        answered, answer = requester.receive()
        assert answered == message_id and requester.due == 0
        return answer


def test_what_is_proposed_is_exactly_what_is_sent():
    assert [proposed(one) for one in contexts_for([(CT, EXPLICIT), (CT, J2K), (CT, EXPLICIT), (MR, J2K)])] == [
        [(CT, [EXPLICIT]), (CT, [J2K]), (CT, [IMPLICIT]), (MR, [J2K]), (MR, [EXPLICIT, IMPLICIT])]]


def test_more_than_128_contexts_take_several_associations():
    kinds = [(f"1.2.{number}", EXPLICIT) for number in range(100)]
    several = contexts_for(kinds)
    assert [len(proposed(one)) for one in several] == [128, 72]
    assert [kind for one in several for kind in one] == kinds


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_bytes_arrive_as_they_are(syntax, scp, tmp_path):
    server = scp()
    path = write(tmp_path / "x.dcm", instance(transfer_syntax=syntax))
    file = read_file(path)
    answer = over(server.peer, file)
    assert (answer.status, answer.is_stored) == (0, True)
    with open(path, "rb") as opened:
        opened.seek(file.offset)
        assert server.stored == {file.instance.sop_instance_uid: (syntax, opened.read())}


def test_what_the_request_says(scp, tmp_path):
    server = scp()
    file = read_file(write(tmp_path / "x.dcm", instance()))
    over(server.peer, file, priority=PRIORITY_HIGH, originator=Originator("ASKER", 77))
    request, = server.seen
    assert (request.Priority, request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID) == (
        1, "ASKER", 77)
    over(server.peer, file)
    assert server.seen[1].MoveOriginatorMessageID is None


@pytest.mark.parametrize("status, stored", [(0xB000, True), (0xB007, True), (0xA700, False), (0xC123, False)])
def test_warnings_mean_stored(status, stored, scp, tmp_path):
    answer = over(scp(answers=[status]).peer, read_file(write(tmp_path / "x.dcm", instance())))
    assert (answer.status, answer.is_stored) == (status, stored)


def test_a_refused_context_leaves_the_association_as_it_was(scp, tmp_path):
    server = scp(storage={CT: [IMPLICIT]})
    refused = read_file(write(tmp_path / "x.dcm", instance(1)))
    taken = read_file(write(tmp_path / "y.dcm", instance(2, transfer_syntax=IMPLICIT)))
    contexts, = contexts_for([refused.instance.kind, taken.instance.kind])
    with server.peer.associate(proposed(contexts)) as association:
        requester = StoreRequester(association)
        with refused.opened() as (fd, offset, length), pytest.raises(ContextRefused) as error:
            requester.send(refused.instance, fd, offset, length)
        assert error.value.taken == (IMPLICIT,)
        with taken.opened() as (fd, offset, length):
            message_id = requester.send(taken.instance, fd, offset, length)
        answered, answer = requester.receive()
        assert (answered, answer.status) == (message_id, 0)


def test_an_answer_to_something_else_is_no_answer(peer, tmp_path):
    file = read_file(write(tmp_path / "x.dcm", instance(transfer_syntax=IMPLICIT)))
    answer = encode_command(CommandSet(command_field=0x8001, message_id_being_responded_to=9,
                                       command_data_set_type=0x0101, status=0))
    request = propose([(CT, [IMPLICIT])], calling_ae_title="US", called_ae_title="THEM")
    with peer.scripted(peer.accept(), peer.data((1, 3, answer))) as port:
        with pytest.raises(Violated), Requester("127.0.0.1", port, request, deadlines=Deadlines(idle=5),
                                                connect_timeout=5) as association:
            with file.opened() as (fd, offset, length):
                requester = StoreRequester(association)
                requester.send(file.instance, fd, offset, length)
            requester.receive()


def test_a_file_that_shrinks_while_it_is_sent_ends_the_association_only(scp, tmp_path):
    server = scp()
    big = instance()
    big[0x00111001].value = bytes(3_000_000)
    path = write(tmp_path / "x.dcm", big)
    file = read_file(path)
    os.truncate(path, 2_000_000)
    with pytest.raises(Exception, match="did not get all of the file: it ends too soon"):
        over(server.peer, file)
    assert server.stored == {}


def test_a_peer_that_goes_away(scp, tmp_path):
    with pytest.raises(Aborted):
        over(scp(abort_at=0).peer, read_file(write(tmp_path / "x.dcm", instance())))

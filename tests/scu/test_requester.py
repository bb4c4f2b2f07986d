import math
import socket
import threading

import pytest

from dicomserver.scu.failures import Aborted, AssociationFailed, Refused, Silent, Unreachable, Violated
from dicomserver.scu.requester import LONGEST_ANSWER, Requester
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose
from dicomserver.standard.uids import IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet, encode_command

REQUEST = CommandSet(
    affected_sop_class_uid=VERIFICATION, command_field=0x30, message_id=1, command_data_set_type=0x0101
)
RESPONSE = encode_command(
    CommandSet(
        command_field=0x8030, message_id_being_responded_to=1, command_data_set_type=0x0101, status=0
    )
)
WITH_DATASET = encode_command(
    CommandSet(
        command_field=0x8020, message_id_being_responded_to=1, command_data_set_type=0, status=0xFF00
    )
)


def asked(port, timeout=5.0, host="127.0.0.1"):
    request = propose(
        [(VERIFICATION, (IMPLICIT_VR_LE,))], calling_ae_title="TEST_SCU", called_ae_title="MY_PACS"
    )
    deadlines = Deadlines(idle=timeout, progress=timeout, write=timeout, minimum_rate=math.inf)
    return Requester(host, port, request, deadlines=deadlines, connect_timeout=timeout)


def abort(source, reason):
    return bytes([7, 0, 0, 0, 0, 4, 0, 0, source, reason])


def test_the_life_of_an_association(peer):
    received = []
    with peer.scripted(
        peer.accept(), peer.data((1, 3, RESPONSE)), peer.RELEASE_RP, received=received
    ) as port:
        with asked(port) as association:
            context = association.context_for(VERIFICATION)
            assert (context.context_id, context.transfer_syntax) == (1, IMPLICIT_VR_LE)
            assert association.context_for("1.2.3") is None
            association.send(1, REQUEST)
            answer = association.receive()
            assert (answer.context_id, answer.command.status, answer.dataset) == (1, 0, None)
    assert [data[0] for data in received] == [1, 4, 5]
    assert received[1] == peer.data((1, 3, encode_command(REQUEST)))


def test_a_message_in_many_pieces_with_a_dataset(peer):
    pieces = [
        (1, 1, WITH_DATASET[:7]),
        (1, 1, b""),
        (1, 3, WITH_DATASET[7:]),
        (1, 0, b"data"),
        (1, 2, b"set"),
    ]
    answer = peer.data(*pieces[:2]) + peer.data(*pieces[2:4]) + peer.data(*pieces[4:])
    with peer.scripted(peer.accept(), answer, peer.RELEASE_RP) as port, asked(port) as association:
        association.send(1, REQUEST)
        assert association.receive().dataset == b"dataset"


def test_what_we_send_obeys_the_peers_maximum(peer):
    received = []
    with peer.scripted(peer.accept(maximum_length=20), peer.HANG_UP, received=received) as port:
        with pytest.raises(Aborted), asked(port) as association:
            association.send(1, REQUEST)
            association.receive()
    data = received[1]
    while data:
        length = int.from_bytes(data[2:6], "big")
        assert 0 < length <= 20
        data = data[6 + length :]


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(Unreachable, match="^cannot be reached: Connection refused$"):
        asked(port)


def test_a_name_that_nobody_knows():
    with pytest.raises(Unreachable, match="^cannot be reached: its host name is not known$"):
        asked(104, host="no-such-host.invalid")


@pytest.mark.parametrize("answer", ["", "ACCEPT", "RELEASE"])
def test_silence_has_an_end_everywhere(answer, peer):
    answers = {"": [], "ACCEPT": [peer.accept()], "RELEASE": [peer.accept(), peer.data((1, 3, RESPONSE))]}
    received = []
    with peer.scripted(*answers[answer], received=received) as port:
        with pytest.raises(Silent, match="^did not answer within 0.2 s$"), asked(port, 0.2) as association:
            association.send(1, REQUEST)
            association.receive()
    assert b"".join(received).endswith(abort(0, 0))


def test_a_dribble_is_silence(peer):
    with socket.create_server(("127.0.0.1", 0)) as door:
        over = threading.Event()

        def dribble():
            connection, _ = door.accept()
            with connection:
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"\x02")
                    except OSError:
                        return

        thread = threading.Thread(target=dribble)
        thread.start()
        with pytest.raises(AssociationFailed):
            asked(door.getsockname()[1], 0.3)
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "result, source, reason, text",
    [
        (1, 1, 1, "no reason given"),
        (1, 1, 2, "it does not support the DICOM application context"),
        (1, 1, 3, "it does not know our AE title"),
        (1, 1, 7, "it does not go by the AE title that we called it"),
        (1, 2, 2, "it does not support our version of the protocol"),
        (2, 3, 1, "it is congested at the moment"),
        (2, 3, 2, "it serves as many associations as it may at the moment"),
        (1, 9, 9, "source 9, reason 9"),
    ],
)
def test_a_refusal_in_words(result, source, reason, text, peer):
    with peer.scripted(bytes([3, 0, 0, 0, 0, 4, 0, result, source, reason])) as port:
        with pytest.raises(Refused) as refused:
            asked(port)
    assert str(refused.value) == f"refused the association: {text}"
    assert refused.value.is_transient == (result == 2)


@pytest.mark.parametrize(
    "script, kind, text",
    [
        (lambda peer: [peer.HANG_UP], Aborted, "closed the connection"),
        (
            lambda peer: [peer.accept()[:50] + peer.HANG_UP, peer.HANG_UP],
            Silent,
            "did not answer within 0.5 s",
        ),
        (lambda peer: [peer.ABORT], Aborted, r"aborted the association \(source 2, reason 6\)"),
        (lambda peer: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], Violated, "does not speak DICOM"),
        (lambda peer: [peer.accept()[:-3]], Silent, "did not answer within 0.5 s"),
        (lambda peer: [peer.pdu(2, b"too short")], Violated, "sent a malformed PDU"),
        (lambda peer: [b"\x02\x00\xff\xff\xff\xff"], Violated, "sent a PDU that is longer than allowed"),
        (lambda peer: [peer.RELEASE_RQ], Violated, "sent a PDU out of turn"),
        (lambda peer: [peer.data((1, 3, b""))], Violated, "sent a PDU out of turn"),
        (
            lambda peer: [peer.accept(maximum_length=4)],
            Violated,
            "accepted the association with a maximum length that has no room for data",
        ),
    ],
)
def test_what_can_go_wrong_before_the_association_stands(script, kind, text, peer):
    with peer.scripted(*script(peer)) as port, pytest.raises(kind, match=f"^{text}$"):
        asked(port, 0.5)


@pytest.mark.parametrize(
    "answer, kind, text",
    [
        (lambda peer: peer.HANG_UP, Aborted, "closed the connection"),
        (lambda peer: peer.ABORT, Aborted, r"aborted the association \(source 2, reason 6\)"),
        (lambda peer: peer.accept(), Violated, "sent a PDU out of turn"),
        (lambda peer: peer.RELEASE_RQ, Aborted, "ended the association instead of answering"),
        (lambda peer: peer.data((3, 3, RESPONSE)), Violated, "mixed up the parts of a message"),
        (lambda peer: peer.data((1, 2, RESPONSE)), Violated, "mixed up the parts of a message"),
        (
            lambda peer: peer.data((1, 1, RESPONSE), (1, 0, b"")),
            Violated,
            "mixed up the parts of a message",
        ),
        (
            lambda peer: peer.data((1, 3, WITH_DATASET), (1, 3, RESPONSE)),
            Violated,
            "mixed up the parts of a message",
        ),
        (lambda peer: peer.data((1, 3, b"\0\0\0")), Violated, "sent a malformed command"),
        (lambda peer: 5 * peer.data((1, 1, bytes(16_000))), Violated, "sent a message that is too long"),
        (lambda peer: peer.data((1, 3, bytes(17_000))), Violated, "sent a PDU that is longer than allowed"),
    ],
)
def test_what_can_go_wrong_with_an_answer(answer, kind, text, peer):
    with peer.scripted(peer.accept(), answer(peer)) as port:
        with pytest.raises(kind, match=f"^{text}$"), asked(port) as association:
            association.send(1, REQUEST)
            association.receive()


def test_a_violation_is_answered_with_an_abort(peer):
    received = []
    with peer.scripted(peer.accept(), peer.accept(), received=received) as port:
        with pytest.raises(Violated), asked(port) as association:
            association.send(1, REQUEST)
            association.receive()
    assert b"".join(received[2:]) == abort(2, 2)


def test_a_failure_of_the_caller_aborts(peer):
    received = []
    with peer.scripted(peer.accept(), received=received) as port:
        with pytest.raises(KeyError), asked(port):
            raise KeyError
    assert received[-1] == abort(0, 0)


def test_both_release_at_once(peer):
    received = []
    with (
        peer.scripted(peer.accept(), peer.RELEASE_RQ + peer.RELEASE_RP, received=received) as port,
        asked(port),
    ):
        pass
    assert [data[0] for data in received] == [1, 5, 6]


def test_what_still_comes_during_the_release_is_dropped(peer):
    with peer.scripted(peer.accept(), peer.data((1, 3, RESPONSE)) + peer.RELEASE_RP) as port, asked(port):
        pass


def test_the_longest_answer_is_bounded(peer):
    header = b"\x02\x00" + (LONGEST_ANSWER + 1).to_bytes(4, "big")
    with peer.scripted(header) as port, pytest.raises(Violated, match="longer than allowed"):
        asked(port)

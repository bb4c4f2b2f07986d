"""C-ECHO against pynetdicom, and against peers that do it wrong."""

import threading

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from dicomserver.scu.echo import echo, echoes
from dicomserver.scu.failures import NotNegotiated, Refused, Silent, Violated
from dicomserver.scu.peer import Peer
from dicomserver.wire.command import CommandSet, encode_command


@pytest.fixture
def acceptor():
    """Starts pynetdicom acceptors; the port of each."""
    running = []

    def start(sop_class=Verification, status=0x0000, seen=None, **settings):
        ae = AE(ae_title="MY_PACS")
        ae.add_supported_context(sop_class)
        for name, value in settings.items():
            setattr(ae, name, value)

        def answer(event):
            if seen is not None:
                seen.append(
                    (event.assoc.requestor.ae_title, event.assoc.requestor.primitive.called_ae_title)
                )
            return status

        released = threading.Event()
        handlers = [(evt.EVT_C_ECHO, answer), (evt.EVT_RELEASED, lambda event: released.set())]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        server.released = released
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()


def ask(port, **settings):
    settings = {"calling_ae_title": "TEST_SCU", "called_ae_title": "MY_PACS", "timeout": 10} | settings
    return echo("127.0.0.1", port, **settings)


def test_an_echo_is_answered_and_the_association_released(acceptor):
    seen = []
    server = acceptor(seen=seen)
    answer = ask(server.server_address[1])
    assert answer.status == 0
    assert 0 < answer.echo_seconds < 10
    assert 0 < answer.association_seconds < 10
    assert answer.is_same_machine
    assert seen == [("TEST_SCU", "MY_PACS")]
    assert server.released.wait(10)


def test_many_echoes_over_one_association(acceptor):
    seen = []
    server = acceptor(seen=seen)
    peer = Peer(host="127.0.0.1", port=server.server_address[1], calling_ae_title="TEST_SCU", called_ae_title="MY_PACS")
    answers = list(echoes(peer, 3))
    assert [answer.status for answer in answers] == [0, 0, 0]
    assert (len(seen), len({answer.association_seconds for answer in answers})) == (3, 1)


def test_a_failure_status_is_told(acceptor):
    assert ask(acceptor(status=0x0122).server_address[1]).status == 0x0122


def test_a_server_that_knows_us_not(acceptor):
    server = acceptor(require_calling_aet=["SOMEBODY"])
    with pytest.raises(
        Refused, match="^refused the association: it does not know our AE title$"
    ) as refused:
        ask(server.server_address[1])
    assert not refused.value.is_transient


def test_a_server_with_another_name(acceptor):
    server = acceptor(require_called_aet=True)
    with pytest.raises(Refused, match="it does not go by the AE title that we called it"):
        ask(server.server_address[1], called_ae_title="SOMEBODY")


def test_a_server_without_echo(acceptor):
    with pytest.raises(NotNegotiated, match="^does not offer C-ECHO$"):
        ask(acceptor(sop_class=CTImageStorage).server_address[1])


@pytest.mark.parametrize(
    "answer",
    [
        {
            "command_field": 0x8030,
            "message_id_being_responded_to": 2,
            "command_data_set_type": 0x0101,
            "status": 0,
        },
        {
            "command_field": 0x8001,
            "message_id_being_responded_to": 1,
            "command_data_set_type": 0x0101,
            "status": 0,
        },
    ],
)
def test_an_answer_to_something_else_is_no_answer(answer, peer):
    message = peer.data((1, 3, encode_command(CommandSet(**answer))))
    with (
        peer.scripted(peer.accept(), message) as port,
        pytest.raises(Violated, match="^answered something else than the C-ECHO$"),
    ):
        ask(port)


def test_a_server_that_accepts_and_says_no_more(peer):
    with peer.scripted(peer.accept()) as port, pytest.raises(Silent, match="^did not answer within 0.3 s$"):
        ask(port, timeout=0.3)

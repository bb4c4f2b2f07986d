import socket
import threading
from dataclasses import replace

import pytest

from dicomserver.scu.diagnosis import diagnose
from dicomserver.scu.peer import Peer

HERE = Peer(host="127.0.0.1", port=1, calling_ae_title="TEST_SCU", called_ae_title="MY_PACS", timeout=1)


def steps(peer):
    return [(step.name, step.is_good) for step in diagnose(peer)], list(diagnose(peer))[-1]


def test_all_is_well(scp):
    found = list(diagnose(scp().peer))
    assert [(step.name, step.is_good) for step in found] == [
        ("Name", True), ("TCP", True), ("TLS", True), ("Association", True), ("C-ECHO", True)]
    assert "Verification SOP Class: accepted in Implicit VR Little Endian" in found[3].details
    assert any("refused: the server does not know it (3)" in line for line in found[3].details)


def test_a_name_that_nobody_knows():
    found, last = steps(replace(HERE, host="no-such-host.invalid"))
    assert found == [("Name", False)]
    assert "Check the spelling" in last.advice


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    found, last = steps(replace(HERE, port=port))
    assert found[-1] == ("TCP", False)
    assert last.found == f"the machine is there, but nothing listens on port {port}"


@pytest.mark.parametrize("setting, advice", [
    ({"require_calling_aet": ["X"]}, "enter our AE title TEST_SCU"),
    ({"require_called_aet": True}, "another AE title than WRONG: give the right one with --called-aet"),
    ({"maximum_associations": 0}, "All its places are taken"),
])
def test_refusals(setting, advice, scp):
    found, last = steps(replace(scp(**setting).peer, called_ae_title="WRONG"))
    assert found[-1] == ("Association", False)
    assert advice in last.advice


def test_something_else_listens(peer):
    with peer.scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        found = list(diagnose(replace(HERE, port=port)))
    assert [step.name for step in found][-1] in ("Association", "TLS")


def test_a_server_that_wants_tls():
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=_complain, args=(door,))
        thread.start()
        found = list(diagnose(replace(HERE, port=door.getsockname()[1])))
        door.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (found[-1].name, found[-1].is_good, found[-1].found) == ("TLS", False, "the server wants TLS")


def _complain(door):
    """A TLS server that nobody pleases: whatever comes is answered with the alert handshake_failure."""
    while True:
        try:
            connection, _ = door.accept()
        except OSError:
            return
        with connection:
            if connection.recv(1 << 16):
                connection.sendall(bytes.fromhex("15030300020228"))

"""A message whose dataset is in a file: what becomes of the association where the file is not what it should be."""
from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.session.association import AssociationEnded, Ending
from dicomserver.session.states import State
from dicomserver.session.transport import FileUnusable
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import C_STORE_RQ
from tests.interop.sender import data_tf
from tests.session.peers import abort, read_to_end, reset
from tests.session.test_association import REQUESTOR, VERIFICATION, Standing

STORE = CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_STORE_RQ, message_id=1, priority=0,
                   affected_sop_instance_uid="1.2.3", command_data_set_type=1)
LARGE = bytes(3 << 20)


@pytest.fixture
def standing():
    one = Standing(REQUESTOR, write=30)
    yield one
    one.close()


def send(standing: Standing, path: Path, data: bytes, checksum: int | None = None) -> None:
    """As a file of these bytes; the peer reads all of it meanwhile, into `standing.received`."""
    path.write_bytes(data)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read_to_end(standing.peer)))
    reader.start()
    file = os.open(path, os.O_RDONLY)
    try:
        right = xxh3_64(data) if checksum is None else checksum
        standing.association.send_from_file(1, STORE, file, 0, len(data), right)
    finally:
        os.close(file)
        standing.association.inlet.wake()
        standing.association.inlet.close()
        reader.join(30)
        standing.received = received[0]


def test_a_whole_message(standing: Standing, tmp_path: Path) -> None:
    send(standing, tmp_path / "file", b"dataset")
    assert standing.received == data_tf(1, 3, encode_command(STORE)) + data_tf(1, 2, b"dataset")
    assert standing.association.machine.state is State.STA6


def test_nothing_was_sent_of_a_bad_file(standing: Standing, tmp_path: Path) -> None:
    """The association stands as before."""
    with pytest.raises(FileUnusable):
        send(standing, tmp_path / "file", b"dataset", checksum=1)
    assert standing.received == b"" and standing.association.machine.state is State.STA6


def test_part_was_sent_of_a_bad_file(standing: Standing, tmp_path: Path) -> None:
    with pytest.raises(AssociationEnded) as ended:
        send(standing, tmp_path / "file", LARGE, checksum=1)
    assert (ended.value.ending, type(ended.value.cause)) == (Ending.GIVEN_UP, FileUnusable)
    assert standing.received.endswith(abort(0, 0)) and standing.association.machine.state is State.STA13


def test_a_peer_that_takes_nothing(tmp_path: Path) -> None:
    standing = Standing(REQUESTOR, write=0.1)
    (tmp_path / "file").write_bytes(LARGE * 10)
    with open(tmp_path / "file", "rb") as file, pytest.raises(AssociationEnded) as ended:
        standing.association.send_from_file(1, STORE, file.fileno(), 0, len(LARGE) * 10, 1)
    assert (ended.value.ending, standing.association.machine.state) == (Ending.STALLED, State.STA1)
    standing.close()


def test_a_connection_that_is_gone(standing: Standing, tmp_path: Path) -> None:
    reset(standing.peer)
    (tmp_path / "file").write_bytes(LARGE)
    with open(tmp_path / "file", "rb") as file, pytest.raises(AssociationEnded) as ended:
        standing.association.send_from_file(1, STORE, file.fileno(), 0, len(LARGE), xxh3_64(LARGE))
    assert (ended.value.ending, standing.association.machine.state) == (Ending.CLOSED, State.STA1)


def test_stopped_before_or_in_it(standing: Standing, tmp_path: Path) -> None:
    standing.association.inlet.abandon()
    with pytest.raises(AssociationEnded) as ended:
        send(standing, tmp_path / "file", LARGE)
    assert ended.value.ending is Ending.STOPPED and standing.received == abort(0, 0)


def test_stopped_while_the_peer_takes_nothing(standing: Standing) -> None:
    """An A-ABORT would wait behind what nobody takes."""
    outcome: list[AssociationEnded] = []

    def send_much() -> None:
        try:
            standing.association.transmit(LARGE * 10)
        except AssociationEnded as ended:
            outcome.append(ended)
    thread = threading.Thread(target=send_much)
    thread.start()
    assert standing.peer.recv(1)
    standing.association.inlet.abandon()
    thread.join(30)
    assert [ended.ending for ended in outcome] == [Ending.STOPPED]
    assert standing.association.machine.state is State.STA1


def test_given_up_by_another_thread(standing: Standing, tmp_path: Path) -> None:
    """No log says of the server that it stops."""
    standing.association.give_up("a fault of ours")
    with pytest.raises(AssociationEnded, match="aborted by us: a fault of ours") as ended:
        send(standing, tmp_path / "file", LARGE)
    assert ended.value.ending is Ending.STALLED


def test_given_up_by_another_thread_while_nothing_is_taken(standing: Standing) -> None:
    standing.association.give_up("a fault of ours")
    with pytest.raises(AssociationEnded, match="given up: a fault of ours") as ended:
        standing.association.transmit(LARGE * 10)
    assert ended.value.ending is Ending.STALLED

"""Several operations of one association at once (PS3.7 D.3.3.3), against the installed server."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.interop.find.asker import Asker
from tests.interop.installed import Installed
from tests.interop.sender import C_ECHO_RQ, NO_DATASET, Ended, Response, Sender, command_set
from tests.interop.stored import Sent, check
from tests.interop.synthetic import CT, instance

CONTEXTS = [(CT, ["1.2.840.10008.1.2.1"]), ("1.2.840.10008.1.1", ["1.2.840.10008.1.2.1"])]
MESSAGE_ID_RESPONDED_TO = 0x00000120


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def answered(response: Response) -> int:
    return int.from_bytes(response.elements[MESSAGE_ID_RESPONDED_TO], "little")


def begin(association: Sender, one: Sent, message: int | None = None) -> int:
    return association.begin_store(1, CT, one.sop_instance, one.dataset, message)


@pytest.mark.parametrize("window", [2, 8])
def test_all_are_kept_and_each_is_answered_once(server: Installed, window: int) -> None:
    several = [instance(1, number, size=size) for number, size in enumerate([100, 20_000, 3_000_000] * 40)]
    with Sender(server.port, CONTEXTS, operations=window) as association:
        asked, got = [], []
        for one in several:
            asked.append(begin(association, one))
            if len(asked) - len(got) == window:
                got.append(association.answer())
        got += [association.answer() for _ in range(len(asked) - len(got))]
    assert [response.status for response in got] == [0] * len(several)
    assert sorted(map(answered, got)) == sorted(asked)
    server.filed(len(several))
    for one in several:
        check(server.data, one)


def test_a_peer_that_does_not_wait_is_held_back(server: Installed) -> None:
    """More than the window allows: they are received as places become free."""
    several = [instance(2, number, size=1000) for number in range(100)]
    with Sender(server.port, CONTEXTS, operations=4) as association:
        for one in several:
            begin(association, one)
        assert {association.answer().status for _ in several} == {0}


def test_the_release_comes_behind_the_answers(server: Installed) -> None:
    several = [instance(3, number, size=200_000) for number in range(8)]
    association = Sender(server.port, CONTEXTS, operations=8)
    for one in several:
        begin(association, one)
    association.socket.sendall(bytes.fromhex("05000000000400000000"))
    assert [association.answer().status for _ in several] == [0] * 8
    assert association.receive()[0] == 6
    association.close()


def test_others_are_answered_meanwhile(server: Installed) -> None:
    with Sender(server.port, CONTEXTS, operations=8) as association:
        for number in range(6):
            begin(association, instance(4, number, size=500_000))
        association.request(3, _echo(1000))
        got = [association.answer() for _ in range(7)]
    assert sorted(map(answered, got)) == [1, 2, 3, 4, 5, 6, 1000]
    assert {response.status for response in got} == {0}


def test_the_same_instance_twice_at_once(server: Installed) -> None:
    one, other = instance(5, 1, size=300_000), instance(5, 1, size=300_002)
    with Sender(server.port, CONTEXTS, operations=8) as association:
        for each in (one, one, one):
            begin(association, each)
        assert {association.answer().status for _ in range(3)} == {0}
        begin(association, other)
        assert association.answer().status == 0xC001
    server.filed(1)
    check(server.data, one)
    assert len(server.quarantined()) == 1


def test_a_message_id_that_is_still_open(server: Installed) -> None:
    """0210 while the first is under way, else it is an id that is free again."""
    several = [instance(6, number, size=100_000) for number in range(40)]
    with Sender(server.port, CONTEXTS, operations=8) as association:
        for one in several:
            begin(association, one, message=7)
        got = [association.answer() for _ in several]
    assert {response.status for response in got} <= {0, 0x0210}
    stored = sum(response.status == 0 for response in got)
    assert stored and server.stats()["instances"] == stored


@pytest.mark.parametrize("end", ["close", "reset", "abort"])
def test_a_connection_that_ends_in_the_middle(server: Installed, end: str) -> None:
    several = [instance(7, number, size=400_000) for number in range(6)]
    association = Sender(server.port, CONTEXTS, operations=8)
    for one in several:
        begin(association, one)
    half_a_pdu, abort = b"\4\0\0\0\x40\0\0\0\0\x22\1\2", bytes.fromhex("07000000000400000000")
    association.socket.sendall(abort if end == "abort" else half_a_pdu)
    if end == "reset":
        association.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")       # SO_LINGER of 0 seconds
    association.close()
    with Sender(server.port, CONTEXTS) as next_one:
        assert next_one.echo(3) == 0
    wait_until(lambda: not server.stats()["connectionsActive"])
    stored = server.stats()["instances"]
    server.filed(stored)
    assert stored <= 6 and not server.quarantined()


def test_a_query_waits_for_no_store(server: Installed) -> None:
    one = instance(8, 1, size=1000)
    with Sender(server.port, CONTEXTS, operations=8) as association:
        begin(association, one)
        assert association.answer().status == 0
        with Asker(server.port) as asker:
            assert len(asker.find("STUDY", {"StudyInstanceUID": one.study}).raw) == 1


def test_sigkill_with_operations_under_way(server: Installed) -> None:
    acknowledged: list[Sent] = []
    enough = threading.Event()

    def load(study: int) -> None:
        try:
            with Sender(server.port, CONTEXTS, operations=8) as association:
                waiting: dict[int, Sent] = {}
                for number in range(100_000):
                    one = instance(study, number, size=20_000)
                    waiting[begin(association, one)] = one
                    if len(waiting) == 8:
                        response = association.answer()
                        if response.status == 0:
                            acknowledged.append(waiting.pop(answered(response)))
                    if len(acknowledged) >= 300:
                        enough.set()
        except (OSError, Ended, KeyError):
            return      # the server is gone

    threads = [threading.Thread(target=load, args=(study,)) for study in (11, 12)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    server.kill()
    for thread in threads:
        thread.join()
    server.start()
    stored = server.stats()["instances"]
    assert len(acknowledged) <= stored <= len(acknowledged) + 8 * len(threads)
    server.filed(stored)
    for one in acknowledged:
        check(server.data, one)
    assert not server.quarantined()


def _echo(message: int) -> bytes:
    return command_set("1.2.840.10008.1.1", C_ECHO_RQ, message, NO_DATASET)

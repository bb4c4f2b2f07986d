"""C-GET on an association with an asynchronous operations window: what else the requester may ask for meanwhile."""
from __future__ import annotations

import time
from contextlib import closing

import pytest

from tests.interop.find.keys import EXPLICIT, encoded
from tests.interop.retriever import C_STORE_RQ, GET, PENDING, Retriever, command, counters, store_response
from tests.interop.sender import C_ECHO_RQ, C_FIND_RQ, DATASET, NO_DATASET, Ended, Response, command_set
from tests.interop.stored import Sent
from tests.interop.synthetic import CT, instance
from tests.services.retrieving import STUDY, fill, study

VERIFICATION, FIND = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
CONTEXTS = [(CT, EXPLICIT), (VERIFICATION, EXPLICIT), (FIND, EXPLICIT)]     # ids 3, 5, 7
KEYS = {"StudyInstanceUID": STUDY}
C_STORE, C_FIND, C_GET, C_ECHO = 0x8001, 0x8020, 0x8010, 0x8030
LONGER_THAN_BUFFERS = 24 << 20   # bytes, of both ends of a connection


class Asker(Retriever):
    """Asks for more while its C-GET, message 1, is answered. answered: (Command Field, message id, status) of each
    final response; last: each by its message id; stored: the SOP instances that came."""

    def __init__(self, provider, operations: int | None = 4, receive_buffer: int = 0) -> None:
        super().__init__(provider.port, GET["study"], CONTEXTS, calling="ASKER", operations=operations,
                         receive_buffer=receive_buffer)
        self.answered: list[tuple[int, int, int]] = []
        self.stored: list[str] = []
        self.last: dict[int, Response] = {}

    def echo_for(self, message: int) -> None:
        self.request(5, command_set(VERIFICATION, C_ECHO_RQ, message, NO_DATASET))

    def find(self, message: int, filler: int = 0) -> None:
        self.request(7, command_set(FIND, C_FIND_RQ, message, DATASET))
        keys = {"QueryRetrieveLevel": "STUDY", "StudyDescription": "x" * filler, **KEYS}
        self.send_dataset(7, encoded(keys, EXPLICIT))

    def store_as(self, message: int, sent: Sent) -> None:
        self.begin_store(3, sent.sop_class, sent.sop_instance, sent.dataset, message)

    def take(self, count: int, meanwhile=lambda number: None) -> None:
        """Answers sub-operations until so many final responses have come. meanwhile: called when the C-STORE of this
        number, from 0 on, has come, before it is answered."""
        for context_id, elements, _ in self.messages():
            field = int.from_bytes(elements[0x00000100], "little")
            if field == C_STORE_RQ:
                self.stored.append(elements[0x00001000].decode().rstrip("\0"))
                meanwhile(len(self.stored) - 1)
                self.request(context_id, store_response(elements, 0))
                continue
            response = Response(int.from_bytes(elements[0x00000900], "little"), elements)
            if response.status == PENDING:
                continue
            message = int.from_bytes(elements[0x00000120], "little")
            self.answered.append((field, message, response.status))
            self.last[message] = response
            if len(self.answered) == count:
                return


def at(number: int, *asked):
    """For `take`: all of that when the sub-operation of this number has come."""
    def meanwhile(now: int) -> None:
        for ask in asked if now == number else ():
            ask()
    return meanwhile


def until_answered(provider, number: int) -> None:
    """Until the provider has as many final responses on their way."""
    end = time.monotonic() + 20
    while len(provider.answered) < number:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_other_requests_wait_for_their_turn(provider, number: int) -> None:
    fill(provider, study(3))
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(4, at(number, lambda: asker.echo_for(2), lambda: asker.find(3), lambda: asker.echo_for(4)))
        assert asker.answered == [(C_GET, 1, 0), (C_ECHO, 2, 0), (C_FIND, 3, 0), (C_ECHO, 4, 0)]
        assert counters(asker.last[1])[1:] == (3, 0, 0) and len(asker.stored) == 3
        assert asker.echo(5) == 0


def test_another_retrieval_follows(provider) -> None:
    sent = [one.sop_instance for one in fill(provider, study(3))]
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(2, at(1, lambda: asker.begin("STUDY", KEYS)))
        assert asker.answered == [(C_GET, 1, 0), (C_GET, 2, 0)]
        assert asker.stored == sent * 2 and counters(asker.last[2])[1:] == (3, 0, 0)


def test_an_image_is_stored_meanwhile(provider) -> None:
    """Its dataset may be longer than memory: it is received at once."""
    fill(provider, study(3))
    several = [instance(9, number, size=200_000) for number in (1, 2, 3)]
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(4, at(1, *(lambda number=number, one=one: asker.store_as(number, one)
                              for number, one in enumerate(several, 2))))
        assert set(asker.answered) == {(C_GET, 1, 0), *((C_STORE, number, 0) for number in (2, 3, 4))}
        assert counters(asker.last[1])[1:] == (3, 0, 0)
    assert all(provider.index.find(one.sop_instance) for one in several)


def test_ids_that_are_open_are_refused(provider) -> None:
    fill(provider, study(3))
    new = instance(9, 1)
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(4, at(0, lambda: asker.find(2), lambda: asker.echo_for(2), lambda: asker.store_as(1, new)))
        assert asker.answered == [(C_ECHO, 2, 0x0210), (C_STORE, 1, 0x0210), (C_GET, 1, 0), (C_FIND, 2, 0)]
    assert provider.index.find(new.sop_instance) is None


def test_cancels_what_waits_for_its_turn(provider) -> None:
    fill(provider, study(3))
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(3, at(0, lambda: asker.begin("STUDY", KEYS), lambda: asker.begin("STUDY", KEYS),
                         lambda: asker.cancel(2), lambda: asker.cancel(7)))
        assert asker.answered == [(C_GET, 1, 0), (C_GET, 2, 0xFE00), (C_GET, 3, 0)]
        assert counters(asker.last[2])[0] == 3 and len(asker.stored) == 6
        asker.begin("STUDY", KEYS, message=7)       # it was cancelled before it was asked for: that means nothing
        asker.take(4)
        assert asker.answered[3:] == [(C_GET, 7, 0)]


def test_a_cancel_behind_other_requests(provider) -> None:
    fill(provider, study(3))
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(3, at(0, lambda: asker.find(2), lambda: asker.echo_for(3), lambda: asker.cancel(1)))
        assert asker.answered == [(C_GET, 1, 0xFE00), (C_FIND, 2, 0), (C_ECHO, 3, 0)]
        assert counters(asker.last[1]) == (2, 1, 0, 0)


def test_identifiers_that_wait_take_no_more_memory_than_one(provider) -> None:
    fill(provider, study(2))
    provider.limits = type(provider.limits)(identifier=1000)
    with Asker(provider) as asker:
        asker.begin("STUDY", KEYS)
        asker.take(4, at(0, lambda: asker.find(2, 600), lambda: asker.find(3, 600), lambda: asker.find(4)))
        assert asker.answered == [(C_GET, 1, 0), (C_FIND, 2, 0), (C_FIND, 3, 0xA700), (C_FIND, 4, 0)]
        asker.find(5, 600)
        asker.take(5)
        assert asker.answered[4:] == [(C_FIND, 5, 0)]


def test_a_stop_lets_it_come_to_its_end_and_begins_nothing(provider) -> None:
    """Neither an image that was stored meanwhile nor what waits changes that."""
    fill(provider, study(3))
    new = instance(9, 1)
    asker = Asker(provider)
    asker.begin("STUDY", KEYS)
    with pytest.raises(Ended) as ended:
        asker.take(9, at(0, lambda: asker.store_as(2, new), lambda: asker.echo_for(3), lambda: asker.echo_for(3),
                         lambda: asker.take(2), lambda: provider.acceptor.stop(grace_over=False)))
    asker.close()
    assert ended.value.args[0] == 7 and len(asker.stored) == 3
    assert set(asker.answered) == {(C_STORE, 2, 0), (C_ECHO, 3, 0x0210), (C_GET, 1, 0)}


def test_more_than_the_window_allows_ends_the_association(provider) -> None:
    """The answers to sub-operations would lie behind them."""
    fill(provider, study(3))
    asker = Asker(provider)
    asker.begin("STUDY", KEYS)
    with pytest.raises(Ended) as ended:
        asker.take(9, at(0, *(lambda number=number: asker.echo_for(number) for number in range(2, 8))))
    asker.close()
    assert ended.value.args[0] == 7 and asker.answered == []


@pytest.mark.parametrize("more", [command({0x0100: b"\x30\x80", 0x0120: b"\1\0", 0x0800: b"\1\1", 0x0900: b"\0\0"}),
                                  command({0x0100: b"\x30\0", 0x0800: b"\1\1"})], ids=["response", "no id"])
def test_what_may_never_come(provider, more: bytes) -> None:
    fill(provider, study(3))
    asker = Asker(provider)
    asker.begin("STUDY", KEYS)
    with pytest.raises(Ended) as ended:
        asker.take(1, at(0, lambda: asker.request(5, more)))
    asker.close()
    assert ended.value.args[0] == 7


def test_without_a_window_it_ends_the_association(provider) -> None:
    fill(provider, study(3))
    asker = Asker(provider, operations=None)
    asker.begin("STUDY", KEYS)
    with pytest.raises(Ended) as ended:
        asker.take(2, at(0, lambda: asker.echo_for(2)))
    asker.close()
    assert ended.value.args[0] == 7


def test_a_slow_reader_keeps_no_thread_that_all_windows_share(provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers to the images before its C-GET leave first: behind a long image each of them would hold one."""
    fill(provider, [instance(1, 1, size=LONGER_THAN_BUFFERS)])
    keep = provider.archive.keep
    monkeypatch.setattr(provider.archive, "keep", lambda *slot: (time.sleep(0.2), keep(*slot)))
    with closing(Asker(provider, receive_buffer=4096)) as asker:
        for number in range(2, 6):
            asker.store_as(number, instance(9, number))
        asker.begin("STUDY", KEYS, message=1)
        assert asker.receive()[0] == 4      # something has come, and no more is taken
        until_answered(provider, 5)
        assert provider.executor.submit(int).result(20) == 0

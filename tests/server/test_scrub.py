import hashlib
import os
import threading
import time

import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.index.integrity import ScrubPlace
from dicomserver.server import scrub as scrub_module
from dicomserver.server.scrub import Scrub
from dicomserver.server.settings import ScrubSettings

UIDS = [f"1.2.3.4.{number}" for number in range(1, 8)]
FAST = 1e15
DAY = 86_400_000_000      # microseconds


@pytest.fixture
def filed(store):
    """Seven instances."""
    waiting = [store.receive(uid, b"pixels of " + uid.encode(), mover=False) for uid in UIDS]
    store.archive.file_batch(waiting)
    return waiting


@pytest.fixture
def scrub(store, tools):
    """Starts one; it is stopped at the end."""
    started = []

    def start(pause=0.0, **settings) -> Scrub:
        started.append(Scrub(store.archive, store.index, store.describe, ScrubSettings(
            **{"days": 1.0, "octets_per_second": FAST, "first_pause_seconds": pause} | settings), store.log))
        started[-1].start()
        return started[-1]
    yield start
    for one in started:
        one.stop()


@pytest.fixture
def one_pass(store, scrub, tools):
    """A whole pass."""
    def run() -> Scrub:
        store.index.integrity.place = ScrubPlace(0, 0, True)
        one = scrub()
        tools.wait_until(lambda: store.index.integrity.place.began_at and store.index.integrity.place.ended)
        one.stop()
        return one
    return run


def digests(store):
    return [store.index.integrity.sha256(store.index.find(uid)) for uid in UIDS]


def test_a_pass_keeps_the_digest_of_every_file(store, filed, one_pass, caplog):
    caplog.set_level("INFO")
    before = time.time()
    scrub = one_pass()
    assert digests(store) == [hashlib.sha256(store.final_path(uid).read_bytes()).digest() for uid in UIDS]
    figures = scrub.figures()
    assert (figures["damaged"], figures["scrub"], figures["foreignFiles"]) == (0, "waiting", 0)
    assert store.index.integrity.place.began_at / 1e6 >= before and figures["scrubBeganAt"].endswith("+00:00")
    assert "the scrub has read all stored files: 0 instances" in caplog.text


@pytest.mark.parametrize("at", [0, 20, 60, 140, -1])
def test_one_bit_is_found_and_stays_reported_until_it_is_whole_again(store, filed, one_pass, at, caplog):
    path = store.final_path(UIDS[3])
    whole = path.read_bytes()
    content = bytearray(whole)
    content[at] ^= 1
    path.write_bytes(content)
    assert one_pass().figures()["damaged"] == 1
    assert [record.levelname for record in caplog.records].count("ERROR") == 2      # the file, and the sum
    assert UIDS[3] not in caplog.text and path.read_bytes() == content
    assert one_pass().figures()["damaged"] == 1
    path.write_bytes(whole)
    assert one_pass().figures()["damaged"] == 0


def test_a_row_without_a_file(store, filed, one_pass):
    os.unlink(store.final_path(UIDS[0]))
    assert one_pass().figures()["damaged"] == 1
    assert store.index.integrity.faults(9) == [(UIDS[0], "its file is missing")]
    store.index.remove([UIDS[0]], [store.index.find(UIDS[0]).slot])
    assert one_pass().figures()["damaged"] == 0


def test_a_file_without_a_row(store, filed, one_pass, caplog):
    store.index.remove([UIDS[0]], [store.index.find(UIDS[0]).slot])
    (store.path / "1.2.3" / "x").write_text("x")
    assert one_pass().figures()["foreignFiles"] == 1
    assert store.index.find(UIDS[0]) is not None
    assert "1 were indexed, 0 set aside, 1 are not of this server" in caplog.text


def test_what_is_known_to_be_damaged_is_said_at_the_start(store, filed, one_pass, scrub, caplog):
    os.unlink(store.final_path(UIDS[0]))
    one_pass()
    caplog.clear()
    assert scrub(days=0).figures()["scrub"] == "off"
    assert "1 stored instances are known to be damaged or missing" in caplog.text


def test_it_goes_on_where_it_was_stopped(store, filed, scrub, tools, monkeypatch):
    """In the middle of a page, which is the more likely."""
    read = []
    real = store.archive.digest
    third = threading.Event()

    def digest(stored, on_read):
        read.append(stored.sop_instance_uid)
        if len(read) == 3:
            third.set()
            on_read(1 << 62)        # as long as it takes until it is stopped
        return real(stored, on_read)
    monkeypatch.setattr(store.archive, "digest", digest)
    one = scrub()
    assert third.wait(10)
    assert one.figures()["scrub"] == "reading"
    began = store.index.integrity.place.began_at
    one.stop()
    assert not one._thread.is_alive() and [bool(sha256) for sha256 in digests(store)] == [True] * 2 + [False] * 5
    place = store.index.integrity.place
    assert not place.ended and place.began_at == began
    scrub()
    tools.wait_until(lambda: store.index.integrity.place.ended)
    assert read == UIDS[:3] + UIDS[2:] and store.index.integrity.place.began_at == began


def test_pages(store, filed, one_pass, monkeypatch):
    monkeypatch.setattr(scrub_module, "AT_ONCE", 2)
    one_pass()
    assert all(digests(store))


def test_it_waits_as_long_as_the_rate_says(store, filed, one_pass, monkeypatch):
    waited = []
    monkeypatch.setattr(Scrub, "_wait_for", lambda self, octets: waited.append(octets))
    one_pass()
    octets = sum(waiting.file_length for waiting in filed)
    assert sum(waited) == octets + len(UIDS) * (scrub_module.SEARCH_COST + scrub_module.NAME_COST)


@pytest.mark.parametrize("days_ago, ended, due", [
    (0.5, True, False), (1.5, True, True), (0.5, False, True), (-0.5, True, False), (-2, True, True),
    (20_000, True, True)])
def test_when_the_next_pass_is_due(store, days_ago, ended, due):
    """One that began in the future says that the clock was wrong."""
    store.index.integrity.place = ScrubPlace(time.time_ns() // 1000 - int(days_ago * DAY), 4, ended)
    idle = Scrub(store.archive, store.index, store.describe, ScrubSettings(days=1.0), store.log)
    assert (idle._seconds_until_due() <= 0) == due


def test_the_next_pass_begins_by_itself(store, filed, scrub, tools):
    began = time.time_ns() // 1000 - 2 * DAY
    store.index.integrity.place = ScrubPlace(began, 7, True)
    scrub()

    def has_ended() -> bool:
        place = store.index.integrity.place     # one look: the pass may begin between two
        return place.ended and place.began_at > began + DAY
    tools.wait_until(has_ended)
    assert all(digests(store))


def test_an_index_that_does_not_answer_for_a_while(store, filed, scrub, tools, monkeypatch, caplog):
    monkeypatch.setattr(scrub_module, "RETRY_SECONDS", 0.01)
    real, failures = store.index.integrity.record, iter([IndexUnavailable("locked"), OSError(5, "EIO")])

    def record(findings):
        for failure in failures:
            raise failure
        return real(findings)
    monkeypatch.setattr(store.index.integrity, "record", record)
    scrub()
    tools.wait_until(lambda: store.index.integrity.place.began_at and store.index.integrity.place.ended)
    assert all(digests(store)) and caplog.text.count("the scrub was interrupted") == 2


def test_figures_without_an_index(store, scrub):
    one = scrub(days=0)
    store.index.close()
    assert set(one.figures().values()) == {None}


def test_a_pass_that_takes_too_long_says_so(store, filed, scrub, tools, caplog):
    store.index.integrity.place = ScrubPlace(time.time_ns() // 1000 - 3 * DAY, 0, False)
    scrub()
    tools.wait_until(lambda: "longer than scrubDays" in caplog.text)
    assert "the scrub took 3.0 days" in caplog.text

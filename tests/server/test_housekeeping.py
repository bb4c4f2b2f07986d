import logging
import threading

from dicomserver.server.housekeeping import Housekeeper

LOG = logging.getLogger("test.housekeeping")


def test_rounds_until_it_is_stopped():
    twice = threading.Event()
    done = []

    def duty(keep_going):
        assert keep_going()
        done.append(threading.current_thread().name)
        if len(done) == 2:
            twice.set()

    housekeeper = Housekeeper([("a duty", duty)], LOG, every_seconds=0.001)
    housekeeper.start()
    assert twice.wait(10)
    housekeeper.stop()
    assert not housekeeper.alive and set(done) == {"housekeeper"}


def test_one_that_fails_keeps_no_other_from_being_done(caplog):
    done = []

    def fails(keep_going):
        raise ValueError("DOE^JANE")

    Housekeeper([("the first", fails), ("the second", lambda keep_going: done.append(1))], LOG).round()
    assert done == [1]
    assert "the first failed: ValueError at" in caplog.text and "DOE" not in caplog.text


def test_a_stop_between_two():
    done = []

    def stopped(keep_going):
        housekeeper.stop()
        assert not keep_going()
        done.append("one")

    housekeeper = Housekeeper([("one", stopped), ("other", lambda keep_going: done.append("other"))], LOG)
    housekeeper.round()
    assert done == ["one"]

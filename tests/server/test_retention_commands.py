import pytest

from dicomserver.archive.errors import KeepingFailed
from dicomserver.index import IndexUnavailable
from dicomserver.index.entry import StudyAge
from dicomserver.server import retention_commands
from dicomserver.server.control import CommandFailed
from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.retention import Candidate
from dicomserver.server.settings import RetentionSettings
from dicomserver.server.trash import TrashKeeper


class FakeRetention:
    settings = RetentionSettings(days=100, free_percent=5, minimum_days=10)

    def candidates(self):
        yield Candidate(StudyAge("1.2.3", 1_700_000_000_500_000, 3, 1500), "age")


class BrokenRetention:
    def candidates(self):
        raise IndexUnavailable("closed")


@pytest.fixture
def run(store):
    def run(name, args, retention=FakeRetention()):
        seen = []
        return retention_commands.table(store.archive, store.index, retention)[name](args, seen.append), seen
    return run


def test_the_preview(run):
    assert run("retention", {}) == (
        {"days": 100, "freePercent": 5, "minimumDays": 10},
        [{"study": "1.2.3", "lastImage": 1_700_000_000, "instances": 3, "bytes": 1500, "why": "age"}])


def test_no_preview(run):
    with pytest.raises(CommandFailed, match="^the index does not answer: closed"):
        run("retention", {}, BrokenRetention())


def test_keep_and_unkeep(run, store):
    store.receive("1.2.3.4.5", b"", "1.2.3", "1.2.3.4")
    assert run("keep", {"study": "1.2.3"})[0] == {"changed": True}
    assert run("keep", {"study": "1.2.3"})[0] == {"changed": False}
    assert run("kept", {}) == ({}, [{"study": "1.2.3"}])
    assert run("unkeep", {"study": "1.2.3"})[0] == {"changed": True}
    assert run("unkeep", {"study": "1.2.3"})[0] == {"changed": False}


def test_keep_what_lies_in_the_trash(run, store):
    store.receive("1.2.3.4.5", b"", "1.2.3", "1.2.3.4")
    trash = TrashKeeper(store.archive, store.index, store.mover, store.describe, 60, store.log)
    Deleter(store.archive, store.index, store.mover, trash, store.log).delete(Asked(study="1.2.3"))
    assert run("keep", {"study": "1.2.3"})[0] == {"changed": True}


@pytest.mark.parametrize("args, says", [({}, "which study"), ({"series": "1.2"}, "which study"),
                                        ({"study": "x"}, "not a UID"), ({"study": "9.9"}, "no such study")])
def test_keep_that_will_not_do(run, args, says):
    with pytest.raises(CommandFailed, match=says):
        run("keep", args)


def test_a_list_that_cannot_be_written(run, store, monkeypatch):
    def broken(uid, keep):
        raise KeepingFailed("writing the list of studies to keep", 28)

    monkeypatch.setattr(store.archive.kept, "set", broken)
    with pytest.raises(CommandFailed, match="^writing the list of studies to keep: No space"):
        run("unkeep", {"study": "1.2"})

from contextlib import closing, suppress
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveLocked
from dicomserver.index import IndexUnavailable, IndexUnfinished, open_index
from dicomserver.server import migration
from dicomserver.server.archive_index import WrongIndex, check_index
from dicomserver.server.migration import Migration
from dicomserver.server.settings import ServerSettings, StorageSettings
from tests.index.samples import make


class Rooms:
    """The archive and the index alone."""

    def open_archive(self, settings: ServerSettings) -> Archive:
        return Archive(settings.data_directory, reserve=0)

    def open_index(self, settings: ServerSettings):
        return open_index(settings.index_url())


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """Of an archive whose index has ten instances."""
    settings = ServerSettings(data_directory=tmp_path / "data", storage=StorageSettings(reserve=0))
    Archive(settings.data_directory, reserve=0).close()
    with closing(open_index(settings.index_url())) as index:
        index.add_many(make(number) for number in range(1, 11))
        index.mark_complete()
    return settings


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/new.db"


def nobody() -> None:
    pytest.fail("no server runs")


def move(settings: ServerSettings, url: str, *, on_waiting=nobody, replace=False,
         progress=lambda what, done, total: None):
    return Migration(settings, Rooms(), url, replace=replace, progress=progress).run(on_waiting)


def slots(url: str) -> list[int]:
    with closing(open_index(url)) as index:
        return sorted(row.slot for row in index.select())


def is_the_archive_s(settings: ServerSettings, url: str) -> bool:
    with closing(Rooms().open_archive(settings)) as archive, closing(open_index(url)) as index:
        with suppress(WrongIndex):
            check_index(archive, index)
            return True
    return False


def test_the_archive_has_the_new_index_then(settings, url):
    said = []
    counts = move(settings, url, progress=lambda *what: said.append(what))
    assert counts == (1, 1, 1, 10) and slots(url) == [*range(1, 11)]
    assert said[-1][0] == "compare" and said[-1][1] == said[-1][2] > 10 and said[0][0] == "copy"
    assert is_the_archive_s(settings, url) and not is_the_archive_s(settings, settings.index_url())
    with pytest.raises(WrongIndex):
        move(settings, url.replace("new", "third"))


class Cut(Exception):
    """As by Ctrl-C."""


@pytest.mark.parametrize("what", ["copy", "compare"])
def test_until_its_end_the_archive_has_the_old_one(settings, url, what):
    def cut(now, done, total):
        if now == what and done == total:
            raise Cut

    with pytest.raises(Cut):
        move(settings, url, progress=cut)
    assert is_the_archive_s(settings, settings.index_url())
    with pytest.raises(IndexUnfinished):
        open_index(url)
    move(settings, url)
    assert is_the_archive_s(settings, url)


def test_an_end_of_which_the_archive_was_not_told(settings, url, monkeypatch):
    """The new one is complete, but the server goes on with the old one; nothing is missed when it is run again."""
    note = Archive.note_index

    def die(archive, record):
        if record.place == url:
            raise Cut
        note(archive, record)

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(Archive, "note_index", die)
        move(settings, url)
    with closing(open_index(settings.index_url())) as index:
        index.add(make(11))
    assert not is_the_archive_s(settings, url)
    assert move(settings, url).instances == 11
    assert is_the_archive_s(settings, url)


def test_what_comes_while_a_server_runs(settings, url):
    """It is copied beside it, waited for, and what came last follows."""
    server = Rooms().open_archive(settings)
    index = open_index(settings.index_url())
    steps = []

    def serve(what, done, total):
        steps.append(what)
        if len(steps) == 3:
            index.add(make(20))
            index.remove(["1.2.3.1.1"], [1])

    def stop():
        steps.append("waiting")
        with pytest.raises(ArchiveLocked):
            Rooms().open_archive(settings)
        index.add(make(21))
        index.remove(["1.2.3.1.2"], [2])
        index.close()
        server.close()

    counts = move(settings, url, on_waiting=stop, progress=serve)
    assert counts.instances == 10 and slots(url) == [*range(3, 11), 20, 21]
    assert list(dict.fromkeys(steps)) == ["copy", "compare", "waiting"]
    assert is_the_archive_s(settings, url)


def test_somebody_may_be_faster(settings, url, monkeypatch):
    """A server that is started again while its end is waited for is waited for, too."""
    server = [Rooms().open_archive(settings)]
    waited = []

    def wait(path):
        waited.append(path)
        if len(waited) == 2:
            server.pop().close()

    monkeypatch.setattr(migration, "wait_for_lock", wait)
    assert move(settings, url, on_waiting=lambda: None).instances == 10
    assert waited == [settings.data_directory] * 2


def test_the_index_that_a_running_server_does_not_have_is_not_copied(settings, url):
    with closing(Rooms().open_archive(settings)) as archive:
        archive.note_index(migration.IndexRecord("0" * 32, "postgres://elsewhere/pacs"))
        with pytest.raises(WrongIndex, match="is postgres://elsewhere/pacs"):
            move(settings, url)
    with pytest.raises(WrongIndex):
        move(settings, url)
    assert not Path(url.removeprefix("sqlite://")).exists()


def test_an_index_that_does_not_know_all_files_yet(settings, url):
    Path(settings.index_url().removeprefix("sqlite://")).unlink()
    with pytest.raises(IndexUnavailable, match="start the server on it once"):
        move(settings, url)


def test_back_again(settings, url):
    move(settings, url)
    moved = ServerSettings(data_directory=settings.data_directory, database_url=url)
    with closing(open_index(url)) as index:
        index.add(make(30))
    with pytest.raises(IndexUnavailable, match="--replace"):
        move(moved, settings.index_url())
    assert is_the_archive_s(settings, url)
    move(moved, settings.index_url(), replace=True)
    assert is_the_archive_s(settings, settings.index_url()) and 30 in slots(settings.index_url())


def test_what_else_is_at_the_new_place_stays(settings, url):
    theirs = Path(url.removeprefix("sqlite://"))
    theirs.write_text("somebody's notes, of more than a hundred bytes, so that it might be a database " * 2)
    before = theirs.read_bytes()
    with pytest.raises(IndexUnavailable, match="something else is at the new place: SQLite: SQLITE_NOTADB"):
        move(settings, url, replace=True)
    assert theirs.read_bytes() == before and is_the_archive_s(settings, settings.index_url())


def test_what_does_not_become_equal_is_not_taken(settings, url, monkeypatch):
    equal = migration.run_pass
    monkeypatch.setattr(migration, "run_pass", lambda *details: equal(*details)._replace(changes=1))
    with pytest.raises(IndexUnavailable, match="does not become equal"):
        move(settings, url)
    assert is_the_archive_s(settings, settings.index_url())

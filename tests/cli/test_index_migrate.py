import pytest

from dicomserver.cli import index_migrate
from dicomserver.cli.main import main
from dicomserver.index import Counts, IndexUnfinished
from dicomserver.server.archive_index import WrongIndex

URL = "postgres://pacs:se%40cret@db/pacs?sslmode=require"


class FakeMigration:
    """Ends as it is told; waits for a server if `waits`."""

    end = Counts(1, 1, 2, 3)
    waits = False
    asked = ()

    def __init__(self, settings, rooms, url, *, replace, progress):
        type(self).asked = (settings.index_url(), url, replace)
        self.progress = progress

    def run(self, on_waiting):
        for what in ("copy", "compare"):
            for done in range(3):
                self.progress(what, done, 2)
        if self.waits:
            on_waiting()
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.fixture
def faked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "format").write_text('{"format": 1}')
    migration = type("Migration", (FakeMigration,), {})
    monkeypatch.setattr(index_migrate, "Migration", migration)
    return migration


def test_what_has_moved_and_what_to_do_now(faked, capsys, tmp_path):
    assert main(["index", "migrate", "--to", URL, "--data-dir", "d"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "The index has moved: 1 patient, 1 study, 2 series, 3 instances. Every row was compared with the old one.\n"
        "No server starts on the old one any more. Before you start yours, set databaseURL (or --database-url) to:\n"
        "    postgres://pacs@db/pacs?sslmode=require\n"
        "with the password, which is not shown here.\n")
    assert said.err == "" and faked.asked == (f"sqlite://{tmp_path}/d/dicom-server.db", URL, False)


def test_a_server_that_runs_is_to_be_stopped(faked, capsys):
    faked.waits, faked.end = True, Counts(2, 3, 4, 1)
    assert main(["index", "migrate", "--to", "sqlite:///x.db", "--data-dir", "d", "--replace"]) == 0
    said = capsys.readouterr()
    assert said.err == ("What can be copied while the server runs is copied. Stop the server now; the rest follows "
                        "when it is gone.\n")
    assert "2 patients, 3 studies, 4 series, 1 instance." in said.out and said.out.endswith("\n    sqlite:///x.db\n")
    assert faked.asked[1:] == ("sqlite:///x.db", True)


def test_a_bar_for_each_step_on_a_terminal(faked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["index", "migrate", "--to", URL, "--data-dir", "d"]) == 0
    said = capsys.readouterr().err
    assert said.index("copy: 100%") < said.index("compare: 100%") and "2/2" in said


@pytest.mark.parametrize("error, code", [(WrongIndex("it is elsewhere"), 78), (IndexUnfinished(), 78)])
def test_why_not(faked, capsys, error, code):
    faked.end = error
    assert main(["index", "migrate", "--to", URL, "--data-dir", "d"]) == code
    said = capsys.readouterr()
    assert str(error) in said.err and said.err.count("\n") == 1 and "cret" not in said.err + said.out


@pytest.mark.parametrize("typed, line", [
    ("--to memory: --data-dir d", "an index in memory is made anew at each start: there is nothing to move"),
    ("--to sqlite:///x --data-dir d --database none",
     "an index in memory is made anew at each start: there is nothing to move"),
    ("--to sqlite://{folder}/d/dicom-server.db --data-dir d",
     "that is the index which the server has: name another one with --to, or the old one with --database-url"),
    ("--to sqlite:///x --data-dir absent", "there is no data directory {folder}/absent"),
])
def test_nothing_to_move(faked, typed, line, capsys, tmp_path):
    assert main(["index", "migrate", *typed.format(folder=tmp_path).split()]) == 1
    assert capsys.readouterr() == ("", f"dicom-server: {line.format(folder=tmp_path)}\n")
    assert faked.asked == ()


def test_help(machine):
    done = machine.typed("index", "migrate", "--help")
    assert done.returncode == 0 and "example: dicom-server index migrate --to postgres://" in done.stdout
    assert machine.typed("index", "migrate").returncode == 2

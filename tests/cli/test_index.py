import os

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.cli import index
from dicomserver.cli.main import main
from dicomserver.server.rebuild import FillReport


@pytest.fixture
def report(monkeypatch, tmp_path):
    """What the rebuild of an empty archive in `tmp_path / "d"` finds."""
    report = FillReport()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {})
    Archive(tmp_path / "d").close()

    def rebuild(archive, database_url, describe, progress, log):
        assert database_url == f"sqlite://{tmp_path}/d/dicom-server.db"
        for done in range(3):
            progress(done, 2)
        return report

    monkeypatch.setattr(index, "rebuild", rebuild)
    return report


def test_what_was_found(report, capsys):
    report.indexed = 2
    assert main(["index", "rebuild", "--data-dir", "d"]) == 0
    assert capsys.readouterr() == ("Index rebuilt: 2 instances\n", "")


def test_a_damaged_file_is_a_failure(report, capsys):
    report.indexed, report.damaged, report.foreign, report.known = 5, 1, 2, 3
    assert main(["index", "rebuild", "--data-dir", "d"]) == 1
    assert capsys.readouterr().out == (
        "Index rebuilt: 5 instances, 1 damaged files left out, 2 files that are not ours, "
        "3 files with a SOP Instance UID that another file has\n"
    )


def test_progress_on_a_terminal(report, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["index", "rebuild", "--data-dir", "d"]) == 0
    assert "2/2" in capsys.readouterr().err


def test_root_makes_no_index_that_the_server_could_not_open(report, capsys, tmp_path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(tmp_path / "d", 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert main(["index", "rebuild", "--data-dir", "d"]) == 1
    assert capsys.readouterr().err == f"dicom-server: {tmp_path}/d belongs to another user: run this as that user\n"
    assert not (tmp_path / "d" / "dicom-server.db").exists()


@pytest.mark.parametrize(
    "typed, line",
    [
        ("--data-dir absent", "there is no data directory {folder}/absent"),
        ("--data-dir .", "{folder} is no data directory of dicom-server"),
        (
            "--data-dir d --database none",
            "an index in memory is rebuilt at each start: there is nothing to do",
        ),
    ],
)
def test_nothing_to_rebuild(typed, line, report, capsys, tmp_path):
    assert main(["index", "rebuild", *typed.split()]) == 1
    assert capsys.readouterr() == ("", f"dicom-server: {line.format(folder=tmp_path)}\n")
    assert not (tmp_path / "absent").exists()


def test_an_empty_archive_for_real(machine):
    with machine.server("start", "--port", machine.port, "--data-dir", "d"):
        pass
    (machine.folder / "d" / "dicom-server.db").unlink()
    done = machine.typed("index", "rebuild", "--data-dir", "d")
    assert (done.returncode, done.stdout) == (0, "Index rebuilt: 0 instances\n")
    assert (machine.folder / "d" / "dicom-server.db").exists()


def test_help_of_the_command_itself(machine):
    done = machine.typed("index", "rebuild", "--help")
    assert done.returncode == 0
    assert "example: dicom-server index rebuild" in done.stdout

import errno
import signal
import tempfile

import pytest

from dicomserver.archive.errors import CopyFailed, NotABackup
from dicomserver.cli import restore
from dicomserver.cli.main import main
from dicomserver.server.restore import RestoreReport


@pytest.fixture
def faked(monkeypatch):
    """What a restore or a drill ends with, and what it was asked."""
    report = RestoreReport("2026-01-01T00:00:00+00:00", 3, 3, 1500, 4, has_index=True)
    faked = {"end": report, "asked": []}

    def end(*asked):
        faked["asked"].append(tuple(one for one in asked if not callable(one)))
        for one in asked:
            if callable(one):
                one(report)
        if isinstance(faked["end"], Exception):
            raise faked["end"]
        return faked["end"]

    monkeypatch.setattr(restore, "restore", end)
    monkeypatch.setattr(restore, "drill", end)
    return faked


def test_a_restore(faked, capsys):
    assert main(["restore", "/x", "--data-dir", "/y"]) == 0
    assert faked["asked"] == [("/x", "/y", None)]
    assert capsys.readouterr().out == (
        "Restored the backup of 2026-01-01T00:00:00+00:00: 3 images, 1.5 kB, and 4 other files\n"
        "Start with: dicom-server start --data-dir /y\n")


def test_a_drill(faked, capsys):
    assert main(["restore", "/x", "--verify", "--backup", "2"]) == 0
    assert faked["asked"] == [("/x", 2)]
    assert capsys.readouterr().out.endswith("other files\nAll of it is whole\n")


@pytest.mark.parametrize("how", [["--verify"], ["--data-dir", "/y"]])
def test_what_the_backup_never_had(faked, capsys, how):
    faked["end"].absent = 1
    assert main(["restore", "/x", *how]) == 0
    assert "Never in this backup: 1 image (damaged, missing" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--verify"], ["--data-dir", "/y"]])
def test_damage(faked, capsys, how):
    report = faked["end"]
    report.damaged, report.has_index = [("1.2/1.3/1.4.dcm", "it is missing in the backup")], False
    assert main(["restore", "/x", *how]) == 1
    said = capsys.readouterr().out
    assert said.startswith("1.2/1.3/1.4.dcm: it is missing in the backup\n") and "DAMAGED" in said
    assert ("whole" in said, "first start makes it" in said, "left out" in said) == (
        False, "--data-dir" in how, "--data-dir" in how)


@pytest.mark.parametrize("error, words", [
    (CopyFailed("writing", errno.ENOSPC), "/y: its disk is full. Empty that folder"),
    (NotABackup("/x is no backup of dicom-server"), "no backup")])
def test_what_cannot_be(faked, capsys, error, words):
    faked["end"] = error
    assert main(["restore", "/x", "--data-dir", "/y"]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["/x"], ["/x", "--verify", "--data-dir", "/y"]])
def test_one_or_the_other(faked, capsys, arguments):
    assert main(["restore", *arguments]) == 2
    assert faked["asked"] == [] and "either --data-dir NEW" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_drill_that_is_ended_leaves_no_copy_of_the_index(number, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def drill(*asked):
        with tempfile.TemporaryDirectory():
            assert signal.getsignal(number) is not signal.SIG_DFL, "it would end this process at once"
            signal.raise_signal(number)

    monkeypatch.setattr(restore, "drill", drill)
    former = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        main(["restore", "/x", "--verify"])
    assert ended.value.code == 128 + number and list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is former

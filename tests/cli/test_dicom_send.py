import re

import pytest

from dicomserver.cli.tools import run
from dicomserver.scu import delivery
from tests.scu.scp import instance, write


@pytest.fixture
def scp(scp, monkeypatch):
    monkeypatch.setattr(delivery.time, "sleep", lambda seconds: None)
    return scp


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.dcm", instance(number))
    return folder


def test_files(scp, study, capsys):
    server = scp()
    assert run("dicom-send", [server.where, *map(str, sorted(study.iterdir()))]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"3 files, 3 succeeded, 0 failed, [\d.]+ kB, \d+\.\d s, [\d.]+ .?B/s\n", out)
    assert err == ""
    assert (len(server.stored), server.associations) == (3, 1)
    assert server.seen[0].Priority == 0


def test_a_folder_leaves_out_what_is_no_dicom(scp, study, capsys):
    (study / "README").write_text("x")
    assert run("dicom-send", [scp().where, "-r", str(study)]) == 0
    assert "1 skipped" in capsys.readouterr().out
    assert run("dicom-send", [scp().where, str(study)]) == 1
    assert "is a folder: -r sends what is in it" in capsys.readouterr().err


def test_a_pattern_and_a_file_that_is_not_there(scp, study, capsys):
    assert run("dicom-send", [scp().where, f"{study}/*.dcm", "none.dcm"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("4 files, 3 succeeded, 1 failed")
    assert err == "dicom-send: none.dcm: cannot be read: No such file or directory\n"


def test_refused_warned_and_retried(scp, study, capsys):
    server = scp(answers=[0xA700, 0xB000, 0xC000])
    assert run("dicom-send", [server.where, "-r", str(study), "--retry", "2", "--priority", "high"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("3 files, 2 succeeded, 1 failed")
    assert "1.dcm: stored, with warning B000H" in err
    assert "2.dcm: the server refused it with status C000H" in err
    assert "dicom-send: the server has no room for it at the moment; next try in 1 s" in err
    assert {request.Priority for request in server.seen} == {1}


def test_verbose(scp, study, capsys):
    assert run("dicom-send", [scp().where, "-r", str(study), "-v"]) == 0
    assert capsys.readouterr().err.count(": stored\n") == 3


def test_a_dry_run_sends_nothing(study, capsys):
    assert run("dicom-send", ["127.0.0.1:1", "-r", str(study), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "0.dcm: CT Image Storage, Explicit VR Little Endian, " in lines[0]
    assert lines[-1].startswith("3 files, ") and lines[-1].endswith("nothing was sent")


def test_verify(scp, study, capsys):
    server = scp(kept=[instance(number) for number in range(2)])
    assert run("dicom-send", [server.where, "-r", str(study), "--verify"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "verified: 2 of 3 files found on the server"
    assert err.endswith("2.dcm: the server does not find it\n")
    assert run("dicom-send", [scp(qr=False).where, "-r", str(study), "--verify"]) == 1
    assert "not verified: the server does not offer queries" in capsys.readouterr().err


def test_one_transfer_syntax_alone(scp, study, capsys):
    write(study / "x.dcm", instance(9, transfer_syntax="1.2.840.10008.1.2"))
    server = scp()
    assert run("dicom-send", [server.where, "-r", str(study), "--transfer-syntax", "1.2.840.10008.1.2"]) == 2
    assert list(server.stored) == ["1.2.3.4.5.1.9"]
    assert "0.dcm: is in Explicit VR Little Endian" in capsys.readouterr().err


def test_nobody_there_and_nothing_to_send(study, tmp_path, capsys):
    assert run("dicom-send", ["127.0.0.1:1", "-r", str(study)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 files, 0 succeeded, 3 failed")
    assert err.count("the server cannot be reached: Connection refused") == 3
    (tmp_path / "empty").mkdir()
    assert run("dicom-send", ["127.0.0.1:1", "-r", str(tmp_path / "empty")]) == 1
    assert capsys.readouterr() == ("", "dicom-send: there is nothing to send\n")

import pydicom
import pytest

from dicomserver.cli.tools import run
from tests.scu.scp import STUDY, instance

SOME = [instance(number, series=number % 2 + 1) for number in range(4)]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.dcm"))


def test_a_study_by_c_get(scp, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert run("dicom-retrieve", [scp(kept=SOME).where, "--study-uid", STUDY, "--output", str(folder)]) == 0
    assert names(folder) == sorted(f"{one.SOPInstanceUID}.dcm" for one in SOME)
    assert pydicom.dcmread(folder / f"{SOME[0].SOPInstanceUID}.dcm") == SOME[0]
    out, err = capsys.readouterr()
    assert out.startswith("4 instances, 0 failed, ") and out.endswith(f"in {folder}\n")
    assert err == ""


def test_here_by_default_and_as_a_tree(scp, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("dicom-retrieve", [scp(kept=SOME).where, "--study-uid", STUDY, "--series-uid", f"{STUDY}.1",
                                  "--hierarchical"]) == 0
    assert names(tmp_path) == [f"{STUDY}/{STUDY}.1/{STUDY}.1.{number}.dcm" for number in (0, 2)]


def test_by_series_in_parallel(scp, tmp_path):
    server = scp(kept=SOME)
    assert run("dicom-retrieve", [server.where, "--study-uid", STUDY, "--parallel", "2", "-o", str(tmp_path)]) == 0
    assert len(names(tmp_path)) == 4
    assert server.associations == 1 + 1 + 2     # its series, its SOP classes, two retrievals


def test_a_list(scp, tmp_path, capsys):
    other = instance(study="1.2.9")
    listed = tmp_path / "list"
    listed.write_text(f"# studies\n{STUDY} {STUDY}.2 {STUDY}.2.1\n\n1.2.9   # all of it\n1.2.9\n")
    assert run("dicom-retrieve", [scp(kept=[*SOME, other]).where, "--uid-list", str(listed), "-o", str(tmp_path)]) == 0
    assert names(tmp_path) == ["1.2.3.4.5.2.1.dcm", "1.2.9.1.1.dcm"]
    listed.write_text("1.2.3\n../4\n")
    assert run("dicom-retrieve", ["x", "--uid-list", str(listed)]) == 2
    assert "line 2: not a UID" in capsys.readouterr().err


def test_by_c_move(scp, capsys):
    there = scp()
    server = scp(kept=SOME, destination=("127.0.0.1", there.port))
    assert run("dicom-retrieve", [server.where, "--study-uid", STUDY, "--move-dest", "THERE"]) == 0
    assert len(there.stored) == 4
    assert capsys.readouterr().out.startswith("4 instances, 0 failed, ")
    assert run("dicom-retrieve", [server.where, "--study-uid", STUDY, "--move-dest", "NOBODY"]) == 1
    assert f"{STUDY}: the server ended it with status A801H" in capsys.readouterr().err


def test_a_part_that_fails(scp, capsys):
    there = scp(answers=[0, 0xC000])
    server = scp(kept=SOME, destination=("127.0.0.1", there.port))
    assert run("dicom-retrieve", [server.where, "--study-uid", STUDY, "--move-dest", "THERE"]) == 2
    assert f"{STUDY}: 1 of 4 instances failed, status B000H" in capsys.readouterr().err


def test_what_is_not_there_is_a_failure(scp, tmp_path, capsys):
    assert run("dicom-retrieve", [scp().where, "--study-uid", "1.2", "-o", str(tmp_path)]) == 1
    assert "dicom-retrieve: 1.2: the server has nothing of it" in capsys.readouterr().err


def test_nobody_there(tmp_path, capsys):
    for more in ([], ["--parallel", "2"]):
        assert run("dicom-retrieve", ["127.0.0.1:1", "--study-uid", "1.2", "-o", str(tmp_path), *more]) == 1
        assert "cannot be reached: Connection refused" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "x").write_text("")
    assert run("dicom-retrieve", ["127.0.0.1:1", "--study-uid", "1.2", "-o", str(tmp_path / "x" / "y")]) == 1
    assert capsys.readouterr().err == f"dicom-retrieve: {tmp_path}/x/y: Not a directory\n"


@pytest.mark.parametrize("typed, line", [
    ("", "either --study-uid or --uid-list is needed"),
    ("--study-uid 1.2 --uid-list x", "either --study-uid or --uid-list is needed"),
    ("--study-uid 1.2 --instance-uid 1.3", "--instance-uid needs the --series-uid"),
    ("--uid-list x --series-uid 1.3", "in a list they stand behind it"),
    ("--study-uid 1.2 --method c-move", "--method c-move needs a --move-dest"),
    ("--study-uid 1.2 --method c-get --move-dest X", "--move-dest is for c-move"),
    ("--study-uid 1.2 --move-dest X --output y", "are for c-get"),
])
def test_wrong_usage(typed, line, capsys):
    assert run("dicom-retrieve", ["localhost", *typed.split()]) == 2
    assert line in capsys.readouterr().err

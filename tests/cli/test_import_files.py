import csv
import shutil
import stat
import subprocess
import time

import pytest

from dicomserver.cli import import_files
from dicomserver.cli.main import main
from dicomserver.server import control_client
from dicomserver.server.importing import How, ImportStopped, Item, Result
from tests.cli.conftest import DICOM_SERVER
from tests.interop.synthetic import instance
from tests.server.test_importing import part10
from tests.shipped import FOLDER

GOOD = Item("/x/1", Result.IMPORTED, "", 2_000_000, True)


class FakeServer:
    """Runs, and has its images where nobody imports from."""

    data_directory = "/proc/none"

    def __init__(self, port, folder) -> None:
        """Is running."""


@pytest.fixture
def faked(monkeypatch, tmp_path):
    """What becomes of the files, an error at their end, and what was asked."""
    faked = {"items": [GOOD], "error": None, "asked": []}

    def import_folders(target, folders, how, on_item, **options):
        faked["asked"].append((folders, how, options))
        for item in faked["items"]:
            on_item(item)
        if faked["error"]:
            raise faked["error"]

    monkeypatch.setattr(import_files, "RunningTarget", FakeServer)
    monkeypatch.setattr(import_files, "import_folders", import_folders)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cd").mkdir()
    return faked


@pytest.mark.parametrize("options, how, quick", [
    ([], How.COPY, False), (["--link"], How.LINK, False), (["--move"], How.MOVE, False),
    (["--quick"], How.COPY, True)])
def test_what_is_asked_for(options, how, quick, faked, capsys):
    assert main(["import", "cd", *options]) == 0
    assert faked["asked"] == [(["cd"], how, {"is_quick": quick})]
    said = capsys.readouterr()
    assert said.out.startswith("Imported 1 image, 2.0 MB, in 0.") and said.err == ""
    assert ("copied, as they could not be linked" in said.out) is (how is not How.COPY)


def test_each_result_is_told(faked, capsys):
    faked["items"] += [Item("/x/2", Result.KNOWN), Item("/x/3", Result.SKIPPED, "it is no DICOM file"),
                       Item("/x/\x1b4", Result.REFUSED, "it is damaged"),
                       Item("/x/5", Result.IMPORTED, "it is stored, but could not be removed", 5)]
    assert main(["import", "cd"]) == 2
    said = capsys.readouterr()
    assert said.out.rstrip().endswith("1 stored already, 1 refused, 1 file skipped that hold no DICOM image, "
                                      "1 stored, but still in their place")
    assert said.err.splitlines() == ["dicom-server: /x/\\x1b4: it is damaged",
                                     "dicom-server: /x/5: it is stored, but could not be removed"]


def test_a_report_has_all_that_was_not_imported(faked, tmp_path, capsys):
    faked["items"] = [GOOD, Item("/x/3", Result.SKIPPED, "it is no DICOM file"), Item("/x/2", Result.KNOWN),
                      *(Item(f"/x/M\udcfcller, {n}", Result.REFUSED, "it is damaged") for n in range(30))]
    assert main(["import", "cd", "--report", "report.csv"]) == 2
    with open(tmp_path / "report.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        head, *rows = csv.reader(file)
    assert head == ["file", "result", "reason"]
    assert rows[0] == ["/x/3", "skipped", "it is no DICOM file"]
    assert rows[1:] == [[f"/x/M\udcfcller, {n}", "refused", "it is damaged"] for n in range(30)]
    assert stat.S_IMODE((tmp_path / "report.csv").stat().st_mode) == 0o600
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21 and said[-1] == "dicom-server: more are in the report"


def test_without_a_report_all_are_said(faked, capsys):
    faked["items"] = [Item(f"/x/{n}", Result.REFUSED, "it is damaged") for n in range(30)]
    assert main(["import", "cd"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 30


def test_a_stop_in_the_middle(faked, capsys):
    faked["error"] = ImportStopped("the disk is full")
    assert main(["import", "cd"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("Imported 1 image")
    assert "the disk is full. What is imported is stored; begin again to go on" in said.err
    faked["error"] = KeyboardInterrupt()
    assert main(["import", "cd"]) == 130
    assert capsys.readouterr().out.startswith("Imported 1 image")


def test_nothing_to_import(faked, capsys):
    faked["items"] = [Item("/x/3", Result.SKIPPED, "it is no DICOM file")]
    assert main(["import", "cd"]) == 1
    assert "there is no DICOM image" in capsys.readouterr().err
    assert main(["import", "none"]) == 1
    assert "there is no none" in capsys.readouterr().err
    assert len(faked["asked"]) == 1


def test_a_report_that_cannot_be_written(faked, capsys):
    assert main(["import", "cd", "--report", "none/report.csv"]) == 1
    assert "none/report.csv: No such file" in capsys.readouterr().err and faked["asked"] == []


@pytest.mark.parametrize("arguments", [[], ["cd", "--link", "--move"], ["cd", "--copy"]])
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as ended:
        main(["import", *arguments])
    assert ended.value.code == 2


def test_files_are_counted_beside(faked, monkeypatch, tmp_path):
    """On a terminal alone."""
    counted = []
    monkeypatch.setattr(import_files, "count_files", lambda folders, go_on: counted.append(folders) or 3)
    assert main(["import", "cd"]) == 0 and counted == []
    monkeypatch.setattr(import_files.Progress, "is_shown", True)
    monkeypatch.setattr(import_files.Progress, "expect", lambda self, total: counted.append(total))
    assert main(["import", "cd"]) == 0 and counted == [["cd"], 3]


# -- the installed command, with real servers

def cd(folder):
    """A CD as many are: DICOMDIR and short names; and what some put beside."""
    (folder / "IMAGES").mkdir(parents=True)
    shutil.copy(FOLDER / "dicomdirtests" / "DICOMDIR", folder / "DICOMDIR")
    (folder / "AUTORUN.INF").write_bytes(b"[autorun]")
    for number in range(1, 150):
        (folder / "IMAGES" / f"IM{number:06}").write_bytes(part10(1, number, size=20_000))
    return folder


def stats(machine):
    return control_client.call(machine.port, "stats", folder=machine.folder / "run" / "dicom-server")


def test_a_cd_into_a_running_server_and_into_a_stopped_one(machine):
    disc = cd(machine.folder / "disc")
    with machine.server("start", "--port", machine.port, "--data-dir", "data") as server:
        said = machine.typed("import", "disc", "--port", machine.port, "--report", "report.csv")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith("Imported 149 images") and "2 files skipped" in said.stdout
        assert stats(machine)["instances"] == 149
        said = machine.typed("import", "disc", "--port", machine.port)
        assert said.returncode == 0 and "Imported 0 images" in said.stdout and "149 stored already" in said.stdout
        said = machine.typed("import", "data", "--port", machine.port)
        assert said.returncode == 1 and "own data directory" in said.stderr
        said = machine.typed("verify", "--port", machine.port)
        assert said.returncode == 0 and "149 instances" in said.stdout and "all whole" in said.stdout
    assert not [line for line in server.lines if "ERROR" in line or "WARNING" in line]
    (disc / "IMAGES" / "IM000150").write_bytes(part10(2, 1))
    said = machine.typed("import", "disc", "--data-dir", "data", "--port", machine.port)
    assert said.returncode == 0 and "Imported 1 image" in said.stdout and "149 stored already" in said.stdout
    rebuilt = machine.typed("index", "rebuild", "--data-dir", "data")
    assert rebuilt.returncode == 0 and "150 instances" in rebuilt.stdout
    assert not (machine.folder / "data" / "imports").exists()


def test_importing_is_killed_again_and_again(machine):
    """The import, and the server; nothing that was moved away is lost, and nothing is doubled."""
    images = machine.folder / "disc" / "IMAGES"
    images.mkdir(parents=True)
    expected = {}
    start = ("start", "--port", machine.port, "--data-dir", "data")
    command = [DICOM_SERVER, "import", "disc", "--move", "--port", str(machine.port)]
    common = {"cwd": machine.folder, "env": machine.environment, "stdout": subprocess.DEVNULL,
              "stderr": subprocess.DEVNULL}
    for study, victim in enumerate(("import", "server", "import", "server"), start=1):
        for number in range(1, 150):
            (images / f"{study}-{number:03}").write_bytes(part10(study, number))
            expected[instance(study, number).sop_instance] = instance(study, number).dataset
        with machine.server(*start) as server:
            left = len(list(images.iterdir()))
            importing = subprocess.Popen(command, **common)
            deadline = time.monotonic() + 60
            while len(list(images.iterdir())) == left and importing.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            (importing if victim == "import" else server).kill()
            importing.wait(60)
            if victim == "server":
                server.wait(60)
    with machine.server(*start):
        said = machine.typed("import", "disc", "--move", "--port", machine.port)
        assert said.returncode == 0 or "no DICOM image" in said.stderr, said.stderr
        assert machine.typed("verify", "--port", machine.port).returncode == 0
        assert stats(machine)["instances"] == len(expected)
    assert list(images.iterdir()) == []
    stored = {path.stem: path.read_bytes() for path in (machine.folder / "data").glob("*/*/*.dcm")}
    assert {uid for uid, dataset in expected.items() if not stored.get(uid, b"").endswith(dataset)} == set()
    assert len(stored) == len(expected) and not (machine.folder / "data" / "imports").exists()
    assert list((machine.folder / "data" / "quarantine").iterdir()) == []

import contextlib
import errno
import os
import signal
import subprocess
import threading

import pytest

from dicomserver.archive.errors import CopyFailed
from dicomserver.cli import backup
from dicomserver.cli.main import main
from dicomserver.scu.failures import AssociationFailed
from dicomserver.server.backup import BackupReport
from tests.cli.conftest import DICOM_SERVER
from tests.crash.traffic import Sender, sample

# A disk of 3 MB of its own, mounted in a namespace of its own; see tests/archive/test_archive.py.
ON_A_SMALL_DISK = """
mount --make-rprivate / 2>/dev/null || true
mount -t tmpfs -o size=3m tmpfs "$1" || exit
trap 'umount "$1"' EXIT
mkdir "$1/backup"
"$2" backup "$1/backup" --port "$3"
echo "exit code $?"
"$2" restore "$1/backup" --verify
head -c 4000000 /dev/zero > "$1/ballast" 2>/dev/null
"$2" backup "$1/backup" --port "$3"
echo "exit code $?"
rm "$1/ballast"
"$2" restore "$1/backup" --verify
"$2" backup "$1/backup" --port "$3"
echo "exit code $?"
mount -o remount,ro "$1"
"$2" backup "$1/backup" --port "$3"
echo "exit code $?"
"""


class FakeServer:
    """Has its images where the target is not."""

    data_directory = "/proc"

    def __init__(self, port, folder) -> None:
        """Is running."""


@pytest.fixture
def faked(monkeypatch):
    """What the backup ends with, a report or an error, and what it was asked."""
    report = BackupReport(number=3, total=5, instances=4, octets=2_500_000, copied=1, copied_octets=1000,
                          other_files=6)
    faked = {"end": report, "asked": []}

    def back_up(origin, target, progress, **options):
        faked["asked"].append((target, options))
        progress(report)
        if isinstance(faked["end"], Exception):
            raise faked["end"]
        return faked["end"]

    monkeypatch.setattr(backup, "RunningServer", FakeServer)
    monkeypatch.setattr(backup, "back_up", back_up)
    return faked


def test_what_was_done(faked, capsys):
    assert main(["backup", "/x", "--keep", "2", "--reread"]) == 0
    assert faked["asked"] == [("/x", {"kept": 2, "reread": True})]
    assert capsys.readouterr() == ("Backup 3: 4 images, 2.5 MB, and 6 other files\n"
                                   "new and verified: 1 image, 1.0 kB\n", "")


def test_what_is_not_good(faked, capsys):
    report = faked["end"]
    report.damaged, report.removed = [("1.2/1.3/1.4.dcm", "its file is missing")], 2
    report.left_behind = "it is damaged"
    assert main(["backup", "/x"]) == 1
    assert faked["asked"] == [("/x", {"kept": 7, "reread": False})]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1.2/1.3/1.4.dcm: its file is missing"
    assert lines[3] == "removed from the folder: 2 images of no kept backup"
    assert lines[4].startswith("NOT in the backup: 1 file") and "it is damaged" in lines[5]


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "its disk is full"), (errno.EROFS, "write-protected"), (errno.EIO, "pulled off"),
    (errno.ELOOP, "writing: Too many levels")])
def test_a_disk_that_fails(faked, capsys, number, words):
    faked["end"] = CopyFailed("writing", number)
    assert main(["backup", "/x"]) == 1
    said = capsys.readouterr().err
    assert words in said and "earlier ones are still good" in said and said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["/x", "--keep", "0"], ["/x", "--keep", "x"], ["/x", "/y"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["backup", *arguments])
    assert ended.value.code == 2


def test_the_same_disk_is_warned_of(faked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakeServer, "data_directory", str(tmp_path))
    assert main(["backup", str(tmp_path)]) == 0
    assert "same disk" in capsys.readouterr().err


def test_another_server_than_meant(faked, tmp_path, capsys):
    assert main(["backup", "/x", "--data-dir", str(tmp_path)]) == 1
    assert "has the data directory /proc" in capsys.readouterr().err and faked["asked"] == []


def test_without_a_server(machine):
    said = machine.typed("backup", machine.folder / "none", "--port", machine.port)
    assert said.returncode == 1 and "no server runs" in said.stderr and "no data directory" in said.stderr
    (machine.folder / "target").mkdir()
    with machine.server("start", "--port", machine.port), Sender(machine.port) as sender:
        assert sender.store(sample(1), 1) == 0
        said = machine.typed("backup", "target", "--port", machine.port + 1)
        assert said.returncode == 1 and "in use by process" in said.stderr and "--port" in said.stderr
        said = machine.typed("backup", "none", "--port", machine.port)
        assert said.returncode == 1 and "is its disk connected?" in said.stderr
    said = machine.typed("backup", "target", "--port", machine.port)
    assert said.returncode == 0 and "Backup 1: 1 image" in said.stdout
    assert machine.typed("restore", "target", "--verify").returncode == 0


def retrieved(machine, folder):
    """All instances of the server by C-GET, by their names."""
    studies = machine.typed_tool("dicom-query", f"127.0.0.1:{machine.port}", "-f", "csv").stdout.splitlines()[1:]
    for line in studies:
        uid = next(field for field in line.split(",") if field.startswith("1.2.826."))
        got = machine.typed_tool("dicom-retrieve", f"127.0.0.1:{machine.port}", "--study-uid", uid, "--output", folder)
        assert got.returncode == 0, got.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def tools(machine):
    """The client tools beside the server's command."""
    def typed_tool(name, *arguments):
        return subprocess.run([DICOM_SERVER.with_name(name), *map(str, arguments)], capture_output=True, text=True,
                              timeout=120, cwd=machine.folder, env=machine.environment, stdin=subprocess.DEVNULL)
    machine.typed_tool = typed_tool
    return machine


@contextlib.contextmanager
def storm(port):
    """Three associations that store without end; -> the samples that were acknowledged so far, which grow."""
    acknowledged, ended = {}, threading.Event()

    def send(lane):
        with contextlib.suppress(AssociationFailed), Sender(port) as sender:
            number = 0
            while not ended.wait(0.005):    # so that not all of the time goes into the restore
                number += 1
                one = sample(number, lane, octets=500 + number * 997 % 9000)
                if sender.store(one, number) == 0:
                    acknowledged[one.uid] = one

    lanes = [threading.Thread(target=send, args=(lane,)) for lane in (1, 2, 3)]
    for lane in lanes:
        lane.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        for lane in lanes:
            lane.join()


@pytest.mark.parametrize("database", ["sqlite", "none"])
def test_in_a_storm_all_that_was_acknowledged_before_is_in_it(tools, database):
    """A backup that is killed again and again, gone on with, and restored; a server on that hands all out."""
    machine = tools
    (machine.folder / "target").mkdir()
    common = ("--port", machine.port, "--database", database)
    with machine.server("start", "--data-dir", "data", *common), storm(machine.port) as acknowledged:
        for seconds in (0.3, 0.5):
            while len(acknowledged) < seconds * 200:
                threading.Event().wait(0.01)
            killed = subprocess.Popen([DICOM_SERVER, "backup", "target", "--port", str(machine.port)],
                                      cwd=machine.folder, env=machine.environment, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            threading.Event().wait(seconds)
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
        control = dict(acknowledged)
        said = machine.typed("backup", "target", "--port", machine.port)
        assert said.returncode == 0, said.stderr
    assert len(control) > 100
    said = machine.typed("restore", "target", "--verify")
    assert said.returncode == 0 and "All of it is whole" in said.stdout, said.stdout
    assert machine.typed("restore", "target", "--data-dir", "new").returncode == 0
    with machine.server("start", "--data-dir", "new", *common) as server:
        assert not [line for line in server.lines if "ERROR" in line or "WARNING" in line]
        found = retrieved(machine, machine.folder / "got")
    missing = {uid for uid, one in control.items() if one.dataset not in found.get(f"{uid}.dcm", b"")}
    assert missing == set()
    originals = {path.name: path.read_bytes() for path in (machine.folder / "data").glob("*/*/*.dcm")}
    assert all(originals[path.name] == path.read_bytes() for path in (machine.folder / "new").glob("*/*/*.dcm"))


def test_full_and_write_protected_disks(machine):
    disk = machine.folder / "disk"
    disk.mkdir()
    flags = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    with machine.server("start", "--port", machine.port), Sender(machine.port) as sender:
        for number in range(10):
            assert sender.store(sample(number, octets=100_000), number + 1) == 0
        said = subprocess.run(["unshare", "--mount", "--propagation", "unchanged", *flags, "sh", "-c",
                               ON_A_SMALL_DISK, "sh", disk, DICOM_SERVER, str(machine.port)],
                              env=machine.environment | {"PATH": os.environ["PATH"]}, cwd=machine.folder,
                              capture_output=True, text=True, timeout=120)
    codes = [line for line in said.stdout.splitlines() if line.startswith("exit code")]
    assert codes == ["exit code 0", "exit code 1", "exit code 0", "exit code 1"], said
    assert said.stdout.count("All of it is whole") == 2
    assert "its disk is full" in said.stderr and "write-protected" in said.stderr

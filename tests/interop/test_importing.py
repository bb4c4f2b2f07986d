"""Storage folders of other PACSes, as they really write them, taken over while both run."""
from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.interop.example import write_study
from tests.interop.installed import Installed, free_port, wait_until
from tests.interop.stored import sent_of
from tests.shipped import FOLDER


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's archive, with `folder` as its storage; its port."""
    port = free_port()
    folder.mkdir()
    configuration = folder.with_suffix(".cfg")
    configuration.write_text(f"""
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {folder} RW (200, 1024mb) ANY
AETable END
""")
    process = subprocess.Popen(["dcmqrscp", "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: subprocess.run(["echoscu", "-aec", "QR", "127.0.0.1", str(port)],
                                          capture_output=True).returncode == 0, every=0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """What dcmqrscp has kept of an example study and of two other files."""
    files = [*write_study(tmp_path / "study"), FOLDER / "CT_small.dcm", FOLDER / "MR_small.dcm"]
    with dcmqrscp(tmp_path / "qr") as port:
        sent = subprocess.run(["storescu", "-aec", "QR", "127.0.0.1", str(port), *map(str, files)],
                              capture_output=True, text=True, timeout=60)
        assert sent.returncode == 0, sent.stderr
    return tmp_path / "qr"


@pytest.mark.parametrize("how", [[], ["--link"], ["--move"]], ids=["copy", "link", "move"])
def test_a_storage_folder_of_dcmqrscp(how: list[str], storage: Path, install: Callable[..., Installed],
                                      tmp_path: Path) -> None:
    theirs = sorted(storage.glob("*.dcm")) or sorted(path for path in storage.iterdir() if path.name != "index.dat")
    expected = [sent_of(path) for path in theirs]
    assert len(expected) == 8 and (storage / "index.dat").exists()
    server = install().start()
    said = server.run("import", str(storage), "--report", str(tmp_path / "report.csv"), *how, *server.where)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("Imported 8 images") and "1 file skipped" in said.stdout
    assert (tmp_path / "report.csv").read_text().count("index.dat") == 1
    filed = {path.stem: path for path in server.filed(8)}
    for sent in expected:
        path = filed.pop(sent.sop_instance)
        assert path.read_bytes().endswith(sent.dataset)
        assert path.relative_to(server.data) == sent.path
        read = pydicom.dcmread(path)
        assert read.SOPInstanceUID == sent.sop_instance and read.file_meta.TransferSyntaxUID == sent.transfer_syntax
    assert filed == {}
    assert [path.exists() for path in theirs] == [how != ["--move"]] * 8
    if how == ["--link"]:
        assert all(path.stat().st_nlink == 2 and pydicom.dcmread(path) for path in theirs)
    for words in (server.run("verify", *server.where), server.run("import", str(storage), *how, *server.where)):
        assert words.returncode == (1 if "no DICOM image" in words.stderr else 0), words.stderr
    assert not [line for line in server.stop() if "WARNING" in line or "ERROR" in line]
    assert "8 instances" in server.rebuild()

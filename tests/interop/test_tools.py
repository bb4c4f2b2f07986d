"""The client tools with DCMTK's servers, and with our own."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.interop.example import STUDY, write_study
from tests.interop.installed import Installed, free_port, wait_until
from tests.interop.test_shipped import to_send

HERE = Path(sys.executable).parent


def typed(tool: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([HERE / tool, *map(str, arguments)], capture_output=True, text=True, timeout=60)


@contextmanager
def running(*command: object, port: int) -> Iterator[None]:
    """A server of DCMTK, once it answers."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: typed("dicom-echo", f"127.0.0.1:{port}", "-aec", "QR").returncode == 0, every=0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    """DCMTK's archive with the example study; it knows the destination THERE at the port that comes with it."""
    port, there = free_port(), free_port()
    (tmp_path / "qr").mkdir()
    (tmp_path / "qr.cfg").write_text(f"""
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
there = (THERE, localhost, {there})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {tmp_path}/qr RW (200, 1024mb) ANY
AETable END
""")
    with running("dcmqrscp", "-c", tmp_path / "qr.cfg", port=port):
        files = write_study(tmp_path / "study")
        sent = typed("dicom-send", f"QR@127.0.0.1:{port}", "--verify", *files)
        assert (sent.returncode, sent.stderr) == (0, "")
        assert sent.stdout.endswith("verified: 6 of 6 files found on the server\n")
        yield f"QR@127.0.0.1:{port}", there, tmp_path


def retrieved(folder: Path) -> dict[str, pydicom.FileDataset]:
    return {path.name: pydicom.dcmread(path) for path in folder.rglob("*.dcm")}


def test_query_dcmqrscp(dcmqrscp: tuple[str, int, Path]) -> None:
    server, _, _ = dcmqrscp
    study, = json.loads(typed("dicom-query", server, "--patient", "DOE*", "-f", "json").stdout)
    assert (study["PatientName"], study["StudyInstanceUID"], study["StudyDate"]) == ("DOE^JOHN", STUDY, "20260102")
    series = json.loads(typed("dicom-query", server, "-l", "series", "--study-uid", STUDY, "-f", "json").stdout)
    assert {one["SeriesInstanceUID"] for one in series} == {f"{STUDY}.1", f"{STUDY}.2"}
    assert typed("dicom-query", server, "-l", "patient", "--patient", "NOBODY").stdout == "Total: 0 patient(s)\n"


@pytest.mark.parametrize("more", [(), ("--hierarchical", "--parallel", 2)])
def test_get_from_dcmqrscp(more: tuple[object, ...], dcmqrscp: tuple[str, int, Path]) -> None:
    server, _, folder = dcmqrscp
    done = typed("dicom-retrieve", server, "--study-uid", STUDY, "-o", folder / "got", *more)
    assert (done.returncode, done.stderr) == (0, "")
    found = retrieved(folder / "got")
    originals = [pydicom.dcmread(path) for path in (folder / "study").iterdir()]
    assert {name: one.PixelData for name, one in found.items()} == {
        f"{one.SOPInstanceUID}.dcm": one.PixelData for one in originals}


def test_move_from_dcmqrscp(dcmqrscp: tuple[str, int, Path]) -> None:
    server, there, folder = dcmqrscp
    (folder / "there").mkdir()
    with running("storescp", "-od", folder / "there", there, port=there):
        done = typed("dicom-retrieve", server, "--study-uid", STUDY, "--move-dest", "THERE")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("6 instances, 0 failed, ")
    assert len(list((folder / "there").iterdir())) == 6


def test_send_to_storescp(tmp_path: Path) -> None:
    """Bit-preserving, so that what arrives is what was in the file."""
    files, port = write_study(tmp_path / "study"), free_port()
    (tmp_path / "there").mkdir()
    with running("storescp", "+B", "-od", tmp_path / "there", port, port=port):
        assert typed("dicom-send", f"127.0.0.1:{port}", *files).returncode == 0
    sent = {path.read_bytes()[pydicom_offset(path):] for path in files}
    assert {path.read_bytes()[pydicom_offset(path):] for path in (tmp_path / "there").iterdir()} == sent


def pydicom_offset(path: Path) -> int:
    """Where the dataset begins."""
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, False)
        pydicom.filereader._read_file_meta_info(file)
        return file.tell()


def test_every_shipped_file_comes_back_as_it_was(install: Callable[..., Installed], tmp_path: Path) -> None:
    server = install().start()
    first = {}
    for path in to_send():
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        first.setdefault((dataset.SOPInstanceUID, dataset.file_meta.MediaStorageSOPInstanceUID), path)
    files = [path for (uid, announced), path in first.items() if uid == announced]
    where = f"127.0.0.1:{server.port}"
    sent = typed("dicom-send", where, "--verify", "-v", *files)
    stored = {line.split(": ")[1] for line in sent.stderr.splitlines() if line.endswith(": stored")}
    assert len(stored) > 100
    studies = json.loads(typed("dicom-query", where, "-f", "json").stdout)
    (tmp_path / "list").write_text("\n".join(one["StudyInstanceUID"] for one in studies))
    got = typed("dicom-retrieve", where, "--uid-list", tmp_path / "list", "-o", tmp_path / "got", "--parallel", 2)
    assert (got.returncode, got.stderr) == (0, "")
    back = {path.stem: path for path in (tmp_path / "got").iterdir()}
    for path in map(Path, stored):
        again = back[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)]
        assert again.read_bytes()[pydicom_offset(again):] == path.read_bytes()[pydicom_offset(path):], path.name
    assert len(back) == len(stored)

"""dcmjs-dimse, a third implementation of its own, as requestor and as destination.

It decodes each dataset and encodes it anew, without the private elements, of each of which it complains on stderr: so
what it keeps is compared by its values. It proposes storage for C-GET without role selection, in uncompressed syntaxes.
"""
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.interop.installed import Installed, free_port, wait_until
from tests.shipped import FOLDER

PEER = Path(__file__).parents[1] / "dcmjs" / "peer.js"
NODE = os.environ | {"NODE_PATH": str(Path(sys.prefix, "dcmjs", "node_modules"))}
IMAGES = ["CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm"]
TAKEN = [*IMAGES, "rtplan.dcm"]     # for which it proposes no context in a C-GET


def dcmjs(*arguments: object) -> list[dict]:
    """Runs it to its end; what it says."""
    done = subprocess.run(["node", PEER, *map(str, arguments)], capture_output=True, timeout=60, text=True, env=NODE)
    assert done.returncode == 0, done.stderr[-1000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@contextmanager
def destination(port: int, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(["node", PEER, "destination", str(port), folder], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, env=NODE)
    try:
        wait_until(lambda: listens(port))
        yield
    finally:
        process.stdin.close()
        process.wait(30)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def there() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, there: int) -> Iterator[Installed]:
    """It holds what dcmjs-dimse has sent."""
    one = Installed(tmp_path_factory.mktemp("dcmjs"), getWithoutRoleSelection=["DCMJS"], knownDestinations={
        "THERE": {"host": "127.0.0.1", "port": there}}).start()
    try:
        said = dcmjs("store", one.port, *(FOLDER / name for name in TAKEN))
        assert [response["status"] for response in said] == [0] * len(TAKEN)
        one.filed(len(TAKEN))
        yield one
    finally:
        one.close()


def check(path: Path, name: str) -> None:
    """It has the values of a shipped file, and the same pixels."""
    found, original = pydicom.dcmread(path), pydicom.dcmread(FOLDER / name)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "PatientName", "PatientID", "Modality"):
        assert found.get(keyword) == original.get(keyword), keyword
    if "PixelData" in original:
        assert (found.pixel_array == original.pixel_array).all()


def test_echo(server: Installed) -> None:
    assert [response["status"] for response in dcmjs("echo", server.port)] == [0]


@pytest.mark.parametrize("name", TAKEN)
def test_what_it_sent_is_stored(server: Installed, name: str) -> None:
    original = pydicom.dcmread(FOLDER / name, stop_before_pixels=True)
    check(server.data / original.StudyInstanceUID / original.SeriesInstanceUID / f"{original.SOPInstanceUID}.dcm", name)


def test_find(server: Installed) -> None:
    original = pydicom.dcmread(FOLDER / "CT_small.dcm")
    name = str(original.PatientName)
    *pending, final = dcmjs("find", server.port, name[:6].lower() + "*")
    assert (final["status"], final["dataset"]) == (0, None)
    assert {one["status"] for one in pending} == {0xFF00}
    assert original.StudyInstanceUID in [one["dataset"]["StudyInstanceUID"] for one in pending]


@pytest.mark.parametrize("name", IMAGES)
def test_get(server: Installed, tmp_path: Path, name: str) -> None:
    original = pydicom.dcmread(FOLDER / name, stop_before_pixels=True)
    said = dcmjs("get", server.port, original.StudyInstanceUID, tmp_path)
    assert [one["stored"] for one in said if "stored" in one] == [original.SOPInstanceUID]
    assert [one["status"] for one in said if "status" in one][-1] == 0
    check(tmp_path / f"{original.SOPInstanceUID}.dcm", name)


@pytest.mark.parametrize("name", TAKEN)
def test_move(server: Installed, there: int, tmp_path: Path, name: str) -> None:
    """As the requestor and as the destination."""
    original = pydicom.dcmread(FOLDER / name, stop_before_pixels=True)
    with destination(there, tmp_path):
        final = dcmjs("move", server.port, original.StudyInstanceUID, "THERE")[-1]
    assert (final["status"], final["completed"], final["failed"]) == (0, 1, 0)
    check(tmp_path / f"{original.SOPInstanceUID}.dcm", name)
    assert os.listdir(tmp_path) == [f"{original.SOPInstanceUID}.dcm"]

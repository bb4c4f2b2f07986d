"""Instances go out in transfer syntaxes in which they did not come in: C-GET and C-MOVE to DCMTK."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from tests.interop.installed import Installed, free_port, wait_until
from tests.interop.sender import Sender
from tests.interop.stored import Sent, sent_of
from tests.shipped import shipped
from tests.transcoding.compressed import deadly
from tests.transcoding.datasets import BIG_ENDIAN, EXPLICIT, IMPLICIT, UNCOMPRESSED
from tests.transcoding.test_rewriting import check_same, little_endian

NAMES = ("MR_small_implicit.dcm", "CT_small.dcm", "rtdose_expb_1frame.dcm", "image_dfl.dcm", "rtplan.dcm")
COMPRESSED = ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm",
              "SC_rgb_jpeg_dcmtk.dcm", "examples_ybr_color.dcm")
PATHS = {name: next(path for path in shipped(name) if path.name == name) for name in NAMES}
# DCMTK's option -> the one transfer syntax that it then accepts, or the one that it takes of ours.
STORESCP = {"+xi": IMPLICIT, "+xe": None}


class Clinic:
    """A server with these files, and a destination for each option of storescp."""

    def __init__(self, folder: Path) -> None:
        self.ports = {option: free_port() for option in STORESCP}
        self.server = Installed(folder, knownDestinations={
            f"WITH{option[1:].upper()}": {"host": "127.0.0.1", "port": port} for option, port in self.ports.items()})
        self.server.start()

    def store(self, path: Path) -> Sent:
        """Exactly as it is in the file."""
        sent = sent_of(path)
        with Sender(self.server.port, [(sent.sop_class, [sent.transfer_syntax])]) as association:
            assert association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status == 0
        return sent

    def get(self, sent: Sent, option: str, into: Path) -> subprocess.CompletedProcess:
        """getscu -S of the instance's study."""
        return subprocess.run(["getscu", "-v", "-S", "+B", option, "-aec", "ANY-SCP", "-od", into, "-k",
                               "0008,0052=STUDY", "-k", f"0020,000D={sent.study}", "127.0.0.1",
                               str(self.server.port)], capture_output=True, text=True, timeout=60)

    def move(self, sent: Sent, option: str) -> subprocess.CompletedProcess:
        """movescu -S of the instance's study to the destination of that option."""
        return subprocess.run(["movescu", "-v", "-S", "-aec", "ANY-SCP", "-aem", f"WITH{option[1:].upper()}", "-k",
                               "0008,0052=STUDY", "-k", f"0020,000D={sent.study}", "127.0.0.1", str(self.server.port)],
                              capture_output=True, text=True, timeout=60)

    @contextmanager
    def destination(self, option: str, into: Path) -> Iterator[None]:
        """storescp with that option."""
        process = subprocess.Popen(["storescp", "-v", "+B", option, "-od", into, "-aet", f"WITH{option[1:].upper()}",
                                    str(self.ports[option])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: subprocess.run(["echoscu", "127.0.0.1", str(self.ports[option])], capture_output=True,
                                              timeout=60).returncode == 0, every=0.1)
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    one = Clinic(tmp_path_factory.mktemp("clinic"))
    yield one
    one.server.close()


def check_received(folder: Path, path: Path, syntax: str | None) -> None:
    """That one file came, in that transfer syntax, with the elements that were stored."""
    (file,) = folder.iterdir()
    received, original = pydicom.dcmread(file), pydicom.dcmread(path)
    assert syntax in (None, received.file_meta.TransferSyntaxUID)
    for dataset in (received, original):
        dataset.pop(0xFFFCFFFC, None)       # padding, which DCMTK may leave out
    check_same(little_endian(original, original.file_meta.TransferSyntaxUID == BIG_ENDIAN),
               little_endian(received, received.file_meta.TransferSyntaxUID == BIG_ENDIAN))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["+xi", "+xe", "+xd"])
def test_getscu(clinic: Clinic, tmp_path: Path, name: str, option: str) -> None:
    """DCMTK 3.6.7 proposes explicit VR for +xi, too."""
    sent = clinic.store(PATHS[name])
    done = clinic.get(sent, option, tmp_path)
    assert done.returncode == 0, done.stderr
    check_received(tmp_path, PATHS[name], None)


def got(clinic: Clinic, sent: Sent, syntax: str, folder: Path) -> tuple[int, list[int]]:
    """C-GET by pynetdicom, which accepts the SOP class in one transfer syntax; -> final status, and the counters
    completed and failed. What comes is in the folder."""
    def keep(event: evt.Event) -> int:
        (folder / "got.dcm").write_bytes(event.encoded_dataset())
        return 0

    entity = AE("GETTER")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_requested_context(sent.sop_class, syntax)
    association = entity.associate("127.0.0.1", clinic.server.port, ext_neg=[build_role(sent.sop_class, scp_role=True)],
                                   evt_handlers=[(evt.EVT_C_STORE, keep)])
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", sent.study
    *_, (status, _) = association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet)
    association.release()
    return status.Status, [status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_pynetdicom(clinic: Clinic, tmp_path: Path, name: str, syntax: str) -> None:
    sent = clinic.store(PATHS[name])
    assert got(clinic, sent, syntax, tmp_path) == (0, [1, 0])
    check_received(tmp_path, PATHS[name], syntax)


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_compressed_images_are_decoded(clinic: Clinic, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
                                       name: str, syntax: str) -> None:
    path = own_copy(name, tmp_path_factory.mktemp("copy"))
    sent = clinic.store(path)
    assert got(clinic, sent, syntax, tmp_path) == (0, [1, 0])
    assert same_pixels(pydicom.dcmread(tmp_path / "got.dcm"), path)


@pytest.mark.parametrize("name", COMPRESSED)
def test_movescu_of_compressed_images(clinic: Clinic, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
                                      name: str) -> None:
    """The destination takes implicit VR only."""
    path = own_copy(name, tmp_path_factory.mktemp("copy"))
    sent = clinic.store(path)
    with clinic.destination("+xi", tmp_path):
        done = clinic.move(sent, "+xi")
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    received = pydicom.dcmread(file)
    assert received.file_meta.TransferSyntaxUID == IMPLICIT
    assert same_pixels(received, path)


def test_a_frame_that_kills_its_decoder(clinic: Clinic, tmp_path: Path,
                                        tmp_path_factory: pytest.TempPathFactory) -> None:
    """One failed sub-operation; the server lives on, and decodes the next image."""
    folder = tmp_path_factory.mktemp("copy")
    sent = clinic.store(with_own_uids(deadly(), folder / "deadly.dcm"))
    assert got(clinic, sent, EXPLICIT, tmp_path) == (0xA702, [0, 1])
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: any("its decoder ended" in line for line in clinic.server.lines))
    assert subprocess.run(["echoscu", "127.0.0.1", str(clinic.server.port)], timeout=60).returncode == 0
    sent = clinic.store(own_copy("JPEG2000.dcm", folder))
    assert got(clinic, sent, EXPLICIT, tmp_path) == (0, [1, 0])


def own_copy(name: str, folder: Path) -> Path:
    """One of pydicom's files, as several of them share their UIDs."""
    return with_own_uids(pydicom.dcmread(next(path for path in shipped(name) if path.name == name)), folder / name)


def with_own_uids(copy: pydicom.FileDataset, path: Path) -> Path:
    """The file to which it is written."""
    copy.StudyInstanceUID, copy.SeriesInstanceUID, copy.SOPInstanceUID = generate_uid(), generate_uid(), generate_uid()
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.save_as(path)
    return path


def same_pixels(received: pydicom.FileDataset, path: Path) -> bool:
    """Whether pydicom gets the same from both, colours as they are."""
    ours, theirs = (get_decoder(one.file_meta.TransferSyntaxUID).as_array(one, raw=True)[0]
                    for one in (received, pydicom.dcmread(path)))
    return numpy.array_equal(ours, theirs)


def test_there_is_no_way_to_a_compressed_syntax(clinic: Clinic, tmp_path: Path) -> None:
    sent = clinic.store(PATHS["CT_small.dcm"])
    assert got(clinic, sent, "1.2.840.10008.1.2.4.90", tmp_path) == (0xA702, [0, 1])
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: any("Explicit VR Little Endian cannot be converted" in line for line in clinic.server.lines))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", STORESCP)
def test_movescu(clinic: Clinic, tmp_path: Path, name: str, option: str) -> None:
    sent = clinic.store(PATHS[name])
    with clinic.destination(option, tmp_path):
        done = clinic.move(sent, option)
    assert done.returncode == 0, done.stderr
    check_received(tmp_path, PATHS[name], STORESCP[option])

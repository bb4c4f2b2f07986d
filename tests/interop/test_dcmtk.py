"""DCMTK's tools as the peers."""
from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.interop.installed import Installed
from tests.interop.stored import check, sent_of
from tests.shipped import FOLDER, shipped

CT = next(iter(shipped("CT_small.dcm")))
JPEG, J2K, RLE, JLS = (next(iter(shipped(name))) for name in (
    "JPEG-lossy.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm", "MR_small_jpeg_ls_lossless.dcm"))

EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"

# In what it arrives where storescu proposes one encoding before others: of uncompressed ones we choose.
PROPOSALS = {"-x=": EXPLICIT, "-xe": EXPLICIT, "-xb": EXPLICIT, "-xi": IMPLICIT, "-xd": DEFLATED}
COMPRESSED = {
    JPEG: ("-xx", "1.2.840.10008.1.2.4.51"), J2K: ("-xw", "1.2.840.10008.1.2.4.91"),
    RLE: ("-xr", "1.2.840.10008.1.2.5"), JLS: ("-xt", "1.2.840.10008.1.2.4.80"),
}
PADDING = 0xFFFCFFFC


def typed(tool: str, server: Installed, *arguments: object) -> subprocess.CompletedProcess:
    """A tool of DCMTK, host and port before `arguments`, to its end."""
    command = [tool, *map(str, arguments[:-1]), "127.0.0.1", str(server.port)]
    command += [] if arguments[-1] is None else map(str, arguments[-1])
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_echoscu(shared: Installed) -> None:
    assert typed("echoscu", shared, "--repeat", 3, None).returncode == 0
    assert typed("echoscu", shared, "-pts", 38, "-ppc", 128, None).returncode == 0
    assert typed("echoscu", shared, "--abort", None).returncode == 0
    assert typed("echoscu", shared, "-pdu", 4096, "-aet", "A" * 16, "-aec", "B" * 16, None).returncode == 0


def renamed(folder: Path, number: int, transfer_syntax: str | None = None) -> Path:
    """A copy with a SOP Instance UID of its own, and without the padding that DCMTK would not send."""
    copy = pydicom.dcmread(CT)
    copy.pop(PADDING, None)
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
    copy.file_meta.TransferSyntaxUID = transfer_syntax or copy.file_meta.TransferSyntaxUID
    path = folder / f"{number}.dcm"
    copy.save_as(path)
    return path


def stored(server: Installed, count: int) -> dict[str, pydicom.FileDataset]:
    """What is filed, by SOP Instance UID."""
    return {path.stem: pydicom.dcmread(path) for path in server.filed(count)}


def test_termscu_cannot_shut_us_down(install: Callable[..., Installed]) -> None:
    server = install(acceptPrivateSOPClasses=False).start()     # its SOP class is a private one
    ended = typed("termscu", server, "-d", None)
    assert "No Acceptable Presentation Contexts" in ended.stdout + ended.stderr
    assert typed("echoscu", server, None).returncode == 0


def test_storescu_proposes_one_thing_or_another(install: Callable[..., Installed], tmp_path: Path) -> None:
    server = install().start()
    for number, option in enumerate(PROPOSALS):
        sent = typed("storescu", server, option, [renamed(tmp_path, number)])
        assert sent.returncode == 0, sent.stderr
    received = stored(server, len(PROPOSALS))
    original = pydicom.dcmread(CT)
    for number, (option, transfer_syntax) in enumerate(PROPOSALS.items()):
        one = received[f"1.2.3.4.{number}"]
        assert one.file_meta.TransferSyntaxUID == transfer_syntax, option
        assert one.file_meta.SourceApplicationEntityTitle == "STORESCU"
        assert one.PixelData == original.PixelData
        assert one.keys() == original.keys() - {PADDING}


def test_storescu_sends_compressed_objects_as_they_are(install: Callable[..., Installed]) -> None:
    server = install().start()
    for path, (option, _) in COMPRESSED.items():
        sent = typed("storescu", server, option, [path])
        assert sent.returncode == 0, sent.stderr
    received = stored(server, len(COMPRESSED))
    for path, (_, transfer_syntax) in COMPRESSED.items():
        original = pydicom.dcmread(path)
        one = received[original.SOPInstanceUID]
        assert (one.file_meta.TransferSyntaxUID, one.PixelData) == (transfer_syntax, original.PixelData)


@pytest.mark.parametrize("announced", [4096, 131072])
def test_pdu_sizes(announced: int, install: Callable[..., Installed], tmp_path: Path) -> None:
    server = install(maxPDUSize=announced).start()
    sizes = (4096, 5000, 16384, 131072)
    for size in sizes:
        done = typed("storescu", server, "-pdu", size, "--max-send-pdu", size, [renamed(tmp_path, size)])
        assert done.returncode == 0, done.stderr
    pixels = pydicom.dcmread(CT).PixelData
    assert {uid: one.PixelData for uid, one in stored(server, len(sizes)).items()} == {
        f"1.2.3.4.{size}": pixels for size in sizes}


def test_storescu_scans_directories(install: Callable[..., Installed]) -> None:
    server = install().start()
    done = typed("storescu", server, "--scan-directories", "--recurse", "--no-halt", [FOLDER / "dicomdirtests"])
    received = stored(server, 81)
    assert server.stats()["services"]["C-STORE"] == {"requests": 81, "failures": 0}
    assert {str(one.Modality) for one in received.values()} == {"CR", "CT", "MR"}
    assert "no such file" not in done.stderr


def test_storescu_has_profiles(install: Callable[..., Installed], tmp_path: Path) -> None:
    server = install().start()
    profile = tmp_path / "profile.cfg"
    profile.write_text("""[[TransferSyntaxes]]
[Both]
TransferSyntax1 = DeflatedLittleEndianExplicit
[[PresentationContexts]]
[Only]
PresentationContext1 = CTImageStorage\\Both
[[Profiles]]
[Deflated]
PresentationContexts = Only
""")
    path = renamed(tmp_path, 1, transfer_syntax=DEFLATED)
    done = typed("storescu", server, "-xf", profile, "Deflated", [path])
    assert done.returncode == 0, done.stderr
    one = stored(server, 1)["1.2.3.4.1"]
    assert (one.file_meta.TransferSyntaxUID, one.PixelData) == (DEFLATED, pydicom.dcmread(CT).PixelData)


def test_dcmsend_keeps_every_encoding(install: Callable[..., Installed], tmp_path: Path) -> None:
    """It proposes what each file is: uncompressed ones may still be written anew, compressed ones may not."""
    server = install().start()
    paths = [CT, JPEG, J2K, RLE]
    report = tmp_path / "report.txt"
    done = typed("dcmsend", server, "--decompress-never", "-aet", "MODALITY", "-aec", "ARCHIVE",
                 "--create-report-file", report, paths)
    assert done.returncode == 0, done.stderr
    assert f"with status SUCCESS  : {len(paths)}" in report.read_text()
    received = stored(server, len(paths))
    for path in (JPEG, J2K, RLE):
        original = pydicom.dcmread(path)
        one = received[original.SOPInstanceUID]
        assert one.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert one.PixelData == original.PixelData
        assert one.file_meta.SendingApplicationEntityTitle == "MODALITY"
        assert one.file_meta.ReceivingApplicationEntityTitle == "ARCHIVE"


def test_what_dcmtk_wrote_itself_is_kept_to_the_byte(install: Callable[..., Installed], tmp_path: Path) -> None:
    """What DCMTK has encoded it sends in the same way: then the whole way is byte for byte."""
    server = install().start()
    sent = []
    for number, (written, only) in enumerate((("+te", "-xe"), ("+ti", "-xi"))):
        path = tmp_path / f"written-{number}.dcm"
        subprocess.run(["dcmconv", written, renamed(tmp_path, number), path], check=True, timeout=60)
        done = typed("storescu", server, only, [path])
        assert done.returncode == 0, done.stderr
        sent.append(sent_of(path, calling="STORESCU"))
    server.filed(len(sent))
    for one in sent:
        check(server.data, one)

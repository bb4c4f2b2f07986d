"""DCMTK's tools as requesters and as destinations."""
from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.interop.destination import Destination
from tests.interop.installed import wait_until

CT = "CT_small.dcm"
QUERY = ["-k", "QueryRetrieveLevel=STUDY"]


@contextmanager
def listening(command: Sequence[object], folder: Path) -> Iterator[None]:
    """A tool that waits for associations in `folder`."""
    process = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def run(command: Sequence[object]) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def when_it_listens(port: int, command: Callable[[], subprocess.CompletedProcess]) -> subprocess.CompletedProcess:
    wait_until(lambda: run(["echoscu", "-aec", "THERE", "127.0.0.1", port]).returncode == 0, every=0.05)
    return command()


def same(folder: Path, archive, study: str) -> None:
    """What arrived is what is stored of the study: every element and the pixels, in whatever encoding."""
    arrived = {}
    for path in (one for one in folder.rglob("*") if one.is_file()):
        try:
            dataset = pydicom.dcmread(path)
        except pydicom.errors.InvalidDicomError:
            continue        # a database of dcmqrscp
        arrived[str(dataset.SOPInstanceUID)] = dataset
    sent = {one.sop_instance: one for one in archive.sent if one.study == study}
    assert arrived.keys() == sent.keys()
    for uid, dataset in arrived.items():
        stored = pydicom.dcmread(archive.server.data / sent[uid].path)
        assert dataset.get("PixelData") == stored.get("PixelData")
        assert str(dataset.get("PatientName")) == str(stored.get("PatientName"))


def movescu(archive, study: str, *more: object) -> subprocess.CompletedProcess:
    return run(["movescu", "-v", "-S", "-aem", "THERE", "-aec", "DICOMKIT_SCP", *more, *QUERY, "-k",
                f"StudyInstanceUID={study}", "127.0.0.1", archive.port])


def test_movescu_to_itself(archive, tmp_path: Path) -> None:
    study = archive.study_with(CT)
    done = movescu(archive, study, "+P", archive.there, "-od", tmp_path)
    assert done.returncode == 0, done.stderr
    same(tmp_path, archive, study)


@pytest.mark.parametrize("name", [
    CT, "693_J2KI.dcm", "GDCMJ2K_TextGBR.dcm", "SC_jpeg_no_color_transform.dcm", "rtplan.dcm"])
@pytest.mark.parametrize("option", [[], ["+B"]], ids=["", "bit for bit"])
def test_storescp(archive, tmp_path: Path, option: list[str], name: str) -> None:
    study = archive.study_with(name)
    with listening(["storescp", "+xa", *option, "-od", tmp_path, archive.there], tmp_path):
        done = when_it_listens(archive.there, lambda: movescu(archive, study))
        assert done.returncode == 0, done.stderr
    same(tmp_path, archive, study)


def test_dcmrecv(archive, tmp_path: Path) -> None:
    profile = tmp_path / "profile.cfg"
    profile.write_text("""[[TransferSyntaxes]]
[One]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Two]
PresentationContext1 = VerificationSOPClass\\One
PresentationContext2 = CTImageStorage\\One
[[Profiles]]
[Mine]
PresentationContexts = Two
""")
    (tmp_path / "received").mkdir()
    study = archive.study_with(CT)
    with listening(["dcmrecv", "-xf", profile, "Mine", "-od", tmp_path / "received", archive.there], tmp_path):
        done = when_it_listens(archive.there, lambda: movescu(archive, study))
        assert done.returncode == 0, done.stderr
    same(tmp_path / "received", archive, study)


def test_dcmqrscp_as_the_destination(archive, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "dcmqrscp.cfg").write_text(f"""NetworkTCPPort = {archive.there}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
THERE {tmp_path / "store"} RW (200, 1024mb) ANY
AETable END
""")
    study = archive.study_with(CT)
    with listening(["dcmqrscp", "-c", tmp_path / "dcmqrscp.cfg"], tmp_path):
        done = when_it_listens(archive.there, lambda: movescu(archive, study))
        assert done.returncode == 0, done.stderr
        same(tmp_path / "store", archive, study)


@pytest.mark.parametrize("model, level, keys", [
    ("-P", "PATIENT", ["PatientID"]), ("-P", "STUDY", ["PatientID", "StudyInstanceUID"]),
    ("-S", "STUDY", ["StudyInstanceUID"]), ("-S", "SERIES", ["StudyInstanceUID", "SeriesInstanceUID"]),
    ("-S", "IMAGE", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]),
    ("-O", "PATIENT", ["PatientID"]), ("-O", "STUDY", ["PatientID", "StudyInstanceUID"])])
@pytest.mark.parametrize("tool", ["movescu", "getscu"])
def test_models_and_levels(archive, tmp_path: Path, tool: str, model: str, level: str, keys: list[str]) -> None:
    one = next(sent for sent in archive.sent if sent.name == CT)
    dataset = pydicom.dcmread(archive.server.data / one.path)
    asked = [word for key in keys for word in ("-k", f"{key}={dataset[key].value}")]
    how = ["-aem", "THERE", "+P", archive.there] if tool == "movescu" else []
    done = run([tool, "-v", model, *how, "-od", tmp_path, "-k", f"QueryRetrieveLevel={level}", *asked, "127.0.0.1",
                archive.port])
    assert done.returncode == 0, done.stderr
    same(tmp_path, archive, one.study)


@pytest.mark.parametrize("option", [[], ["-aet", "SOMEBODY"], ["-aec", "DICOMKIT_SCP"], ["--max-pdu", "4096"]],
                         ids=" ".join)
def test_getscu(archive, tmp_path: Path, option: list[str]) -> None:
    study = archive.study_with(CT)
    done = run(["getscu", "-v", "-S", *option, "-od", tmp_path, *QUERY, "-k", f"StudyInstanceUID={study}",
                "127.0.0.1", archive.port])
    assert done.returncode == 0, done.stderr
    same(tmp_path, archive, study)


@pytest.mark.parametrize("option, name", [
    ("+xw", "693_J2KI.dcm"), ("+xv", "GDCMJ2K_TextGBR.dcm"), ("+xy", "SC_jpeg_no_color_transform.dcm")])
def test_getscu_proposes_what_is_stored(archive, tmp_path: Path, option: str, name: str) -> None:
    study = archive.study_with(name)
    done = run(["getscu", "-v", "-S", option, "-od", tmp_path, *QUERY, "-k", f"StudyInstanceUID={study}", "127.0.0.1",
                archive.port])
    assert done.returncode == 0, done.stderr
    same(tmp_path, archive, study)


def test_an_unknown_destination(archive) -> None:
    done = run(["movescu", "-v", "-S", "-aem", "NOWHERE", *QUERY, "-k", f"StudyInstanceUID={archive.study_with(CT)}",
                "127.0.0.1", archive.port])
    assert done.returncode != 0 and "MoveDestinationUnknown" in done.stdout + done.stderr


def test_movescu_cancels(archive) -> None:
    """After the first pending response; there is one only where the destination is slow."""
    study = max({one.study for one in archive.sent}, key=lambda uid: sum(one.study == uid for one in archive.sent))
    with Destination(port=archive.there, before=lambda number: time.sleep(0.3)) as there:
        done = movescu(archive, study, "--cancel", 1)
        assert "Cancel" in done.stdout + done.stderr
        assert 0 < len(there.stored) < sum(one.study == study for one in archive.sent)

"""DCMTK's findscu as the asker: real files at each level, its extracted answers, its cancel, its exit codes."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.interop.find.asker import store
from tests.interop.find.test_cancel import QUERY, STUDIES, study
from tests.interop.installed import Installed
from tests.shipped import shipped

CT = next(iter(shipped("CT_small.dcm")))
DATASET = pydicom.dcmread(CT)
STUDY = f"StudyInstanceUID={DATASET.StudyInstanceUID}"
SERIES = f"SeriesInstanceUID={DATASET.SeriesInstanceUID}"
PATIENT = f"PatientID={DATASET.PatientID}"

LEVELS = {
    ("-P", "PATIENT"): [PATIENT, "PatientName"],
    ("-P", "STUDY"): [PATIENT, "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription"],
    ("-P", "SERIES"): [PATIENT, STUDY, "SeriesInstanceUID", "Modality", "SeriesNumber"],
    ("-P", "IMAGE"): [PATIENT, STUDY, SERIES, "SOPInstanceUID", "InstanceNumber", "Rows"],
    ("-S", "STUDY"): [STUDY, "PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName"],
    ("-S", "SERIES"): [STUDY, "SeriesInstanceUID", "SeriesDescription", "Manufacturer", "StationName"],
    ("-S", "IMAGE"): [STUDY, SERIES, "SOPInstanceUID", "SOPClassUID", "ImageType", "SliceLocation"],
    ("-O", "PATIENT"): [PATIENT, "PatientName", "PatientSex"],
    ("-O", "STUDY"): [PATIENT, STUDY, "StudyID"],
}


@pytest.fixture(scope="module")
def found(shared: Installed) -> Callable[..., subprocess.CompletedProcess]:
    """findscu with these options, to its end, against a server that has one real file and many made ones."""
    subprocess.run(["storescu", "127.0.0.1", str(shared.port), CT], check=True, timeout=60)
    store(shared.port, [study(number) for number in range(STUDIES)])

    def run(*options: object, folder: Path | None = None) -> subprocess.CompletedProcess:
        command = ["findscu", *map(str, options), "127.0.0.1", str(shared.port)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)

    return run


def keys(level: str, *more: str) -> list[str]:
    """-k options."""
    return [part for key in (f"QueryRetrieveLevel={level}", *more) for part in ("-k", key)]


@pytest.mark.parametrize("syntax", ["-x=", "-xe", "-xb", "-xi"])
@pytest.mark.parametrize("model, level", LEVELS)
def test_a_real_file_is_found(model: str, level: str, syntax: str, found: Callable, tmp_path: Path) -> None:
    asked = LEVELS[model, level]
    done = found(model, "-X", syntax, *keys(level, *asked), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    path, = tmp_path.glob("rsp*.dcm")
    answer = pydicom.dcmread(path, force=True)
    assert (answer.QueryRetrieveLevel, answer.InstanceAvailability) == (level, "ONLINE")
    for keyword in (key.split("=")[0] for key in asked):
        assert answer[keyword].value == DATASET.get(keyword, answer[keyword].empty_value), keyword


def test_many_are_extracted(found: Callable, tmp_path: Path) -> None:
    done = found("-S", "-X", *keys("STUDY", "PatientID=C-1*", "StudyInstanceUID"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    ids = {pydicom.dcmread(path, force=True).PatientID for path in tmp_path.glob("rsp*.dcm")}
    assert ids == {f"C-{number}" for number in range(STUDIES) if str(number).startswith("1")}


@pytest.mark.parametrize("cancel", [1, 5])
def test_cancel(cancel: int, found: Callable) -> None:
    done = found("-v", "-S", "--cancel", cancel, *keys("STUDY", *(f"{name}={value}" for name, value in QUERY.items())))
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert len(re.findall(r"Find Response: \d+ \(Pending\)|# Dicom-Data-Set", said)) >= cancel


@pytest.mark.parametrize("options, words", [
    (["-S", *keys("PATIENT", "PatientID")], "0xa900|Identifier|Error|Failed"),
    (["-P", *keys("SERIES", "SeriesInstanceUID")], "0xa900|Identifier|Error|Failed"),
    (["-S", *keys("STUDY", "StudyDate=tomorrow")], "0xc000|Unable|Error|Failed"),
])
def test_what_is_refused_is_told(options: list[str], words: str, found: Callable) -> None:
    done = found("-v", *options)
    assert re.search(words, done.stdout + done.stderr)
    assert "Pending" not in done.stdout + done.stderr


def test_nothing_found(found: Callable, tmp_path: Path) -> None:
    done = found("-S", "-X", *keys("STUDY", "StudyInstanceUID=9.9.9"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("rsp*.dcm")) == []

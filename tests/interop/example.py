"""The small example study of the walk through the commands: six CT slices in two series, made on the spot."""
from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY = "1.2.3.4.5"


def write_study(folder: Path) -> list[Path]:
    """Writes the files into a new folder; -> their paths."""
    folder.mkdir()
    paths = []
    for number in range(1, 7):
        dataset = _slice(number, series=1 + number % 2)
        paths.append(folder / f"slice-{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _slice(number: int, series: int) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, f"{STUDY}.{series}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "DOE^JOHN", "4711", "19600229", "M"
    made.StudyDate, made.StudyTime, made.StudyDescription = "20260102", "101500", "CT of the chest"
    made.AccessionNumber, made.StudyID, made.ReferringPhysicianName = "A1", "1", "WHO^DOCTOR"
    made.Modality, made.SeriesNumber, made.InstanceNumber = "CT", series, number
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.Rows = made.Columns = 64
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = bytes(range(256)) * 32
    return made

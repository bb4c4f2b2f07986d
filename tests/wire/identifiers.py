"""Identifiers as pydicom writes them, and as it reads them: for the tests, and as the fuzzer's corpus."""
from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from dicomserver.standard.query import query_sequences
from dicomserver.wire.identifier import IdentifierDecoder, IdentifierElement

# explicit VR, big endian
ENCODINGS = {"implicit": (False, False), "explicit": (True, False), "big endian": (True, True)}
SEQUENCES = frozenset(query_sequences())


def decode(data: bytes, encoding: str = "explicit") -> list[IdentifierElement]:
    return IdentifierDecoder(*ENCODINGS[encoding], SEQUENCES).decode(data)


def encode(dataset: Dataset, encoding: str = "explicit") -> bytes:
    explicit, big_endian = ENCODINGS[encoding]
    to = DicomBytesIO()
    to.is_implicit_VR, to.is_little_endian = not explicit, not big_endian
    write_dataset(to, dataset)
    return to.getvalue()


def as_pydicom_reads(dataset: Dataset, encoding: str) -> list[IdentifierElement]:
    """What is in it, by way of explicit little endian, where pydicom gives the values as `decode` shall."""
    again = read_dataset(BytesIO(encode(dataset)), is_implicit_VR=False, is_little_endian=True)
    return _elements(again, encoding == "implicit")


def _elements(dataset: Dataset, implicit: bool) -> list[IdentifierElement]:
    found = []
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        if raw.VR == "SQ":
            items = [_elements(item, implicit) for item in dataset[tag].value]
            found.append(IdentifierElement(int(tag), "SQ", b"", items))
        else:
            found.append(IdentifierElement(int(tag), "" if implicit else raw.VR, raw.value or b"", None))
    return found


def with_undefined_lengths(dataset: Dataset, sequences: bool, items: bool) -> Dataset:
    """The same dataset, changed; also what is nested in it."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = sequences
            for item in element.value:
                item.is_undefined_length_sequence_item = items
                with_undefined_lengths(item, sequences, items)
    return dataset


def sample() -> Dataset:
    """Keys of every kind: text, numbers, a UID, empty, unknown, and a sequence within one."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "T-D1100", ""
    request = Dataset()
    request.ScheduledProcedureStepID, request.StudyInstanceUID = "SPS*", "1.2.3"
    request.RequestedProcedureCodeSequence = [code]
    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.QueryRetrieveLevel = "ISO_IR 100", "SERIES"
    dataset.PatientName, dataset.StudyDate = "Müller^*", "20260101-"
    dataset.StudyInstanceUID, dataset.Modality, dataset.SeriesNumber = "1.2.3.4", "", "7"
    dataset.Rows, dataset.SimpleFrameList, dataset.PatientWeight = 258, [1, 65536], "70.5"
    dataset.add_new(Tag(0x00431001), "UN", b"\1\2\3\4")
    dataset.RequestAttributesSequence = [request, Dataset()]
    dataset.ProcedureCodeSequence = []
    return dataset

"""What is in a study of the population, twice: as entries for an index, and as datasets to be sent to any server.

Both are made from one list of elements, so a server that was sent the datasets has what the entries say.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dicomserver.index import Instance
from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.packed import Element, pack
from tests.bench.names import Script
from tests.bench.population import INSTANCES, Study

FILE_LENGTH, DATASET_OFFSET = 527_000, 400            # what is said of files that are not there
RECEIVED_AT = 1_700_000_000_000_000                   # microseconds since the epoch
CHECKSUMS = 0x9E3779B97F4A7C15                        # times the slot: looks like one
SIDE = 8                                              # pixels; Rows, Columns
REQUEST_ATTRIBUTES, PROCEDURE_CODE = 0x00400275, 0x00081032
_LONG_LENGTH = {"OB", "SQ"}                           # of the VRs used here, those with 32 bits (PS3.5 7.1.2)


class Dataset(NamedTuple):
    """An instance to be sent: explicit VR little endian, without file meta information."""

    sop_class_uid: str
    sop_instance_uid: str
    encoded: bytes


class Series(NamedTuple):
    """number: from 1. elements: of the series level."""

    number: int
    uid: str
    description: str
    elements: list[Element]
    instance_uids: list[str]


def entries(study: Study) -> Iterator[Instance]:
    """The index entries of its instances, as the scanner would make them of the datasets. Slots follow from the
    study's number."""
    patient, of_study = pack(patient_elements(study)), pack(study_elements(study))
    character_set = study.patient.script.character_set
    slot = INSTANCES * study.number
    kind = pack(_kind_elements(study))
    for series in all_series(study):
        of_series = pack(series.elements)
        for number, uid in enumerate(series.instance_uids, 1):
            yield Instance(
                study_instance_uid=study.uid, series_instance_uid=series.uid, sop_instance_uid=uid,
                sop_class_uid=study.modality.sop_class_uid, transfer_syntax_uid=EXPLICIT_VR_LE, slot=slot,
                file_length=FILE_LENGTH, dataset_offset=DATASET_OFFSET, checksum=slot * CHECKSUMS % (1 << 64),
                received_at=RECEIVED_AT + slot, source_ae=study.modality.name, receiving_ae="DICOMKIT_SCP",
                character_set=_even(character_set), patient=patient, study=of_study, series=of_series,
                instance=kind + pack(_own_elements(study, series, number, uid)) + _PACKED_GEOMETRY)
            slot += 1


def datasets(study: Study) -> Iterator[Dataset]:
    """Its instances with everything that the entries say, and 64 pixels."""
    above = [*patient_elements(study), *study_elements(study)]
    for series in all_series(study):
        for number, uid in enumerate(series.instance_uids, 1):
            elements = [*above, *series.elements, *_kind_elements(study), *_own_elements(study, series, number, uid),
                        *_GEOMETRY, *_pixels(number)]
            yield Dataset(study.modality.sop_class_uid, uid, encode(elements))


def patient_elements(study: Study) -> list[Element]:
    """Of the patient level."""
    patient = study.patient
    said = [_text(0x00100010, "PN", patient.name, patient.script), _text(0x00100020, "LO", patient.patient_id)]
    if patient.issuer:
        said.append(_text(0x00100021, "LO", patient.issuer))
    return [*said, _text(0x00100030, "DA", patient.birth_date), _text(0x00100040, "CS", patient.sex)]


def study_elements(study: Study) -> list[Element]:
    """Of the study level."""
    script = study.patient.script
    age = int(study.date[:4]) - int(study.patient.birth_date[:4])
    description = f"{study.modality.name} {script.body_parts[study.part]}"
    said = [
        _text(0x00080020, "DA", study.date), _text(0x00080030, "TM", _time(study.second)),
        _text(0x00080050, "SH", study.accession_number), _text(0x00080080, "LO", "Clinic of the Bench"),
        _text(0x00080090, "PN", study.referring_physician, script), _text(0x00081030, "LO", description, script)]
    if study.station & 1:
        said += [_text(0x00080100, "SH", f"{study.modality.name}{study.part}", within=PROCEDURE_CODE),
                 _text(0x00080102, "SH", "99BENCH", within=PROCEDURE_CODE),
                 _text(0x00080104, "LO", f"{study.modality.name} {study.body_part}", within=PROCEDURE_CODE)]
    return [*said, _text(0x00101010, "AS", f"{age:03d}Y"), _text(0x0020000D, "UI", study.uid),
            _text(0x00200010, "SH", str(study.number))]


def all_series(study: Study) -> Iterator[Series]:
    """Its series, in the order of their numbers."""
    modality = study.modality
    frame_of_reference = f"{study.uid}.0" if modality.name in ("CT", "MR", "PT") else ""
    for number, instances in enumerate(study.split, 1):
        uid, description = f"{study.uid}.{number}", modality.series[number - 1]
        when = _time(study.second + 60 * number)
        said = [
            _text(0x00080021, "DA", study.date), _text(0x00080031, "TM", when),
            _text(0x00080060, "CS", modality.name), _text(0x00080070, "LO", modality.maker),
            _text(0x00081010, "SH", f"{modality.name}{study.station}"), _text(0x0008103E, "LO", description),
            _text(0x00081090, "LO", modality.model), _text(0x00180015, "CS", study.body_part),
            _text(0x00181030, "LO", f"{study.body_part} {description}"), _text(0x0020000E, "UI", uid),
            _text(0x00200011, "IS", str(number))]
        if frame_of_reference:
            said.append(_text(0x00200052, "UI", frame_of_reference))
        said += [_text(0x00400244, "DA", study.date), _text(0x00400245, "TM", _time(study.second)),
                 _text(0x00400253, "SH", f"PPS{study.number}"),
                 _text(0x00400007, "LO", f"{modality.name} {study.body_part}", within=REQUEST_ATTRIBUTES),
                 _text(0x00400009, "SH", f"SPS{study.number}", within=REQUEST_ATTRIBUTES),
                 _text(0x00401001, "SH", f"RP{study.number}", within=REQUEST_ATTRIBUTES)]
        yield Series(number, uid, description, said, [f"{uid}.{n}" for n in range(1, instances + 1)])


def _kind_elements(study: Study) -> list[Element]:
    """Of the instance level, what all instances of a study have alike, before what each has of its own."""
    return [Element(0x00080005, 0, 0, "CS", _even(study.patient.script.character_set)),
            _text(0x00080008, "CS", "ORIGINAL\\PRIMARY"), _text(0x00080016, "UI", study.modality.sop_class_uid)]


def _own_elements(study: Study, series: Series, number: int, uid: str) -> list[Element]:
    """Of the instance level, what an instance has of its own; number: from 1, within the series."""
    return [_text(0x00080018, "UI", uid), _text(0x00080023, "DA", study.date),
            _text(0x00080033, "TM", _time(study.second + 60 * series.number + number)),
            _text(0x00200013, "IS", str(number))]


def _pixels(number: int) -> list[Element]:
    """What else an image needs; the index keeps none of it."""
    return [*_STORED_BITS, Element(0x7FE00010, 0, 0, "OB", bytes((number + n) % 256 for n in range(SIDE * SIDE)))]


def encode(elements: Iterable[Element]) -> bytes:
    """A dataset in explicit VR little endian (PS3.5 7.1.2, 7.5); within an item the elements are in order already."""
    top: list[Element] = []
    sequences: dict[int, dict[int, bytes]] = {}
    for one in elements:
        if one.sequence:
            items = sequences.setdefault(one.sequence, {})
            items[one.item] = items.get(one.item, b"") + _encoded(one)
        else:
            top.append(one)
    for tag, items in sequences.items():
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items.values())
        top.append(Element(tag, 0, 0, "SQ", value))
    return b"".join(map(_encoded, sorted(top)))


def _encoded(one: Element) -> bytes:
    vr = one.vr.encode("ascii")
    form = "<HH2sxxI" if one.vr in _LONG_LENGTH else "<HH2sH"
    return struct.pack(form, one.tag >> 16, one.tag & 0xFFFF, vr, len(one.value)) + one.value


def _text(tag: int, vr: str, text: str, script: Script | None = None, within: int = 0) -> Element:
    """An element with a text in that script, else in ASCII; within: the sequence in whose first item it stands."""
    value = script.encode(text) if script else text.encode("ascii")
    return Element(tag, within, 0, vr, _even(value, b"\0" if vr == "UI" else b" "))


def _even(value: bytes, padding: bytes = b" ") -> bytes:
    return value + padding if len(value) & 1 else value


def _time(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    return f"{minutes // 60:02d}{minutes % 60:02d}{seconds:02d}"


def _number(tag: int, value: int) -> Element:
    return Element(tag, 0, 0, "US", struct.pack("<H", value))


_GEOMETRY = [_number(0x00280002, 1), Element(0x00280004, 0, 0, "CS", b"MONOCHROME2 "), _number(0x00280010, SIDE),
             _number(0x00280011, SIDE), _number(0x00280100, 8)]
_PACKED_GEOMETRY = pack(_GEOMETRY)
_STORED_BITS = [_number(0x00280101, 8), _number(0x00280102, 7), _number(0x00280103, 0)]

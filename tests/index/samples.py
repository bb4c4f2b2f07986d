"""Instances to put into an index, with the attributes that a test cares for."""
from __future__ import annotations

from dicomserver.index import Index, Instance, open_index
from dicomserver.wire.packed import Element, pack

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LATIN_1 = b"ISO_IR 100"

PATIENT_NAME, PATIENT_ID, ISSUER, BIRTH_DATE, SEX = 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040
STUDY_DATE, STUDY_TIME, ACCESSION_NUMBER, STUDY_DESCRIPTION = 0x00080020, 0x00080030, 0x00080050, 0x00081030
MODALITY, SERIES_NUMBER, INSTANCE_NUMBER = 0x00080060, 0x00200011, 0x00200013

PATIENT = {PATIENT_NAME: b"DOE^JOHN", PATIENT_ID: b"P1", BIRTH_DATE: b"19700131", SEX: b"M "}


def packed(values: dict[int, bytes]) -> bytes:
    """Packed attributes; the VR does not matter to the index."""
    return pack([Element(tag=tag, sequence=0, item=0, vr="LO", value=value) for tag, value in values.items()])


def make(number: int = 1, *, study: str = "1.2.3", series: str = "", patient: dict[int, bytes] | None = None,
         of_study: dict[int, bytes] | None = None, of_series: dict[int, bytes] | None = None,
         of_instance: dict[int, bytes] | None = None, character_set: bytes = LATIN_1, **fields) -> Instance:
    """The instance `<series>.<number>` in slot `number`; `fields` are those of Instance."""
    series = series or study + ".1"
    values = {
        "study_instance_uid": study, "series_instance_uid": series, "sop_instance_uid": f"{series}.{number}",
        "sop_class_uid": CT, "transfer_syntax_uid": EXPLICIT, "slot": number, "file_length": 4400 + number,
        "dataset_offset": 356, "checksum": (1 << 64) - number, "received_at": 1_700_000_000_000_000 + number,
        "source_ae": "SCANNER", "receiving_ae": "PACS", "flags": 0,
    }
    return Instance(
        **values | fields, character_set=character_set, patient=packed(PATIENT | (patient or {})),
        study=packed(of_study or {STUDY_DATE: b"20240229"}), series=packed(of_series or {MODALITY: b"CT"}),
        instance=packed(of_instance or {INSTANCE_NUMBER: b"%d" % number}))


def fill(url: str, *numbers: int) -> None:
    """Opens an index, and adds the instances of these numbers."""
    index = open_index(url)
    for number in numbers:
        index.add(make(number))
    index.close()


def numbers(url: str) -> list[int]:
    """Of the instances in an index that is not open."""
    index = open_index(url)
    try:
        return [stored.slot for stored in index.select()]
    finally:
        index.close()


def ask(index: Index, sql: str, *values: str | int) -> list[tuple]:
    """Straight from the tables, for what has no method of its own yet."""
    with index._engine.reading() as session:
        return session.rows(sql, values)


def sizes(index: Index) -> list[tuple]:
    """(study UID, series kept for it, instances kept for all of them), from the kept counts alone."""
    return ask(index, """SELECT t.uid, t.series,
        (SELECT sum(y.instances) FROM series s JOIN tallies y ON y.series = s.id WHERE s.study = t.id)
        FROM studies t ORDER BY t.uid""")

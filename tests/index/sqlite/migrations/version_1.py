"""An index as version 1 made and filled it, by that version's own statements."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apsw

from dicomserver.index import Instance
from dicomserver.index.searchable import instance_number_of, patient_of, series_of, study_of
from dicomserver.index.sqlite.migrations import m0001
from dicomserver.index.sqlite.schema import migrate
from dicomserver.index.text import fold

PATIENT = ("patient_id", "issuer", "name", "name_folded", "birth_date", "sex")
STUDY = ("study_date", "study_time", "accession_number", "study_id", "referring_physician",
         "referring_physician_folded", "description", "description_folded")


def make_version_1(path: Path, instances: Iterable[Instance]) -> None:
    """A closed file; each instance must be new."""
    connection = apsw.Connection(str(path))
    connection.pragma("foreign_keys", 1)
    migrate(connection, (m0001,))
    with connection:
        for instance in instances:
            _add(connection, instance)
    connection.close()


def _add(connection: apsw.Connection, instance: Instance) -> None:
    study = _id(connection, "SELECT id FROM studies WHERE uid = ?", instance.study_instance_uid)
    if study is None:
        study = _add_study(connection, instance)
    series = _id(connection, "SELECT id FROM series WHERE uid = ? AND study = ?", instance.series_instance_uid, study)
    if series is None:
        series = _insert(connection, "series", series_of(instance.series, instance.character_set)._asdict() | {
            "uid": instance.series_instance_uid, "study": study, "character_set": instance.character_set,
            "attributes": instance.series})
    labels = [_label(connection, text) for text in (
        instance.sop_class_uid, instance.transfer_syntax_uid, instance.source_ae, instance.receiving_ae)]
    checksum = instance.checksum - (1 << 64) if instance.checksum >> 63 else instance.checksum
    _insert(connection, "instances", {
        "series": series, "uid": instance.sop_instance_uid, "sop_class": labels[0], "transfer_syntax": labels[1],
        "slot": instance.slot, "file_length": instance.file_length, "dataset_offset": instance.dataset_offset,
        "checksum": checksum, "received_at": instance.received_at, "source_ae": labels[2], "receiving_ae": labels[3],
        "flags": instance.flags, "number": instance_number_of(instance.instance),
        "character_set": instance.character_set, "attributes": instance.instance})


def _add_study(connection: apsw.Connection, instance: Instance) -> int:
    read = patient_of(instance.patient, instance.character_set)
    patient = {name: getattr(read, name) for name in PATIENT} | {"name_folded": fold(read.name)}
    raw = {"character_set": instance.character_set, "attributes": instance.patient}
    found = connection.execute("SELECT id, character_set, attributes, issuer, name, birth_date FROM patients"
                               " WHERE patient_id = ? AND issuer = ?", (read.patient_id, read.issuer)).fetchone()
    row = found[0] if found else _insert(connection, "patients", patient | raw)
    differs = bool(found) and read.differs(read._replace(
        **dict(zip(("issuer", "name", "birth_date"), found[3:], strict=True))))
    of_study = study_of(instance.study, instance.character_set)._asdict()
    of_study = {name: of_study[name] for name in STUDY}
    for name in ("referring_physician", "description"):
        of_study[name + "_folded"] = fold(of_study[name])
    return _insert(connection, "studies", of_study | {
        "patient_" + name.removeprefix("patient_"): value for name, value in patient.items()} | {
        "uid": instance.study_instance_uid, "patient": row, "patient_differs": int(differs),
        "character_set": instance.character_set, "attributes": instance.study,
        "patient_attributes": None if not found or found[1:3] == tuple(raw.values()) else instance.patient})


def _label(connection: apsw.Connection, text: str) -> int:
    known = _id(connection, "SELECT id FROM labels WHERE text = ?", text)
    return known or _insert(connection, "labels", {"text": text})


def _id(connection: apsw.Connection, sql: str, *values: str | int) -> int | None:
    row = connection.execute(sql, values).fetchone()
    return row and row[0]


def _insert(connection: apsw.Connection, table: str, row: dict[str, object]) -> int:
    sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) RETURNING id"
    return connection.execute(sql, tuple(row.values())).get

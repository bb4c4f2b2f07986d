"""Every statement of the index. What each engine says in its own way stands in braces, and comes from its dialect."""
from __future__ import annotations

from types import ModuleType, SimpleNamespace

from dicomserver.index.searchable import Patient, Series, Study


def _insert(table: str, columns: tuple[str, ...], tail: str) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['{v}'] * len(columns))}) {tail}"


def _listed(prefix: str, columns: tuple[str, ...]) -> str:
    return ", ".join(prefix + column for column in columns)


INSTANCE_COLUMNS = (
    "series", "uid", "sop_class", "transfer_syntax", "slot", "file_length", "dataset_offset", "checksum",
    "received_at", "source_ae", "receiving_ae", "flags", "number", "character_set", "attributes")
# The patient as a study's own objects name him.
PATIENT_OF_STUDY = tuple("patient_" + field.removeprefix("patient_") for field in Patient._fields)
# Counts are kept by triggers, so that an instance of a known series is one statement and one commit.
ADD_INSTANCE = _insert("instances", INSTANCE_COLUMNS, "ON CONFLICT (uid) DO NOTHING")
ADD_LABEL = _insert("labels", ("text",), "RETURNING id")
ADD_PATIENT = _insert("patients", (*Patient._fields, "character_set", "attributes"), "RETURNING id")
ADD_STUDY = _insert("studies", (
    "uid", "patient", *Study._fields, *PATIENT_OF_STUDY,
    "character_set", "attributes", "patient_attributes"), "RETURNING id")
ADD_SERIES = _insert("series", (
    "uid", "study", *Series._fields, "character_set", "attributes"), "RETURNING id")

FIND_LABEL = "SELECT id FROM labels WHERE text = {v}"
FIND_PATIENT = "SELECT id, " + _listed("", Patient._fields) + """
    FROM patients WHERE patient_id = {v} AND issuer = {v}"""
# The patient as the study names him, and as the first study with his Patient ID does.
FIND_STUDY = "SELECT t.id, " + _listed("t.", PATIENT_OF_STUDY) + ", " + _listed("p.", Patient._fields) + """
    FROM studies t JOIN patients p ON p.id = t.patient WHERE t.uid = {v}"""
FIND_SERIES = "SELECT id FROM series WHERE uid = {v} AND study = {v}"
# Accepted is who was accepted in a study of the same patient. The person, once more the person, the instance's UID.
ADD_OTHER_PATIENT = """INSERT INTO other_patients SELECT i.id, t.id, {v}, {v}, {v}, {v}, CASE WHEN EXISTS (
        SELECT 1 FROM studies u JOIN other_patients o ON o.study = u.id WHERE u.patient = t.patient
        AND o.accepted = 1 AND (o.patient_id, o.issuer, o.name, o.birth_date) = ({v}, {v}, {v}, {v}))
    THEN 1 ELSE 0 END
    FROM instances i JOIN series s ON s.id = i.series JOIN studies t ON t.id = s.study WHERE i.uid = {v}"""

_STORED = """SELECT i.id, t.uid, s.uid, i.uid, c.text, x.text,
    i.slot, i.file_length, i.dataset_offset, i.checksum, i.received_at, i.flags
    FROM instances i JOIN series s ON s.id = i.series JOIN studies t ON t.id = s.study
    JOIN labels c ON c.id = i.sop_class JOIN labels x ON x.id = i.transfer_syntax """
FIND_INSTANCE = _STORED + "WHERE i.uid = {v}"
FIND_INSTANCES = _STORED + "WHERE i.id {with_ids} ORDER BY i.id"
# No index leads to a slot: the table is read to its end.
UIDS_IN_SLOTS = "SELECT slot, uid FROM instances WHERE slot {with_ids}"
# By pages, so that nobody's slow reading keeps a snapshot open, which would keep the log from being emptied.
PAGE_OF_ALL = _STORED + "WHERE i.id > {v} ORDER BY i.id LIMIT {v}"
PAGE_OF_SERIES = _STORED + "WHERE i.series = {v} AND i.id > {v} ORDER BY i.id LIMIT {v}"
SERIES_OF_STUDY = "SELECT s.id FROM series s JOIN studies t ON t.id = s.study WHERE t.uid = {v}"
SERIES_BY_UID = "SELECT id FROM series WHERE uid = {v}"
SERIES_BY_BOTH = "SELECT s.id FROM series s JOIN studies t ON t.id = s.study WHERE t.uid = {v} AND s.uid = {v}"

SEVERAL_ISSUERS = """SELECT 1 FROM studies WHERE patient_id {with_ids}
    GROUP BY patient_id HAVING count(DISTINCT patient_issuer) > 1 LIMIT 1"""

STUDIES_OF_PATIENT = "SELECT uid, patient_issuer FROM studies WHERE patient_id = {v} ORDER BY id"
AGES = """SELECT t.uid, max(i.received_at), count(*), CAST(sum(i.file_length) AS BIGINT)
    FROM instances i JOIN series s ON s.id = i.series JOIN studies t ON t.id = s.study
    GROUP BY t.id ORDER BY 2, t.id"""

# Empty series, studies and patients go by triggers.
REMOVE_INSTANCE = "DELETE FROM instances WHERE uid = {v} AND slot = {v}"

COUNTS = """SELECT (SELECT count(*) FROM patients), (SELECT count(*) FROM studies),
    (SELECT count(*) FROM series), (SELECT count(*) FROM instances)"""
COUNT_STUDIES = "SELECT count(*) FROM studies"
MARK = "UPDATE state SET marker = marker + 1 WHERE id = 1"
IS_COMPLETE = "SELECT complete FROM state WHERE id = 1"
BEGIN_COPY = "UPDATE state SET complete = 0, identity = {v}, origin = {v} WHERE id = 1"
IDENTITY = "SELECT identity, origin FROM state WHERE id = 1"
SET_COMPLETE = "UPDATE state SET complete = 1 WHERE id = 1"

FIND_SHA256 = """SELECT y.sha256 FROM instances i JOIN integrity y ON y.instance = i.id
    WHERE i.uid = {v} AND i.slot = {v}"""
# A file that is found damaged keeps the digest that it should have.
SET_INTEGRITY = """INSERT INTO integrity (instance, read_at, sha256, fault)
    SELECT id, {v}, {v}, {v} FROM instances WHERE uid = {v} AND slot = {v}
    ON CONFLICT (instance) DO UPDATE SET read_at = excluded.read_at, fault = excluded.fault,
    sha256 = coalesce(integrity.sha256, excluded.sha256)"""
COUNT_FAULTS = "SELECT count(*) FROM integrity WHERE fault IS NOT NULL"
FAULTS = """SELECT i.uid, y.fault FROM integrity y JOIN instances i ON i.id = y.instance
    WHERE y.fault IS NOT NULL ORDER BY i.id LIMIT {v}"""
SCRUB_PLACE = "SELECT began_at, position, ended FROM scrub WHERE id = 1"
SET_SCRUB_PLACE = "UPDATE scrub SET began_at = {v}, position = {v}, ended = {v} WHERE id = 1"

ADD_ARRIVALS = """INSERT INTO arrivals VALUES ({v}, {v})
    ON CONFLICT (day) DO UPDATE SET octets = arrivals.octets + excluded.octets"""
COUNT_ARRIVALS = """INSERT INTO arrivals
    SELECT received_at / 86400000000, sum(file_length) FROM instances WHERE 1 = 1 GROUP BY 1
    ON CONFLICT (day) DO UPDATE SET octets = excluded.octets"""
ARRIVALS_SINCE = """SELECT (SELECT min(day) FROM arrivals),
    (SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM arrivals WHERE day >= {v} AND day < {v})"""

DISPUTED_STUDIES = """SELECT t.uid, i.uid, i.received_at, a.text, d.instances
    FROM (SELECT study, min(instance) AS first, count(*) AS instances
        FROM other_patients WHERE accepted = 0 GROUP BY study) d
    JOIN studies t ON t.id = d.study JOIN instances i ON i.id = d.first JOIN labels a ON a.id = i.source_ae
    ORDER BY d.first"""
COUNT_DISPUTED_STUDIES = "SELECT count(DISTINCT study) FROM other_patients WHERE accepted = 0"
PATIENTS_OF_STUDY = """SELECT coalesce(t.patient_id, ''), t.patient_issuer, coalesce(t.patient_name, ''),
    coalesce(t.patient_birth_date, ''), coalesce(p.patient_id, ''), p.issuer, coalesce(p.name, ''),
    coalesce(p.birth_date, '') FROM studies t JOIN patients p ON p.id = t.patient WHERE t.uid = {v}"""
OTHER_PATIENTS_OF_STUDY = """SELECT o.patient_id, o.issuer, o.name, o.birth_date, i.uid
    FROM studies t JOIN other_patients o ON o.study = t.id JOIN instances i ON i.id = o.instance
    WHERE t.uid = {v} AND o.accepted = 0 ORDER BY o.instance"""
ACCEPT_OTHER_PATIENTS = """UPDATE other_patients AS o SET accepted = 1 WHERE accepted = 0
    AND (SELECT patient FROM studies WHERE id = o.study) = (SELECT patient FROM studies WHERE uid = {v})
    AND (patient_id, issuer, name, birth_date) IN (
        SELECT y.patient_id, y.issuer, y.name, y.birth_date
        FROM other_patients y JOIN studies t ON t.id = y.study WHERE t.uid = {v})"""


_TEMPLATES = {name: text for name, text in globals().items()
              if name.isupper() and name[0] != "_" and isinstance(text, str)}


def in_dialect(dialect: ModuleType) -> SimpleNamespace:
    """The statements under their names here, as an engine's dialect says them."""
    own = {"v": dialect.VALUE, "with_ids": dialect.WITH_IDS}
    return SimpleNamespace(**{name: text.format_map(own) for name, text in _TEMPLATES.items()})

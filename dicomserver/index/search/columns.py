"""Which attribute stands in which column, and what the computed ones are worked out from.

The tables by their names here: p patients, t studies, s series, i instances. From the level of studies down a patient's
attributes are those that the study's own objects have.
"""
from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from dicomserver.standard import query
from dicomserver.standard.attributes import Level

TABLES = {Level.PATIENT: "p", Level.STUDY: "t", Level.SERIES: "s", Level.INSTANCE: "i"}
FROM = {"p": "patients p", "t": "studies t", "s": "series s", "i": "instances i"}


class Kind(Enum):
    """How a column holds its attribute."""

    TEXT = auto()       # decoded
    UID = auto()
    LABEL = auto()      # the id of a row of labels
    NAME = auto()       # six columns: decoded; folded, ideographic, phonetic, latin; sounds
    DATE = auto()       # YYYYMMDD
    TIME = auto()       # HHMMSS.FFFFFF
    INTEGER = auto()


class Column(NamedTuple):
    """table: as above. trigrams: the column of study_texts with the same text. indexed: by itself, in order. empty:
    holds where there is no value. aside: see Dialect.ASIDE."""

    kind: Kind
    table: str
    name: str
    trigrams: str = ""
    indexed: bool = False
    empty: str = "IS NULL"
    aside: str = ""

    @property
    def sql(self) -> str:
        """The column, said in full."""
        return f"{self.aside}{self.table}.{self.name}"


_OF_PATIENT = {
    0x00100010: Column(Kind.NAME, "p", "name", indexed=True),
    0x00100020: Column(Kind.TEXT, "p", "patient_id", indexed=True),
    query.ISSUER_OF_PATIENT_ID: Column(Kind.TEXT, "p", "issuer", empty="= ''"),
    0x00100030: Column(Kind.DATE, "p", "birth_date", indexed=True),
    0x00100040: Column(Kind.TEXT, "p", "sex"),
}
_BELOW = {
    0x00100010: Column(Kind.NAME, "t", "patient_name", "patient_name", indexed=True),
    0x00100020: Column(Kind.TEXT, "t", "patient_id", "patient_id", indexed=True),
    query.ISSUER_OF_PATIENT_ID: Column(Kind.TEXT, "t", "patient_issuer", empty="= ''"),
    0x00100030: Column(Kind.DATE, "t", "patient_birth_date", indexed=True),
    0x00100040: Column(Kind.TEXT, "t", "patient_sex"),
    0x0020000D: Column(Kind.UID, "t", "uid", indexed=True),
    0x00080020: Column(Kind.DATE, "t", "study_date", indexed=True),
    0x00080030: Column(Kind.TIME, "t", "study_time"),
    0x00080050: Column(Kind.TEXT, "t", "accession_number", "accession_number", indexed=True),
    0x00200010: Column(Kind.TEXT, "t", "study_id", indexed=True),
    0x00080090: Column(Kind.NAME, "t", "referring_physician", "referring_physician", indexed=True),
    0x00081030: Column(Kind.TEXT, "t", "description", "description"),
    0x0020000E: Column(Kind.UID, "s", "uid", indexed=True),
    0x00080060: Column(Kind.TEXT, "s", "modality"),
    0x00200011: Column(Kind.INTEGER, "s", "number"),
    0x0008103E: Column(Kind.TEXT, "s", "description"),
    0x00180015: Column(Kind.TEXT, "s", "body_part"),
    0x00400244: Column(Kind.DATE, "s", "performed_date"),
    0x00400245: Column(Kind.TIME, "s", "performed_time"),
    0x00080018: Column(Kind.UID, "i", "uid", indexed=True),
    0x00080016: Column(Kind.LABEL, "i", "sop_class"),
    0x00200013: Column(Kind.INTEGER, "i", "number"),
    query.AVAILABLE_TRANSFER_SYNTAX_UID: Column(Kind.LABEL, "i", "transfer_syntax"),
}

_SERIES_OF_PATIENT = "FROM studies u WHERE u.patient = p.id"
_TALLIES_OF_PATIENT = ("FROM studies u JOIN series x ON x.study = u.id JOIN tallies y ON y.series = x.id"
                       " WHERE u.patient = p.id")
_TALLIES_OF_STUDY = "FROM series x JOIN tallies y ON y.series = x.id WHERE x.study = t.id"

# Rows of something that belongs to the study; a condition on the column goes behind.
EXISTING = {
    query.MODALITIES_IN_STUDY: ("FROM series x WHERE x.study = t.id", Column(Kind.TEXT, "x", "modality")),
    query.SOP_CLASSES_IN_STUDY: (_TALLIES_OF_STUDY, Column(Kind.LABEL, "y", "sop_class")),
}

# By tag: the table that it is said of, and the expression.
COUNTS = {
    query.PATIENT_STUDIES: ("p", "p.studies"),
    query.PATIENT_SERIES: ("p", f"(SELECT sum(u.series) {_SERIES_OF_PATIENT})"),
    query.PATIENT_INSTANCES: ("p", f"(SELECT sum(y.instances) {_TALLIES_OF_PATIENT})"),
    query.STUDY_SERIES: ("t", "t.series"),
    query.STUDY_INSTANCES: ("t", f"(SELECT sum(y.instances) {_TALLIES_OF_STUDY})"),
    query.SERIES_INSTANCES: ("s", "(SELECT sum(y.instances) FROM tallies y WHERE y.series = s.id)"),
}


def column_of(tag: int, level: Level) -> Column | None:
    """Where a query at that level finds the attribute; None where no column has it."""
    return (_OF_PATIENT if level is Level.PATIENT else _BELOW).get(tag)


def computed_sql(tag: int, joined: str) -> str:
    """The expression of a computed attribute. joined: the dialect's, for those of several values."""
    if tag in COUNTS:
        return COUNTS[tag][1]
    if tag == query.AVAILABLE_TRANSFER_SYNTAX_UID:
        return "(SELECT text FROM labels WHERE id = i.transfer_syntax)"
    rows, column = EXISTING[tag]
    text = f"(SELECT text FROM labels WHERE id = {column.sql})" if column.kind is Kind.LABEL else column.sql
    return f"(SELECT {joined} FROM (SELECT DISTINCT {text} AS text {rows} ORDER BY 1) v)"

"""Studies that name several patients: which instances name whom, and what a person has called right."""
from __future__ import annotations

from typing import NamedTuple

from dicomserver.index.engine import Engine
from dicomserver.index.searchable import Patient


class Person(NamedTuple):
    """What tells patients apart; "" where nothing is said. birth_date: YYYYMMDD."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str

    def as_json(self) -> dict[str, str]:
        """As the control socket has it."""
        return {"patientID": self.patient_id, "issuerOfPatientID": self.issuer, "patientName": self.name,
                "patientBirthDate": self.birth_date}


class Disputed(NamedTuple):
    """A study that waits for a decision, and the first of its instances that name somebody else.

    received_at: microseconds since the epoch, UTC. instances: how many they are.
    """

    study_instance_uid: str
    sop_instance_uid: str
    received_at: int
    source_ae: str
    instances: int


class Persons(NamedTuple):
    """study: as its first instance names the patient; patient: as other studies with his Patient ID do.

    others: whom further instances name, and their SOP Instance UIDs in the order of arrival. Nobody (all "") stands
    there where an earlier version did not keep the name.
    """

    study: Person
    patient: Person
    others: dict[Person, list[str]]


class OtherPatients:
    """A part of the Index, with its rules."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = engine.statements

    def disputed(self) -> list[Disputed]:
        """The studies that nobody has decided on, in the order in which they became so."""
        with self._engine.reading() as session:
            return [Disputed(*row) for row in session.rows(self._sql.DISPUTED_STUDIES)]

    def count(self) -> int:
        """How many studies `disputed` gives."""
        with self._engine.reading() as session:
            return session.one(self._sql.COUNT_DISPUTED_STUDIES)[0]

    def of(self, study_instance_uid: str) -> Persons | None:
        """Who is named in a study, without those that somebody accepted; None: there is no such study."""
        with self._engine.reading() as session:
            row = session.one(self._sql.PATIENTS_OF_STUDY, (study_instance_uid,))
            found = session.rows(self._sql.OTHER_PATIENTS_OF_STUDY, (study_instance_uid,))
        if row is None:
            return None
        others: dict[Person, list[str]] = {}
        for *fields, uid in found:
            others.setdefault(Person(*fields), []).append(uid)
        return Persons(Person(*row[:4]), Person(*row[4:]), others)

    def accept(self, study_instance_uid: str) -> int:
        """Whoever is named in this study may be, here and in other studies of its patient, from now on and durably; how
        many instances were waiting for that."""
        with self._engine.lock:
            accepted = self._engine.writer().run(self._sql.ACCEPT_OTHER_PATIENTS, (study_instance_uid,) * 2)
            self._engine.sync()
        return accepted


def person_of(patient: Patient) -> Person:
    """Of a patient's columns, those that tell him apart."""
    return Person(patient.patient_id or "", patient.issuer, patient.name or "", patient.birth_date or "")

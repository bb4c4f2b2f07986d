"""Puts an instance below its series, study and patient, each made when it is first seen."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import NamedTuple

from dicomserver.index.engine import Session, Value
from dicomserver.index.entry import Instance, Stored
from dicomserver.index.errors import Collision
from dicomserver.index.other_patients import person_of
from dicomserver.index.searchable import Patient, patient_of, series_of, study_of
from dicomserver.index.tickets import Ticket

SERIES_REMEMBERED = 2048
LABELS_REMEMBERED = 4096
PATIENT_REMEMBERED = 4096  # bytes; so the memory is bounded whatever devices send
SIGN = 1 << 63


class _Known(NamedTuple):
    """A series, and patient attributes that name nobody else than its study does."""

    id: int
    patient: bytes
    character_set: bytes


class Ledger:
    """Used under the writer's lock. Remembers ids between calls: `forget` after a rollback or a removal.

    order: see engine.Engine; with it Collision is among what every method raises.
    """

    def __init__(self, statements: SimpleNamespace, order: Callable[[Session], None] | None = None):
        self._sql = statements
        self._order = order
        self._series: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._labels: dict[str, int] = {}

    def forget(self) -> None:
        """Nothing is remembered: ids may be gone."""
        self._series.clear()
        self._labels.clear()

    def known_row(self, ticket: Ticket) -> tuple[Value, ...] | None:
        """The instance's row if all that it refers to is remembered, so that one statement adds it."""
        references = self._references(ticket.instance)
        return None if references is None else _row(ticket, *references)

    def knows(self, tickets: Sequence[Ticket]) -> bool:
        """Whether all that they refer to is remembered."""
        return all(self._references(ticket.instance) for ticket in tickets)

    def _references(self, instance: Instance) -> tuple[int, tuple[int, int, int, int]] | None:
        """The ids of its series and labels, if all of them are remembered."""
        key = (instance.study_instance_uid, instance.series_instance_uid)
        known = self._series.get(key)
        if known is None or known.patient != instance.patient \
                or known.character_set != instance.character_set:
            return None
        self._series.move_to_end(key)
        label = self._labels.get
        labels = (label(instance.sop_class_uid), label(instance.transfer_syntax_uid),
                  label(instance.source_ae), label(instance.receiving_ae))
        return None if None in labels else (known.id, labels)

    def add_known(self, session: Session, row: tuple[Value, ...]) -> Stored | None:
        """None if the row is in, what is stored under its UID if it was there."""
        return None if session.run(self._sql.ADD_INSTANCE, row) else self._there(session, row)

    def _there(self, session: Session, row: tuple[Value, ...]) -> Stored:
        stored = self.find(session, row[1])
        if stored is None:
            raise Collision("what was stored under the same UID was removed in this moment")
        return stored

    def add(self, session: Session, ticket: Ticket) -> Stored | None:
        """The same for any instance, in an open transaction, with whatever stands above it made."""
        row = self.known_row(ticket)
        if row is not None:
            return self.add_known(session, row)
        if self._order is not None:
            self._order(session)
        instance = ticket.instance
        # Before anything is made or flagged: an instance that is there already changes nothing.
        stored = self.find(session, instance.sop_instance_uid)
        if stored is not None:
            return stored
        patient = patient_of(instance.patient, instance.character_set)
        study, differs = self._study(session, instance, patient)
        series = self._series_of(session, instance, study)
        labels = tuple(self._label(session, text) for text in (
            instance.sop_class_uid, instance.transfer_syntax_uid, instance.source_ae, instance.receiving_ae))
        if not session.run(self._sql.ADD_INSTANCE, _row(ticket, series, labels)):
            raise Collision("another node has added an instance of the same UID")
        if differs:
            person = person_of(patient)
            session.run(self._sql.ADD_OTHER_PATIENT, (*person, *person, instance.sop_instance_uid))
        else:
            self._remember(instance, series)
        return None

    def add_all(self, session: Session, tickets: Sequence[Ticket]) -> list[Stored | None]:
        """`add` for each of them; those of remembered series share a round trip. In their order, but where others
        write, too: whoever changes the same rows has to do so in the same order."""
        if self._order is None:
            return self._add_in_turn(session, tickets)
        if not self.knows(tickets):
            self._order(session)    # before any row is changed
        numbers = sorted(range(len(tickets)), key=lambda number: _place(tickets[number].instance))
        outcomes = self._add_in_turn(session, [tickets[number] for number in numbers])
        by_number = dict(zip(numbers, outcomes, strict=True))
        return [by_number[number] for number in range(len(tickets))]

    def _add_in_turn(self, session: Session, tickets: Sequence[Ticket]) -> list[Stored | None]:
        outcomes: list[Stored | None] = []
        rows: list[tuple[Value, ...]] = []
        for ticket in tickets:
            row = self.known_row(ticket)
            if row is not None:
                rows.append(row)
                continue
            outcomes += self._add_rows(session, rows)
            outcomes.append(self.add(session, ticket))
            rows = []
        return outcomes + self._add_rows(session, rows)

    def _add_rows(self, session: Session, rows: list[tuple[Value, ...]]) -> list[Stored | None]:
        """add_known for each of them, in one round trip; all of them or none."""
        added = session.run_each(self._sql.ADD_INSTANCE, rows) if rows else []
        return [None if new else self._there(session, row) for row, new in zip(rows, added, strict=True)]

    def find(self, session: Session, sop_instance_uid: str) -> Stored | None:
        """What is stored under a SOP Instance UID; with any session, from any thread."""
        row = session.one(self._sql.FIND_INSTANCE, (sop_instance_uid,))
        return None if row is None else stored_of(row)

    def _remember(self, instance: Instance, series: int) -> None:
        if len(instance.patient) > PATIENT_REMEMBERED:
            return
        key = (instance.study_instance_uid, instance.series_instance_uid)
        self._series[key] = _Known(series, instance.patient, instance.character_set)
        self._series.move_to_end(key)
        if len(self._series) > SERIES_REMEMBERED:
            self._series.popitem(last=False)

    def _label(self, session: Session, text: str) -> int:
        label = self._labels.get(text)
        if label is None:
            found = session.one(self._sql.FIND_LABEL, (text,)) or session.one(self._sql.ADD_LABEL, (text,))
            if len(self._labels) >= LABELS_REMEMBERED:
                self._labels.clear()
            label = self._labels[text] = found[0]
        return label

    def _study(self, session: Session, instance: Instance, patient: Patient) -> tuple[int, bool]:
        """Row id, and whether the instance names somebody else than the study, or others of its patient, do."""
        found = session.one(self._sql.FIND_STUDY, (instance.study_instance_uid,))
        if found is None:
            return self._new_study(session, instance, patient)
        study, *named = found
        fields = len(Patient._fields)
        return study, any(patient.differs(Patient(*columns)) for columns in (named[:fields], named[fields:]))

    def _new_study(self, session: Session, instance: Instance, patient: Patient) -> tuple[int, bool]:
        patient_id, kept = self._patient(session, instance, patient)
        values = study_of(instance.study, instance.character_set)
        return session.one(self._sql.ADD_STUDY, (
            instance.study_instance_uid, patient_id, *values, *patient, instance.character_set, instance.study,
            instance.patient))[0], patient.differs(kept)

    def _patient(self, session: Session, instance: Instance, patient: Patient) -> tuple[int, Patient]:
        """Row id, and what is stored there."""
        if patient.patient_id is not None:
            found = session.one(self._sql.FIND_PATIENT, (patient.patient_id, patient.issuer))
            if found is not None:
                row, *kept = found
                return row, Patient(*kept)
        row = session.one(self._sql.ADD_PATIENT, (*patient, instance.character_set, instance.patient))[0]
        return row, patient

    def _series_of(self, session: Session, instance: Instance, study: int) -> int:
        found = session.one(self._sql.FIND_SERIES, (instance.series_instance_uid, study))
        if found is None:
            values = series_of(instance.series, instance.character_set)
            found = session.one(self._sql.ADD_SERIES, (instance.series_instance_uid, study, *values,
                                                       instance.character_set, instance.series))
        return found[0]


def stored_of(row: tuple) -> Stored:
    """From a row of FIND_INSTANCE or of a page; the first column is the row's id."""
    _id, *fields = row
    stored = Stored(*fields)
    stored.checksum %= 2 * SIGN
    return stored


def _place(instance: Instance) -> tuple[str, str, str]:
    return instance.study_instance_uid, instance.series_instance_uid, instance.sop_class_uid


def _row(ticket: Ticket, series: int, labels: tuple[int, int, int, int]) -> tuple[Value, ...]:
    """In the order of INSTANCE_COLUMNS. Databases have signed numbers: the checksum's top bit is its sign."""
    instance = ticket.instance
    sop_class, transfer_syntax, source_ae, receiving_ae = labels
    checksum = instance.checksum if instance.checksum < SIGN else instance.checksum - 2 * SIGN
    return (series, instance.sop_instance_uid, sop_class, transfer_syntax,
            instance.slot, instance.file_length, instance.dataset_offset, checksum,
            instance.received_at, source_ae, receiving_ae, instance.flags,
            ticket.number, instance.character_set, instance.instance)

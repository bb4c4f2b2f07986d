from __future__ import annotations

import pytest

from dicomserver.index import ledger
from dicomserver.index.errors import Collision
from dicomserver.index.ledger import Ledger
from dicomserver.index.sqlite.engine import SqliteMemory
from dicomserver.index.tickets import Ticket
from tests.index.samples import PATIENT_NAME, make


@pytest.fixture
def engine() -> SqliteMemory:
    return SqliteMemory()


def add(engine: SqliteMemory, book: Ledger, **values) -> None:
    with engine.transaction() as session:
        assert book.add(session, Ticket(make(**values), 1)) is None


def known(book: Ledger, **values) -> bool:
    return book.known_row(Ticket(make(**values), 1)) is not None


def test_remembers_a_series_with_its_patient_and_labels(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements)
    assert not known(book)
    add(engine, book)
    assert known(book, number=2)
    assert not known(book, number=2, patient={PATIENT_NAME: b"ELSE"})
    assert not known(book, number=2, character_set=b"ISO_IR 192")
    assert not known(book, number=2, source_ae="ANOTHER")
    assert not known(book, number=2, series="9.9")
    book.forget()
    assert not known(book, number=2)


def test_a_remembered_row_is_one_statement(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements)
    add(engine, book)
    statements: list[str] = []
    engine._connection.set_exec_trace(lambda _cursor, sql, _values: statements.append(sql) or True)
    row = book.known_row(Ticket(make(2), 2))
    assert book.add_known(engine.writer(), row) is None
    assert statements == [engine.statements.ADD_INSTANCE]


def test_remembers_a_bounded_number(engine: SqliteMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SERIES_REMEMBERED", 2)
    monkeypatch.setattr(ledger, "LABELS_REMEMBERED", 5)
    book = Ledger(engine.statements)
    for study in ("1.1", "1.2"):
        add(engine, book, study=study)
    assert known(book, number=2, study="1.1")  # and so it is the last used
    add(engine, book, study="1.3")
    assert [known(book, number=2, study=study) for study in ("1.1", "1.2", "1.3")] == [True, False, True]
    for number in range(20):
        add(engine, book, number=number + 10, source_ae=f"AE{number}")
        assert len(book._labels) <= 5
    labels = engine.writer().rows("SELECT text FROM labels")
    assert len(labels) == len(set(labels)) == 24


def test_patients_too_large_to_remember_are_looked_up(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements)
    large = {PATIENT_NAME: b"X" * ledger.PATIENT_REMEMBERED}
    for number in (1, 2):
        add(engine, book, number=number, patient=large)
    assert not known(book, number=3, patient=large)
    add(engine, book, number=3)
    assert engine.writer().rows("SELECT instance FROM other_patients") == [(3,)]
    assert not known(book, number=4)  # its patient contradicts the study's each time


def test_an_instance_that_is_there_makes_and_flags_nothing(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements)
    add(engine, book)
    with engine.transaction() as session:
        again = make(study="8.8", series="1.2.3.1", patient={PATIENT_NAME: b"E"})
        stored = book.add(session, Ticket(again, 1))
        assert stored.study_instance_uid == "1.2.3"
        assert session.one("SELECT count(*) FROM studies") == (1,)
        assert session.one("SELECT count(*) FROM other_patients") == (0,)


def test_whoever_is_named_otherwise_is_written_down_each_time(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements)
    add(engine, book)
    for number in (2, 3):
        add(engine, book, number=number, patient={PATIENT_NAME: b"ROE^JANE"})
    assert known(book, number=4) and not known(book, number=4, patient={PATIENT_NAME: b"ROE^JANE"})
    assert engine.writer().rows("SELECT instance, name FROM other_patients") == [(2, "ROE^JANE"), (3, "ROE^JANE")]


class Elsewhere:
    """What another node does, just before a row of ours is added."""

    def __init__(self, session, statements, uid: str, found: list) -> None:
        self._session = session
        self._add, self._find = statements.ADD_INSTANCE, statements.FIND_INSTANCE
        self._uid = uid
        self._found = found

    def run(self, sql: str, values=()) -> int:
        return 0 if sql == self._add and values[1] == self._uid else self._session.run(sql, values)

    def run_each(self, sql: str, rows) -> list[int]:
        return [self.run(sql, row) for row in rows]

    def one(self, sql: str, values=()):
        if sql == self._find and values == (self._uid,):
            return self._found.pop(0)
        return self._session.one(sql, values)


def test_what_another_node_added_or_removed_in_this_moment_is_never_taken_for_added(engine: SqliteMemory) -> None:
    book = Ledger(engine.statements, lambda session: None)
    add(engine, book)
    with engine.transaction() as session:
        known_series, other = Ticket(make(2), 2), Ticket(make(2, study="9.9"), 2)
        stored = session.one(engine.statements.FIND_INSTANCE, (make(1).sop_instance_uid,))
        for ticket, found in ((known_series, [None]), (other, [None])):
            elsewhere = Elsewhere(session, engine.statements, ticket.instance.sop_instance_uid, found)
            with pytest.raises(Collision):
                book.add(elsewhere, ticket)
        elsewhere = Elsewhere(session, engine.statements, known_series.instance.sop_instance_uid, [stored, None])
        assert book.add(elsewhere, known_series).sop_instance_uid == make(1).sop_instance_uid
        with pytest.raises(Collision):
            book.add_all(elsewhere, [known_series, known_series])


class Recorder:
    """A session that notes whose rows are added."""

    def __init__(self, session, add: str, told: list[str]) -> None:
        self._session = session
        self._add = add
        self._told = told
        self.one = session.one

    def run(self, sql: str, values=()) -> int:
        if sql == self._add:
            self._told.append(values[1])
        return self._session.run(sql, values)

    def run_each(self, sql: str, rows) -> list[int]:
        return [self.run(sql, row) for row in rows]


def test_where_others_write_all_change_rows_in_one_order(engine: SqliteMemory) -> None:
    """And before any row is changed, whoever makes a series has told the others."""
    told: list[str] = []
    book = Ledger(engine.statements, lambda session: told.append("order"))
    add(engine, book, study="1.2")
    add(engine, book, study="1.1")
    with engine.transaction() as session:
        recorder = Recorder(session, engine.statements.ADD_INSTANCE, told)
        told.clear()
        known = [Ticket(make(number, study=study), number) for number, study in ((2, "1.2"), (2, "1.1"), (3, "1.2"))]
        assert book.add_all(recorder, known) == [None] * 3
        assert told == ["1.1.1.2", "1.2.1.2", "1.2.1.3"]
        told.clear()
        again = Ticket(make(2, study="1.1", slot=99), 2)
        outcomes = book.add_all(recorder, [Ticket(make(4, study="1.2"), 4), Ticket(make(1, study="1.0"), 1), again])
        assert [outcome and outcome.slot for outcome in outcomes] == [None, None, 2]
        assert told[0] == "order" and [uid for uid in told if uid != "order"] == ["1.0.1.1", "1.1.1.2", "1.2.1.4"]

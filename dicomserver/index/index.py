"""The door of the room: one Index, whichever engine stands behind it."""
from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import closing
from itertools import islice
from typing import TypeVar

from dicomserver.index.arrivals import Arrivals
from dicomserver.index.engine import Engine, Session
from dicomserver.index.entry import Counts, Instance, Stored, StudyAge
from dicomserver.index.errors import Collision, IndexAway, OutcomeUnknown, SearchInterrupted
from dicomserver.index.integrity import Integrity
from dicomserver.index.ledger import Ledger, stored_of
from dicomserver.index.other_patients import OtherPatients
from dicomserver.index.search.query import Query
from dicomserver.index.search.selection import FIRST_ROWS, Selection, select
from dicomserver.index.searchable import instance_number_of
from dicomserver.index.tickets import Ticket, TicketQueue
from dicomserver.index.unsynced import Unsynced

PAGE_ROWS = 500
NEXT_ROWS = 128  # of a search, behind its FIRST_ROWS: few enough for rows of any length
BULK_ROWS = 1000
REMOVAL_ROWS = 500
ATTEMPTS = 5    # where other nodes are in the way

_Outcome = TypeVar("_Outcome")


class Index:
    """Every method may be called from any thread and raises IndexFault and nothing else of the database's.

    `is_fresh`: the archive may have files that are not in here (it is new, or its first filling was cut
    short). Whoever has filled it says so with mark_complete(). `nodes`: None where only one server uses it.
    `identity`: of this index and of no other one. `place`: where it is, without secrets.
    """

    def __init__(self, engine: Engine, place: str = "", *, keeps_nothing: bool = False):
        self._engine = engine
        self._sql = engine.statements
        self._ledger = Ledger(self._sql, engine.order)
        self._queue = TicketQueue(engine.lock, self._commit)
        self._unsynced = Unsynced(self._sql) if engine.may_forget else None
        if engine.may_forget:
            engine.replay = self._replay
        self.warnings = engine.warnings
        with engine.reading() as session:
            self.identity: str = session.one(self._sql.IDENTITY)[0]
        self.place = place
        self._keeps_nothing = keeps_nothing
        self.is_fresh = self.look_whether_fresh()
        self.nodes = engine.nodes
        self.integrity = Integrity(engine)
        self.arrivals = Arrivals(engine)
        self.other_patients = OtherPatients(engine)

    def look_whether_fresh(self) -> bool:
        """`is_fresh`, looked up anew: another node may have filled it."""
        with self._engine.reading() as session:
            self.is_fresh = self._keeps_nothing or not session.one(self._sql.IS_COMPLETE)[0]
        return self.is_fresh

    def add(self, instance: Instance, sync: Callable[[], None] | None = None) -> Stored | None:
        """None: it is in, and committed, but may be lost in a power cut until make_durable().
        Else what is stored under that SOP Instance UID already, and nothing was changed.

        sync: makes the instance durable, and comes before the commit; where nobody else writes just now the row is made
        first, for nobody to see, and whoever writes waits meanwhile. What it raises comes out, and no row is in then.

        Raises OutcomeUnknown too, see there."""
        ticket = Ticket(instance, instance_number_of(instance.instance))
        if sync is not None:
            if self._engine.may_linger and self._engine.lock.acquire(blocking=False):
                try:
                    return self._add_around(ticket, sync)
                finally:
                    self._engine.lock.release()
            sync()
        return self._queue.pass_through(ticket)

    def add_many(self, instances: Iterable[Instance],
                 on_known: Callable[[Instance, Stored], None] | None = None) -> int:
        """Adds whatever the iterable gives, BULK_ROWS to a transaction; how many were new. `on_known` hears
        of each one whose UID was there already. An error ends it; the transactions before it stay."""
        added = 0
        source = iter(instances)
        while batch := [Ticket(one, instance_number_of(one.instance)) for one in islice(source, BULK_ROWS)]:
            with self._engine.lock:
                self._commit_together(batch)
                if self._engine.may_forget:
                    self._sync()
            for ticket in batch:
                if ticket.stored is None:
                    added += 1
                elif on_known is not None:
                    on_known(ticket.instance, ticket.stored)
            self.checkpoint()
        return added

    def replace(self, slot: int, instance: Instance) -> Stored | None:
        """Puts an instance into the place of the one of its SOP Instance UID that came in `slot`; whoever looks
        sees one of the two. None, and durability, as of `add`; else what is stored there now, and nothing was
        changed."""
        ticket = Ticket(instance, instance_number_of(instance.instance))

        def replace(session: Session) -> Stored | None:
            session.run(self._sql.REMOVE_INSTANCE, (instance.sop_instance_uid, slot))
            # Its series, study and patient may have gone with it.
            self._ledger.forget()
            return self._ledger.add(session, ticket)
        with self._engine.lock:
            stored = self._restructure(replace)
            if self._unsynced is not None and stored is None:
                self._unsynced.note(ticket, replaced=slot)
            return stored

    def make_durable(self) -> None:
        """What was added and removed before this call survives a power cut. One sync; writers wait for it."""
        with self._engine.lock:
            self._engine.writer()   # on a new connection what is not synced comes back first
            self._sync()

    def mark_complete(self) -> None:
        """All files of the archive are in: the index is fresh no more, nor after the next start. Durable."""
        with self._engine.lock:
            session = self._engine.writer()
            session.run(self._sql.SET_COMPLETE)
            session.run(self._sql.COUNT_ARRIVALS)
            self._sync()
        self.is_fresh = self._keeps_nothing

    def find(self, sop_instance_uid: str) -> Stored | None:
        with self._engine.reading() as session:
            return self._ledger.find(session, sop_instance_uid)

    def select(self, study: str | None = None, series: str | None = None,
               instance: str | None = None) -> Iterator[Stored]:
        """All instances with the given UIDs, series by series in the order in which they came.

        Reads page by page: memory stays flat, nothing is held between pages, what changes meanwhile may
        or may not be seen."""
        if instance is not None:
            stored = self.find(instance)
            if stored is not None and study in (None, stored.study_instance_uid) \
                    and series in (None, stored.series_instance_uid):
                yield stored
        elif study is None and series is None:
            yield from self._pages(self._sql.PAGE_OF_ALL)
        else:
            for row in self._series_rows(study, series):
                yield from self._pages(self._sql.PAGE_OF_SERIES, row)

    def search(self, query: Query, keep_going: Callable[[], bool] = lambda: True) -> Iterator[list[tuple]]:
        """The rows (search.query) of all entities that meet a query, in pages, each entity once, in no order.

        The first page comes as soon as there is something for it. Which entities there are is settled when the second
        is asked for, while later pages are read one by one; what is removed meanwhile is left out. No session is held
        between pages, however slowly they are taken. Memory: eight bytes an entity, and a page. keep_going: asked
        often; after a False SearchInterrupted is raised.
        """
        selection = select(query, self._engine.dialect)
        with self._engine.searching() as session, session.watched(keep_going):
            found = session.rows(selection.first, selection.values)
        first = {row[-1] for row in found}
        yield from self._page(selection, [row[:-1] for row in found])
        if len(first) < FIRST_ROWS:
            return
        with self._engine.searching() as session, session.watched(keep_going):
            rest = self._ids_but(session, selection, first)
        for at in range(0, len(rest), NEXT_ROWS):
            if not keep_going():
                raise SearchInterrupted("nobody wants the rest")
            with self._engine.searching() as session, session.watched(keep_going):
                found = session.rows(selection.rows, (self._engine.dialect.rows_of(rest[at:at + NEXT_ROWS]),))
            yield from self._page(selection, found)

    def instance_ids(self, query: Query, keep_going: Callable[[], bool] = lambda: True) -> array:
        """The ids, for `instances`, of all instances that meet a query of level INSTANCE, in the order of arrival.

        Its conditions must be ones that columns answer, as those on UIDs and the patient's id are. keep_going: as in
        `search`.
        """
        selection = select(query, self._engine.dialect)
        if selection.meets is not None:
            raise ValueError("a condition that no column answers")
        with self._engine.searching() as session, session.watched(keep_going):
            return array("q", sorted(row for row, in session.stream(selection.ids, selection.values)))

    def has_several_issuers(self, patient_ids: Collection[str]) -> bool:
        """Whether one of these Patient IDs is used in studies of several issuers, so by several patients."""
        with self._engine.reading() as session:
            return bool(session.rows(self._sql.SEVERAL_ISSUERS, (self._engine.dialect.rows_of(patient_ids),)))

    def studies_of(self, patient_id: str) -> list[tuple[str, str]]:
        """The Study Instance UIDs of those whose own objects name this Patient ID, each with its issuer ("": none)."""
        with self._engine.reading() as session:
            return session.rows(self._sql.STUDIES_OF_PATIENT, (patient_id,))

    def ages(self) -> list[StudyAge]:
        """All studies, first the one that got its last instance first. Reads every instance's row."""
        with self._engine.searching() as session:
            return [StudyAge(*row) for row in session.rows(self._sql.AGES)]

    def instances(self, ids: Sequence[int]) -> list[Stored]:
        """What is stored under these ids, a few hundred at most, in their order; those removed since are left out."""
        with self._engine.reading() as session:
            return list(map(stored_of, session.rows(self._sql.FIND_INSTANCES, (self._engine.dialect.rows_of(ids),))))

    def uids_in_slots(self, slots: Collection[int], keep_going: Callable[[], bool] = lambda: True) -> dict[int, str]:
        """The SOP Instance UIDs of what came in these slots, by slot; reads every instance's row. keep_going: as in
        `search`."""
        with self._engine.searching() as session, session.watched(keep_going):
            return dict(session.rows(self._sql.UIDS_IN_SLOTS, (self._engine.dialect.rows_of(slots),)))

    def remove(self, sop_instance_uids: Sequence[str], slots: Sequence[int]) -> int:
        """Removes the rows whose UID and slot both match, and what stands empty above them; how many rows.
        Durable when it returns. After an error part of them may be gone; calling it again is harmless."""
        removed = 0
        pairs = iter(zip(sop_instance_uids, slots, strict=True))
        while batch := list(islice(pairs, REMOVAL_ROWS)):
            with self._engine.lock:
                removed += sum(self._restructure(
                    lambda session: session.run_each(self._sql.REMOVE_INSTANCE, batch)))
                if self._unsynced is not None:
                    self._unsynced.forget([slot for _, slot in batch])
                # Before anybody else has the lock: on a new connection the removal may be forgotten.
                self._sync()
        return removed

    def _restructure(self, work: Callable[[Session], _Outcome]) -> _Outcome:
        """Work that removes rows, in a transaction; nothing is remembered afterwards."""
        for left in reversed(range(ATTEMPTS)):
            try:
                with self._engine.transaction() as session:
                    if self._engine.order is not None:
                        self._engine.order(session)
                    return work(session)
            except Collision:
                if not left:
                    raise
            finally:
                self._ledger.forget()

    def counts(self) -> Counts:
        """Counts them: with millions of instances a second or so."""
        with self._engine.reading() as session:
            return Counts(*session.one(self._sql.COUNTS))

    def study_count(self) -> int:
        """The same of the studies alone, which takes a small part of that."""
        with self._engine.reading() as session:
            return session.one(self._sql.COUNT_STUDIES)[0]

    def checkpoint(self) -> None:
        """Keeps the write-ahead log bounded. Cheap when there is little to do; call it every second or so."""
        self._engine.checkpoint()

    def close(self) -> None:
        """All that is committed is durable then. Later calls, but another close, raise IndexUnavailable."""
        self._engine.close()

    @staticmethod
    def _ids_but(session: Session, selection: Selection, known: Set[int]) -> array[int]:
        with closing(session.stream(selection.ids, selection.values)) as found:
            return array("q", (row for row, in found if row not in known))

    @staticmethod
    def _page(selection: Selection, rows: list[tuple]) -> list[list[tuple]]:
        """Those of the rows that meet all of the query as a page, no page where there are none."""
        if selection.meets is not None:
            rows = list(filter(selection.meets, rows))
        return [rows] if rows else []

    def _series_rows(self, study: str | None, series: str | None) -> list[int]:
        if series is None:
            sql, values = self._sql.SERIES_OF_STUDY, (study,)
        elif study is None:
            sql, values = self._sql.SERIES_BY_UID, (series,)
        else:
            sql, values = self._sql.SERIES_BY_BOTH, (study, series)
        with self._engine.reading() as session:
            return sorted(row for row, in session.rows(sql, values))

    def _pages(self, sql: str, *within: int) -> Iterator[Stored]:
        last = 0
        while True:
            with self._engine.reading() as session:
                rows = session.rows(sql, (*within, last, PAGE_ROWS))
            yield from map(stored_of, rows)
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1][0]

    def _commit(self, tickets: list[Ticket]) -> None:
        """Settles each ticket. If they can't be committed together each is on its own: one's error is not
        another's, and comes up again where it belongs."""
        if len(tickets) > 1 and self._committed_together(tickets):
            return
        for ticket in tickets:
            self._commit_alone(ticket)

    def _committed_together(self, tickets: list[Ticket]) -> bool:
        try:
            self._commit_together(tickets)
        except (OutcomeUnknown, Collision):
            # Rows of known series commit together; what comes up when one is looked for leaves the others in.
            for ticket in tickets:
                ticket.doubtful = True
            return False
        except Exception:
            return False
        return True

    def _commit_together(self, tickets: list[Ticket]) -> None:
        try:
            session = self._engine.writer()     # first: on a new connection nothing is remembered
            if self._ledger.knows(tickets):
                outcomes = self._ledger.add_all(session, tickets)   # one statement each, and by itself a transaction
            else:
                with self._engine.transaction() as session:
                    outcomes = self._ledger.add_all(session, tickets)
        except BaseException:
            self._ledger.forget()
            raise
        for ticket, stored in zip(tickets, outcomes, strict=True):
            self._settle(ticket, stored)

    def _commit_alone(self, ticket: Ticket) -> None:
        try:
            try:
                self._attempt_again(ticket)
            except OutcomeUnknown:
                # On a new connection it shows what became of it.
                ticket.doubtful = True
                self._attempt_again(ticket)
        except IndexAway as error:
            if ticket.doubtful and self._unsynced is not None:
                self._unsynced.note(ticket)
                error = OutcomeUnknown("the database went away in the middle of a commit")
            ticket.settle(error=error)
        except Exception as error:
            ticket.settle(error=error)

    def _attempt_again(self, ticket: Ticket) -> None:
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._attempt(ticket)
            except Collision:
                self._ledger.forget()
                if not left:
                    raise

    def _attempt(self, ticket: Ticket) -> None:
        session = self._engine.writer()     # first: on a new connection nothing is remembered
        row = self._ledger.known_row(ticket)
        if row is None:
            self._commit_together([ticket])
        else:
            self._settle(ticket, self._ledger.add_known(session, row))

    def _add_around(self, ticket: Ticket, sync: Callable[[], None]) -> Stored | None:
        try:
            with self._engine.transaction() as session:
                stored = self._ledger.add(session, ticket)
                sync()
        except BaseException:
            self._ledger.forget()
            raise
        return stored

    def _settle(self, ticket: Ticket, stored: Stored | None) -> None:
        if stored is not None and ticket.doubtful and stored.slot == ticket.instance.slot:
            stored = None       # its own commit had taken place
        if stored is None and self._unsynced is not None:
            self._unsynced.note(ticket)
        ticket.settle(stored)

    def _sync(self) -> None:
        self._engine.sync()
        if self._unsynced is not None:
            self._unsynced.clear()

    def _replay(self, session: Session) -> None:
        self._ledger.forget()
        try:
            self._unsynced.replay(session, self._ledger)
        except BaseException:
            self._ledger.forget()
            raise

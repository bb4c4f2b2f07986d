"""What was added since the last sync, for the day on which a database forgets it while our process lives on."""
from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace

from dicomserver.index.engine import Session
from dicomserver.index.ledger import Ledger
from dicomserver.index.tickets import Ticket


class Unsynced:
    """Used under the engine's lock. Holds as many instances as wait in the intake, for the mover syncs before it files.
    """

    def __init__(self, statements: SimpleNamespace) -> None:
        self._sql = statements
        self._tickets: dict[int, Ticket] = {}       # by slot, in the order of arrival
        self._replaced: dict[int, int] = {}         # by the new slot, the one whose place it took

    def note(self, ticket: Ticket, replaced: int | None = None) -> None:
        """It is committed, or may be. replaced: the slot of the instance whose place it took."""
        slot = ticket.instance.slot
        self._tickets[slot] = ticket
        if replaced is not None:
            self.forget([replaced])
            self._replaced[slot] = replaced

    def forget(self, slots: Collection[int]) -> None:
        """They were removed."""
        for slot in slots:
            self._tickets.pop(slot, None)
            self._replaced.pop(slot, None)

    def clear(self) -> None:
        """All of it is on the disk."""
        self._tickets.clear()
        self._replaced.clear()

    def replay(self, session: Session, ledger: Ledger) -> None:
        """Adds what is missing, in an open transaction; what the database has kept stays as it is."""
        for slot, replaced in self._replaced.items():
            session.run(self._sql.REMOVE_INSTANCE, (self._tickets[slot].instance.sop_instance_uid, replaced))
        ledger.add_all(session, list(self._tickets.values()))

"""Everything that waits for a person's decision, by short ids: what `dicom-server conflicts` talks to."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from dicomserver.index import IndexFault
from dicomserver.server.commands import telling
from dicomserver.server.conflict import Conflict, Undecided
from dicomserver.server.control import Command, CommandFailed, Progress

_SHORTEST_ID = 4


class Source(Protocol):
    """Where conflicts come from, and who carries decisions out. Raises Undecided, IndexFault."""

    def conflicts(self) -> Iterator[Conflict]:
        """All of them."""

    def count(self) -> int:
        """How many wait for a decision."""

    def show(self, conflict: Conflict) -> dict:
        """What a person must know to decide; it may name patients."""

    def accept(self, conflict: Conflict) -> str:
        """-> what was done, in words."""

    def reject(self, conflict: Conflict) -> str:
        """-> what was done, in words."""


class Conflicts:
    """Of several sources; one decision at a time."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._lock = threading.Lock()

    def conflicts(self) -> Iterator[Conflict]:
        """All of them. Raises Undecided, IndexFault."""
        for source in self._sources:
            yield from source.conflicts()

    def figures(self) -> dict[str, object]:
        """For the statistics."""
        try:
            return {"conflictsWaiting": sum(source.count() for source in self._sources)}
        except (Undecided, IndexFault):
            return {"conflictsWaiting": None}

    def decide(self, what: str, wanted: str) -> tuple[Conflict, dict | str]:
        """show, accept or reject; wanted: an id or its beginning, the name of a file or a UID."""
        with self._lock:
            source, conflict = self._one(wanted)
            return conflict, getattr(source, what)(conflict)

    def _one(self, wanted: str) -> tuple[Source, Conflict]:
        found = [(source, conflict) for source in self._sources for conflict in source.conflicts()
                 if wanted in (conflict.id, conflict.name, conflict.sop_instance_uid)
                 or len(wanted) >= _SHORTEST_ID and conflict.id.startswith(wanted)]
        if not found and len(wanted) < _SHORTEST_ID:
            raise Undecided(f"there is no such conflict; the beginning of an id has at least {_SHORTEST_ID} characters")
        if not found:
            raise Undecided("there is no such conflict; `dicom-server conflicts list` shows all")
        if len(found) > 1:
            raise Undecided("several conflicts are meant by that; say which one by its id")
        return found[0]


def commands(conflicts: Conflicts) -> dict[str, Command]:
    """conflicts.list {} -> {"conflicts": n}, and each of them as progress: Conflict.as_json().

    conflicts.show {"id": text} -> {"conflict": {…}, "shown": {…}}: see the sources. It may name patients.
    conflicts.accept, conflicts.reject {"id": text} -> {"conflict": {…}, "done": text}.
    """

    def listed(args: dict, progress: Progress) -> dict:
        number = 0
        with telling(Undecided):
            for number, conflict in enumerate(conflicts.conflicts(), start=1):
                progress(conflict.as_json())
        return {"conflicts": number}

    def deciding(what: str, key: str) -> Command:
        def command(args: dict, progress: Progress) -> dict:
            wanted = args.get("id")
            if not isinstance(wanted, str) or not wanted:
                raise CommandFailed("which conflict?")
            with telling(Undecided):
                conflict, answer = conflicts.decide(what, wanted)
            return {"conflict": conflict.as_json(), key: answer}
        return command

    return {"conflicts.list": listed, "conflicts.show": deciding("show", "shown"),
            "conflicts.accept": deciding("accept", "done"), "conflicts.reject": deciding("reject", "done")}

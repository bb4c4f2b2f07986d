"""What one server does for all that share an archive: it reads the files anew, and deletes what has to go.

A server alone does so from its start to its end; of several nodes, whoever leads does as long as it leads.
"""
from __future__ import annotations

from collections.abc import Callable

from dicomserver.server.housekeeping import Housekeeper
from dicomserver.server.scrub import Scrub


class Duties:
    """Start and stop it as often as you like. scrub, housekeeper: make new ones, for one life each."""

    def __init__(self, scrub: Callable[[], Scrub], housekeeper: Callable[[], Housekeeper]) -> None:
        self._new_scrub = scrub
        self._new_housekeeper = housekeeper
        self._scrub = scrub()
        self._housekeeper: Housekeeper | None = None

    def start(self) -> None:
        """Raises IndexFault."""
        self._scrub = self._new_scrub()
        self._scrub.start()
        self._housekeeper = self._new_housekeeper()
        self._housekeeper.start()

    def stop(self) -> None:
        """Ends what is under way; safe twice."""
        housekeeper, self._housekeeper = self._housekeeper, None
        if housekeeper is not None:
            housekeeper.stop()
        self._scrub.stop()

    def figures(self) -> dict[str, object]:
        """For the statistics."""
        return self._scrub.figures()

    @property
    def alive(self) -> bool:
        """False: it was started, and has ended by itself."""
        housekeeper = self._housekeeper
        return housekeeper is None or housekeeper.alive

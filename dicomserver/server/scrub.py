"""The scrub: all stored files are read anew, slowly and again and again, so that damage is found while a copy exists.

A pass goes through the instances in the order of arrival, those longest unread first, and then through the folders for
files that no row knows. How far it has come is in the index, so it goes on after a restart.
"""
from __future__ import annotations

import datetime
import logging
import threading
import time

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, IndexFault
from dicomserver.index.integrity import Finding, ScrubPlace
from dicomserver.server.logs import failure_text
from dicomserver.server.rebuild import Describe
from dicomserver.server.settings import ScrubSettings
from dicomserver.server.strays import Strays, StraysReport
from dicomserver.services.inspection import Inspector

AT_ONCE = 50                    # instances, between two commits
SEARCH_COST = 1 << 20           # a disk finds a file in the time in which it reads so many bytes
NAME_COST = 1 << 10             # a name in a folder, and its row
RETRY_SECONDS = 60.0
_LOOK_SECONDS = 3600.0          # whether a pass is due, as the clock may have been set
_DAY = 86400


class _Stopping(Exception):
    """The server stops."""


class Scrub:
    """One thread, in nobody's way: it waits after each block that it has read."""

    def __init__(self, archive: Archive, index: Index, describe: Describe, settings: ScrubSettings,
                 log: logging.Logger) -> None:
        self._index = index
        self._settings = settings
        self._log = log
        self._inspector = Inspector(archive, index, log)
        self._strays = Strays(archive, index, describe, log)
        self._foreign: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub")

    def start(self) -> None:
        """Also says what is known to be damaged. Raises IndexFault."""
        if faults := self._index.integrity.count_faults():
            self._log.error("%d stored instances are known to be damaged or missing", faults)
        if self._settings.days:
            self._thread.start()

    def stop(self) -> None:
        """At once: in the middle of a file, which is read again after the next start."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def figures(self) -> dict[str, object]:
        """For the statistics; None where the index does not answer. foreignFiles: None before the first walk, too."""
        try:
            place, faults = self._index.integrity.place, self._index.integrity.count_faults()
        except IndexFault:
            return dict.fromkeys(("damaged", "scrub", "scrubBeganAt", "foreignFiles"))
        began = datetime.datetime.fromtimestamp(place.began_at // 1_000_000, datetime.UTC)
        return {
            "damaged": faults,
            "scrub": "off" if not self._settings.days else "waiting" if place.ended else "reading",
            "scrubBeganAt": began.isoformat() if place.began_at else None,
            "foreignFiles": self._foreign,
        }

    # The thread

    def _run(self) -> None:
        pause = self._settings.first_pause_seconds
        while not self._stopping.wait(pause):
            try:
                pause = min(self._seconds_until_due(), _LOOK_SECONDS)
                if pause <= 0:
                    self._pass()
            except _Stopping:
                return
            except Exception as error:
                # It must outlive whatever that was: nobody would notice that it has ended.
                self._log.error("the scrub was interrupted, and goes on in a minute: %s", failure_text(error))
                pause = RETRY_SECONDS

    def _seconds_until_due(self) -> float:
        place = self._index.integrity.place
        # A pass that seems to have begun in the future says that the clock was wrong.
        age = abs(time.time() - place.began_at / 1e6)
        return self._settings.days * _DAY - age if place.ended else 0.0

    def _pass(self) -> None:
        place = self._index.integrity.place
        if place.ended:
            place = self._index.integrity.place = ScrubPlace(time.time_ns() // 1000, 0, False)
        place = self._read_files(place)
        report = self._strays.settle(lambda octets: self._wait_for(octets + NAME_COST))
        self._index.integrity.place = place._replace(ended=True)
        self._foreign = report.foreign
        self._tell(place, report)

    def _read_files(self, place: ScrubPlace) -> ScrubPlace:
        """From a place on to the last instance; -> the place behind that."""
        while page := self._index.integrity.page(place.position, AT_ONCE):
            whole: list[Finding] = []
            try:
                for position, stored in page:
                    finding = self._inspector.inspect(stored, self._wait_for)
                    if finding is not None and not finding.fault:
                        whole.append(finding)
                    place = place._replace(position=position)
                    self._wait_for(SEARCH_COST)
            finally:
                self._index.integrity.record(whole)
                self._index.integrity.place = place
                self._index.checkpoint()
        return place

    def _wait_for(self, octets: int) -> None:
        if self._stopping.wait(octets / self._settings.octets_per_second):
            raise _Stopping

    def _tell(self, place: ScrubPlace, report: StraysReport) -> None:
        faults = self._index.integrity.count_faults()
        self._log.log(logging.ERROR if faults else logging.INFO,
                      "the scrub has read all stored files: %d instances are damaged or missing", faults)
        if report.indexed or report.quarantined or report.foreign:
            self._log.warning("files that no row of the index knew: %d were indexed, %d set aside, %d are not of this "
                              "server and left alone", report.indexed, report.quarantined, report.foreign)
        days = (time.time() - place.began_at / 1e6) / _DAY
        if days > self._settings.days:
            self._log.warning("the scrub took %.1f days, longer than scrubDays: a higher scrubMegabytesPerSecond "
                              "would help", days)

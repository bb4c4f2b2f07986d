"""`dicom-server import`: the DICOM files of a CD, a dump or another PACS's storage folder into the archive."""

from __future__ import annotations

import argparse
import csv
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed
from dicomserver.cli.configured import add_storage
from dicomserver.cli.control import translated
from dicomserver.cli.failures import told
from dicomserver.cli.figures import counted, rate, size
from dicomserver.cli.progress import Progress
from dicomserver.cli.running_or_stopped import running_or_stopped
from dicomserver.config.problems import printable
from dicomserver.server.import_targets import RunningTarget, StoppedTarget
from dicomserver.server.importing import How, ImportStopped, Item, Result, count_files, import_folders

_MOST_SAID = 20     # refusals that are printed where a report has them all


@dataclass(slots=True)
class _Figures:
    """copied: of those imported, how many had their bytes written once more. stays: could not be removed."""

    results: Counter[Result] = field(default_factory=Counter)
    octets: int = 0
    copied: int = 0
    stays: int = 0

    def add(self, item: Item) -> None:
        self.results[item.result] += 1
        self.octets += item.octets
        self.copied += item.is_copied
        self.stays += bool(item.why) and item.result in (Result.IMPORTED, Result.KNOWN)


def parser() -> argparse.ArgumentParser:
    """The options of `import`."""
    made = arguments.parser(
        "import",
        "Take over all DICOM files below a folder, whatever their names: a CD, a dump, the storage folder of Orthanc,\n"
        "dcmqrscp, dcm4chee or another PACS that does not run. The server on this machine may run meanwhile (or not).\n"
        "Each file is judged like an image that is sent; an import that was cut short is gone on with by the same\n"
        "command. Exit code 0: all is in; 2: a part was refused; 1: it failed, or was stopped.",
        "dicom-server import /media/cdrom --report refused.csv")
    made.add_argument("folders", nargs="+", metavar="FOLDER", help="a folder with all below it, or a file")
    how = made.add_mutually_exclusive_group()
    how.add_argument("--link", dest="how", action="store_const", const=How.LINK, default=How.COPY,
                     help="do not write the bytes once more where they are on the server's disk and its user's: the "
                          "file gets a second name (hard link) in the archive, and 128 bytes in front of its \"DICM\", "
                          "which DICOM leaves to the implementation, become the archive's; nobody may change the file "
                          "later")
    how.add_argument("--move", dest="how", action="store_const", const=How.MOVE,
                     help="remove each file from its place as soon as it is stored; what is refused stays")
    made.add_argument("--quick", action="store_true",
                      help="do not read files whose SOP Instance UID, transfer syntax and length are those of a stored "
                           "image, but take them for the same: to go on quickly with a large import; not with --move")
    made.add_argument("--report", metavar="FILE",
                      help="write a CSV file: each file that was not imported, and why")
    arguments.add_control(made)
    add_storage(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Imports; the exit code. Raises ConfigurationError, Failed, KeyboardInterrupt."""
    for folder in options.folders:
        if not os.path.lexists(folder):
            raise Failed(f"there is no {folder}")
    begun, figures, stopped = time.monotonic(), _Figures(), ""
    try:
        with told(), translated(), running_or_stopped(options, RunningTarget, StoppedTarget) as target, \
                _report(options.report) as report, Progress("import", "files") as progress, \
                _Counting(options.folders, progress):
            teller = _Teller(figures, report, progress, say_all=options.report is None)
            import_folders(target, options.folders, options.how, teller.tell, is_quick=options.quick)
    except ImportStopped as error:
        stopped = str(error)
    finally:
        if figures.results:
            print(_in_words(figures, options.how, time.monotonic() - begun))
    if stopped:
        raise Failed(f"{stopped}. What is imported is stored; begin again to go on")
    if not set(figures.results) - {Result.SKIPPED}:
        raise Failed("there is no DICOM image")
    return _exit_code(figures)


class _Teller:
    """Counts, reports and says what became of each file."""

    def __init__(self, figures: _Figures, report: Callable[[Item], None], progress: Progress, *,
                 say_all: bool) -> None:
        self._figures = figures
        self._report = report
        self._progress = progress
        self._say_all = say_all

    def tell(self, item: Item) -> None:
        """One file is settled."""
        self._figures.add(item)
        self._progress.done()
        if item.why:
            self._report(item)
        if item.why and item.result is not Result.SKIPPED:
            self._say(item)

    def _say(self, item: Item) -> None:
        said = self._figures.results[Result.REFUSED] + self._figures.stays
        if self._say_all or said <= _MOST_SAID:
            self._progress.say(f"dicom-server: {printable(item.path)}: {item.why}")
        elif said == _MOST_SAID + 1:
            self._progress.say("dicom-server: more are in the report")


class _Counting:
    """Counts the files beside the import, so that the progress bar knows how far it is."""

    def __init__(self, folders: list[str], progress: Progress) -> None:
        self._folders = folders
        self._progress = progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, name="counting")

    def _count(self) -> None:
        total = count_files(self._folders, lambda: not self._over.is_set())
        if total is not None:
            self._progress.expect(total)

    def __enter__(self) -> _Counting:
        if self._progress.is_shown:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()


@contextmanager
def _report(path: str | None) -> Iterator[Callable[[Item], None]]:
    """Writes a line about a file. Readable for its owner alone: paths may name patients. Raises OSError."""
    if path is None:
        yield lambda item: None
        return
    # Paths are bytes to the system: what is no UTF-8 comes back as it was.
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="",
              opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        written = csv.writer(file)
        written.writerow(("file", "result", "reason"))
        yield lambda item: written.writerow((item.path, item.result, item.why))


def _in_words(figures: _Figures, how: How, seconds: float) -> str:
    results = figures.results
    imported = results[Result.IMPORTED]
    parts = [f"Imported {counted(imported, 'image')}, {size(figures.octets)}, in {seconds:.1f} s "
             f"({rate(figures.octets, seconds)})"]
    if how is not How.COPY and figures.copied:
        parts.append(f"{figures.copied} of them copied, as they could not be linked")
    parts += [f"{results[result]} {result}" for result in (Result.KNOWN, Result.REFUSED) if results[result]]
    if results[Result.SKIPPED]:
        parts.append(f"{counted(results[Result.SKIPPED], 'file')} skipped that hold no DICOM image")
    if figures.stays:
        parts.append(f"{figures.stays} stored, but still in their place")
    return ", ".join(parts)


def _exit_code(figures: _Figures) -> int:
    if not figures.results[Result.REFUSED] and not figures.stays:
        return arguments.EXIT_SUCCESS
    is_some = figures.results[Result.IMPORTED] or figures.results[Result.KNOWN]
    return arguments.EXIT_PARTIAL if is_some else arguments.EXIT_FAILED

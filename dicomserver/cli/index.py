"""`dicom-server index rebuild`: a new index from the stored files alone."""

from __future__ import annotations

import argparse
import os
import sys
from types import TracebackType

from tqdm import tqdm

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed
from dicomserver.cli.configured import add_storage, configuration
from dicomserver.cli.failures import told
from dicomserver.cli.settings import server_settings
from dicomserver.config.values import IN_MEMORY
from dicomserver.server import logs
from dicomserver.server.rebuild import FillReport, rebuild
from dicomserver.server.rooms import RealRooms


def parser() -> argparse.ArgumentParser:
    """The options of `index` and its one command, `rebuild`."""
    made = arguments.parser("index", "Work on the index of a server that does not run.",
                            "dicom-server index rebuild --data-dir /var/lib/dicom-server")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_parser_of)
    rebuild_options = commands.add_parser("rebuild", help="make a new index from the stored files alone")
    add_storage(rebuild_options)
    return made


def run(options: argparse.Namespace) -> int:
    """Rebuilds; 0, or 1 if a file is damaged. Raises ConfigurationError, Failed."""
    settings = server_settings(configuration(options))
    if settings.database_url == IN_MEMORY:
        raise Failed("an index in memory is rebuilt at each start: there is nothing to do")
    if not os.path.isdir(settings.data_directory):
        raise Failed(f"there is no data directory {settings.data_directory}")
    if os.geteuid() == 0 != os.stat(settings.data_directory).st_uid:
        # An index that root has made the server could not open.
        raise Failed(f"{settings.data_directory} belongs to another user: run this as that user")
    rooms = RealRooms()
    with told():
        log = logs.set_up(settings.log)
        archive = rooms.open_archive(settings)
        try:
            with _Bar() as bar:
                report = rebuild(archive, settings.database_url, rooms.describe, bar.show, log)
        finally:
            archive.close()
    print(_in_words(report))
    return arguments.EXIT_FAILED if report.damaged else arguments.EXIT_SUCCESS


class _Bar:
    """The progress of the rebuild on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._bar = tqdm(desc="index", unit=" files", disable=not sys.stderr.isatty())

    def show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._bar.close()


def _parser_of(**settings: object) -> argparse.ArgumentParser:
    return arguments.parser("index rebuild", "Make a new index from the stored files alone. The server must not run.",
                            "dicom-server index rebuild --data-dir /var/lib/dicom-server")


def _in_words(report: FillReport) -> str:
    parts = [f"Index rebuilt: {report.indexed} instances"]
    parts += [f"{report.damaged} damaged files left out"] if report.damaged else []
    parts += [f"{report.foreign} files that are not ours"] if report.foreign else []
    parts += [f"{report.known} files with a SOP Instance UID that another file has"] if report.known else []
    return ", ".join(parts)

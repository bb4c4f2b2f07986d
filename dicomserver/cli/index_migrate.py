"""`dicom-server index migrate`: the index to another place or engine."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed
from dicomserver.cli.concealment import conceal_arguments
from dicomserver.cli.configured import add_storage, configuration, require_own
from dicomserver.cli.failures import told
from dicomserver.cli.figures import counted
from dicomserver.cli.progress import Progress
from dicomserver.cli.settings import settings_alone
from dicomserver.config.values import IN_MEMORY
from dicomserver.index import Counts, without_password
from dicomserver.server.migration import Migration
from dicomserver.server.rooms import RealRooms


ABOUT = (
    "Move the index to another place or engine, with all that it knows. The server may run while most of it is\n"
    "copied, and is stopped for the rest. Every row is compared in the end. Cut short, it goes on when it is run\n"
    "again; until it has ended the server keeps the index that it has.",
    "dicom-server index migrate --to postgres://pacs@localhost/pacsdb --data-dir /var/lib/dicom-server")


def add_options(made: argparse.ArgumentParser) -> None:
    """Those of `index migrate`."""
    made.add_argument("--to", metavar="URL", required=True,
                      help="sqlite:///absolute/path or postgres://user@host/database (a password: better in ~/.pgpass)")
    made.add_argument("--replace", action="store_true", help="lose the other index that is there already")
    add_storage(made)


def migrate(options: argparse.Namespace) -> int:
    """Moves; the exit code. Raises ConfigurationError, Failed."""
    conceal_arguments()
    settings = settings_alone(configuration(options))
    if IN_MEMORY in (options.to, settings.database_url):
        raise Failed("an index in memory is made anew at each start: there is nothing to move")
    if options.to == settings.index_url():
        raise Failed("that is the index which the server has: name another one with --to, or the old one with "
                     "--database-url")
    require_own(settings.data_directory)
    with told(), _Bars() as bars:
        counts = Migration(settings, RealRooms(), options.to, replace=options.replace, progress=bars.show).run(_waiting)
    print(_in_words(counts))
    print("No server starts on the old one any more. Before you start yours, set databaseURL (or --database-url) to:\n"
          f"    {without_password(options.to)}")
    if without_password(options.to) != options.to:
        print("with the password, which is not shown here.")
    return arguments.EXIT_SUCCESS


def _waiting() -> None:
    print("What can be copied while the server runs is copied. Stop the server now; the rest follows when it is gone.",
          file=sys.stderr, flush=True)


class _Bars:
    """A bar for each thing that is done, on a terminal."""

    def __init__(self) -> None:
        self._what = ""
        self._opened = ExitStack()

    def show(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self._opened.close()
            self._what, self._bar = what, self._opened.enter_context(Progress(what, "rows"))
        self._bar.reached(done, total)

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()


def _in_words(counts: Counts) -> str:
    studies = f"{counts.studies} {'study' if counts.studies == 1 else 'studies'}"
    return (f"The index has moved: {counted(counts.patients, 'patient')}, {studies}, {counts.series} series, "
            f"{counted(counts.instances, 'instance')}. Every row was compared with the old one.")

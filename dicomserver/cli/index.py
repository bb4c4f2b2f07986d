"""`dicom-server index rebuild`: a new index from the stored files alone; and the door to `index migrate`."""

from __future__ import annotations

import argparse
import sys
from types import TracebackType

from tqdm import tqdm

from dicomserver.cli import arguments, index_migrate
from dicomserver.cli.arguments import Failed
from dicomserver.cli.configured import add_storage, configuration, require_own
from dicomserver.cli.failures import told
from dicomserver.cli.settings import settings_alone
from dicomserver.config.values import IN_MEMORY
from dicomserver.server import logs
from dicomserver.server.rebuild import FillReport, rebuild
from dicomserver.server.rooms import RealRooms

REBUILD = ("Make a new index from the stored files alone. The server must not run.",
           "dicom-server index rebuild --data-dir /var/lib/dicom-server")


def parser() -> argparse.ArgumentParser:
    """The options of `index` and its commands."""
    made = arguments.parser("index", "Make the index anew, or move it.", REBUILD[1])
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_parser_of)
    summary, example = REBUILD
    rebuild_options = commands.add_parser("rebuild", help="make a new index from the stored files alone",
                                          description=summary, epilog=example)
    rebuild_options.set_defaults(work=_rebuild)
    add_storage(rebuild_options)
    summary, example = index_migrate.ABOUT
    migrate_options = commands.add_parser("migrate", help="move the index to another place or engine",
                                          description=summary, epilog=example)
    migrate_options.set_defaults(work=index_migrate.migrate)
    index_migrate.add_options(migrate_options)
    return made


def run(options: argparse.Namespace) -> int:
    """Does it; the exit code: of a rebuild, 1 if a file is damaged. Raises ConfigurationError, Failed."""
    return options.work(options)


def _rebuild(options: argparse.Namespace) -> int:
    settings = settings_alone(configuration(options))
    if settings.database_url == IN_MEMORY:
        raise Failed("an index in memory is rebuilt at each start: there is nothing to do")
    require_own(settings.data_directory)
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


def _parser_of(*, prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    return arguments.parser(prog.removeprefix("dicom-server "), description, epilog)


def _in_words(report: FillReport) -> str:
    parts = [f"Index rebuilt: {report.indexed} instances"]
    parts += [f"{report.damaged} damaged files left out"] if report.damaged else []
    parts += [f"{report.foreign} files that are not ours"] if report.foreign else []
    parts += [f"{report.known} files with a SOP Instance UID that another file has"] if report.known else []
    return ", ".join(parts)

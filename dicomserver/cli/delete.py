"""`dicom-server delete`: a study, a series or an instance goes for ever."""

from __future__ import annotations

import argparse
import sys

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.control import translated
from dicomserver.server import control_client
from dicomserver.standard.uids import is_valid_uid

COUNT_SECONDS = 60


def parser() -> argparse.ArgumentParser:
    """The options of `delete`."""
    made = arguments.parser(
        "delete",
        "Delete a study, a series or an instance from the server on this machine. What is deleted cannot be\n"
        "brought back; how much it is is shown first, and asked about unless --yes is given.",
        "dicom-server delete --study 1.2.3.4.5 --yes")
    uid = arguments.checked(_uid)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--study", type=uid, metavar="UID", help="the Study Instance UID")
    what.add_argument("--series", type=uid, metavar="UID", help="the Series Instance UID")
    what.add_argument("--instance", type=uid, metavar="UID", help="the SOP Instance UID")
    made.add_argument("--yes", "-y", action="store_true", help="do not ask")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Shows how much it is, asks, deletes; the exit code. Raises Usage, Failed."""
    level = next(level for level in ("study", "series", "instance") if getattr(options, level))
    selected = {level: getattr(options, level)}
    if not options.yes and not sys.stdin.isatty():
        raise Usage("delete asks before it deletes, and there is nobody to ask: give --yes")
    with translated():
        counts = control_client.call(options.port, "count", selected, timeout=COUNT_SECONDS,
                                     folder=options.control_dir)
        if not counts["instances"]:
            raise Failed(f"this server has no such {level}")
        if not options.yes and not _agreed(_in_words(counts)):
            raise Failed("nothing was deleted")
        done = control_client.call(options.port, "delete", selected, folder=options.control_dir)
    print(f"Deleted: {_plural(done['instances'], 'instance')}")
    return arguments.EXIT_SUCCESS


def _uid(text: str) -> str:
    if not is_valid_uid(text):
        raise ValueError("a UID: digits and single dots, at most 64 characters")
    return text


def _agreed(what: str) -> bool:
    print(f"This deletes {what} for ever. Delete? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _in_words(counts: dict) -> str:
    return ", ".join((_plural(counts["studies"], "study", "studies"),
                      _plural(counts["series"], "series", "series"),
                      _plural(counts["instances"], "instance")))


def _plural(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"

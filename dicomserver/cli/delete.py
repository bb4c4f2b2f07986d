"""`dicom-server delete`: a study, a series or an instance goes for ever."""

from __future__ import annotations

import argparse
import sys

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.control import translated
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `delete`."""
    made = arguments.parser(
        "delete",
        "Delete a study, a series or an instance from the server on this machine, for ever.\n"
        "Asks first, unless --yes is given; says how many instances are gone.",
        "dicom-server delete --study 1.2.3.4.5 --yes")
    uids.add_levels(made, required=True)
    made.add_argument("--yes", "-y", action="store_true", help="do not ask")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Asks and deletes; the exit code. Raises Usage, Failed."""
    ((level, uid),) = uids.level_of(options).items()
    if not options.yes and not _agreed(level, uid):
        raise Failed("nothing was deleted")
    with translated():
        done = control_client.call(options.port, "delete", {level: uid}, folder=options.control_dir)["deleted"]
    if not done:
        raise Failed(f"this server has no such {level}")
    print(f"Deleted {done} instance{'s' if done != 1 else ''}")
    return arguments.EXIT_SUCCESS


def _agreed(level: str, uid: str) -> bool:
    if not sys.stdin.isatty():
        raise Usage("delete asks before it deletes, and there is nobody to ask: give --yes")
    print(f"Delete the {level} {uid} for ever? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

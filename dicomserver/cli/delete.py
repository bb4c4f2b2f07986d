"""`dicom-server delete`: a study, a series or an instance goes, into the trash or for ever."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.control import translated
from dicomserver.cli.figures import counted, size
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `delete`."""
    made = arguments.parser(
        "delete",
        "Delete a study, a series or an instance from the server on this machine. It goes to the trash, from which\n"
        "dicom-server undelete brings it back for trashDays days.\n"
        "Says how many instances that is and asks, unless --yes is given.",
        "dicom-server delete --study 1.2.3.4.5 --yes")
    uids.add_levels(made, required=True)
    made.add_argument("--now", action="store_true",
                      help="for ever: not to the trash, and what of it lies there goes as well")
    made.add_argument("--yes", "-y", action="store_true", help="do not ask")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Asks and deletes; the exit code. Raises Usage, Failed."""
    asked = uids.level_of(options)
    ((level, uid),) = asked.items()

    def call(command: str, **more: bool) -> dict:
        with translated():
            return control_client.call(options.port, command, {**asked, **more}, folder=options.control_dir)

    if not options.yes:
        _ask(level, uid, options.now, call)
    done = (call("delete", now=True) if options.now else call("delete"))["deleted"]
    if not done:
        raise Failed(f"this server has no such {level}")
    print(f"Deleted {counted(done, 'instance')}")
    return arguments.EXIT_SUCCESS


def _ask(level: str, uid: str, now: bool, call: Callable[[str], dict]) -> None:
    """Returns if the user agrees. Raises Usage, Failed."""
    if not sys.stdin.isatty():
        raise Usage("delete asks before it deletes, and there is nobody to ask: give --yes")
    found = call("count")
    # With --now there may be something in the trash.
    if not found["instances"] and not now:
        raise Failed(f"this server has no such {level}")
    much = f"{counted(found['instances'], 'instance')}, {size(found['bytes'])}"
    if now:
        much += ", and what of it is in the trash"
    days = found["trashSeconds"] / 86400
    until = "for ever" if now or not days else f"into the trash, for {days:g} days"
    print(f"Delete the {level} {uid} ({much}) {until}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("nothing was deleted")

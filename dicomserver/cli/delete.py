"""`dicom-server delete`: a patient, a study, a series or an instance goes, into the trash or for ever."""

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
        "Delete a patient, a study, a series or an instance from the server on this machine. It goes to the trash,\n"
        "from which dicom-server undelete brings it back for trashDays days.\n"
        "Says how many images that is and asks, unless --yes is given.",
        "dicom-server delete --study 1.2.3.4.5 --yes")
    which = uids.add_levels(made, required=True)
    which.add_argument("--patient", type=arguments.checked(_patient_id), metavar="ID",
                       help="the Patient ID: all studies whose images have it")
    made.add_argument("--issuer", metavar="TEXT",
                      help='the Issuer of Patient ID ("": none), where several have given out that ID')
    made.add_argument("--now", action="store_true",
                      help="for ever: not to the trash, and what of it lies there goes as well")
    made.add_argument("--yes", "-y", action="store_true", help="do not ask")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Asks and deletes; the exit code. Raises Usage, Failed."""
    asked = uids.level_of(options) or {"patient": options.patient}
    ((level, uid),) = asked.items()
    if options.issuer is not None:
        if level != "patient":
            raise Usage("an issuer goes with a patient")
        asked["issuer"] = options.issuer

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
    much = f"{_studies(found['studies'])}, " if level == "patient" else ""
    much += f"{counted(found['instances'], 'instance')}, {size(found['bytes'])}"
    if now:
        much += ", and what of it is in the trash"
    days = found["trashSeconds"] / 86400
    until = "for ever" if now or not days else f"into the trash, for {days:g} days"
    print(f"Delete the {level} {uid} ({much}) {until}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("nothing was deleted")


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"


def _patient_id(text: str) -> str:
    if not text.strip():
        raise ValueError("a Patient ID")
    return text

"""`dicom-server verify`: are all stored files whole?"""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed
from dicomserver.cli.control import translated
from dicomserver.cli.figures import counted, size
from dicomserver.cli.progress import Progress
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `verify`."""
    made = arguments.parser(
        "verify",
        "Read all stored files anew from the disk, or those of a study, a series or an instance, and compare\n"
        "them with their checksums. One line for each that is damaged or missing; exit code 1 if there is one.",
        "dicom-server verify --study 1.2.3.4.5")
    what = uids.add_levels(made, required=False)
    what.add_argument("--known", action="store_true",
                      help="read nothing: only name those that were found damaged or missing before")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Verifies; the exit code. Raises Failed."""
    if options.known:
        return _tell_known(options)
    asked = uids.level_of(options)
    damaged: list[tuple[str, str]] = []
    with translated(), Progress("verify", "files") as progress:
        done = 0

        def report(said: dict) -> None:
            nonlocal done
            if "why" in said:
                damaged.append((said["damagedInstance"], said["why"]))
                return
            progress.expect(said["total"])
            progress.done(said["verified"] - done)
            done = said["verified"]
        result = control_client.call(options.port, "verify", asked, on_progress=report, folder=options.control_dir)
    for uid, why in damaged:
        print(f"{uid}: {why}")
    if asked and not result["verified"]:
        raise Failed(f"this server has no such {next(iter(asked))}")
    bad = result["damaged"]
    print(f"Verified {counted(result['verified'], 'instance')}, {size(result['bytes'])}: "
          + (f"{bad} damaged or missing" if bad else "all whole"))
    return arguments.EXIT_FAILED if bad else arguments.EXIT_SUCCESS


def _tell_known(options: argparse.Namespace) -> int:
    with translated():
        damaged = control_client.call(options.port, "damaged", folder=options.control_dir)["damaged"]
    for uid, why in damaged:
        print(f"{uid}: {why}")
    if not damaged:
        print("No instance is known to be damaged or missing")
    return arguments.EXIT_FAILED if damaged else arguments.EXIT_SUCCESS

"""`dicom-server undelete`: what lies in the trash comes back."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed
from dicomserver.cli.control import translated
from dicomserver.cli.figures import counted
from dicomserver.cli.progress import Progress
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `undelete`."""
    made = arguments.parser(
        "undelete",
        "Bring back from the trash a study, a series or an instance, or all that one deletion took.\n"
        "An instance that was stored anew meanwhile, with other content, stays in the trash: one line for each,\n"
        "and exit code 1.",
        "dicom-server undelete --study 1.2.3.4.5")
    which = uids.add_levels(made, required=True)
    which.add_argument("--deletion", metavar="ID", help="a deletion that dicom-server trash lists")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Brings back; the exit code. Raises Failed."""
    asked = uids.level_of(options) or {"deletion": options.deletion}
    stays: list[str] = []
    with translated(), Progress("undelete", "instances") as progress:
        done = 0

        def report(said: dict) -> None:
            nonlocal done
            if "why" in said:
                stays.append(f"{said['staysInTrash']} stays in the trash: {said['why']}")
                return
            progress.expect(said["total"])
            progress.done(said["restored"] + said["stays"] - done)
            done = said["restored"] + said["stays"]
        result = control_client.call(options.port, "undelete", asked, on_progress=report, folder=options.control_dir)
    for line in stays:
        print(line)
    if not result["total"]:
        raise Failed(f"the trash has no such {next(iter(asked))}")
    print(f"Brought back {counted(result['restored'], 'instance')}")
    return arguments.EXIT_FAILED if stays else arguments.EXIT_SUCCESS

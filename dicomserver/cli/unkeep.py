"""`dicom-server unkeep`: a study that the retention rule may delete again."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed
from dicomserver.cli.control import translated
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `unkeep`."""
    made = arguments.parser("unkeep", "Take back dicom-server keep: the retention rule may delete the study again.",
                            "dicom-server unkeep --study 1.2.3.4.5")
    made.add_argument("--study", type=arguments.checked(uids.uid), metavar="UID", required=True,
                      help="the Study Instance UID")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Takes it back; the exit code. Raises Failed."""
    with translated():
        done = control_client.call(options.port, "unkeep", {"study": options.study}, folder=options.control_dir)
    if not done["changed"]:
        raise Failed("the study was not kept")
    print("The study is no longer kept")
    return arguments.EXIT_SUCCESS

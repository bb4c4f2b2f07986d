"""`dicom-server keep`: a study that no retention rule may delete; or the list of these."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments, uids
from dicomserver.cli.control import translated
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `keep`."""
    made = arguments.parser(
        "keep",
        "Keep a study: no retention rule deletes it, however old it is. Without --study: list those that are kept.\n"
        "dicom-server delete deletes it all the same.",
        "dicom-server keep --study 1.2.3.4.5")
    made.add_argument("--study", type=arguments.checked(uids.uid), metavar="UID", help="the Study Instance UID")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Keeps or lists; the exit code. Raises Failed."""
    with translated():
        if options.study is None:
            control_client.call(options.port, "kept", on_progress=lambda one: print(one["study"]),
                                folder=options.control_dir)
            return arguments.EXIT_SUCCESS
        done = control_client.call(options.port, "keep", {"study": options.study}, folder=options.control_dir)
    print("The study is kept" if done["changed"] else "The study is kept already")
    return arguments.EXIT_SUCCESS

"""`dicom-server trash`: what was deleted and can be brought back."""

from __future__ import annotations

import argparse
import json

from dicomserver.cli import arguments
from dicomserver.cli.control import translated
from dicomserver.cli.figures import moment, size
from dicomserver.server import control_client

_COLUMNS = "{:<10} {:<16} {:<16} {:>7} {:>9} {:>10}  {}"


def parser() -> argparse.ArgumentParser:
    """The options of `trash`."""
    made = arguments.parser(
        "trash",
        "List the deletions that can be taken back, the newest first, and until when.\n"
        "dicom-server undelete brings images back; after that time they are removed for good.",
        "dicom-server trash")
    made.add_argument("--json", action="store_true", help="an array of objects; times in seconds since the epoch")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Prints the list; the exit code. Raises Failed."""
    found: list[dict] = []
    with translated():
        control_client.call(options.port, "trash", on_progress=found.append, folder=options.control_dir)
    if options.json:
        print(json.dumps(found, indent=2))
        return arguments.EXIT_SUCCESS
    print(_COLUMNS.format("Deletion", "Deleted", "Until", "Studies", "Instances", "Size", "Asked for"))
    for one in found:
        print(_COLUMNS.format(one["deletion"], moment(one["deletedAt"]), moment(one["until"]), one["studies"],
                              one["instances"], size(one["bytes"]), one["asked"]))
    print(f"Total: {len(found)} deletion(s), {size(sum(one['bytes'] for one in found))}")
    return arguments.EXIT_SUCCESS

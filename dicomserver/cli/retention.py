"""`dicom-server retention`: what the retention rule would delete now; nothing is deleted."""

from __future__ import annotations

import argparse
import json

from dicomserver.cli import arguments
from dicomserver.cli.control import translated
from dicomserver.cli.figures import moment, size
from dicomserver.server import control_client

_COLUMNS = "{:<16} {:>9} {:>10} {:<5} {}"


def parser() -> argparse.ArgumentParser:
    """The options of `retention`."""
    made = arguments.parser(
        "retention",
        "Show which studies the server would delete now by retentionDays and retentionFreePercent, the oldest\n"
        "first. This command deletes nothing.",
        "dicom-server retention")
    made.add_argument("--json", action="store_true", help="one object; times in seconds since the epoch")
    arguments.add_control(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Prints them; the exit code. Raises Failed."""
    found: list[dict] = []
    with translated():
        rule = control_client.call(options.port, "retention", on_progress=found.append, folder=options.control_dir)
    totals = {"studies": len(found), "instances": sum(one["instances"] for one in found),
              "bytes": sum(one["bytes"] for one in found)}
    if options.json:
        print(json.dumps({"rule": rule, "wouldDelete": found, "total": totals}, indent=2))
        return arguments.EXIT_SUCCESS
    print(_in_words(rule))
    if found:
        print(_COLUMNS.format("Last image", "Instances", "Size", "Why", "Study"))
    for one in found:
        print(_COLUMNS.format(moment(one["lastImage"]), one["instances"], size(one["bytes"]), one["why"], one["study"]))
    print(f"Total: {totals['studies']} study(ies), {totals['instances']} instance(s), {size(totals['bytes'])}")
    return arguments.EXIT_SUCCESS


def _in_words(rule: dict) -> str:
    parts = [f"older than {rule['days']} days"] if rule["days"] else []
    parts += [f"as many as keep {rule['freePercent']} % of the disk free"] if rule["freePercent"] else []
    if not parts:
        return "The retention rule is off: no study is deleted by it"
    return f"Studies {', or '.join(parts)}; none younger than {rule['minimumDays']} days"

"""`dicom-server stats`: what the running server has done."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomserver.cli import arguments
from dicomserver.cli.control import translated
from dicomserver.cli.figures import counted, duration, size
from dicomserver.server import control_client

ANSWER_SECONDS = 30


def parser() -> argparse.ArgumentParser:
    """The options of `stats`."""
    made = arguments.parser("stats", "Show what the server on this machine has done since it started.",
                            "dicom-server stats --port 11112")
    arguments.add_control(made)
    made.add_argument("--json", action="store_true", help="one JSON object, as the server has it")
    return made


def run(options: argparse.Namespace) -> int:
    """Prints the figures; the exit code. Raises Failed."""
    figures = fetch(options.port, options.control_dir)
    print(json.dumps(figures, indent=2) if options.json else "\n".join(table(figures)))
    return arguments.EXIT_SUCCESS


def fetch(port: int, folder: Path | None = None) -> dict[str, Any]:
    """The figures of the server on `port` of this machine. Raises Failed."""
    with translated():
        return control_client.call(port, "stats", timeout=ANSWER_SECONDS, folder=folder)


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures in lines for a person; what this version has no name for comes under its own."""
    services = figures.get("services", {})
    rows = [(name, figure) for name, figure in figures.items() if name != "services"]
    rows.sort(key=lambda row: list(_LABELS).index(row[0]) if row[0] in _LABELS else len(_LABELS))
    for name, figure in rows:
        label, written = _LABELS.get(name, (name, str))
        yield f"{label:<24}{written(figure) if figure is not None else 'unknown'}"
    for name, count in services.items():
        yield f"{name:<24}{count['requests']} requests, {count['failures']} failed"


_LABELS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "uptimeSeconds": ("Up for", duration),
    "node": ("Node", str),
    "leader": ("Node that leads", str),
    "connectionsTotal": ("Connections", str),
    "connectionsActive": ("Connections now", str),
    "connectionsRejected": ("Connections rejected", str),
    "associationsTotal": ("Associations", str),
    "associationsActive": ("Associations now", str),
    "patients": ("Patients", str),
    "studies": ("Studies", str),
    "series": ("Series", str),
    "instances": ("Instances", str),
    "damaged": ("Damaged or missing", str),
    "scrub": ("Scrub", str),
    "scrubBeganAt": ("Scrub began", str),
    "foreignFiles": ("Files not ours", str),
    "waitingInstances": ("Waiting to be filed", str),
    "waitingBytes": ("Waiting to be filed", size),
    "moverFails": ("Filing fails", lambda fails: "yes" if fails else "no"),
    "quarantined": ("In quarantine", str),
    "conflictsWaiting": ("Conflicts to decide", str),
    "commitmentsWaiting": ("Commitments waiting", str),
    "commitmentsReported": ("Commitments reported", str),
    "commitmentsGivenUp": ("Commitments given up", str),
    "commitmentRequestersFailing": ("Requesters unreachable", str),
    "bytesIn": ("Received", size),
    "bytesOut": ("Sent", size),
    "diskFreeBytes": ("Disk left", size),
    "bytesPerDay": ("Stored each day", size),
    "daysLeft": ("Disk full in", lambda days: counted(days, "day")),
}

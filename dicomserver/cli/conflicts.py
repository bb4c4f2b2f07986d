"""`dicom-server conflicts`: what a person has to decide."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.control import translated
from dicomserver.cli.figures import counted, size
from dicomserver.config.problems import printable
from dicomserver.server import control_client

_ID = "its id in the list, or the beginning of it; the name of its file or its SOP or Study Instance UID will do, too"
_SUMMARIES = {
    "list": "all that waits for a decision",
    "show": "what differs; names the patient",
    "accept": "store the new one, and put what was stored into quarantine; or call a study's several patients right",
    "reject": "remove the file from quarantine for ever",
}


def parser() -> argparse.ArgumentParser:
    """The options of `conflicts` and its commands."""
    made = arguments.parser(
        "conflicts",
        "Decide what two images with one SOP Instance UID, damaged files, or a study with several patients mean.",
        "dicom-server conflicts list")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_parser_of)
    for name, summary in _SUMMARIES.items():
        one = commands.add_parser(name, help=summary)
        if name != "list":
            one.add_argument("id", metavar="ID", help=_ID)
        if name in ("list", "show"):
            one.add_argument("--json", action="store_true", help="JSON, as the server has it")
        if name == "reject":
            one.add_argument("--yes", "-y", action="store_true", help="do not ask")
        arguments.add_control(one)
    return made


def _parser_of(**settings: object) -> argparse.ArgumentParser:
    command = str(settings["prog"]).rpartition(" ")[2]
    example = "dicom-server conflicts " + command + ("" if command == "list" else " 3f9a1c07")
    summary = _SUMMARIES[command]
    return arguments.parser(f"conflicts {command}", f"{summary[0].upper()}{summary[1:]}.", example)


def run(options: argparse.Namespace) -> int:
    """Carries the command out; the exit code. Raises Usage, Failed."""
    return {"list": _list, "show": _show, "accept": _accept, "reject": _reject}[options.command](options)


def _list(options: argparse.Namespace) -> int:
    found: list[dict] = []
    with translated():
        control_client.call(options.port, "conflicts.list", on_progress=found.append, folder=options.control_dir)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(_table(found)))
    return arguments.EXIT_SUCCESS


def _show(options: argparse.Namespace) -> int:
    answer = _call(options, "show")
    print(json.dumps(answer, indent=2) if options.json else "\n".join(map(printable, _in_words(**answer))))
    return arguments.EXIT_SUCCESS


def _accept(options: argparse.Namespace) -> int:
    answer = _call(options, "accept")
    print(f"Accepted {answer['conflict']['id']}: {answer['done']}")
    return arguments.EXIT_SUCCESS


def _reject(options: argparse.Namespace) -> int:
    if not options.yes:
        options.id = _ask(options)
    answer = _call(options, "reject")
    print(f"Rejected {answer['conflict']['id']}: {answer['done']}")
    return arguments.EXIT_SUCCESS


def _ask(options: argparse.Namespace) -> str:
    """The id of what is meant, if the user agrees. Raises Usage, Failed."""
    if not sys.stdin.isatty():
        raise Usage("reject asks before it removes, and there is nobody to ask: give --yes")
    conflict = _call(options, "show")["conflict"]
    if not conflict["file"]:
        return conflict["id"]       # the server says why that cannot be
    last = "" if conflict["hasStored"] else "; nothing is stored under its SOP Instance UID"
    print(f"Remove {conflict['file']} ({conflict['kind']}, {size(conflict['bytes'])}{last}) for ever? [y/N] ", end="",
          file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("nothing was removed")
    return conflict["id"]


def _call(options: argparse.Namespace, what: str) -> dict:
    with translated():
        return control_client.call(options.port, f"conflicts.{what}", {"id": options.id}, folder=options.control_dir)


def _table(conflicts: list[dict]) -> Iterator[str]:
    """One line each, UIDs whole, and how many there are."""
    headings = ("ID", "Kind", "Since (UTC)", "From", "SOP Instance UID", "Study Instance UID", "Reason")
    rows = [(one["id"], one["kind"], one["since"][:16].replace("T", " "), one["sourceAE"], one["sopInstanceUID"],
             one["studyInstanceUID"], one["reason"]) for one in conflicts]
    rows = [tuple(printable(cell) or "-" for cell in row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(headings, *rows)]
    for row in (headings, tuple("-" * width for width in widths), *rows) if rows else ():
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
    yield f"Total: {counted(len(rows), 'conflict')}"


def _in_words(conflict: dict, shown: dict) -> Iterator[str]:
    """What the server says of one conflict, for a person."""
    yield f"{conflict['id']}  {conflict['kind']}: {conflict['reason'] or '-'}"
    for label, value in (
            ("Study Instance UID", conflict["studyInstanceUID"]), ("SOP Instance UID", conflict["sopInstanceUID"]),
            ("From", conflict["sourceAE"]), ("Received (UTC)", _moment(shown.get("received", ""))),
            ("File", f"{conflict['file']}, {size(conflict['bytes'])}" if conflict["file"] else "")):
        if value:
            yield f"{label:<20}{value}"
    yield from _of_study(shown) if "study" in shown else _of_file(conflict, shown)


def _of_file(conflict: dict, shown: dict) -> Iterator[str]:
    if "patient" in shown:
        yield f"{'Patient':<20}{_person(shown['patient'])}"
    if "damage" in shown:
        yield f"The file is damaged: {shown['damage']}"
    elif not conflict["hasStored"]:
        yield "Nothing is stored under this SOP Instance UID."
    if "first" in shown:
        yield f"{'First difference':<20}{shown['first']}"
    for one in shown.get("differences", ()):
        yield one["what"]
        yield f"    stored    {one['stored'] or '-'}"
        yield f"    newcomer  {one['newcomer'] or '-'}"


def _of_study(shown: dict) -> Iterator[str]:
    yield f"{'The study is of':<20}{_person(shown['study'])}"
    if "patient" in shown:
        yield f"{'Other studies say':<20}{_person(shown['patient'])}"
    for other in shown["others"]:
        number = len(other["instances"])
        yield f"{counted(number, 'instance') + (' names' if number == 1 else ' name'):<20}{_person(other)}"
        yield from (f"    {uid}" for uid in other["instances"])


def _moment(received: str) -> str:
    """A DT of ours (UTC) as the list has times."""
    digits = received[:14]
    if len(digits) < 14 or not digits.isdigit():
        return received
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}"


def _person(person: dict) -> str:
    """Patient ID first: it is what a study is found by."""
    issuer = person["issuerOfPatientID"]
    said = (person["patientID"] and person["patientID"] + (f" of {issuer}" if issuer else ""), person["patientName"],
            person["patientBirthDate"] and f"born {person['patientBirthDate']}")
    return ", ".join(filter(None, said)) or "somebody whom an earlier version did not write down: rebuild the index"

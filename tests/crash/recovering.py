"""Starts the server on a disk, twice, and looks at what it has."""
from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import apsw

from dicomserver.archive.recovery import Verdict
from dicomserver.server.recovery import RecoveryReport
from dicomserver.server.rooms import RealRooms
from dicomserver.server.server import Server
from dicomserver.server.settings import ServerSettings
from tests.crash.asking import ask_all
from tests.crash.requesting import Home
from tests.crash.running import Running
from tests.crash.steps import parent
from tests.interop.requester import Report
from tests.interop.installed import wait_until

_LOG = logging.getLogger("tests.crash")
_OF_THE_PROCESS = ("lock", "starts", "dicom-server.db", "dicom-server.db-wal", "dicom-server.db-shm")


class _Rooms(RealRooms):
    """The real ones, and they can be looked into."""

    def open_archive(self, settings: ServerSettings):
        self.archive = super().open_archive(settings)
        return self.archive

    def open_index(self, settings: ServerSettings):
        self.index = super().open_index(settings)
        return self.index


@dataclass(slots=True)
class Look:
    """instances: SOP Instance UID -> its dataset as C-GET brings it; reports: of storage commitments, by Transaction
    UID; problems: one line each."""

    instances: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def recover_twice(data: Path, home: Home) -> Look:
    """Two starts and stops, in this process; what the first one left must be what the second finds and leaves. Only
    the second one knows where reports go; `home` is open."""
    control = data.parent / "control"
    control.mkdir(exist_ok=True, mode=0o700)
    settings = ServerSettings(port=0, bind_address="127.0.0.1", data_directory=data, control_directory=control)
    first = Server(settings, RealRooms(), _LOG)
    try:
        first.start()
    except Exception as error:
        return Look(problems=[f"it does not start: {type(error).__name__}: {error}"])
    look = Look()
    if not first.stop():
        look.problems.append("it does not stop cleanly")
    before = _tree(data)
    rooms = _Rooms()
    second = Server(replace(settings, destinations=home.destinations), rooms, _LOG)
    report = second.start()
    try:
        if report != RecoveryReport(filled=report.filled):
            look.problems.append(f"the second start had something to do: {report.text()}")
        _look(rooms, look)
        _ask(second, look)
        wait_until(lambda: second.statistics.snapshot()["commitmentsWaiting"] == 0)
        look.reports = home.reports()
    finally:
        second.stop()
    _compare(before, _tree(data), look)
    _check_trash(data / "trash", look)
    _check_index(data / "dicom-server.db", look)
    return look


def recover_by_process(data: Path, home: Home) -> Look:
    """The first start is that of the installed command."""
    with Running(data) as server:
        server.stop()
    return recover_twice(data, home)


def _look(rooms: _Rooms, look: Look) -> None:
    slots = {}
    for row in rooms.index.select():
        uid = row.sop_instance_uid
        slots[uid] = row.slot
        try:
            fd = rooms.archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid, uid)
        except Exception as error:
            look.problems.append(f"{uid} has a row and cannot be opened: {error}")
            continue
        os.close(fd)
    for found in rooms.archive.walk_instances(whole=True):
        if found.verdict is not Verdict.WHOLE:
            look.problems.append(f"{found.name}: {found.reason}")
        elif slots.pop(found.sop_instance_uid, None) != found.slot:
            look.problems.append(f"{found.name} has no row")
    look.problems += [f"{uid} was not filed" for uid in slots]


def _ask(server: Server, look: Look) -> None:
    answers = ask_all(server.port)
    look.instances = answers.served
    look.problems += answers.problems


def _tree(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def _compare(before: dict[str, bytes], after: dict[str, bytes], look: Look) -> None:
    for path in sorted(before.keys() | after.keys()):
        if path not in _OF_THE_PROCESS and parent(path) != "commitments" and before.get(path) != after.get(path):
            look.problems.append(f"the second start changed {path}")
        if parent(path) in ("intake", "tombstones") or parent(path) == "commitments" and path in after:
            look.problems.append(f"{path} is left over")


def _check_trash(trash: Path, look: Look) -> None:
    """Every file there is in a record, and the other way round, and none is on its way."""
    try:
        entries = [entry for path in trash.glob("*.json") for entry in json.loads(path.read_bytes())["files"]]
    except ValueError:
        look.problems.append("a record of the trash is not whole")
        return
    if {entry["name"] for entry in entries} != {path.name for path in trash.glob("*.dcm")}:
        look.problems.append("the trash has other files than its records say")
    if any(entry["state"] != "stays" for entry in entries):
        look.problems.append("the trash was left in the middle of something")


def _check_index(path: Path, look: Look) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        said = connection.execute("PRAGMA integrity_check").get
        if said != "ok":
            look.problems.append(f"the index is damaged: {said}")
    finally:
        connection.close()

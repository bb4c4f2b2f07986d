"""A modality that asks for storage commitments: it stays for the report, or leaves and is at home later."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dicomserver.services.move import Destination
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import N_EVENT_REPORT_RSP, NO_DATA_SET
from tests.crash.traffic import CT, Sample
from tests.interop.requester import Report, Requester
from tests.interop.sender import Sender
from tests.ports import free_port
from tests.services.commitments import EXPLICIT, PUSH_MODEL, act, action

AE_TITLE = "CRASH"


def transaction(number: int) -> str:
    """A Transaction UID; none is part of another."""
    return f"1.2.826.0.1.3680043.9.8.1{number:04d}"


def ask(port: int, message: int, uid: str, samples: Iterable[Sample], *, stays: bool) -> int:
    """Storage commitment over an association of its own; -> the status. stays: until the report is answered."""
    with Sender(port, [(PUSH_MODEL, [EXPLICIT])], calling=AE_TITLE) as association:
        references = [(CT, one.uid) for one in samples]
        status = act(association, action(uid, references, explicit=True), message_id=message).status
        if stays:
            _answer_report(association)
        else:
            association.close()
    return status


def _answer_report(association: Sender) -> None:
    _, body = association.receive()
    association.receive()       # its dataset
    report = decode_command(body[6:])
    association.request(1, encode_command(CommandSet(
        affected_sop_class_uid=PUSH_MODEL, command_field=N_EVENT_REPORT_RSP,
        message_id_being_responded_to=report.message_id, command_data_set_type=NO_DATA_SET, status=0,
        affected_sop_instance_uid=report.affected_sop_instance_uid, event_type_id=report.event_type_id)))


class Home:
    """Where the modality takes reports, while `open`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._requester = Requester(AE_TITLE)

    @property
    def destinations(self) -> dict[str, Destination]:
        """For the settings of a server."""
        return {AE_TITLE: Destination("127.0.0.1", self.port, AE_TITLE)}

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process."""
        known = {name: {"host": one.host, "port": one.port} for name, one in self.destinations.items()}
        return {"DICOM_SERVER_KNOWN_DESTINATIONS": json.dumps(known)}

    @contextmanager
    def open(self) -> Iterator[None]:
        with self._requester.at_home(self.port):
            yield

    def reports(self) -> dict[str, Report]:
        """Those that came since this was asked for last, by Transaction UID."""
        found = {}
        while not self._requester.reports.empty():
            report = self._requester.reports.get()
            found[report.transaction] = report
        return found

"""A requester's own SCP for the tests of the courier, and what stands for the association of a request."""
from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from dicomserver.services.commitment import Report
from dicomserver.services.move import Destination

PUSH_MODEL = "1.2.840.10008.1.20.1"


class Home:
    """Takes reports on `port`, answers them with what `answer` says. heard: (calling AE title, event type,
    Transaction UID) as they come."""

    def __init__(self) -> None:
        self.answer: Callable[[], int] = lambda: 0
        self.heard: queue.Queue[tuple[str, int, str]] = queue.Queue()
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.port = door.getsockname()[1]

    @property
    def destination(self) -> Destination:
        return Destination("127.0.0.1", self.port, "MODALITY")

    @contextmanager
    def open(self, *, takes_role: bool = True, context: str = PUSH_MODEL) -> Iterator[None]:
        """takes_role: agrees that whoever calls is the SCP."""
        roles = {"scu_role": False, "scp_role": True} if takes_role else {}
        ae = AE(ae_title="MODALITY")
        ae.add_supported_context(context, ExplicitVRLittleEndian, **roles)
        server = ae.start_server(("127.0.0.1", self.port), block=False,
                                 evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)])
        try:
            yield
        finally:
            server.shutdown()

    def next(self) -> tuple[str, int, str]:
        return self.heard.get(timeout=30)

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        self.heard.put((event.assoc.requestor.ae_title, event.event_type, str(event.event_information.TransactionUID)))
        return self.answer(), None


class Association:
    """Stands for services.commitment.SameAssociation: hears a report, and says what the test wants."""

    def __init__(self, *answers: int | None) -> None:
        self._answers = list(answers)
        self.reports: list[Report] = []
        self.heard = threading.Event()

    def deliver(self, report: Report, on_response: Callable[[int | None], None]) -> None:
        self.reports.append(report)
        on_response(self._answers.pop(0))
        self.heard.set()

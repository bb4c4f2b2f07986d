"""pynetdicom as a requester of storage commitment: on its association it waits for the report, and it can be an SCP."""
from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, Association, evt

from tests.interop.installed import PATIENCE
from tests.interop.stored import Sent

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"


@dataclass(frozen=True)
class Report:
    """An N-EVENT-REPORT: committed are (SOP class, instance), failed is the reason of each."""

    event_type: int
    transaction: str
    committed: set[tuple[str, str]]
    failed: dict[tuple[str, str], int]
    dataset: Dataset = field(compare=False, repr=False)


class Requester:
    """One modality. reports: as they come, on whatever association; status: what it answers them with."""

    def __init__(self, ae_title: str = "MODALITY") -> None:
        self.ae = AE(ae_title=ae_title)
        self.ae.add_requested_context(PUSH_MODEL, ExplicitVRLittleEndian)
        self.reports: queue.Queue[Report] = queue.Queue()
        self.status: int = 0x0000
        self.hangs: Callable[[], None] = lambda: None

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        """The handler of pynetdicom."""
        self.hangs()
        self.reports.put(_report(event.event_type, event.event_information))
        return self.status, None

    def report(self) -> Report:
        """The next one, waited for."""
        return self.reports.get(timeout=PATIENCE)

    @contextmanager
    def associated(self, port: int, *, takes_reports: bool = True) -> Iterator[Association]:
        """An association of the requester's own. takes_reports: else they are answered with a failure."""
        handlers = [(evt.EVT_N_EVENT_REPORT, self.on_report)] if takes_reports else []
        association = self.ae.associate("127.0.0.1", port, evt_handlers=handlers)
        assert association.is_established
        try:
            yield association
        finally:
            # pynetdicom's release waits for ever, now and then, where its own thread is answering a report.
            if takes_reports:
                association.abort()
            elif association.is_established:
                association.release()

    @contextmanager
    def at_home(self, port: int, *, takes_role: bool = True) -> Iterator[None]:
        """Listens on `port`. takes_role: it agrees to be the SCU of who calls."""
        home = AE(ae_title=self.ae.ae_title)
        home.add_supported_context(PUSH_MODEL, ExplicitVRLittleEndian, scu_role=False if takes_role else None,
                                   scp_role=True if takes_role else None)
        server = home.start_server(("127.0.0.1", port), block=False,
                                   evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.on_report)])
        try:
            yield
        finally:
            server.shutdown()


def ask(association: Association, transaction: str, references: Sequence[tuple[str, str]], *,
        action_type: int = 1, sop_instance: str = WELL_KNOWN) -> int:
    """N-ACTION; -> the status."""
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = Items(_items(references))
    return association.send_n_action(information, action_type, PUSH_MODEL, sop_instance)[0].Status


def reference(sent: Sent) -> tuple[str, str]:
    """What is asked for."""
    return sent.sop_class, sent.sop_instance


def _items(references: Sequence[tuple[str, str]]) -> Iterator[Dataset]:
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        yield item


def _report(event_type: int, information: Dataset) -> Report:
    def pair(item: Dataset) -> tuple[str, str]:
        return str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)

    committed = {pair(item) for item in information.get("ReferencedSOPSequence", [])}
    failed = {pair(item): item.FailureReason for item in information.get("FailedSOPSequence", [])}
    return Report(event_type, str(information.TransactionUID), committed, failed, information)
